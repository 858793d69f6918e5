"""Does a deployment fit in the memory of its GPUs? Terms, and a verdict that says "unknown" inside its own error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from autoglm_doctor.domain.memory import sglang as sglang_memory
from autoglm_doctor.domain.memory import transformers as transformers_memory
from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.memory.estimate import Card as Card
from autoglm_doctor.domain.memory.estimate import Estimate as Estimate
from autoglm_doctor.domain.memory.estimate import Fits as Fits
from autoglm_doctor.domain.memory.llamacpp_estimate import context_of, llamacpp_estimates
from autoglm_doctor.domain.memory.weights import weights_per_gpu
from autoglm_doctor.domain.model import (
    DTYPE_BYTES,
    ONLINE,
    element_bytes,
    model_shape,
    preprocessor_config,
    quantization_of,
    weight_bytes,
)
from autoglm_doctor.domain.shape.read import Shape
from autoglm_doctor.domain.spans import GIB, Span, exactly, gib
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

#: Stand for all versions where the installed one is not known: before and after the changes of 0.17 to 0.21.
REPRESENTATIVE: Mapping[str, tuple[str, ...]] = {"vllm": ("0.12.0", "0.16.0", "0.33.0")}

#: Tokens that an engine without a context limit of its own is judged with.
MODEST_CONTEXT = 8192


def estimates(intent: Intent, files: ModelFiles | None, card: Card, version: str | None) -> tuple[Estimate, ...]:
    """One estimate for a known engine version, several for an unknown one; none when the model is not understood.

    The last is the newest version's: the one to show.
    """
    shape, weights = model_shape(intent, files), weight_bytes(intent, files)
    if shape is None or weights is None:
        return ()
    versions = (version,) if version else REPRESENTATIVE.get(intent.engine, ("",))
    if files is not None and files.found_by == "gguf":
        tokens = context_tokens(intent, shape)
        return llamacpp_estimates(intent, files, card, shape, weights, tokens)
    if intent.engine == "llamacpp":  # a file that is not here, or not GGUF
        return ()
    build = {"vllm": _vllm, "sglang": _sglang, "transformers": _transformers}[intent.engine]
    return tuple(build(intent, files, card, shape, weights, v) for v in versions)


def verdict(found: tuple[Estimate, ...]) -> Fits:
    """The answer that all estimates agree on."""
    answers = {estimate.fits for estimate in found}
    return answers.pop() if len(answers) == 1 else "unknown"


def weights_verdict(found: tuple[Estimate, ...]) -> Fits:
    """The same for the weights alone."""
    answers = {estimate.weights_fit for estimate in found}
    return answers.pop() if len(answers) == 1 else "unknown"


def context_tokens(intent: Intent, shape: Shape) -> int:
    """Tokens of the longest request that must fit."""
    if intent.launch.max_model_len:
        return intent.launch.max_model_len
    if intent.engine == "llamacpp":  # of all slots together
        return context_of(intent, shape)
    if intent.engine == "vllm":  # insists on the model's own context
        return shape.max_positions or MODEST_CONTEXT
    return min(shape.max_positions or MODEST_CONTEXT, MODEST_CONTEXT)


def kv_element_bytes(intent: Intent, element: float) -> float:
    """Bytes of one number in the KV cache."""
    said = str(intent.launch.kv_cache_dtype or "auto")
    if said.startswith(("fp8", "int8")):
        return 1
    if said.startswith(("nvfp4", "fp4")):
        return 0.5 + 1 / 16
    return DTYPE_BYTES.get(said, element)


def _vllm(intent: Intent, files: ModelFiles | None, card: Card, shape: Shape, weights: int, version: str) -> Estimate:
    launch, element = intent.launch, element_bytes(intent, files)
    batch, seen, setting, tokens = vllm_inputs(intent, files, card, shape, version)
    tp, pp = launch.tensor_parallel, launch.pipeline_parallel
    utilization = launch.gpu_memory_utilization or vllm_memory.default_utilization(version)
    built = vllm_memory.built_graphs(shape, batch, version, launch.enforce_eager)
    return Estimate(
        version=version,
        utilization=utilization,
        requested=requested_bytes(card.total_bytes, utilization),
        weights=_weights(intent, shape, weights, element, setting.quantization, card.name),
        activation=vllm_memory.activation(shape, batch, seen, setting),
        non_torch=vllm_memory.non_torch(version, tp, pp),
        graphs=built if vllm_memory.counts_graphs(version) else exactly(0),
        graphs_on_top=exactly(0) if vllm_memory.counts_graphs(version) else built,
        kv_needed=vllm_memory.kv_bytes(shape, tokens, kv_element_bytes(intent, element), tp, pp, batch),
        tokens=tokens,
        load_peak=_load_peak(intent, files, version),
        total_bytes=card.total_bytes,
    )


def vllm_inputs(
    intent: Intent, files: ModelFiles | None, card: Card, shape: Shape, version: str
) -> tuple[vllm_memory.Batch, vllm_memory.Pictures, vllm_memory.Setting, int]:
    """What vLLM's peak is worked out from: the batch, the pictures, the circumstances, and the tokens of a request."""
    launch, tokens = intent.launch, context_tokens(intent, shape)
    batch = vllm_memory.batch_of(launch, tokens, card.total_bytes, card.name)
    seen = vllm_memory.pictures(shape, launch, preprocessor_config(intent, files), tokens, batch, version)
    setting = vllm_memory.Setting(
        version=version,
        element=element_bytes(intent, files),
        tensor_parallel=launch.tensor_parallel,
        pipelined=launch.pipeline_parallel > 1,
        gpu_name=card.name,
        quantization=quantization_of(intent, files) or launch.quantization or "",
    )
    return batch, seen, setting, tokens


def requested_bytes(total_bytes: int, utilization: float) -> int:
    """What vLLM claims and wants to see free at start (vllm/v1/worker/utils.py, request_memory)."""
    return math.ceil(total_bytes * utilization)


def _weights(
    intent: Intent, shape: Shape, weights: int, element: float, quantization: str = "", gpu_name: str = ""
) -> Span:
    launch = intent.launch
    return weights_per_gpu(
        shape,
        weights,
        tensor_parallel=launch.tensor_parallel,
        pipeline_parallel=launch.pipeline_parallel,
        offload_gib=launch.cpu_offload_gib,
        element=element,
        quantization=quantization,
        gpu_name=gpu_name,
    )


def _load_peak(intent: Intent, files: ModelFiles | None, version: str) -> int:
    """Before 0.19 vLLM loaded all weights in their own dtype and only then made 8 bits of them."""
    online = intent.launch.quantization in ONLINE and not quantization_of(intent, files)
    if not online or intent.launch.quantization == "bitsandbytes" or vllm_memory.parse_version(version) >= (0, 19):
        return 0
    plain = dataclasses.replace(intent, launch=dataclasses.replace(intent.launch, quantization=None))
    whole = weight_bytes(plain, files) or 0
    return whole // (intent.launch.tensor_parallel * intent.launch.pipeline_parallel)


def _sglang(intent: Intent, files: ModelFiles | None, card: Card, shape: Shape, weights: int, version: str) -> Estimate:
    launch, element = intent.launch, element_bytes(intent, files)
    tokens = context_tokens(intent, shape)
    board = int(card.total_bytes * sglang_memory.BOARD)
    fraction = launch.gpu_memory_utilization or sglang_memory.default_fraction(launch, shape, board)
    held = _weights(intent, shape, weights, element)
    kv = sglang_memory.kv_bytes(shape, tokens, kv_element_bytes(intent, element), launch)
    return Estimate(
        version=version,
        utilization=fraction,
        requested=requested_bytes(card.total_bytes - GIB // 2, fraction),  # of what the CUDA context leaves
        weights=held,
        activation=exactly(0),  # comes out of the part that is not claimed
        non_torch=gib(0.0, 0.1, 0.3),
        graphs=exactly(0),
        kv_needed=kv,
        tokens=tokens,
        total_bytes=card.total_bytes,
    )


def _transformers(intent: Intent, files: ModelFiles | None, card: Card, shape: Shape, weights: int, _: str) -> Estimate:
    """No pool and no profile: weights, one sequence and the CUDA context share the card."""
    element = element_bytes(intent, files)
    tokens = context_tokens(intent, shape)
    kv = shape.kv_bytes_per_token(kv_element_bytes(intent, element), 1) * tokens + shape.state_numbers * 4
    return Estimate(
        version="",
        utilization=1.0,
        requested=card.total_bytes,
        weights=Span(weights, weights, int(weights * 1.006)),  # tensors as they are, rotary positions on the fly
        activation=transformers_memory.activation(shape, tokens, element),
        non_torch=transformers_memory.NON_TORCH,
        graphs=exactly(0),
        kv_needed=kv,
        tokens=tokens,
        total_bytes=card.total_bytes,
    )
