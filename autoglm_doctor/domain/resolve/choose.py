"""The newest set that runs: an engine's release with the newest transformers that both it and the model take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.version import Version

from autoglm_doctor.domain.conflicts import version_of
from autoglm_doctor.domain.resolve.obstacles import allows, obstacle, older
from autoglm_doctor.domain.resolve.releases import Library, Model, Place, Release, Shelf
from autoglm_doctor.finding import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Releases in a row that do not run, for one reason."""

    newest: str
    oldest: str
    rule: str  # "driver", "python", ...; "transformers": no release of it suits both
    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to install; `release` None when nothing of this engine runs there."""

    release: Release | None
    transformers: str  # an exact version; "": as the engine brings it
    refused: tuple[Refused, ...]  # newest first
    doubts: tuple[str, ...]  # what is not known of the machine


def choose(shelf: Shelf, place: Place, model: Model) -> Answer:
    """Walk from the newest release to the oldest, and stop at the first that runs."""
    refused: list[Refused] = []
    for release in reversed(shelf.releases):
        found = obstacle(release, place, model)
        version = "" if found else library_for(shelf, release, place, model)
        if not found and version is not None:
            return Answer(release=release, transformers=version, refused=tuple(refused), doubts=place.unknown)
        rule, words = found or ("transformers", _no_library(release, model))
        _add(refused, release, rule, words)
    return Answer(release=None, transformers="", refused=tuple(refused), doubts=place.unknown)


def _add(refused: list[Refused], release: Release, rule: str, words: Text) -> None:
    """To the row before, when the reason is the same."""
    last = refused[-1] if refused else None
    if last is not None and (last.rule, last.text) == (rule, words):
        refused[-1] = Refused(newest=last.newest, oldest=release.version, rule=rule, text=words)
    else:
        refused.append(Refused(newest=release.version, oldest=release.version, rule=rule, text=words))


def library_for(shelf: Shelf, release: Release, place: Place, model: Model) -> str | None:
    """The transformers for engine, model and Python; "" when none are known, None when none suits.

    The newest that was there when the engine came out: it was tried with that. Metadata without an upper bound also
    lets in what came a year later. Where none was there yet, the oldest that suits.
    """
    if not shelf.transformers:
        return ""
    fitting = sorted((one for one in shelf.transformers if suits(one, release, place, model)), key=_order)
    tried = [one for one in fitting if not release.released or one.released <= release.released]
    return tried[-1].version if tried else fitting[0].version if fitting else None


def _order(one: Library) -> Version:
    return version_of(one.version) or Version("0")


def suits(one: Library, release: Release, place: Place, model: Model, *, prereleases: bool = False) -> bool:
    """Whether a transformers goes with an engine's release, the Python and the model."""
    parsed = version_of(one.version)
    if parsed is None or (parsed.is_prerelease and not prereleases) or one.version in model.bad_transformers:
        return False
    if release.transformers and not allows(release.transformers, one.version):
        return False
    if any(allows(bad, one.version) for bad, models in release.bad_transformers if _concerns(models, model)):
        return False
    if place.python and one.python and not allows(one.python, f"{place.python}.99"):
        return False
    return not older(one.version, model.transformers)


def _concerns(models: str, model: Model) -> bool:
    return models == "" or (models == "multimodal" and model.pictures) or model.model_type in models.split()


def _no_library(release: Release, model: Model) -> Text:
    said = {"range": release.transformers or "any", "model": model.name, "first": model.transformers}
    return Text("it takes transformers {range}, {model} needs {first} or newer", said)


def reasons(answer: Answer) -> Iterator[tuple[str, Text]]:
    """Why newer ones do not run: "0.20.0 to 0.33.0" and the words."""
    for one in answer.refused:
        span = one.newest if one.newest == one.oldest else f"{one.oldest} to {one.newest}"
        yield span, one.text
