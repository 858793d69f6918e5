"""The matrix as a shelf of releases, and a model as what it asks of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.conflicts import version_of
from autoglm_doctor.domain.resolve.releases import Library, Model, Release, Shelf
from autoglm_doctor.domain.vision_attention import head_width
from autoglm_doctor.matrix import EngineBuild, EngineRelease, Matrix
from autoglm_doctor.matrix import Release as LibraryRow
from autoglm_doctor.matrix.numbers import within

#: What can be asked for; transformers serves nobody by itself, and runs wherever torch does.
ENGINES = ("vllm", "sglang", "transformers")


def shelf_of(matrix: Matrix, engine: str) -> Shelf:
    """Every release of an engine that the matrix knows, and every transformers."""
    if engine == "transformers":
        rows = matrix.libraries("transformers").values()
        return Shelf(releases=tuple(_library(row) for row in rows if not _is_prerelease(row.version)))
    found = [_release(matrix, engine, row) for row in matrix.engines.get(engine, ())]
    libraries = matrix.libraries("transformers").values()
    return Shelf(
        releases=tuple(row for row in found if not _is_prerelease(row.version)),
        transformers=tuple(Library(version=one.version, python=one.python, released=one.released) for one in libraries),
    )


def release_of(matrix: Matrix, engine: str, version: str) -> Release | None:
    """One release of an engine, of those too that the shelf has not: somebody has it."""
    row = next((one for one in matrix.all_engines.get(engine, ()) if one.since == version), None)
    return _release(matrix, engine, row) if row else None


def _library(row: LibraryRow) -> Release:
    return Release(
        engine="transformers", version=row.version, released=row.released, python=row.python, torch=row.torch
    )


def _is_prerelease(version: str) -> bool:
    parsed = version_of(version)
    return parsed is None or parsed.is_prerelease


def _release(matrix: Matrix, engine: str, row: EngineRelease) -> Release:
    cuda = matrix.torch_cuda(row.torch) if row.torch else ""
    # Its own binaries are built for one CUDA, its torch may be for another: the newer one asks for the driver.
    major = max(row.cuda_major, int(cuda.split(".")[0]) if cuda else 0)
    minimum = matrix.cuda_majors.get(str(major))
    return Release(
        engine=engine,
        version=row.since,
        released=row.released,
        python=row.python,
        glibc=matrix.engine_glibc(engine, row.since),
        torch=row.torch,
        transformers=row.transformers,
        cuda=cuda if cuda.split(".")[0] == str(major) else str(major),
        minimum_driver=_asked_by_kernels(matrix, row) or (minimum.minimum_driver if minimum else ""),
        minimum_capability=row.minimum_capability,
        architectures=tuple(row.sass.split()) or _of_its_torch(matrix, row),
        architectures_arm=tuple(row.sass_aarch64.split()),
        ptx_driver=matrix.branch_for_cuda(matrix.ptx_cuda(row.fa2_ptx)) if row.fa2_ptx else "",
        bad_transformers=_bad_transformers(matrix, engine, row.since),
    )


def _asked_by_kernels(matrix: Matrix, row: EngineRelease) -> str:
    """The first driver with what the engine's kernels ask of libcuda; "" where any of its CUDA major will do."""
    package, _, version = row.kernel.partition(" ")
    asked = matrix.function_asked(package, version)
    return matrix.branch_for_cuda(asked.cuda) if asked else ""


def _of_its_torch(matrix: Matrix, row: EngineRelease) -> tuple[str, ...]:
    """What the default build of its torch has compiled code for, where the engine's own was not read."""
    build = matrix.torch_build(row.torch) if row.torch else None
    return build.sass if build is not None and build.ptx == "none" else ()


def _bad_transformers(matrix: Matrix, engine: str, version: str) -> tuple[tuple[str, str], ...]:
    """The pairs of the table that are this release with a transformers, and nothing else."""
    return tuple(
        (row.packages["transformers"], row.models)
        for row in matrix.known_pairs
        if set(row.packages) == {engine, "transformers"} and within(version, row.packages[engine])
    )


def builds_of(matrix: Matrix, engine: str, machine: str) -> tuple[Release, ...]:
    """An engine's wheels for another CUDA, from the project's own pages, for a machine ("x86_64"); oldest first."""
    rows = {row.since: row for row in matrix.engines.get(engine, ())}
    return tuple(
        _build(matrix, _release(matrix, engine, rows[one.version]), one, machine)
        for one in matrix.engine_builds.get(engine, ())
        if one.version in rows and machine in one.machines
    )


def _build(matrix: Matrix, default: Release, one: EngineBuild, machine: str) -> Release:
    """The default wheel's release, but for what another CUDA changes."""
    minimum = matrix.minimum_driver(one.cuda)
    return dataclasses.replace(
        default,
        cuda=one.cuda,
        minimum_driver=minimum.minimum_driver if minimum else "",
        glibc=matrix.engine_glibc(default.engine, f"{one.version}+{one.tag}"),
        # Not measured in these wheels; a compiler of CUDA 12.9 writes no newer PTX than its own.
        ptx_driver=matrix.branch_for_cuda(one.cuda) if default.ptx_driver else "",
        tag=one.tag,
        wheel=matrix.engine_build_url(default.engine, one, machine),
    )


def model_of(matrix: Matrix, engine: str, name: str, config: Mapping[str, Any] | None) -> Model:
    """What a config.json asks for; nothing where there is none."""
    config = config or {}
    kind = str(config.get("model_type") or "")
    architectures = config.get("architectures")
    named = [str(one) for one in architectures] if isinstance(architectures, list) else []
    support = matrix.models.get(kind)
    said = getattr(support, engine, "") if support else ""
    if engine == "transformers":
        said = matrix.first_transformers(kind)
    bad = [
        version
        for version in matrix.libraries("transformers")
        if matrix.is_known_bad("transformers", version, kind) is not None
    ]
    return Model(
        name=f"{name} ({kind})" if kind else name,
        model_type=kind,
        transformers=matrix.first_transformers(kind),
        bad_transformers=tuple(bad),
        pictures=bool(config.get("vision_config")),
        head=head_width(config),
        engine=said or next((first for one in named if (first := matrix.first_engine(engine, one))), ""),
    )
