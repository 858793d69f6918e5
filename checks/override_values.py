"""Values that only some releases and GPUs know. For CFG006."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from packaging.version import Version

from autoglm_doctor.api import Fix, Gpu, Intent, Judgement, Packages, Text, fail, warn
from autoglm_doctor.domain.builds import is_early, release_of
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import engine_version
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import capability

_ATTENTION = "VLLM_ATTENTION_BACKEND"
#: AttentionBackendEnum in the registry of the wheels of 0.11.1, 0.11.2, 0.12.0, 0.13.0, 0.14.0 and 0.14.1:
#: env_with_choices in their envs.py ends with a ValueError on any other, and 0.15.0 reads the variable no more.
_IN_ALL = frozenset(
    {"FLASH_ATTN", "TRITON_ATTN", "ROCM_ATTN", "ROCM_AITER_MLA", "ROCM_AITER_FA", "TORCH_SDPA", "FLASHINFER", "CUSTOM"}
    | {"FLASHINFER_MLA", "TRITON_MLA", "CUTLASS_MLA", "FLASHMLA", "FLASHMLA_SPARSE", "FLASH_ATTN_MLA", "IPEX"}
    | {"NO_ATTENTION", "FLEX_ATTENTION", "TREE_ATTN", "ROCM_AITER_UNIFIED_ATTN", "CPU_ATTN"}
)
_ONLY: Mapping[str, tuple[str, str]] = {  # name -> the first release with it, the first without it
    "XFORMERS": ("0.11.1", "0.12.0"),
    "PALLAS": ("0.11.1", "0.14.0"),
    "ROCM_AITER_TRITON_MLA": ("0.12.0", "0.15.0"),
    "ROCM_AITER_MLA_SPARSE": ("0.12.0", "0.15.0"),
    "FLASH_ATTN_DIFFKV": ("0.14.0", "0.15.0"),
}
_CHOICES_FROM, _CHOICES_UNTIL = Version("0.11.1"), Version("0.15.0")
#: supports_compute_capability in their flash_attn.py and flashinfer.py; platforms/cuda.py refuses what is below.
_LEAST: Mapping[str, tuple[int, int]] = {"FLASH_ATTN": (8, 0), "FLASHINFER": (7, 5)}
_REMOVED = "https://github.com/vllm-project/vllm/pull/29262"

_USE_V1 = "VLLM_USE_V1"
#: bool(int()) in envs.py of the wheels from 0.7.3 to 0.10.2, read when the engine's configuration is made.
_V1_FROM, _V1_UNTIL = Version("0.7.3"), Version("0.11.0")

_BNB = "BNB_CUDA_VERSION"
#: Where there is no cuBLASLt these releases put the number behind the name's end ("..._nocublaslt124.so").
_MISNAMES_FROM, _MISNAMES_UNTIL, _LT_FROM = Version("0.43"), Version("0.44"), (7, 5)
#: libbitsandbytes_cuda*.so in the Linux wheels of these releases; between two of them either list may hold.
_LIBRARIES: tuple[tuple[str, str], ...] = (
    ("0.41.3", "110 111 114 115 117 118 120 121 122"),
    ("0.42.0", "110 111 114 115 117 118 120 121 122 123"),
    ("0.43.3", "117 118 120 121 122 123 124 125"),
    ("0.44.1", "117 118 120 121 122 123 124 125"),
    ("0.45.0", "117 118 120 121 122 123 124 125 126"),
    ("0.45.5", "117 118 120 121 122 123 124 125 126 128"),
    ("0.46.1", "118 120 121 122 123 124 125 126 128 129"),
    ("0.47.0", "118 120 121 122 123 124 125 126 128 129"),
    ("0.48.2", "118 120 121 122 123 124 125 126 128 129 130"),
    ("0.49.1", "118 120 121 122 123 124 125 126 128 129 130"),
)

_ARCHS = "TORCH_CUDA_ARCH_LIST"
#: check_cuda_arch in flashinfer/jit/core.py of 0.2.5 to 0.2.14 refuses a list with one older GPU in it; 0.3.0 only one
#: with nothing else (github.com/flashinfer-ai/flashinfer/issues/1115).
_FLASHINFER, _FLASHINFER_FROM, _FLASHINFER_UNTIL = "flashinfer-python", Version("0.2.5"), Version("0.3.0")
_ARCH_SOURCE = "https://github.com/flashinfer-ai/flashinfer/issues/1115"
_OLD_NAMES = ("kepler", "maxwell", "pascal", "volta")


def other_values(
    variables: Mapping[str, str], packages: Packages | None, gpus: Sequence[Gpu], intent: Intent
) -> Iterator[Judgement]:
    """What is wrong with this release or on these GPUs."""
    if intent.device == "cpu" or intent.engine == "llamacpp":
        return
    if _ATTENTION in variables and intent.engine == "vllm":
        yield from _attention(variables[_ATTENTION], engine_version(packages, intent), gpus)
    if intent.engine == "vllm":
        yield from _word_for_number(variables.get(_USE_V1, ""), engine_version(packages, intent))
    if packages is not None:
        yield from _bitsandbytes(variables.get(_BNB, ""), packages, gpus)
        yield from _architectures(variables.get(_ARCHS, ""), packages, intent)


def _attention(value: str, version: str | None, gpus: Sequence[Gpu]) -> Iterator[Judgement]:
    release = release_of(version)
    if release is None or is_early(version) or not _CHOICES_FROM <= release < _CHOICES_UNTIL:
        return
    first, end = _ONLY.get(value, ("", ""))
    is_known = value in _IN_ALL or (first and Version(first) <= release < Version(end))
    said: dict[str, object] = {"name": _ATTENTION, "value": value[:80], "version": str(release)}
    if not is_known:
        text = Text("{name}={value}: vLLM {version} knows no attention kernels of this name, and ends", said)
        yield _red(text, _ATTENTION, value, _REMOVED)
        return
    numbers = [capability(gpu.compute_capability) for gpu in gpus]
    least = _LEAST.get(value)
    if least and _all_before(least, numbers):
        said |= {"cc": gpus[0].compute_capability, "least": f"{least[0]}.{least[1]}"}
        text = Text("{name}={value}: these kernels need a GPU of {least}, this one is of {cc}: vLLM refuses them", said)
        yield _red(text, _ATTENTION, value, "https://github.com/vllm-project/vllm/issues/9922")


def _all_before(least: tuple[int, int], numbers: Sequence[tuple[int, int] | None]) -> bool:
    return bool(numbers) and all(one is not None and one < least for one in numbers)


def _word_for_number(value: str, version: str | None) -> Iterator[Judgement]:
    release = release_of(version)
    is_read = release is not None and _V1_FROM <= release < _V1_UNTIL
    if is_read and value.strip().lower() in ("true", "false", "yes", "no", "on", "off"):
        text = Text("{name}={value}: vLLM takes 0 or 1, in digits, and ends", {"name": _USE_V1, "value": value})
        yield _red(text, _USE_V1, value, "https://docs.vllm.ai/en/latest/configuration/env_vars.html")


def _bitsandbytes(value: str, packages: Packages, gpus: Sequence[Gpu]) -> Iterator[Judgement]:
    version = installed_version(packages, "bitsandbytes")
    release = release_of(version)
    wanted = value.strip()
    if release is None or not published(version) or not (wanted.isascii() and wanted.isdecimal()):
        return
    numbers = [capability(gpu.compute_capability) for gpu in gpus]
    if _MISNAMES_FROM <= release < _MISNAMES_UNTIL and _all_before(_LT_FROM, numbers):
        text = Text(
            "{name}={value}: on GPUs before 7.5 bitsandbytes {version} makes a file name of it that does not exist",
            {"name": _BNB, "value": wanted, "version": str(release)},
        )
        fix = _unset(_BNB, "https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1318")
        yield warn(text, fix=fix, subject=_BNB, observed=wanted, expected="not set")
        return
    brought = _libraries(release)
    if not brought or wanted in brought or not 2 <= len(wanted) <= 3:
        return
    said = {"name": _BNB, "value": wanted, "version": str(release), "brought": ", ".join(sorted(brought))}
    yield warn(
        Text("{name}={value}: bitsandbytes {version} brings no library for it, only for {brought}", said),
        fix=_unset(_BNB, "https://huggingface.co/docs/bitsandbytes/installation"),
        subject=_BNB,
        observed=wanted,
        expected="a CUDA release that bitsandbytes brings, or not set",
    )


def _libraries(release: Version) -> frozenset[str]:
    """Of the releases on both sides; () outside of those that were looked at."""
    for (low, before), (high, after) in pairwise(_LIBRARIES):
        if Version(low) <= release <= Version(high):
            same = before if release == Version(low) else after if release == Version(high) else f"{before} {after}"
            return frozenset(same.split())
    return frozenset()


def _architectures(value: str, packages: Packages, intent: Intent) -> Iterator[Judgement]:
    """SGLang builds FlashInfer's kernels at its start; whether they are used is the GPU's matter."""
    release = release_of(installed_version(packages, _FLASHINFER))
    if intent.engine != "sglang" or release is None or not _FLASHINFER_FROM <= release < _FLASHINFER_UNTIL:
        return
    words = value.replace(";", " ").replace(",", " ").split()
    numbers = [capability(word.lower().removesuffix("+ptx")) for word in words]
    old = [w for w, n in zip(words, numbers, strict=True) if w.lower() in _OLD_NAMES or (n is not None and n < (7, 5))]
    if not old:
        return
    said = {"name": _ARCHS, "value": value[:80], "version": str(release), "old": " and ".join(old)}
    yield warn(
        Text("{name}={value}: FlashInfer {version} builds no kernels while {old} is in the list", said),
        fix=_unset(_ARCHS, _ARCH_SOURCE),
        subject=_ARCHS,
        observed=value[:80],
        expected="7.5 and newer, or not set",
    )


def _red(text: Text, name: str, value: str, url: str) -> Judgement:
    return fail(text, fix=_unset(name, url), subject=name, observed=value[:80], expected="not set")


def _unset(name: str, url: str) -> Fix:
    return Fix(
        text=Text("unset it, also in the file or service that sets it"),
        commands=(f"unset {name}", f"grep -rn {name} ~/.bashrc ~/.profile /etc/environment /etc/profile.d"),
        url=url,
    )
