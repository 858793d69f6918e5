"""Builds of an engine for another CUDA than the default index has: from the project's own release page."""

from __future__ import annotations

import dataclasses

from autoglm_doctor.domain.conflicts import version_of
from autoglm_doctor.domain.resolve.choose import Answer, choose
from autoglm_doctor.domain.resolve.obstacles import obstacle, older
from autoglm_doctor.domain.resolve.releases import Model, Place, Release, Shelf
from autoglm_doctor.domain.resolve.shelf import builds_of
from autoglm_doctor.matrix import Matrix

#: What such a build can help against: the CUDA of the default wheel, and its PTX.
_HELPS = ("driver", "ptx")


def own_build(matrix: Matrix, engine: str, shelf: Shelf, place: Place, model: Model, default: Answer) -> Answer | None:
    """The newest such build that runs there, where it is newer than what the default index gives; None of none.

    Only where it is the driver that keeps the default wheel of that release from running: these wheels differ in
    nothing else, and an index that the user has set up may not reach them.
    """
    builds = tuple(one for one in builds_of(matrix, engine, place.machine) if _torch_runs(matrix, one, place))
    found = choose(Shelf(releases=builds, transformers=shelf.transformers), place, model)
    if found.release is None or not _gains(found.release, default.release):
        return None
    same = next((one for one in shelf.releases if one.version == found.release.version), None)
    why = obstacle(same, place, model) if same else None
    return found if why and why[0] in _HELPS else None


def _gains(build: Release, default: Release | None) -> bool:
    return default is None or older(default.version, build.version)


def _torch_runs(matrix: Matrix, build: Release, place: Place) -> bool:
    """Its torch has code for the GPUs, and its triton assembles for the driver's CUDA major; as far as is known."""
    if any(matrix.torch_has_code_for(build.torch, one, build.tag) is False for one in place.capabilities):
        return False
    row, knows = matrix.torch_release(build.torch), version_of(matrix.newest_cuda(place.driver))
    found = (version_of(matrix.triton_ptxas(row.triton, one)) for one in place.capabilities) if row else ()
    return knows is None or all(one is None or one.major <= knows.major for one in found)


def in_its_place(build: Answer, default: Answer) -> Answer:
    """The build as the answer, where the default index has none: with the reasons why it has none."""
    return dataclasses.replace(build, refused=default.refused)
