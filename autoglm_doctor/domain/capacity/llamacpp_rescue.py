"""What can be changed in llama.cpp's flags so that a model surely fits, cheapest for the user first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from autoglm_doctor.domain.launch_line import changed, stated_flag
from autoglm_doctor.domain.memory.estimate import Card
from autoglm_doctor.domain.memory.fits import estimates, verdict
from autoglm_doctor.domain.memory.llamacpp_estimate import context_of
from autoglm_doctor.domain.model import model_shape
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.finding import Text
from autoglm_doctor.intent import Intent

#: Values in 8 bits need flash attention ("V cache quantization requires flash_attn").
EIGHT_BITS: Mapping[str, Any] = {"kv_cache_dtype": "q8_0", "kv_cache_dtype_v": "q8_0", "flash_attn": "on"}

_CONTEXTS = (65_536, 32_768, 25_480, 16_384, 12_288, 8192)
_WIDE = (None, "f32", "f16", "bf16")


def ways(
    intent: Intent, files: ModelFiles | None, card: Card, free_bytes: int | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(kind, changes of Launch), each of which surely fits in what is free of the card."""
    shape = model_shape(intent, files)
    if shape is None:
        return
    room = dataclasses.replace(card, total_bytes=min(card.total_bytes, free_bytes or card.total_bytes))

    def fits(changes: Mapping[str, Any]) -> bool:
        return verdict(estimates(changed(intent, changes), files, room, None)) == "yes"

    if fits({}):
        return
    narrow = _narrow(intent)
    tokens = context_of(intent, shape)
    yield from (("slots", one) for one in _first(_fewer_slots(intent), fits))
    if narrow and fits(narrow):
        yield "narrow_cache", narrow
    shorter = [_shorter(intent, one) for one in _CONTEXTS if one < tokens]
    yield from (("context", one) for one in _first([*shorter, *({**narrow, **one} for one in shorter)], fits))
    plain = _most_layers({}, shape.layers, fits)
    if plain:
        yield "fewer_layers", {"gpu_layers": plain}
    more = _most_layers(narrow, shape.layers, fits) if narrow else 0
    if more > plain:
        yield "fewer_layers", {**narrow, "gpu_layers": more}


def refused(intent: Intent) -> Text | None:
    """Why llama.cpp does not start whatever the memory: quantized values without flash attention."""
    values = intent.launch.kv_cache_dtype_v
    if intent.engine != "llamacpp" or intent.launch.flash_attn != "off" or values in _WIDE:
        return None
    return Text(
        "a KV cache with values in {values} needs flash attention, which -fa off switches off", {"values": values}
    )


def _narrow(intent: Intent) -> Mapping[str, Any]:
    """{} where it cannot be narrower; -fa stays as it was written where it already says so."""
    launch = intent.launch
    if launch.flash_attn == "off" or launch.kv_cache_dtype not in _WIDE or launch.kv_cache_dtype_v not in _WIDE:
        return {}
    return {name: value for name, value in EIGHT_BITS.items() if getattr(launch, name) != value}


def _fewer_slots(intent: Intent) -> Iterator[dict[str, Any]]:
    """Slots share -c evenly: half of them with half of it leaves each request its tokens."""
    slots, tokens = intent.launch.max_num_seqs or 1, intent.launch.max_model_len
    if tokens is None or _unified(intent):
        return
    fewer = slots // 2
    while fewer >= 1:
        yield {"max_num_seqs": fewer, "max_model_len": tokens // slots * fewer}
        fewer //= 2


def _unified(intent: Intent) -> bool:
    """Whether any one slot may have the whole context."""
    slots = intent.launch.max_num_seqs
    return slots is None or any(stated_flag(intent.command, name) is not None for name in ("kv-unified", "kvu"))


def _shorter(intent: Intent, tokens: int) -> dict[str, Any]:
    """A shorter context for no more slots than leave a phone's request enough of it."""
    slots = intent.launch.max_num_seqs or 1
    kept = max(1, min(slots, tokens // _CONTEXTS[-1]))
    if _unified(intent) or kept == slots:
        return {"max_model_len": tokens}
    return {"max_model_len": tokens, "max_num_seqs": kept}


def _first(candidates: Any, fits: Any) -> list[dict[str, Any]]:
    return next(([one] for one in candidates if fits(one)), [])


def _most_layers(changes: Mapping[str, Any], layers: int, fits: Any) -> int:
    """The largest -ngl that fits, less than all; 0: none. More layers never need less."""
    low, high = 0, layers + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits({**changes, "gpu_layers": middle}) else (low, middle)
    return low
