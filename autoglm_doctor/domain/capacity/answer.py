"""The plan of a deployment: does it fit, what else does, and the lines that start, with what each of them costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoglm_doctor.domain.capacity.fixes import trade
from autoglm_doctor.domain.capacity.place import Place, estimates_of, obstacle_of, taken_by_others
from autoglm_doctor.domain.capacity.rescue import (
    CONTEXT_BYTES,
    HIGHEST_UTILIZATION,
    Suggestion,
    launch_that_fits,
    with_changes,
)
from autoglm_doctor.domain.capacity.room import Room, kv_tokens, room_of
from autoglm_doctor.domain.launch_line import can_change, line
from autoglm_doctor.domain.memory.fits import Card, Estimate, Fits, requested_bytes, verdict
from autoglm_doctor.domain.memory.loading import needed
from autoglm_doctor.domain.model import model_shape, quantization_of, weight_bytes
from autoglm_doctor.finding import Text

#: More lines than this help nobody to choose.
MOST_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer: does it fit, what else does, and how to start."""

    place: Place
    estimates: tuple[Estimate, ...]  # () when the model is not understood or there is no card
    fits: Fits
    obstacle: Text | None  # why it does not start though the memory model says nothing against it
    room: Room
    lines: tuple[Suggestion, ...]  # every one surely fits; cheapest first
    notes: tuple[Text, ...] = ()  # ways that no line of this model can show

    @property
    def shown(self) -> Estimate | None:
        """The estimate to show: that of the newest version where several are possible."""
        return self.estimates[-1] if self.estimates else None


def make_plan(place: Place, cards: Sequence[tuple[Card, str]], tokens: int | None = None) -> Plan:
    """Judge a place. `cards`: what can be bought, with capabilities; `tokens`: length of one request among several."""
    found = estimates_of(place)
    obstacle = obstacle_of(place, found)
    fits: Fits = "no" if obstacle else verdict(found)
    return Plan(
        place=place,
        estimates=found,
        fits=fits,
        obstacle=obstacle,
        room=room_of(place, found, cards, tokens),
        lines=(_other_split(place) if obstacle else ()) or _lines(place, fits),
        notes=tuple(_notes(place, found)),
    )


def _lines(place: Place, fits: Fits) -> tuple[Suggestion, ...]:
    """Where the given line fits it comes first, and only what is better than it beside it."""
    card, free = place.card, place.free_bytes
    if card is None:
        return ()
    given = Suggestion(kind="given", intent=place.intent, line=line(place.intent), changes=())
    if fits == "yes" and card.count == 1:
        return (given,)
    if free is not None and free >= requested_bytes(card.total_bytes, HIGHEST_UTILIZATION) + CONTEXT_BYTES:
        free = None  # as good as empty
    found = launch_that_fits(
        place.intent,
        place.files,
        card,
        place.version,
        free_bytes=free,
        capability=place.capability,
        most=MOST_LINES,
        thorough=True,
    )
    found = tuple(one for one in found if _can_start(place, card, one))
    return (given, *(one for one in found if one.kind == "replicas")) if fits == "yes" else found


def _other_split(place: Place) -> tuple[Suggestion, ...]:
    """Where the given split cannot start: whole vision towers, or the next smaller split, and what that leads to."""
    shape = model_shape(place.intent, place.files)
    if place.card is None or shape is None or not can_change(place.intent, "tensor_parallel"):
        return ()
    size = place.intent.launch.tensor_parallel
    for gpus in range(min(size, place.card.count, shape.heads), 0, -1):
        intent = with_changes(place.intent, place.files, {"tensor_parallel": gpus})
        then = dataclasses.replace(place, intent=intent)
        found = estimates_of(then)
        if obstacle_of(then, found) is not None:
            continue
        kind = "whole_towers" if gpus == size else "fewer_gpus"
        changes = () if gpus == size else ("tensor_parallel",)
        one = Suggestion(kind=kind, intent=intent, line=line(intent), changes=changes)
        if verdict(found) == "yes":
            return (one,)
        return _lines(then, "no") if gpus < size else ()
    return ()


def _can_start(place: Place, card: Card, one: Suggestion) -> bool:
    """More GPUs are a way out though they are not there, unless that is what is wrong; other obstacles hold as well."""
    if one.kind == "hardware":
        return place.intent.gpus_needed <= card.count
    then = dataclasses.replace(place, intent=one.intent)
    return obstacle_of(then, estimates_of(then)) is None


def way_text(plan: Plan, one: Suggestion) -> Text:
    """What a line changes and what it costs, in words."""
    if one.kind != "replicas" or plan.shown is None:
        return trade(one)
    copies, place = one.intent.launch.data_parallel, plan.place
    then = estimates_of(dataclasses.replace(place, intent=one.intent))
    need = needed(one.intent, place.files, on_cpu=False, replicas=copies)
    said = {
        "trade": trade(one),
        "now": kv_tokens(plan.shown) * place.intent.launch.data_parallel,
        "together": kv_tokens(then[-1]) * copies,
        "ram": need.total if need else None,
        "load": copies * (weight_bytes(one.intent, place.files) or 0),
    }
    text = (
        "{trade}: their caches hold {together:count} tokens instead of {now:count}; loading takes {ram:GiB} of main "
        "memory and moves {load:GiB} of weights to the GPUs"
    )
    return Text(text, said)


#: A usual 4-bit checkpoint (AWQ or GPTQ, groups of 128), by the name of its method.
_FOUR_BIT = "awq"


def _notes(place: Place, found: tuple[Estimate, ...]) -> Iterator[Text]:
    """What helps without a line of ours."""
    if verdict(found) == "yes" and taken_by_others(place, found):
        yield Text("once that memory is free again, the line as given fits; `nvidia-smi` shows who holds it")
    if found and verdict(found) != "yes":
        yield from _other_checkpoint(place)


def _other_checkpoint(place: Place) -> Iterator[Text]:
    """A 4-bit checkpoint is another model to download or to make, so that its name is not ours to invent."""
    intent, files = place.intent, place.files
    if intent.engine == "transformers" or intent.launch.quantization or quantization_of(intent, files):
        return
    other = dataclasses.replace(
        place,
        intent=dataclasses.replace(intent, launch=dataclasses.replace(intent.launch, quantization=_FOUR_BIT)),
        files=dataclasses.replace(files, weights=()) if files else None,  # those of the 16-bit checkpoint
    )
    weights, found = weight_bytes(other.intent, other.files), estimates_of(other)
    if weights is None or not found:
        return
    answers: Mapping[Fits, str] = {"yes": "it would fit", "no": "even that would not fit", "unknown": "it may fit"}
    said = {"weights": weights, "answer": answers[verdict(found)]}
    text = (
        "a 4-bit checkpoint of this model (AWQ or GPTQ), if there is one, takes {weights:GiB} of weights: with its "
        "name in the line as given {answer}"
    )
    yield Text(text, said)
