"""Does a deployment fit in the memory of its GPUs? Terms, and a verdict that says "unknown" inside its own error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autoglm_doctor.domain import sglang_memory, vllm_memory
from autoglm_doctor.domain.model import (
    ONLINE,
    element_bytes,
    model_shape,
    preprocessor_config,
    quantization_of,
    weight_bytes,
)
from autoglm_doctor.domain.shape import Shape
from autoglm_doctor.domain.spans import GIB, Span, exactly, gib, total
from autoglm_doctor.domain.weights import weights_per_gpu
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

Fits = Literal["yes", "no", "unknown"]

#: Stand for all versions where the installed one is not known: before and after the changes of 0.17 to 0.21.
REPRESENTATIVE: Mapping[str, tuple[str, ...]] = {"vllm": ("0.12.0", "0.16.0", "0.33.0")}

#: Tokens that an engine without a context limit of its own is judged with.
MODEST_CONTEXT = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The GPU that decides: the smallest of those that the deployment takes."""

    name: str
    total_bytes: int  # as CUDA reports it: without what the driver keeps for itself
    count: int = 1  # visible GPUs


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Who needs how many bytes on one GPU. All spans are bytes."""

    version: str  # of the engine, as assumed
    utilization: float  # fraction of the card that the engine claims
    requested: int
    weights: Span
    activation: Span  # at the peak
    non_torch: Span
    graphs: Span
    kv_needed: int  # for one request of `tokens`
    tokens: int
    load_peak: int = 0  # while loading, before a quantization that is applied then; 0: never more than `weights`
    total_bytes: int = 0

    @property
    def fixed(self) -> Span:
        """Everything but the KV cache."""
        return total((self.weights, self.activation, self.non_torch, self.graphs))

    @property
    def need(self) -> Span:
        """Everything that must fit into `requested`."""
        return self.fixed.plus(self.kv_needed)

    @property
    def kv_available(self) -> Span:
        """What is left for the KV cache; negative when even that is not there."""
        return self.fixed.below(self.requested)

    @property
    def fits(self) -> Fits:
        """Whether one request of the whole context fits: yes and no only outside of the model's own error."""
        return _decide(self.kv_available, self.kv_needed, self._loads)

    @property
    def weights_fit(self) -> Fits:
        """Whether the weights alone leave anything at all."""
        return _decide(total((self.weights, self.non_torch)).below(self.requested), 0, self._loads)

    @property
    def _loads(self) -> bool:
        return self.load_peak + GIB // 2 <= self.total_bytes if self.load_peak else True


def _decide(left: Span, wanted: int, loads: bool) -> Fits:
    if left.high < wanted or not loads:
        return "no"
    return "yes" if left.low >= wanted else "unknown"


def estimates(intent: Intent, files: ModelFiles | None, card: Card, version: str | None) -> tuple[Estimate, ...]:
    """One estimate for a known engine version, several for an unknown one; none when the model is not understood.

    The last is the newest version's: the one to show.
    """
    shape, weights = model_shape(intent, files), weight_bytes(intent, files)
    if shape is None or weights is None:
        return ()
    versions = (version,) if version else REPRESENTATIVE.get(intent.engine, ("",))
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
    if intent.engine == "vllm":  # insists on the model's own context
        return shape.max_positions or MODEST_CONTEXT
    return min(shape.max_positions or MODEST_CONTEXT, MODEST_CONTEXT)


def kv_element_bytes(intent: Intent, element: float) -> float:
    """Bytes of one number in the KV cache."""
    return 1 if str(intent.launch.kv_cache_dtype or "auto").startswith("fp8") else element


def _vllm(intent: Intent, files: ModelFiles | None, card: Card, shape: Shape, weights: int, version: str) -> Estimate:
    launch, element = intent.launch, element_bytes(intent, files)
    tokens = context_tokens(intent, shape)
    batch = vllm_memory.batch_of(launch, tokens, card.total_bytes, card.name)
    seen = vllm_memory.pictures(shape, launch, preprocessor_config(intent, files), tokens, batch, version)
    tp, pp = launch.tensor_parallel, launch.pipeline_parallel
    utilization = launch.gpu_memory_utilization or vllm_memory.default_utilization(version)
    return Estimate(
        version=version,
        utilization=utilization,
        requested=requested_bytes(card.total_bytes, utilization),
        weights=_weights(intent, shape, weights, element),
        activation=vllm_memory.activation(shape, batch, seen, version, element, tp, pp > 1),
        non_torch=vllm_memory.non_torch(version, tp, pp),
        graphs=vllm_memory.cuda_graphs(shape, batch, version, launch.enforce_eager),
        kv_needed=vllm_memory.kv_bytes(shape, tokens, kv_element_bytes(intent, element), tp, pp, batch),
        tokens=tokens,
        load_peak=_load_peak(intent, files, version),
        total_bytes=card.total_bytes,
    )


def requested_bytes(total_bytes: int, utilization: float) -> int:
    """What vLLM claims and wants to see free at start (vllm/v1/worker/utils.py, request_memory)."""
    return math.ceil(total_bytes * utilization)


def _weights(intent: Intent, shape: Shape, weights: int, element: float) -> Span:
    launch = intent.launch
    return weights_per_gpu(
        shape,
        weights,
        tensor_parallel=launch.tensor_parallel,
        pipeline_parallel=launch.pipeline_parallel,
        offload_gib=launch.cpu_offload_gib,
        element=element,
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
        weights=Span(held.low, held.low, held.high),
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
    peak = 3 * shape.intermediate * element * tokens + 4.25 * shape.hidden * element * tokens
    kv = shape.kv_bytes_per_token(kv_element_bytes(intent, element), 1) * tokens
    one: Any = dataclasses.replace(intent.launch, tensor_parallel=1, pipeline_parallel=1)
    return Estimate(
        version="",
        utilization=1.0,
        requested=card.total_bytes,
        weights=_weights(dataclasses.replace(intent, launch=one), shape, weights, element),
        activation=Span(int(peak * 0.2), int(peak), int(peak) + GIB // 2),
        non_torch=gib(0.3, 0.5, 1.0),
        graphs=exactly(0),
        kv_needed=kv,
        tokens=tokens,
        total_bytes=card.total_bytes,
    )
