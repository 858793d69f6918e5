"""What fits on a GPU beside a model: the longest context, the most requests, the most pictures, the smallest card.

Every answer but the KV tokens is a sure one: it holds at the far end of the memory model's error.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoglm_doctor.domain.capacity.place import Place, estimates_of, obstacle_of
from autoglm_doctor.domain.capacity.rescue import smallest_utilization
from autoglm_doctor.domain.heads import no_pictures
from autoglm_doctor.domain.launch_line import can_change
from autoglm_doctor.domain.memory.fits import Card, Estimate, verdict
from autoglm_doctor.domain.memory.vllm import BLOCK
from autoglm_doctor.domain.model import model_shape, preprocessor_config
from autoglm_doctor.domain.shape import vision_tokens
from autoglm_doctor.domain.shape.read import Shape

#: A phone's screenshot, in pixels: width and height.
SCREENSHOT = (1080, 2400)

#: The longest context that is looked for where a model's config names no limit.
LONGEST = 1_048_576


#: Slots of llama.cpp that are looked for (its LLAMA_MAX_SEQ).
MOST_SLOTS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """How many pictures one prompt takes before its context is full."""

    screenshots: int  # of SCREENSHOT
    screenshot_tokens: int
    largest: int  # of the largest size that the processor keeps
    largest_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What fits, as far as it can be told; 0 and None: nothing, or not to be told."""

    max_model_len: int = 0  # the longest context that surely fits
    model_limit: int = 0  # the longest that the model was made for
    sequences: int = 0  # at the same time, each of `sequence_tokens`
    sequence_tokens: int = 0
    pictures: Pictures | None = None  # None: the model sees none, or its tower is not understood
    utilization: float | None = None  # the smallest share of the card
    cards: tuple[str, ...] = ()  # names of the smallest cards that hold it, all of one size
    card_bytes: int = 0  # of each of them


def room_of(place: Place, found: tuple[Estimate, ...], cards: Sequence[tuple[Card, str]], tokens: int | None) -> Room:
    """What fits. `cards`: what can be bought, with capabilities; `tokens`: length of one request among several."""
    shape = model_shape(place.intent, place.files)
    if shape is None or not found:
        smallest = _smallest(place, cards) if shape is not None else ()
        return Room(cards=tuple(card.name for card in smallest), card_bytes=smallest[0].total_bytes if smallest else 0)
    asked = tokens or found[-1].tokens
    smallest = _smallest(place, cards)
    return Room(
        max_model_len=longest_context(place, shape),
        model_limit=shape.max_positions,
        sequences=_sequences(place, found, asked),
        sequence_tokens=asked,
        pictures=_pictures(place, shape, found[-1].tokens),
        utilization=_utilization(place),
        cards=tuple(card.name for card in smallest),
        card_bytes=smallest[0].total_bytes if smallest else 0,
    )


def _with_context(place: Place, tokens: int) -> Place:
    launch = dataclasses.replace(place.intent.launch, max_model_len=tokens)
    return dataclasses.replace(place, intent=dataclasses.replace(place.intent, launch=launch))


def longest_context(place: Place, shape: Shape) -> int:
    """The longest context that surely fits, in whole blocks, up to the model's own; 0 when not even one block does."""
    most = shape.max_positions or LONGEST

    def fits(tokens: int) -> bool:
        return verdict(estimates_of(_with_context(place, tokens))) == "yes"

    if fits(most):
        return most
    low, high = 0, most // BLOCK
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * BLOCK) else (low, middle)
    return low * BLOCK


def _sequences(place: Place, found: tuple[Estimate, ...], tokens: int) -> int:
    """How many requests of so many tokens the KV cache surely holds at the same time; the server stays as it is.

    llama.cpp allocates what -c says and no more: there it is a matter of how large -c may be.
    """
    if place.intent.engine == "llamacpp":
        return _slots(place, tokens)
    each = max((e.kv_needed for e in estimates_of(_with_context(place, tokens))), default=0)
    left = min(e.kv_available.low for e in found)
    return max(0, left // each) if each else 0


def _slots(place: Place, tokens: int) -> int:
    low, high = 0, MOST_SLOTS + 1
    while high - low > 1:
        middle = (low + high) // 2
        there = verdict(estimates_of(_with_context(place, middle * tokens))) == "yes"
        low, high = (middle, high) if there else (low, middle)
    return low


def _pictures(place: Place, shape: Shape, context: int) -> Pictures | None:
    """By the context alone; the processor does not obey max_pixels, only `size`."""
    if shape.vision is None or no_pictures(place.intent):
        return None
    kwargs = {k: v for k, v in place.intent.launch.mm_processor_kwargs.items() if k == "size"}
    most = vision_tokens.pixel_limits(preprocessor_config(place.intent, place.files), kwargs)[0]
    one = vision_tokens.image_tokens(*SCREENSHOT, vision=shape.vision, most=most)
    largest = vision_tokens.largest_image_tokens(most, vision=shape.vision)
    allowed = place.intent.launch.limit_mm_per_prompt.get("image", context)
    return Pictures(
        screenshots=min(context // one, allowed),
        screenshot_tokens=one,
        largest=min(context // largest, allowed),
        largest_tokens=largest,
    )


def _utilization(place: Place) -> float | None:
    if place.card is None or not can_change(place.intent, "gpu_memory_utilization"):
        return None
    return smallest_utilization(place.intent, place.files, place.card, place.version)


def _smallest(place: Place, cards: Sequence[tuple[Card, str]]) -> tuple[Card, ...]:
    """The cards of the smallest size on which the given line surely fits, as many of each as it takes GPUs."""
    count = place.intent.gpus_needed
    found = estimates_of(place)
    least = min((e.weights.low for e in found), default=0)
    for size in sorted({card.total_bytes for card, _ in cards if card.total_bytes > least}):
        same = [dataclasses.replace(card, count=count) for card, _ in cards if card.total_bytes == size]
        if _holds(dataclasses.replace(place, card=same[0], free_bytes=None)):
            return tuple(same)
    return ()


def _holds(place: Place) -> bool:
    found = estimates_of(place)
    return verdict(found) == "yes" and obstacle_of(place, found) is None


def kv_tokens(estimate: Estimate) -> int:
    """Tokens that the KV cache holds, in whole blocks, as the engine logs it at start."""
    if estimate.kv_needed <= 0 or estimate.kv_available.likely <= 0:
        return 0
    blocks = math.ceil(estimate.tokens / BLOCK)
    return estimate.kv_available.likely * blocks // estimate.kv_needed * BLOCK


def margin(estimate: Estimate) -> int:
    """Bytes to spare for one request of the whole context; negative: what is missing."""
    return estimate.kv_available.likely - estimate.kv_needed
