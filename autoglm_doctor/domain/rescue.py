"""Launch lines that fit, in the order of what they cost the user; only what the memory model calls a "yes"."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.launch_line import can_change, changed, line
from autoglm_doctor.domain.memory import Card, context_tokens, estimates, verdict
from autoglm_doctor.domain.model import model_config, model_shape, quantization_of
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

#: Above this, allocations that vLLM does not count have ended in out-of-memory errors.
HIGHEST_UTILIZATION = 0.95

#: Taken by the CUDA context of the server itself before it compares (0.5 GiB on H100 and L40S, 0.6 on a 3090).
CONTEXT_BYTES = GIB * 6 // 10

#: The pixel limit that `max_pixels` 5,000,000 of Open-AutoGLM's README was meant to set; the processor obeys this one.
PICTURE_SIZE: Mapping[str, Mapping[str, int]] = {"size": {"shortest_edge": 12544, "longest_edge": 5_000_000}}

#: One phone needs one; a few more for those who share the server.
FEW_SEQUENCES = 8

#: Below this, a phone's screenshot (3,108 tokens) and its answer get too tight.
SHORTEST_CONTEXT = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One way to start that fits."""

    kind: str  # "utilization", "small_batch", "context", "fp8", "four_bit", "more_gpus", "hardware"
    intent: Intent
    line: str
    changes: tuple[str, ...]  # the fields of Launch that differ


def launch_that_fits(
    intent: Intent,
    files: ModelFiles | None,
    card: Card,
    version: str | None,
    *,
    free_bytes: int | None = None,
    capability: str = "",
    most: int = 3,
) -> tuple[Suggestion, ...]:
    """Up to `most` complete launch lines that fit on the card, cheapest first.

    `free_bytes`: the utilization stays below what is free of the card; None: the card is taken as empty.
    `capability`: of the GPU, "8.9"; 8-bit weights are offered from 8.0 on.
    """
    found: list[Suggestion] = []
    for kind, changes in _candidates(intent, files, card, capability):
        kinds = {other.kind for other in found}
        if kind in kinds or (kind == "context" and kinds):  # a shorter context only where nothing milder fits
            continue
        start = changed(intent, changes) if changes else intent
        fitted = _raised(start, files, card, version, free_bytes)
        if fitted is None:
            continue
        differing = tuple(
            name for name in fitted.launch.__slots__ if getattr(fitted.launch, name) != getattr(intent.launch, name)
        )
        if differing:
            found.append(Suggestion(kind=kind, intent=fitted, line=line(fitted), changes=differing))
        if len(found) == most:
            break
    return tuple(found)


def _raised(
    intent: Intent, files: ModelFiles | None, card: Card, version: str | None, free_bytes: int | None
) -> Intent | None:
    """The intent itself if it fits, else with the smallest utilization that does; None if none does."""
    ceiling = utilization_ceiling(card, free_bytes)
    found = estimates(intent, files, card, version)
    if not found:
        return None
    if verdict(found) == "yes" and max(e.utilization for e in found) <= ceiling:
        return intent
    if not can_change(intent, "gpu_memory_utilization"):
        return None
    lowest = min(e.need.low for e in found) / card.total_bytes
    for percent in range(max(1, math.ceil(lowest * 100)), math.floor(ceiling * 100 + 1e-9) + 1):
        tried = changed(intent, {"gpu_memory_utilization": percent / 100})
        if verdict(estimates(tried, files, card, version)) == "yes":
            return tried
    return None


def utilization_ceiling(card: Card, free_bytes: int | None) -> float:
    """The highest utilization that is sound on this card and that its free memory allows, in whole percent."""
    if free_bytes is None:
        return HIGHEST_UTILIZATION
    share = (free_bytes - CONTEXT_BYTES) / card.total_bytes
    return min(HIGHEST_UTILIZATION, math.floor(share * 100) / 100)


def highest_utilization(
    intent: Intent, files: ModelFiles | None, card: Card, version: str | None, free_bytes: int
) -> Intent | None:
    """The intent with the highest utilization that the free memory allows, if it fits like that; else None."""
    ceiling = utilization_ceiling(card, free_bytes)
    if ceiling <= 0 or not can_change(intent, "gpu_memory_utilization"):
        return None
    tried = changed(intent, {"gpu_memory_utilization": ceiling})
    return tried if verdict(estimates(tried, files, card, version)) == "yes" else None


def _candidates(
    intent: Intent, files: ModelFiles | None, card: Card, capability: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    small = _small_batch(intent, files)
    yield "utilization", {}
    if small:
        yield "small_batch", small
    if can_change(intent, "max_model_len"):
        for tokens in _shorter(intent, files):
            yield "context", {**small, "max_model_len": tokens}
    plain = not intent.launch.quantization and not quantization_of(intent, files)
    if plain and can_change(intent, "quantization") and _at_least(capability, 8.0):
        yield "fp8", {"quantization": "fp8"}
        yield "fp8", {**small, "quantization": "fp8"}
    if not can_change(intent, "tensor_parallel"):
        return
    counts = _gpu_counts(intent, files)
    yield from (("more_gpus", {"tensor_parallel": gpus}) for gpus in counts if gpus <= card.count)
    if intent.engine == "vllm" and plain and _at_least(capability, 7.5):
        yield "four_bit", {**small, "quantization": "bitsandbytes"}
    yield from (("hardware", {"tensor_parallel": gpus}) for gpus in counts if gpus > card.count)


def _small_batch(intent: Intent, files: ModelFiles | None) -> dict[str, Any]:
    """Fewer requests at once, smaller pictures and no video."""
    shape = model_shape(intent, files)
    launch = intent.launch
    if intent.engine != "vllm" or shape is None:
        return {}
    changes: dict[str, Any] = {}
    if shape.vision is not None:
        kept = {k: v for k, v in launch.mm_processor_kwargs.items() if k not in ("max_pixels", "min_pixels", "size")}
        changes["mm_processor_kwargs"] = {**kept, **PICTURE_SIZE}
        changes["limit_mm_per_prompt"] = {**launch.limit_mm_per_prompt, "video": 0}
    if launch.max_num_seqs is None or launch.max_num_seqs > FEW_SEQUENCES:
        changes["max_num_seqs"] = FEW_SEQUENCES
    return changes


def _shorter(intent: Intent, files: ModelFiles | None) -> list[int]:
    shape = model_shape(intent, files)
    now = context_tokens(intent, shape) if shape else 0
    return [tokens for tokens in (65_536, 32_768, 25_480, 16_384, 12_288, SHORTEST_CONTEXT) if tokens < now]


def _gpu_counts(intent: Intent, files: ModelFiles | None) -> list[int]:
    """Larger tensor-parallel sizes that divide the heads and the vocabulary."""
    shape = model_shape(intent, files)
    if shape is None or model_config(intent, files) is None:
        return []
    now = intent.launch.tensor_parallel
    return [n for n in (2, 4, 8) if n > now and shape.heads % n == 0]


def _at_least(capability: str, wanted: float) -> bool:
    try:
        return float(capability) >= wanted
    except ValueError:
        return False
