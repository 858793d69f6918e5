"""Words of which the facts beside them tell the cause: of a GPU that is left out, of a module that is not loaded."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from autoglm_doctor.domain.signatures import Symptom
from autoglm_doctor.domain.wheels import capability
from autoglm_doctor.facts import Facts

_FLASHINFER = re.compile(r"FlashInfer requires (?:GPUs with )?sm ?75", re.IGNORECASE)
_NOT_LOADED = re.compile(r"couldn't communicate with the NVIDIA driver", re.IGNORECASE)
_NO_KERNELS = re.compile(r"does not include kernels for this GPU", re.IGNORECASE)

#: What torch says of a GB10 as well, whose 12.1 runs the code for 12.0 (pytorch issue 172629).
_RUNS_ALL_THE_SAME = re.compile(r"\bGB10\b|\b12\.1\b", re.IGNORECASE)

#: The first GPUs that FlashInfer compiles for (check_cuda_arch in its jit/core.py).
_TURING = (7, 5)


def by_facts(symptoms: Sequence[Symptom], text: str, facts: Facts) -> tuple[Symptom, ...]:
    """The symptoms, each with the cause that the facts leave; without those that mean nothing on these GPUs."""
    cards = [has for gpu in facts.gpus.value or () if (has := capability(gpu.compute_capability)) is not None]
    return tuple(_with_facts(one, cards, facts) for one in symptoms if not _means_nothing(one, text, cards))


def _with_facts(one: Symptom, cards: Sequence[tuple[int, int]], facts: Facts) -> Symptom:
    row, line, host = one.signature, one.line, facts.host.value
    if _FLASHINFER.search(line) and row.cause == "GPU_TOO_OLD_FOR_ENGINE" and cards:
        if min(cards) < _TURING:
            return Symptom(dataclasses.replace(row, sure="certain"), line)
        # Old releases of FlashInfer also say so where TORCH_CUDA_ARCH_LIST names older GPUs (its issue 371).
        return Symptom(dataclasses.replace(row, cause="NVCC_MISSING_FOR_JIT", sure="likely"), line)
    if _NOT_LOADED.search(line) and row.cause == "KERNEL_MODULE_NOT_BUILT" and host is not None and host.secure_boot:
        return Symptom(dataclasses.replace(row, cause="SECURE_BOOT_BLOCKS_MODULE"), line)
    return one


def _means_nothing(one: Symptom, text: str, cards: Sequence[tuple[int, int]]) -> bool:
    if not _NO_KERNELS.search(one.line):
        return False
    return all(card == (12, 1) for card in cards) if cards else bool(_RUNS_ALL_THE_SAME.search(text))
