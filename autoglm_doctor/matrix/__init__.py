"""compat_matrix.yaml as typed rows, and the questions one asks it: see docs/matrix.md."""

from autoglm_doctor.matrix.load import find_matrix, load_matrix
from autoglm_doctor.matrix.remote_code import RemoteCode
from autoglm_doctor.matrix.rows import (
    USABLE_SHARE,
    Branch,
    CapabilityRow,
    CudaMajor,
    CudaRelease,
    EngineBuild,
    EngineRelease,
    GpuModel,
    KnownBad,
    KnownPair,
    ModelSupport,
    Release,
    TorchBuild,
    TorchCompanions,
    TorchRelease,
)
from autoglm_doctor.matrix.whole import OLD_AFTER_DAYS, Matrix

__all__ = [
    "OLD_AFTER_DAYS",
    "USABLE_SHARE",
    "Branch",
    "CapabilityRow",
    "CudaMajor",
    "CudaRelease",
    "EngineBuild",
    "EngineRelease",
    "GpuModel",
    "KnownBad",
    "KnownPair",
    "Matrix",
    "ModelSupport",
    "Release",
    "RemoteCode",
    "TorchBuild",
    "TorchCompanions",
    "TorchRelease",
    "find_matrix",
    "load_matrix",
]
