"""Launch lines that fit, in the order of what they cost the user; only what the memory model calls a "yes"."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.capacity import llamacpp_rescue
from autoglm_doctor.domain.heads import tower_heads
from autoglm_doctor.domain.launch_line import can_change, changed, line, replace_flag
from autoglm_doctor.domain.memory.fits import Card, Estimate, context_tokens, estimates, verdict
from autoglm_doctor.domain.model import model_config, model_shape, quantization_of
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent, Launch

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


#: Worth a line beside others only for those who want to see all of them.
_MORE_OF_THE_SAME = ("few_sequences", "pictures", "eager")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One way to start that fits."""

    # "given", "replicas", "utilization", "few_sequences", "pictures", "small_batch", "context", "eager", "fp8",
    # "four_bit", "more_gpus", "hardware", "fewer_gpus", "whole_towers"; of llama.cpp also "slots", "narrow_cache",
    # "fewer_layers"
    kind: str
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
    thorough: bool = False,
) -> tuple[Suggestion, ...]:
    """Up to `most` complete launch lines that fit on the card, cheapest first; the given line is none of them.

    `free_bytes`: the utilization stays below what is free of the card; None: the card is taken as empty.
    `capability`: of the GPU, "8.9"; 8-bit weights are offered from 8.0 on. `thorough`: also lines that cost as much
    as one before them, and copies for GPUs that would be idle.
    """
    if intent.engine == "llamacpp":
        return _llamacpp(intent, files, card, free_bytes, most, thorough)
    found: list[Suggestion] = []
    for kind, changes in _candidates(intent, files, card, capability, thorough):
        mild = {other.kind for other in found} - {"replicas"}
        if kind in mild or (mild and (kind == "context" or (kind in _MORE_OF_THE_SAME and not thorough))):
            continue  # a shorter context only where nothing milder fits
        start = with_changes(intent, files, changes) if changes else intent
        fitted = _raised(start, files, card, version, free_bytes)
        if fitted is None:
            continue
        differing = tuple(
            name for name in fitted.launch.__slots__ if getattr(fitted.launch, name) != getattr(intent.launch, name)
        )
        if differing and not any(_includes(fitted.launch, other) for other in found):
            found.append(Suggestion(kind=kind, intent=fitted, line=line(fitted), changes=differing))
        if len(found) == most:
            break
    return tuple(found)


def _llamacpp(
    intent: Intent, files: ModelFiles | None, card: Card, free_bytes: int | None, most: int, thorough: bool
) -> tuple[Suggestion, ...]:
    found: list[Suggestion] = []
    for kind, changes in llamacpp_rescue.ways(intent, files, card, free_bytes):
        if kind == "context" and found and not thorough:
            continue  # a shorter context only where nothing milder fits
        fitted = changed(intent, changes)
        differing = tuple(name for name in changes if getattr(fitted.launch, name) != getattr(intent.launch, name))
        found.append(Suggestion(kind=kind, intent=fitted, line=line(fitted), changes=differing))
    return tuple(found[:most])


def _includes(launch: Launch, other: Suggestion) -> bool:
    """Whether all that another line changes is changed here as well: then this one only costs more."""
    return all(getattr(launch, name) == getattr(other.intent.launch, name) for name in other.changes)


def with_changes(intent: Intent, files: ModelFiles | None, changes: Mapping[str, Any]) -> Intent:
    """The intent with other launch values; a vision tower whose heads do not go into so many GPUs is copied to each."""
    tried = changed(intent, changes)
    heads = tower_heads(model_config(intent, files) or {})
    if intent.engine == "vllm" and heads and heads % tried.launch.tensor_parallel:
        words = replace_flag(tried.command, ("mm-encoder-tp-mode",), "data")
        return dataclasses.replace(tried, command=tuple(words))
    return tried


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
    share = smallest_utilization(intent, files, card, version, ceiling)
    return changed(intent, {"gpu_memory_utilization": share}) if share else None


def smallest_utilization(
    intent: Intent, files: ModelFiles | None, card: Card, version: str | None, ceiling: float = HIGHEST_UTILIZATION
) -> float | None:
    """The smallest share of the card, in whole percent, with which it surely fits; None up to `ceiling` with none.

    A larger share never hurts, so the range from the least possible need on is halved until it is one percent.
    """

    def with_share(percent: int) -> tuple[Estimate, ...]:
        launch = dataclasses.replace(intent.launch, gpu_memory_utilization=percent / 100)
        return estimates(dataclasses.replace(intent, launch=launch), files, card, version)

    high = math.floor(ceiling * 100 + 1e-9)
    at_most = with_share(high) if high > 0 else ()
    if verdict(at_most) != "yes":
        return None
    low = min(high - 1, max(0, math.ceil(min(e.need.low for e in at_most) / card.total_bytes * 100) - 1))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if verdict(with_share(middle)) == "yes" else (middle, high)
    return high / 100


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
    intent: Intent, files: ModelFiles | None, card: Card, capability: str, thorough: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What may be changed, in the order of what it costs the user."""
    if thorough and _room_for_copies(intent, card):
        one_each = {"tensor_parallel": 1, "pipeline_parallel": 1, "data_parallel": card.count}
        yield "replicas", {name: n for name, n in one_each.items() if getattr(intent.launch, name) != n}
    fewer, smaller = _few_sequences(intent), _pictures(intent, files)
    small = {**fewer, **smaller}
    yield "utilization", {}
    yield from ((kind, c) for kind, c in (("few_sequences", fewer), ("pictures", smaller)) if c)
    if fewer and smaller:
        yield "small_batch", small
    if can_change(intent, "max_model_len"):
        for tokens in _shorter(intent, files):
            yield "context", {**small, "max_model_len": tokens}
    if intent.engine == "vllm" and not intent.launch.enforce_eager:
        yield "eager", {"enforce_eager": True}
        yield "eager", {**small, "enforce_eager": True}
    plain = not intent.launch.quantization and not quantization_of(intent, files)
    if plain and can_change(intent, "quantization") and _at_least(capability, 8.0):
        yield "fp8", {"quantization": "fp8"}
        yield "fp8", {**small, "quantization": "fp8"}
    if not can_change(intent, "tensor_parallel"):
        return
    counts = _gpu_counts(intent, files)
    yield from (("more_gpus", {"tensor_parallel": gpus}) for gpus in counts if gpus <= card.count)
    if intent.engine == "vllm" and plain and _at_least(capability, 7.5):
        yield "four_bit", {"quantization": "bitsandbytes"}
        yield "four_bit", {**small, "quantization": "bitsandbytes"}
    yield from (("hardware", {"tensor_parallel": gpus}) for gpus in counts if gpus > card.count)


def _room_for_copies(intent: Intent, card: Card) -> bool:
    """Several GPUs, and not a copy on each yet."""
    return 1 < card.count != intent.launch.data_parallel and can_change(intent, "data_parallel")


def _few_sequences(intent: Intent) -> dict[str, Any]:
    """Fewer requests at once: what the sampler takes at its peak grows with them."""
    now = intent.launch.max_num_seqs
    fewer = intent.engine == "vllm" and (now is None or now > FEW_SEQUENCES)
    return {"max_num_seqs": FEW_SEQUENCES} if fewer else {}


def _pictures(intent: Intent, files: ModelFiles | None) -> dict[str, Any]:
    """Smaller pictures and no video, for the towers whose processor takes this `size`.

    Both together: without videos the budget is that of max_pixels, which the processor does not obey.
    """
    shape = model_shape(intent, files)
    launch = intent.launch
    if intent.engine != "vllm" or shape is None or shape.vision is None or not shape.model_type.startswith("glm4"):
        return {}
    kept = {k: v for k, v in launch.mm_processor_kwargs.items() if k not in ("max_pixels", "min_pixels", "size")}
    changes = {
        "mm_processor_kwargs": {**kept, **PICTURE_SIZE},
        "limit_mm_per_prompt": {**launch.limit_mm_per_prompt, "video": 0},
    }
    return {} if all(getattr(launch, name) == value for name, value in changes.items()) else changes


def _shorter(intent: Intent, files: ModelFiles | None) -> list[int]:
    shape = model_shape(intent, files)
    now = context_tokens(intent, shape) if shape else 0
    return [tokens for tokens in (65_536, 32_768, 25_480, 16_384, 12_288, SHORTEST_CONTEXT) if tokens < now]


def _gpu_counts(intent: Intent, files: ModelFiles | None) -> list[int]:
    """Larger tensor-parallel sizes into which the heads go; fewer key and value heads than GPUs are held by several."""
    shape = model_shape(intent, files)
    if shape is None or model_config(intent, files) is None:
        return []
    now, kv = intent.launch.tensor_parallel, shape.kv_heads
    return [
        n for n in (2, 4, 8) if n > now and shape.heads % n == 0 and (shape.latent_dim or max(n, kv) % min(n, kv) == 0)
    ]


def _at_least(capability: str, wanted: float) -> bool:
    try:
        return float(capability) >= wanted
    except ValueError:
        return False
