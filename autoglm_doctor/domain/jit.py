"""Which engines compile CUDA code when they start, and so need nvcc on the machine that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.version import Version

from autoglm_doctor.domain.wheels import number
from autoglm_doctor.intent import Intent

#: vLLM samples with FlashInfer from here on unless it is told not to (envs.py and topk_topp_sampler.py of the wheels:
#: off in 0.20.0, on in 0.21.0); its kernels are compiled while memory is measured at the start (vllm issue 49497).
VLLM_SAMPLES = Version("0.21")

#: From here on vLLM asks FlashInfer first whether it can compile for the GPU (0.30.0 does not, 0.32.0 does); that it
#: also notices a missing nvcc was not seen.
VLLM_ASKS = Version("0.31")

#: Up to here vLLM sampled with FlashInfer wherever somebody had installed it (off in 0.11.1).
VLLM_EXTRA = (Version("0.10"), Version("0.11.1"))

#: SGLang compiles its rotary embedding from here on (jit_kernel/rope.py is in the wheel of 0.5.9, not in 0.5.8).
SGLANG_COMPILES = Version("0.5.9")

#: FlashInfer's kernels, compiled beforehand.
PRECOMPILED = "flashinfer-jit-cache"

#: Where vLLM is told to sample by itself.
SAMPLER = "VLLM_USE_FLASHINFER_SAMPLER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Why nvcc is wanted. `certain`: without it the server does not start."""

    what: str
    certain: bool
    way_out: Literal["", "sampler"] = ""  # "sampler": the variable SAMPLER turns it off


def nvcc_need(
    intent: Intent, version: str | None, installed: Mapping[str, str], variables: Mapping[str, str], gpus: Sequence[str]
) -> Need | None:
    """What of this engine asks for nvcc; None where nothing is known to.

    `installed`: names and versions of packages. `gpus`: compute capabilities.
    """
    found = number(version)
    if intent.engine == "vllm":
        return None if variables.get(SAMPLER) == "0" or PRECOMPILED in installed else _vllm(found, installed)
    return _sglang(found, installed, gpus) if intent.engine == "sglang" else None


def _vllm(version: Version | None, installed: Mapping[str, str]) -> Need | None:
    sampler = "vLLM {version} compiles FlashInfer's sampler when it starts"
    if version is None:
        return Need(
            what="vLLM from 0.21 on compiles FlashInfer's sampler when it starts", certain=False, way_out="sampler"
        )
    if version >= VLLM_SAMPLES:
        return Need(what=sampler, certain=version < VLLM_ASKS, way_out="sampler")
    local = "+" in installed.get("flashinfer-python", "+")  # a wheel of its own index: compiled, or not there
    if VLLM_EXTRA[0] <= version < VLLM_EXTRA[1] and not local:
        return Need(what=sampler, certain=False, way_out="sampler")
    return None


def _sglang(version: Version | None, installed: Mapping[str, str], gpus: Sequence[str]) -> Need | None:
    if version is not None and version >= SGLANG_COMPILES:
        return Need(what="SGLang {version} compiles kernels of its own when it starts", certain=True)
    if version is None:
        return Need(what="SGLang from 0.5.9 on compiles kernels of its own when it starts", certain=False)
    # On Hopper it takes FlashAttention-3, which its kernel package brings compiled.
    if PRECOMPILED in installed or not gpus or all(gpu.startswith("9.") for gpu in gpus):
        return None
    return Need(what="SGLang {version} may compile FlashInfer's attention when it starts", certain=False)
