"""An answer with all that belongs to it: the build of torch, and what a newer driver would make possible."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from packaging.version import Version

from autoglm_doctor.domain.conflicts import version_of
from autoglm_doctor.domain.resolve.choose import Answer, Refused, choose
from autoglm_doctor.domain.resolve.obstacles import older
from autoglm_doctor.domain.resolve.own_page import in_its_place, own_build
from autoglm_doctor.domain.resolve.releases import Model, Place, Shelf
from autoglm_doctor.domain.resolve.shelf import shelf_of
from autoglm_doctor.domain.wheels import (
    Target,
    TorchChoice,
    arm_build,
    build_for,
    companion,
    default_build,
    index_of,
    with_companion,
)
from autoglm_doctor.finding import Text
from autoglm_doctor.matrix import Matrix
from autoglm_doctor.matrix.numbers import cuda_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Better:
    """What would run with another driver."""

    driver: str  # the oldest that is enough
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to install, from where, and what stands beyond the driver."""

    answer: Answer
    requirements: tuple[str, ...] = ()  # exact versions of what decides; the rest follows from their metadata
    options: tuple[str, ...] = ()  # the index of torch's build, where the default one has none that runs
    torch: TorchChoice | None = None  # where it has to be named
    better: Better | None = None
    then: tuple[str, ...] = ()  # what a second line has to install: torch pins another
    own_page: Plan | None = None  # a newer release, as a build from the project's own release page


def plan_for(matrix: Matrix, engine: str, place: Place, model: Model) -> Plan:
    """The newest set for a place, and the lines' requirements and options.

    Without a server a torch that the place names stays, and is not in the lines. A build of the engine from its
    project's own page stands beside the answer, and in its place where the default index has none.
    """
    shelf = shelf_of(matrix, engine)
    keep = bool(place.torch)
    place = place if keep else _with_torch(matrix, engine, place)
    answer = choose(shelf, place, model) if place.torch != NO_BUILD else _no_build(shelf, place)
    build = own_build(matrix, engine, shelf, place, model, answer)
    if build is not None and answer.release is None:
        answer, build = in_its_place(build, answer), None
    return dataclasses.replace(
        _plan(matrix, answer, place, model, keep=keep),
        better=None if keep else _better(matrix, engine, shelf, place, model, answer),
        own_page=_plan(matrix, build, place, model) if build else None,
    )


def _plan(matrix: Matrix, answer: Answer, place: Place, model: Model, *, keep: bool = False) -> Plan:
    """An answer with its lines; `keep`: without torch."""
    torch = None if keep else _torch(matrix, answer, place)
    return Plan(
        answer=answer,
        requirements=_requirements(answer, torch, matrix, place.machine),
        options=torch.options if torch else (),
        torch=torch,
        then=() if keep else _then(matrix, answer, torch, model),
    )


def _then(matrix: Matrix, answer: Answer, torch: TorchChoice | None, model: Model) -> tuple[str, ...]:
    """What torch pins and a model with pictures must not have: cuDNN before 9.15 with torch 2.9.

    vLLM is not touched: it computes that layer otherwise.
    """
    release = answer.release
    if release is None or release.engine == "vllm" or not model.pictures or (torch is not None and torch.options):
        return ()
    row = matrix.torch_release(torch.version if torch else release.torch)
    if row is None or not row.cudnn:
        return ()
    name = f"nvidia-cudnn-cu{row.cuda.split('.')[0]}"
    pairs = matrix.bad_pairs({"torch": row.version, name: row.cudnn})
    limits = [one.packages[name] for one in pairs if one.models == "multimodal" and name in one.packages]
    return tuple(f"{name}>={limit[1:]}" for limit in limits if limit.startswith("<"))


#: In the place of a version of torch: no build of it runs there.
NO_BUILD = "none"


def _with_torch(matrix: Matrix, engine: str, place: Place) -> Place:
    """Without a server nothing pins torch: the newest that runs decides which transformers do."""
    if engine != "transformers":
        return place
    choice = build_for(None, target_of(matrix, place), matrix)
    return dataclasses.replace(place, torch=choice.version if choice else NO_BUILD)


def target_of(matrix: Matrix, place: Place) -> Target:
    """The place, as builds of torch are chosen for it."""
    found = version_of(place.driver)
    majors = [int(m) for m, row in matrix.cuda_majors.items() if found and not older(place.driver, row.minimum_driver)]
    return Target(
        major=max(majors, default=0) if found else None,
        cuda=matrix.newest_cuda(place.driver) if found else "",
        capabilities=place.capabilities,
        machine=place.machine,
        python=place.python,
        driver=place.driver,
    )


def _no_build(shelf: Shelf, place: Place) -> Answer:
    words = Text("no build of torch has code for compute capability {found} and runs on this driver", _said(place))
    newest, oldest = shelf.releases[-1].version, shelf.releases[0].version
    refused = Refused(newest=newest, oldest=oldest, rule="capability", text=words)
    return Answer(release=None, transformers="", refused=(refused,), doubts=place.unknown)


def _said(place: Place) -> dict[str, str]:
    return {"found": ", ".join(place.capabilities)}


def _torch(matrix: Matrix, answer: Answer, place: Place) -> TorchChoice | None:
    """Where a line must name torch: without an engine that pins it, and where the default index has no such build."""
    release = answer.release
    if release is None:
        return None
    if release.engine == "transformers":
        choice = build_for(None, target_of(matrix, place), matrix)
        return with_companion(choice, matrix) if choice else None
    if not release.tag and (not release.torch or default_build(release.torch, place.machine, matrix) != "cpu"):
        return None
    tag = release.tag or arm_build(release.torch, matrix) or "cu" + release.cuda.replace(".", "")
    return TorchChoice(
        requirement=f"torch=={release.torch}+{tag}", options=index_of(tag), cuda=cuda_of(tag), version=release.torch
    )


def _requirements(answer: Answer, torch: TorchChoice | None, matrix: Matrix, machine: str) -> tuple[str, ...]:
    if answer.release is None:
        return ()
    found = [answer.release.wheel or f"{answer.release.engine}=={answer.release.version}"]
    found += [f"transformers=={answer.transformers}"] if answer.transformers else []
    if torch is not None and torch.options:
        found += [torch.requirement, companion(torch.version, torch.options, matrix, machine)]
    elif torch is not None:
        found += [f"torch=={torch.version}", companion(torch.version, (), matrix)]
    return tuple(found)


def _better(matrix: Matrix, engine: str, shelf: Shelf, place: Place, model: Model, answer: Answer) -> Better | None:
    """The newest set that a newer driver would run, and the oldest driver for it; None where none is better."""
    needed = _drivers(matrix, engine, shelf, place)
    best: Better | None = None
    for driver in needed:
        there = _with_torch(matrix, engine, dataclasses.replace(place, driver=driver))
        if there.torch == NO_BUILD or any(matrix.drives(driver, one) is False for one in place.capabilities):
            continue
        found = choose(shelf, there, model)
        if found.release and _is_newer(found, best.answer if best else answer):
            best = Better(driver=driver, answer=found)
    return best


def _drivers(matrix: Matrix, engine: str, shelf: Shelf, place: Place) -> list[str]:
    """Those at which something changes and which are newer than the one that is there, ascending."""
    said = {one.minimum_driver for one in shelf.releases} | {one.ptx_driver for one in shelf.releases}
    if engine == "transformers":
        said |= {row.minimum_driver for row in matrix.cuda_majors.values()}
    return sorted((one for one in said - {""} if older(place.driver, one)), key=_order)


def _order(version: str) -> Version:
    return version_of(version) or Version("0")


def _is_newer(found: Answer, than: Answer) -> bool:
    if found.release is None or than.release is None:
        return found.release is not None
    return older(than.release.version, found.release.version)
