"""compat_matrix.yaml as typed rows, and the questions one asks it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.gpunames import find_row, named_size, near_rows
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


#: What CUDA counts of a card's nominal memory where the table does not say: 23.5 of 24 GiB on an RTX 4090.
USABLE_SHARE = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """A card that a user may assume. A real one is read from the driver, never from here."""

    capability: str
    memory_gib: float  # nominal
    cuda_gib: float | None = None  # what CUDA counts as total, the least that was seen; None: not known
    source: str = ""  # of cuda_gib

    @property
    def total_bytes(self) -> int:
        """What CUDA will count as total, as far as is known."""
        usable = self.memory_gib * USABLE_SHARE if self.cuda_gib is None else self.cuda_gib
        return int(usable * (1 << 30))


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

    def gpu_name(self, name: str) -> str | None:
        """The row of `gpus` that a loosely written name means; None when none is or several differ."""
        return find_row(name, self.gpus)

    def find_gpu(self, name: str) -> GpuModel | None:
        """The card of a loosely written name; with another memory where the name speaks of one ("RTX 4090 48GB")."""
        row, size = self.gpu_name(name), named_size(name)
        if row is None:
            return None
        model = self.gpus[row]
        if size is None or round(model.memory_gib) == size:
            return model
        return replace(model, memory_gib=size, cuda_gib=None, source="")

    def near_gpus(self, name: str) -> tuple[str, ...]:
        """Rows of `gpus` that may have been meant."""
        return near_rows(name, self.gpus)

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
