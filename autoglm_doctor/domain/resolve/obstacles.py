"""Why a release of an engine does not run on a machine: one rule each, with the words for it."""

from __future__ import annotations

import functools
from collections.abc import Callable

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.conflicts import version_of
from autoglm_doctor.domain.resolve.releases import Model, Place, Release
from autoglm_doctor.domain.vision_attention import takes_fa2_on_hopper
from autoglm_doctor.finding import Text
from autoglm_doctor.matrix.numbers import code_runs_on

Rule = Callable[[Release, Place, Model], Text | None]


@functools.lru_cache(maxsize=8192)
def allows(wanted: str, version: str) -> bool:
    """Whether a range, or an exact version, lets a release in; true where nothing is asked or it cannot be read."""
    try:
        asked = SpecifierSet(wanted if not wanted[:1].isdigit() else f"=={wanted}")
        return asked.contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def older(found: str, needed: str) -> bool:
    """Whether one version is below another; false where one of them says nothing."""
    first, second = version_of(found), version_of(needed)
    return first is not None and second is not None and first < second


def _python(release: Release, place: Place, _: Model) -> Text | None:
    if not place.python:
        return None
    wheels = release.pythons and place.python not in release.pythons
    if not wheels and (not release.python or allows(release.python, f"{place.python}.99")):
        return None
    there = ", ".join(release.pythons) if wheels else release.python
    return Text("there is no wheel for Python {python} ({there})", {"python": place.python, "there": there})


def _glibc(release: Release, place: Place, _: Model) -> Text | None:
    if not older(place.glibc, release.glibc):
        return None
    said = {"needed": release.glibc, "found": place.glibc}
    return Text("its wheel needs glibc {needed}, this system has {found}", said)


def _driver(release: Release, place: Place, _: Model) -> Text | None:
    if not older(place.driver, release.minimum_driver):
        return None
    said = {"cuda": release.cuda, "needed": release.minimum_driver, "found": place.driver}
    return Text("CUDA {cuda} needs driver {needed}, {found} is installed", said)


def _capability(release: Release, place: Place, _: Model) -> Text | None:
    made = release.architectures_arm if place.machine == "aarch64" else release.architectures
    for found in place.capabilities:
        if older(found, release.minimum_capability):
            said = {"needed": release.minimum_capability, "found": found}
            return Text("it needs compute capability {needed}, the GPU has {found}", said)
        if made and not any(code_runs_on(code, found) for code in made):
            return Text("its binaries have no code for compute capability {found}", {"found": found})
    return None


def _ptx(release: Release, place: Place, model: Model) -> Text | None:
    """Minor-version compatibility does not cover kernels that the driver compiles.

    From 10.0 on: on 9.0 vLLM takes FlashAttention-3, which has compiled code, but for the pictures of some releases.
    """
    if not release.ptx_driver or not older(place.driver, release.ptx_driver):
        return None
    newest = max(place.capabilities, key=lambda c: version_of(c) or Version("0"), default="")
    hopper = newest == "9.0" and model.head is not None and takes_fa2_on_hopper(release.version, model.head) == "sure"
    if not newest or (older(newest, "10.0") and not hopper):
        return None
    said = {"needed": release.ptx_driver, "found": place.driver, "capability": newest}
    return Text(
        "on compute capability {capability} its attention kernels are compiled by the driver, which takes {needed}; "
        "{found} is installed",
        said,
    )


def _torch(release: Release, place: Place, _: Model) -> Text | None:
    if release.engine != "transformers" or not place.torch or allows(release.torch, place.torch):
        return None
    said = {"wanted": release.torch, "found": place.torch}
    return Text("it takes torch {wanted}, and {found} is the newest that runs there", said)


def _bad(release: Release, _: Place, model: Model) -> Text | None:
    if release.engine != "transformers" or release.version not in model.bad_transformers:
        return None
    return Text("it is known to fail", {})


def _model(release: Release, _: Place, model: Model) -> Text | None:
    if not older(release.version, model.engine):
        return None
    return Text(
        "it does not know {model} ({first} is the first that does)", {"model": model.name, "first": model.engine}
    )


#: The order of the words: what cannot be changed comes first.
RULES: dict[str, Rule] = {
    "capability": _capability,
    "python": _python,
    "glibc": _glibc,
    "driver": _driver,
    "ptx": _ptx,
    "torch": _torch,
    "bad": _bad,
    "model": _model,
}


def obstacle(release: Release, place: Place, model: Model) -> tuple[str, Text] | None:
    """The first rule that refuses, by its name, and its words; None when the release runs there."""
    for name, rule in RULES.items():
        words = rule(release, place, model)
        if words is not None:
            return name, words
    return None
