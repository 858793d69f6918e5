"""A saved reading: facts, intent and the matrix's date in one JSON file; and facts assumed by the user."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import InvalidVersion, Version

from autoglm_doctor.errors import DecodeError, DoctorError
from autoglm_doctor.facts import SCHEMA, CudaDevice, Driver, Facts, Gpu, Memory, Reading, known
from autoglm_doctor.intent import Intent
from autoglm_doctor.jsonio import decode, encode
from autoglm_doctor.matrix import USABLE_SHARE as USABLE_SHARE
from autoglm_doctor.matrix import GpuModel, Matrix

#: Facts of the target interpreter: read here when `--facts` and `--python` are given together.
TARGET_FACTS = ("interpreter", "packages", "torch", "torch_run", "inference")

_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The content of a reading's file. A report's JSON is one too: it has the same keys."""

    facts: Facts
    intent: Intent | None = None
    matrix_date: str = ""
    schema: int = field(default=SCHEMA)


def load_reading(path: Path) -> Saved:
    """Read a saved reading, or the facts of a JSON report.

    Raises:
        DoctorError: cannot be read or is no JSON; DecodeError: has the wrong form, with the place.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DoctorError(f"{path}: {error}") from error
    saved = decode(Saved, data)
    if saved.facts.schema > SCHEMA:
        raise DecodeError(f"{path}: written by a newer autoglm-doctor (schema {saved.facts.schema})")
    return saved


def saved_reading(facts: Facts, intent: Intent, matrix: Matrix) -> str:
    """The text of a reading's file, raw: it is the user's own, redacted only when it leaves as a report."""
    saved = Saved(facts=facts, intent=intent, matrix_date=matrix.generated)
    return json.dumps(encode(saved), indent=1) + "\n"


def assume(facts: Facts, text: str, matrix: Matrix) -> Facts:
    """Replace single facts: `gpu="RTX 4090",gpus=2,vram=22.5,driver=570.26,ram=64` (GiB).

    Raises:
        DoctorError: an unknown key or card, or a value that no machine can have.
    """
    given = _pairs(text)
    if "gpu" in given or "vram" in given or "gpus" in given:
        facts = _with_gpus(facts, _gpus(given, facts, matrix))
    if "driver" in given:
        facts = _with_driver(facts, given["driver"], matrix)
    if "ram" in given:
        size = int(_number(given["ram"], "ram") * _GIB)
        facts = dataclasses.replace(
            facts, memory=known(Memory(total_bytes=size, available_bytes=size), source="assumed")
        )
    return facts


def _with_gpus(facts: Facts, gpus: tuple[Gpu, ...]) -> Facts:
    """Other cards: CUDA would show those, and what torch did on the real ones says nothing of them."""
    cuda = facts.cuda
    if cuda.value is not None:
        devices = tuple(
            CudaDevice(index=g.index, name=g.name, compute_capability=g.compute_capability, total_bytes=g.total_bytes)
            for g in gpus
        )
        cuda = known(dataclasses.replace(cuda.value, devices=devices), source="assumed")
    return dataclasses.replace(
        facts,
        gpus=known(gpus, source="assumed"),
        cuda=cuda,
        torch_run=Reading(outcome="not_run", why="the GPUs are assumed"),
    )


def _with_driver(facts: Facts, version: str, matrix: Matrix) -> Facts:
    """Another driver: what CUDA and torch did with the real one says nothing of it.

    A CUDA that started is kept with its devices and told the newest CUDA of the driver's branch; one that did not
    start belongs to the real driver.
    """
    try:
        major = Version(version).major
    except InvalidVersion:
        raise DoctorError(f"--assume: driver: a version such as 570.26 expected, got {version!r}") from None
    cuda = facts.cuda
    if cuda.value is not None and cuda.value.init_code == 0:
        newest = _newest_cuda(major, matrix)
        cuda = known(dataclasses.replace(cuda.value, driver_cuda_version=newest), source="assumed")
    else:
        cuda = Reading(outcome="not_run", why="the driver is assumed")
    return dataclasses.replace(
        facts,
        # An assumed driver is a whole one: NVML starts. Its CUDA is left to the table of minimum versions.
        driver=known(Driver(version=version, nvml_code=0, read_by=("assumed",)), source="assumed"),
        cuda=cuda,
        torch_run=Reading(outcome="not_run", why="the driver is assumed"),
    )


def _newest_cuda(major: int, matrix: Matrix) -> str | None:
    """What the libcuda of a branch knows, or of the next older one in the table; None for an older driver yet."""
    older = [int(branch) for branch in matrix.driver_branches if int(branch) <= major]
    return matrix.driver_branches[str(max(older))] if older else None


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for item in text.split(","):
        name, equals, value = item.partition("=")
        if not equals or name.strip() not in ("gpu", "gpus", "vram", "driver", "ram"):
            raise DoctorError(f"--assume: {item!r} is none of gpu=, gpus=, vram=, driver=, ram=")
        pairs[name.strip()] = value.strip().strip("\"'")
    return pairs


def _gpus(given: dict[str, str], facts: Facts, matrix: Matrix) -> tuple[Gpu, ...]:
    present = facts.gpus.value or ()
    model = _model(given["gpu"], matrix) if "gpu" in given else None
    if model is None and not present:
        raise DoctorError("--assume: vram= and gpus= need gpu= where there is no GPU")
    name = given["gpu"] if model else present[0].name
    capability = model.capability if model else present[0].compute_capability
    if "vram" in given:
        total = int(_number(given["vram"], "vram") * _GIB)
    else:
        total = model.total_bytes if model else present[0].total_bytes
    count = _whole(given.get("gpus", "1"), "gpus") if model or "gpus" in given else len(present)
    return tuple(
        Gpu(index=i, name=name, compute_capability=capability, total_bytes=total, free_bytes=total)
        for i in range(count)
    )


def _model(name: str, matrix: Matrix) -> GpuModel:
    model = matrix.find_gpu(name)
    if model is None:
        near = matrix.near_gpus(name) or tuple(sorted(matrix.gpus))
        raise DoctorError(f"--assume: the matrix has no GPU {name!r}; it knows {', '.join(near)}")
    return model


def _number(text: str, what: str) -> float:
    try:
        number = float(text.lower().removesuffix("gib").removesuffix("gb"))
    except ValueError:
        raise DoctorError(f"--assume: {what}: a number expected, got {text!r}") from None
    if not 0 < number < math.inf:  # also false for nan
        raise DoctorError(f"--assume: {what}: a number above 0 expected, got {text!r}")
    return number


def _whole(text: str, what: str) -> int:
    number = _number(text, what)
    if number != int(number):
        raise DoctorError(f"--assume: {what}: a whole number expected, got {text!r}")
    return int(number)
