"""Whether nvcc is new enough for what vLLM lets FlashInfer compile at its start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.version import Version

from autoglm_doctor.domain.builds import release_of
from autoglm_doctor.domain.jit import VLLM_ASKS, VLLM_SAMPLES, Need
from autoglm_doctor.domain.wheels import capability, number
from autoglm_doctor.matrix import Matrix

#: _normalize_cuda_arch() in compilation_context.py of FlashInfer's wheels asks CUDA 12.9 of every GPU of capability
#: 12.x from 0.6.7 on (not in 0.6.6), and only of 12.1 from 0.7.1 on (0.7.0.post1 still of all): 12.0 is content with
#: 12.8 then. Where it refuses, no GPU is left to compile for, and the server ends with "FlashInfer requires GPUs with
#: sm75 or higher" (flashinfer issue 3675; vllm issues 42393, 44305, 50705).
_ASKS_FIRST, _ASKS_LESS, _NEEDS = Version("0.6.7"), Version("0.7.1"), Version("12.9")
_NEEDS_LESS = Version("12.8")


@dataclass(frozen=True, slots=True, kw_only=True)
class TooOld:
    """What refuses this nvcc."""

    flashinfer: str
    gpu: str  # compute capability
    needs: str  # CUDA release


def too_old(
    nvcc: str,
    need: Need,
    version: str | None,
    torch: str,
    installed: Mapping[str, str],
    variables: Mapping[str, str],
    gpus: Sequence[str],
    matrix: Matrix,
) -> TooOld | None:
    """Why FlashInfer compiles nothing with the nvcc of a CUDA release; None where it does, or where that is not known.

    `version`, `torch`: of vLLM and torch. `installed`: names and versions of packages. `gpus`: compute capabilities of
    those taken. From 0.31 on vLLM asks FlashInfer first, and samples by itself where it refuses.
    """
    found, release = number(nvcc), release_of(version)
    if need.way_out != "sampler" or need.without == "unknown" or (release is not None and release >= VLLM_ASKS):
        return None
    if found is None or found >= _NEEDS or _names_code(variables.get("FLASHINFER_CUDA_ARCH_LIST", "")):
        return None
    flashinfer = installed.get("flashinfer-python") or _flashinfer_of(version, torch, matrix)
    rule, cards = number(flashinfer), [capability(gpu) for gpu in gpus]
    if rule is None or rule < _ASKS_FIRST or not cards or any(card is None or card[0] != 12 for card in cards):
        return None
    wanted = [(_NEEDS if rule < _ASKS_LESS or gpu != "12.0" else _NEEDS_LESS, gpu) for gpu in gpus]
    needs, gpu = max(wanted)
    return TooOld(flashinfer=flashinfer, gpu=gpu, needs=str(needs)) if found < needs else None


def is_at_least(one: str, other: str) -> bool:
    """Whether a CUDA release is known and not older than another."""
    has, wanted = number(one), number(other)
    return has is not None and wanted is not None and has >= wanted


def _names_code(arch_list: str) -> bool:
    """Whoever adds the letter himself ("12.0a") is asked nothing."""
    return any(word[-1:].isalpha() for word in arch_list.split())


def _flashinfer_of(version: str | None, torch: str, matrix: Matrix) -> str:
    """The FlashInfer that vLLM brings; where its release is not told, that of the first one that brings this torch."""
    if version:
        row = matrix.engine_release("vllm", version)
        return row.flashinfer if row is not None else ""
    rows = [row for row in matrix.engines["vllm"] if row.torch and row.torch == torch.partition("+")[0]]
    known = [row for row in rows if (has := number(row.since)) is not None and VLLM_SAMPLES <= has < VLLM_ASKS]
    return known[0].flashinfer if known else ""
