"""One model on several cards in several number formats: what fits where."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.capacity.place import Place, obstacle_of
from autoglm_doctor.domain.capacity.room import kv_tokens, longest_context
from autoglm_doctor.domain.launch_line import can_change
from autoglm_doctor.domain.memory.fits import Card, Fits, estimates, verdict
from autoglm_doctor.domain.model import model_shape, quantization_of

#: Number formats of the weights: what the launch says, and the lowest compute capability that an engine takes it on.
#: 4 bits are those of bitsandbytes, which any checkpoint can be loaded in; AWQ and GPTQ take 0.03 bytes per parameter
#: less.
FORMATS: Mapping[str, tuple[Mapping[str, Any], float]] = {
    "bf16": ({"dtype": None, "quantization": None}, 0.0),
    "fp8": ({"dtype": None, "quantization": "fp8"}, 8.0),
    "4-bit": ({"dtype": None, "quantization": "bitsandbytes"}, 7.5),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One card and one format."""

    format: str
    fits: Fits  # the launch as given
    max_model_len: int  # the longest context that surely fits; 0: none
    kv_tokens: int  # that the cache most probably holds
    supported: bool = True  # False: the card is too old for the format


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One card."""

    card: Card
    capability: str
    cells: tuple[Cell, ...]


def make_grid(place: Place, cards: Sequence[tuple[Card, str]]) -> tuple[Row, ...]:
    """Judge the launch of a place on every card; the card of the place does not matter."""
    return tuple(
        Row(card=card, capability=capability, cells=tuple(_cells(place, card, capability)))
        for card, capability in cards
    )


def _cells(place: Place, card: Card, capability: str) -> list[Cell]:
    stored = quantization_of(place.intent, place.files)
    if stored or not can_change(place.intent, "quantization"):
        return [_cell(stored or "bf16", dataclasses.replace(place, card=card, capability=capability))]
    found = []
    for name, (changes, lowest) in FORMATS.items():
        launch = dataclasses.replace(place.intent.launch, **changes)
        intent = dataclasses.replace(place.intent, launch=launch)
        there = dataclasses.replace(place, intent=intent, card=card, capability=capability)
        if capability and float(capability) < lowest:
            found.append(Cell(format=name, fits="no", max_model_len=0, kv_tokens=0, supported=False))
        else:
            found.append(_cell(name, there))
    return found


def _cell(name: str, place: Place) -> Cell:
    shape = model_shape(place.intent, place.files)
    found = estimates(place.intent, place.files, place.card, place.version) if place.card else ()
    if shape is None or not found:
        return Cell(format=name, fits="unknown", max_model_len=0, kv_tokens=0)
    fits: Fits = "no" if obstacle_of(place, found) else verdict(found)
    return Cell(format=name, fits=fits, max_model_len=longest_context(place, shape), kv_tokens=kv_tokens(found[-1]))
