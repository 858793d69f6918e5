"""Container images: which CUDA they are of, and what they ask of the driver before they start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from autoglm_doctor.matrix.engines import Engines
from autoglm_doctor.matrix.numbers import covering, line


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaImage:
    """NVIDIA's images of one CUDA release."""

    cuda: str  # "12.9"
    branches: str  # of drivers that pass though they know an older CUDA, but for GeForce and Titan: "535 550"
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """The image that an engine's makers publish."""

    since: str
    cuda: str
    source: str


@dataclass(frozen=True, slots=True)
class _About:
    families: str


@dataclass(frozen=True, slots=True)
class ImageRows:
    """All that is known of images."""

    cuda: tuple[CudaImage, ...]
    vllm: tuple[EngineImage, ...]


class Images(Engines):
    """The part of the matrix that is about container images."""

    @cached_property
    def images(self) -> ImageRows:
        """All that is known of them."""
        return self.rows(ImageRows, "images")

    def image_cuda(self, engine: str, version: str) -> str:
        """CUDA release of the image that an engine's makers publish of a version ("12.9"); "" when not known."""
        rows: Mapping[str, tuple[EngineImage, ...]] = {"vllm": self.images.vllm}
        row = covering(rows.get(engine, ()), version)
        return row.cuda if row is not None else ""

    def image_demand(self, cuda: str) -> str:
        """NVIDIA_REQUIRE_CUDA of the images of a CUDA release ("12.9"), as they word it; "" when not known."""
        row = next((one for one in self.images.cuda if one.cuda == line(cuda)), None)
        if row is None:
            return ""
        families = self.about(_About, "images").families.split()
        branches = [int(one) for one in row.branches.split()]
        passing = [f"brand={name},driver>={one},driver<{one + 1}" for one in branches for name in families]
        return " ".join([f"cuda>={row.cuda}", *passing])
