"""llama.cpp's estimates: one for each way in which its builds may place a model that the flags leave open."""

from __future__ import annotations

from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.domain.memory import llamacpp as memory
from autoglm_doctor.domain.memory.estimate import Card, Estimate
from autoglm_doctor.domain.shape.read import Shape
from autoglm_doctor.domain.spans import Span, exactly
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

#: Names of the ways, shown where an engine's version stands.
FITTED, WHOLE = "builds with --fit", "builds without it"

#: Flags that move tensors to the CPU one by one: what stays on the GPU is only known within limits.
_MOVING = ("override-tensor", "ot", "n-cpu-moe", "ncmoe", "n-cpu-ffn", "ncffn", "cpu-moe", "cmoe")


def llamacpp_estimates(
    intent: Intent, files: ModelFiles, card: Card, shape: Shape, whole: int, tokens: int
) -> tuple[Estimate, ...]:
    """The last is the one to show: with everything on the GPU that the flags allow.

    Without -ngl, builds with --fit (since December 2025) take off the GPU what is too much, so they start also where
    the whole model does not fit; those before tried to load all of it, and until August 2025 nothing. Layers with a
    sliding window keep the whole context in builds before May 2025 and with --swa-full.
    """
    found = []
    if intent.engine == "llamacpp" and intent.launch.gpu_layers is None and not _says(intent, "fit", "off"):
        found.append(_estimate(intent, files, card, shape, whole, tokens, layers=0, version=FITTED))
    if shape.sliding_layers:
        found.append(_estimate(intent, files, card, shape, whole, tokens, layers=None, version="", sliding=True))
    version = WHOLE if found and found[0].version else ""
    return (*found, _estimate(intent, files, card, shape, whole, tokens, layers=None, version=version))


def gpus_used(intent: Intent, card: Card) -> int:
    """It spreads the layers over all GPUs that it sees, unless it is told not to."""
    one = _says(intent, "split-mode", "none") or _says(intent, "sm", "none")
    return 1 if one else max(1, card.count)


def context_of(intent: Intent, shape: Shape) -> int:
    """Tokens of all slots together."""
    if intent.launch.max_model_len:
        return intent.launch.max_model_len
    own = shape.max_positions or memory.CONTEXT
    return own if _says(intent, "fit", "off") else min(own, memory.CONTEXT)


def _estimate(
    intent: Intent,
    files: ModelFiles,
    card: Card,
    shape: Shape,
    whole: int,
    tokens: int,
    *,
    layers: int | None,
    version: str,
    sliding: bool = False,
) -> Estimate:
    launch, gpus = intent.launch, gpus_used(intent, card)
    on_gpu = memory.layers_on_gpu(shape, launch.gpu_layers if layers is None else layers)
    return Estimate(
        version=version,
        utilization=1.0,
        requested=card.total_bytes,
        weights=_weights(intent, files, shape, whole, on_gpu, gpus),
        activation=_buffer(intent, files, shape, whole, tokens, on_gpu),
        non_torch=memory.NON_TORCH,
        graphs=exactly(0),
        kv_needed=_cache(intent, shape, tokens, on_gpu, gpus, sliding),
        tokens=tokens,
        total_bytes=card.total_bytes,
    )


def _weights(intent: Intent, files: ModelFiles, shape: Shape, whole: int, on_gpu: int, gpus: int) -> Span:
    span = memory.weights(shape, files.groups, whole, on_gpu, gpus)
    if any(_stated(intent, name) for name in _MOVING):
        span = Span(0, span.likely // 2, span.high)
    if intent.launch.mmproj and not _stated(intent, "no-mmproj-offload"):
        more = memory.PROJECTOR
        span = Span(span.low + more.low, span.likely + more.likely, span.high + more.high)
    return span


def _buffer(intent: Intent, files: ModelFiles, shape: Shape, whole: int, tokens: int, on_gpu: int) -> Span:
    launch = intent.launch
    rows = launch.max_num_batched_tokens or memory.MICRO_BATCH
    span = memory.compute_buffer(shape, tokens, rows, launch.flash_attn)
    if on_gpu > shape.layers:
        return span
    # Weights that stay in main memory are copied for each larger batch, a tensor at a time.
    copied = int(memory.part(shape, files.groups, whole, 1)) + (files.groups.get("head", 0) if on_gpu <= 0 else 0)
    return Span(0 if on_gpu <= 0 else span.low, span.likely + copied // 3, span.high + copied)


def _cache(intent: Intent, shape: Shape, tokens: int, on_gpu: int, gpus: int, sliding: bool) -> int:
    launch = intent.launch
    if _stated(intent, "no-kv-offload") or _stated(intent, "nkvo"):
        return 0
    whole = memory.kv_bytes(shape, tokens, launch.kv_cache_dtype or "f16", launch.kv_cache_dtype_v or "f16")
    kept = (shape.layers - shape.sliding_layers) / shape.layers if sliding else 1.0
    return int(whole * kept * memory.cache_share(shape, on_gpu, gpus))


def _says(intent: Intent, name: str, value: str) -> bool:
    return stated_flag(intent.command, name) == value


def _stated(intent: Intent, name: str) -> bool:
    return stated_flag(intent.command, name) is not None
