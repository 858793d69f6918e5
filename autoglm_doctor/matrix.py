"""compat_matrix.yaml as typed rows, and the questions one asks it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.jsonio import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaMajor:
    """The oldest driver that runs every release of one CUDA major (minor-version compatibility)."""

    minimum_driver: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRelease:
    """What the wheels of an engine demand, from `since` until the next row."""

    since: str
    cuda_major: int
    torch: str  # the pin of the first release of the row, "2.9.0"
    python: str  # Requires-Python
    minimum_capability: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSupport:
    """Where a model type first works."""

    transformers: str
    vllm: str = ""  # "" : not known
    sglang: str = ""
    bad_transformers: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchRelease:
    """The companions of a torch release."""

    torchvision: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """A card that a user may assume. A real one is read from the driver, never from here."""

    capability: str
    memory_gib: float  # nominal


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The whole table. Versions are strings; rows of engines are in ascending order."""

    generated: str
    cuda_majors: Mapping[str, CudaMajor]
    driver_branches: Mapping[str, str]  # branch -> newest CUDA that it knows
    torch: Mapping[str, TorchRelease]  # by "major.minor"
    engines: Mapping[str, tuple[EngineRelease, ...]]
    models: Mapping[str, ModelSupport]  # by config.json's model_type
    gpus: Mapping[str, GpuModel] = field(default_factory=dict)

    def minimum_driver(self, cuda: str) -> CudaMajor | None:
        """The row for a CUDA release such as "12.8"; None when the matrix does not know its major."""
        return self.cuda_majors.get(cuda.split(".")[0])

    def torchvision_for(self, torch: str) -> TorchRelease | None:
        """The torchvision line that belongs to a torch version, as "major.minor"."""
        parts = torch.split("+")[0].split(".")
        return self.torch.get(".".join(parts[:2]))

    def engine_release(self, engine: str, version: str | None) -> EngineRelease | None:
        """The row that covers a version; the newest one when the version is not known (None)."""
        rows = self.engines.get(engine, ())
        if version is None:
            return rows[-1] if rows else None
        try:
            wanted = Version(version)
        except InvalidVersion:
            return None
        return next((row for row in reversed(rows) if Version(row.since) <= wanted), None)


def find_matrix() -> Path:
    """compat_matrix.yaml: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here, here.parent):
        if (folder / "compat_matrix.yaml").is_file():
            return folder / "compat_matrix.yaml"
    raise DoctorError("compat_matrix.yaml is missing from this installation; reinstall autoglm-doctor")


@functools.cache
def load_matrix(path: Path | None = None) -> Matrix:
    """Read and check the matrix (libyaml where it is there: 10 times faster).

    Raises:
        DoctorError: not readable; DecodeError names the place of a wrong value.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load((path or find_matrix()).read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  one of the two safe ones
    except (OSError, yaml.YAMLError) as error:
        raise DoctorError(f"compat_matrix.yaml: {error}") from error
    return decode(Matrix, data)
