"""Which engines compile CUDA code when they start, and so need nvcc on the machine that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from packaging.version import Version

from autoglm_doctor.domain.builds import is_before, is_early, release_of, tells_no_release
from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.domain.wheels import capability
from autoglm_doctor.intent import Intent

#: vLLM samples with FlashInfer from here on unless it is told not to (envs.py and topk_topp_sampler.py of the wheels:
#: off in 0.20.0, on in 0.21.0); its kernels are compiled while memory is measured at the start (vllm issue 49497).
VLLM_SAMPLES = Version("0.21")

#: From here on vLLM asks FlashInfer first whether it has kernels for the GPU (not in 0.30.0, in 0.31.0). That does not
#: notice a missing nvcc: check_cuda_arch() looks at the GPU, and for Blackwell at torch's CUDA where nvcc is missing.
VLLM_ASKS = Version("0.31")

#: After this release vLLM compiles one kernel before it chooses and samples by itself where that fails:
#: _flashinfer_sampling_build_failure() is not in the wheel of 0.33.0 and is in its main branch.
VLLM_STILL_FAILS = Version("0.33.0")

#: Up to here vLLM sampled with FlashInfer wherever somebody had installed it (off in 0.11.1).
VLLM_EXTRA = (Version("0.10"), Version("0.11.1"))

#: SGLang compiles its rotary embedding from here on (jit_kernel/rope.py is in the wheel of 0.5.9, not in 0.5.8).
SGLANG_COMPILES = Version("0.5.9")

#: FlashInfer's kernels, compiled beforehand.
PRECOMPILED = "flashinfer-jit-cache"

#: Where vLLM is told to sample by itself.
SAMPLER = "VLLM_USE_FLASHINFER_SAMPLER"

#: FlashInfer has kernels for these GPUs (supports_compute_capability() of its backend in vLLM); for older ones vLLM
#: samples by itself. It leaves Turing out as well from 0.24.0 on (not in 0.23.0).
_FIRST_GPU, _WITHOUT_TURING = (7, 5), (Version("0.24"), (8, 0))

#: Values of --task and --convert of servers that answer with vectors and scores, not with tokens.
_POOLING = frozenset({"embed", "embedding", "score", "classify", "reward", "pooling", "token_embed", "token_classify"})

#: How vLLM tells by its architecture what a model is for (_SUFFIX_TO_DEFAULTS in config/model.py of 0.33.0), and those
#: of its text models that end like an encoder.
_GENERATES = ("ForCausalLM", "ForConditionalGeneration", "ChatModel", "LMHeadModel", "ChatGLMModel", "UltravoxModel")
_POOLS = ("ForTextEncoding", "Classification", "ForRewardModeling", "RewardModel", "ClassificationModel", "Model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Why nvcc is wanted."""

    what: str
    without: Literal["fail", "warn", "unknown"]  # the server does not start; it depends; the build tells no release
    way_out: Literal["", "sampler"] = ""  # "sampler": the variable SAMPLER turns it off


def nvcc_need(
    intent: Intent,
    version: str | None,
    installed: Mapping[str, str],
    variables: Mapping[str, str],
    gpus: Sequence[str],
    config: Mapping[str, Any] | None = None,
    *,
    pools: bool | None = None,
) -> Need | None:
    """What of this engine asks for nvcc; None where nothing is known to.

    `installed`: names and versions of packages. `gpus`: compute capabilities. `config`: config.json. `pools`: whether
    modules.json of sentence-transformers names a pooling layer.
    """
    if intent.engine == "vllm":
        if variables.get(SAMPLER) == "0" or PRECOMPILED in installed or _samples_nothing(intent, config, pools):
            return None
        return _vllm(version, installed, variables.get(SAMPLER, ""), gpus)
    return _sglang(intent, version, installed, gpus) if intent.engine == "sglang" else None


def _samples_nothing(intent: Intent, config: Mapping[str, Any] | None, pools: bool | None) -> bool:
    """A pooling server has no sampler; one that returns processed log-probabilities never takes FlashInfer's.

    vLLM asks the flags first, then modules.json, then the architecture (_get_default_runner_type in config/model.py).
    """
    said = {name: stated_flag(intent.command, name) or "" for name in ("runner", "task", "convert", "logprobs-mode")}
    if said["logprobs-mode"] in ("processed_logprobs", "processed_logits"):
        return True
    if said["runner"] in ("generate", "draft") or said["task"] in ("generate", "transcription"):
        return False
    if said["runner"] == "pooling" or said["task"] in _POOLING or said["convert"] in _POOLING:
        return True
    if pools:
        return True
    names = (config or {}).get("architectures")
    found = [str(name) for name in names] if isinstance(names, list) else []
    return bool(found) and all(one.endswith(_POOLS) and not one.endswith(_GENERATES) for one in found)


def _vllm(version: str | None, installed: Mapping[str, str], asked: str, gpus: Sequence[str]) -> Need | None:
    sampler, found = "vLLM {version} compiles FlashInfer's sampler when it starts", release_of(version)
    if gpus and max(capability(gpu) or _FIRST_GPU for gpu in gpus) < _first_gpu(found):
        return None
    if found is None:
        what = "vLLM from 0.21 on compiles FlashInfer's sampler when it starts"
        return Need(what=what, without="unknown" if tells_no_release(version) else "warn", way_out="sampler")
    if found > VLLM_STILL_FAILS:
        return _falls_back(sampler, version, asked)
    if is_before(version, VLLM_SAMPLES):
        return Need(what=sampler, without="unknown", way_out="sampler")
    if found >= VLLM_SAMPLES:
        return Need(what=sampler, without="fail" if found < VLLM_ASKS else "warn", way_out="sampler")
    local = "+" in installed.get("flashinfer-python", "+")  # a wheel of its own index: compiled, or not there
    if not local and (asked or VLLM_EXTRA[0] <= found < VLLM_EXTRA[1]):
        return Need(what=sampler, without="warn", way_out="sampler")
    return None


def _falls_back(sampler: str, version: str | None, asked: str) -> Need | None:
    """Such a release samples by itself, unless it is told to take FlashInfer's: then it ends with a RuntimeError."""
    if asked:
        return Need(what=sampler, without="warn", way_out="sampler")
    return Need(what=sampler, without="unknown", way_out="sampler") if is_early(version) else None


def _first_gpu(release: Version | None) -> tuple[int, int]:
    return _WITHOUT_TURING[1] if release is not None and release >= _WITHOUT_TURING[0] else _FIRST_GPU


def _sglang(intent: Intent, version: str | None, installed: Mapping[str, str], gpus: Sequence[str]) -> Need | None:
    found = release_of(version)
    if found is None:
        what = "SGLang from 0.5.9 on compiles kernels of its own when it starts"
        return Need(what=what, without="unknown" if tells_no_release(version) else "warn")
    if found >= SGLANG_COMPILES:
        # Its encoders have learned positions as a rule and no rotary embedding.
        sure = stated_flag(intent.command, "is-embedding") is None and not is_before(version, SGLANG_COMPILES)
        return Need(
            what="SGLang {version} compiles kernels of its own when it starts", without="fail" if sure else "warn"
        )
    # On Hopper it takes FlashAttention-3, which its kernel package brings compiled.
    if PRECOMPILED in installed or not gpus or all(gpu.startswith("9.") for gpu in gpus):
        return None
    return Need(what="SGLang {version} may compile FlashInfer's attention when it starts", without="warn")
