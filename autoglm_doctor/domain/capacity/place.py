"""A deployment and the GPU that it is to run on."""

from __future__ import annotations

from dataclasses import dataclass

from autoglm_doctor.domain.capacity.llamacpp_rescue import refused
from autoglm_doctor.domain.heads import heads_of
from autoglm_doctor.domain.memory.fits import Card, Estimate, estimates
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.finding import Text
from autoglm_doctor.intent import Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A deployment and the GPU that it is to run on."""

    intent: Intent
    files: ModelFiles | None
    card: Card | None  # the smallest of the GPUs; None: there is none, or its memory is not known
    version: str | None  # of the engine; None: not known
    capability: str = ""  # compute capability of the GPU; "": not known
    free_bytes: int | None = None  # of the smallest GPU; None: taken as empty
    origin: str = ""  # where the GPU comes from: "named", "measured", "saved"


_UNEVEN = {
    "attention": "{heads} attention heads cannot be dealt out evenly to {size} GPUs",
    "key_value": "{kv} key and value heads cannot be dealt out evenly to {size} GPUs",
    "tower": "{tower} heads of the vision tower do not go into {size} GPUs; --mm-encoder-tp-mode data helps",
}


def estimates_of(place: Place) -> tuple[Estimate, ...]:
    """The estimates of the memory model; () without a card or for an unknown architecture."""
    return estimates(place.intent, place.files, place.card, place.version) if place.card else ()


def obstacle_of(place: Place, found: tuple[Estimate, ...]) -> Text | None:
    """Why the engine refuses whatever the memory: too few GPUs, heads that do not divide, memory that others hold."""
    card, wanted = place.card, place.intent.gpus_needed
    if card is not None and wanted > card.count:
        there = "there is 1" if card.count == 1 else f"there are {card.count}"
        return Text("it takes {wanted} GPUs, {there}", {"wanted": wanted, "there": there})
    refusal = _uneven(place) or refused(place.intent)
    if refusal is not None:
        return refusal
    return taken_by_others(place, found)


def taken_by_others(place: Place, found: tuple[Estimate, ...]) -> Text | None:
    """Less is free than vLLM claims at start, however small the model is; or than llama.cpp takes at once."""
    if place.free_bytes is None or not found:
        return None
    if place.intent.engine == "llamacpp":
        need = min(estimate.need.likely for estimate in found)
        said = {"free": place.free_bytes, "need": need}
        return Text("{free:GiB} are free, the server takes {need:GiB}", said) if place.free_bytes < need else None
    if place.intent.engine != "vllm":
        return None
    claim = max(estimate.requested for estimate in found)
    if place.free_bytes >= claim:
        return None
    return Text("{free:GiB} are free, the server claims {claim:GiB}", {"free": place.free_bytes, "claim": claim})


def _uneven(place: Place) -> Text | None:
    """Heads that cannot be dealt out evenly to so many GPUs, which an engine refuses."""
    size, heads = place.intent.launch.tensor_parallel, heads_of(place.intent, place.files)
    uneven = heads.uneven(size) if heads is not None and size > 1 else ""
    if heads is None or not uneven:
        return None
    said = {"heads": heads.attention, "kv": heads.key_value, "tower": heads.tower, "size": size}
    return Text(_UNEVEN[uneven], said)
