"""Words of which the facts beside them tell the cause, and words that mean nothing beside them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.signatures import TABLE, Symptom
from autoglm_doctor.domain.wheels import capability, number
from autoglm_doctor.facts import Facts, Gpu
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.name_facts import by_release, release_of

_FLASHINFER = re.compile(r"FlashInfer requires (?:GPUs with )?sm ?75", re.IGNORECASE)
_NOT_LOADED = re.compile(r"couldn't communicate with the NVIDIA driver", re.IGNORECASE)
_NO_KERNELS = re.compile(r"does not include kernels for this GPU", re.IGNORECASE)

#: What torch says of a GB10 as well, whose 12.1 runs the code for 12.0 (pytorch issue 172629).
_RUNS_ALL_THE_SAME = re.compile(r"\bGB10\b|\b12\.1\b", re.IGNORECASE)

#: The first GPUs that FlashInfer compiles for (check_cuda_arch in its jit/core.py).
_TURING = (7, 5)

#: A vLLM of early 2025 asserts so where its GPU has no FlashAttention, and where the user asks for another one.
_NO_FLASH_ATTENTION = re.compile(r"assert is_fa_version_supported\(")
_AMPERE = (8, 0)

#: Also said of weights in 4 bits that bitsandbytes left out of the GPU.
_META = re.compile(r"cannot be called on meta tensors", re.IGNORECASE)
_QUANTISED = re.compile(r"bitsandbytes|quant_state|accelerate[/.]hooks", re.IGNORECASE)
_UNLOADED = re.compile(r"can't load C\+\+/CUDA extensions", re.IGNORECASE)
#: xFormers has no such code for these.
_NO_CUDA = re.compile(r"\(you have \S+\+(?:cpu|rocm)", re.IGNORECASE)

#: GeForce cards that have no direct copies between each other, and whose first drivers offered them all the same
#: (nccl-tests issue 117). Later branches say that there are none, so that NCCL does not try.
_NO_P2P = re.compile(r"\bRTX 40[5-9]0\b", re.IGNORECASE)
_SAYS_SO = 535

#: Layers over time and pictures: torch 2.9 with a cuDNN before 9.15 computes them in many times the memory.
_CONV3D = re.compile(r"conv3d|video (?:tokenizer|vae|encod)|tokenizer encode|vae encod", re.IGNORECASE)
_CUDNN = Version("9.15")
_SLOW = next(row for row in TABLE if row.cause == "CUDNN_CONV3D_REGRESSION")

#: A disk that is full, told without the file.
_BARE = re.compile(r"^[^/<]*No space left on device[^/<]*$", re.IGNORECASE)
_DEFAULT_SHM = 64 << 20
_SHARES = re.compile(r"shm[-_]size|--ipc\b|\bipc: *[\"']?host", re.IGNORECASE)
_SHARED = next(row for row in TABLE if row.cause == "SHM_TOO_SMALL" and not row.after)


def by_facts(
    symptoms: Sequence[Symptom], text: str, facts: Facts, intent: Intent, container: str = ""
) -> tuple[Symptom, ...]:
    """The symptoms, each with the cause that the facts leave; without those that mean nothing on these GPUs.

    `container` is what is said of it, word by word.
    """
    cards = [has for gpu in facts.gpus.value or () if (has := capability(gpu.compute_capability)) is not None]
    judged = (
        by_release(_with_facts(one, cards, facts), text, facts, intent)
        for one in symptoms
        if not (_means_nothing(one, text, cards) or _belongs_to_others(one, text, facts) or _is_refuted(one, facts))
    )
    return _shared_memory(tuple(judged), facts, container)


def _with_facts(one: Symptom, cards: Sequence[tuple[int, int]], facts: Facts) -> Symptom:
    row, line, host = one.signature, one.line, facts.host.value
    if _FLASHINFER.search(line) and row.cause == "GPU_TOO_OLD_FOR_ENGINE" and cards:
        if min(cards) < _TURING:
            return Symptom(dataclasses.replace(row, sure="certain"), line)
        # Old releases of FlashInfer also say so where TORCH_CUDA_ARCH_LIST names older GPUs (its issue 371).
        return Symptom(dataclasses.replace(row, cause="NVCC_MISSING_FOR_JIT", sure="likely"), line)
    if _NOT_LOADED.search(line) and row.cause == "KERNEL_MODULE_NOT_BUILT" and host is not None and host.secure_boot:
        return Symptom(dataclasses.replace(row, cause="SECURE_BOOT_BLOCKS_MODULE"), line)
    if _NO_FLASH_ATTENTION.search(line) and cards and min(cards) >= _AMPERE:
        return _another_flash_attention(one)
    if row.cause == "P2P_BROKEN_ACS_IOMMU" and _without_p2p(facts):
        return Symptom(dataclasses.replace(row, cause="P2P_UNRELIABLE_GPU_OR_DRIVER"), line)
    if row.cause == "VRAM_TOO_SMALL_FOR_WEIGHTS" and _CONV3D.search(line) and _with_slow_conv3d(facts):
        return Symptom(_SLOW, line)
    if _META.search(line) and _major(release_of("transformers", facts)) >= 5:
        return Symptom(dataclasses.replace(row, sure="likely"), line)
    return one


def _another_flash_attention(one: Symptom) -> Symptom:
    row = dataclasses.replace(
        one.signature,
        cause="ENV_VAR_OVERRIDE_WRONG",
        meaning="vLLM is asked for a FlashAttention that this GPU does not run, as by VLLM_FLASH_ATTN_VERSION",
        way_out="Let vLLM choose by itself.",
        commands=("env | grep VLLM_FLASH_ATTN_VERSION", "unset VLLM_FLASH_ATTN_VERSION"),
    )
    return Symptom(row, one.line)


def _with_slow_conv3d(facts: Facts) -> bool:
    """torch 2.9, and no cuDNN that is stated to be newer than its own."""
    torch = facts.torch.value
    said = [release_of(name, facts) for name in ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13")]
    known = [found for one in said if (found := number(one)) is not None]
    is_slow = torch is not None and re.match(r"2\.9\.\d+(?:\+|$)", torch.version or "") is not None
    return is_slow and all(one < _CUDNN for one in known)


def _without_p2p(facts: Facts) -> bool:
    """Several cards without direct copies, and nothing stated of bridges that redirect them."""
    gpus: Sequence[Gpu] = facts.gpus.value or ()
    host, driver = facts.host.value, facts.driver.value
    if len(gpus) < 2 or (host is not None and (host.acs or host.iommu)):
        return False
    branch = _major(driver.version or "") if driver is not None else 0
    return branch < _SAYS_SO and all(_NO_P2P.search(gpu.name) for gpu in gpus)


def _major(version: str) -> int:
    """0 where it is not known."""
    try:
        return Version(version).major
    except InvalidVersion:
        return 0


def _belongs_to_others(one: Symptom, text: str, facts: Facts) -> bool:
    """Words of another fault than that of the row."""
    if _META.search(one.line):
        return bool(_QUANTISED.search(text)) or 0 < _major(release_of("transformers", facts)) < 5
    is_of_torch = one.signature.cause == "CPU_ONLY_TORCH"
    return not is_of_torch and _UNLOADED.search(one.line) is not None and _NO_CUDA.search(text) is not None


def _is_refuted(one: Symptom, facts: Facts) -> bool:
    """A guess that torch is built without CUDA, where a build with it is stated."""
    torch = facts.torch.value
    return one.signature.cause == "CPU_ONLY_TORCH" and one.signature.sure == "hint" and bool(torch and torch.cuda)


def _shared_memory(symptoms: tuple[Symptom, ...], facts: Facts, container: str) -> tuple[Symptom, ...]:
    """In a container an error without a file may mean /dev/shm: first of all where that was left as small as it is."""
    host, shared = facts.host.value, facts.shared_memory.value
    small = shared is not None and shared.total_bytes <= _DEFAULT_SHM
    roomy = not small and (shared is not None or _SHARES.search(container) is not None)
    causes = [one.signature.cause for one in symptoms]
    if "DISK_FULL" not in causes or "SHM_TOO_SMALL" in causes or roomy or not (small or (host and host.container)):
        return symptoms
    at = causes.index("DISK_FULL")
    full = symptoms[at]
    if not _BARE.search(full.line):
        return symptoms
    sharing = Symptom(dataclasses.replace(_SHARED, sure="likely" if small else "hint"), full.line)
    if not small:
        return (*symptoms, sharing)
    disk = Symptom(dataclasses.replace(full.signature, sure="likely"), full.line)
    return (*symptoms[:at], sharing, disk, *symptoms[at + 1 :])


def _means_nothing(one: Symptom, text: str, cards: Sequence[tuple[int, int]]) -> bool:
    if one.signature.cause == "BF16_UNSUPPORTED_GPU":
        return bool(cards) and min(cards) >= _AMPERE
    if not _NO_KERNELS.search(one.line):
        return False
    return all(card == (12, 1) for card in cards) if cards else bool(_RUNS_ALL_THE_SAME.search(text))
