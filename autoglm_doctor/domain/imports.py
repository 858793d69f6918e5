"""What the text of a failed `import torch` says: its cause, and the package of a library that is missing."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from autoglm_doctor.facts import Packages, Torch

#: The first that matches.
_CAUSES = (
    (r"GLIBCXX_|CXXABI_", "LIBSTDCXX_TOO_OLD"),
    (r"GLIBC_\d", "GLIBC_TOO_OLD"),
    (r"undefined symbol.*(?:nvJitLink|cudnn|cublas|cusparse|nccl|cudart)", "CUDA_LIBS_SHADOWED"),
    (r"undefined symbol", "EXTENSION_ABI_MISMATCH"),
    (r"^MemoryError", "RAM_TOO_SMALL"),
    (r"_ARRAY_API|compiled using NumPy 1|numpy\.core\.multiarray", "NUMPY2_ABI"),
)

_MISSING = re.compile(r"lib(?P<name>cu\w+|nv\w+|nccl)\.so(?:\.(?P<major>\d+))?[.\d]*: cannot open", re.IGNORECASE)

#: Libraries whose number is the CUDA major. That of cuDNN, NCCL, cuFFT, cuSPARSE, cuSOLVER or cuRAND is their own.
_CUDA_NUMBERS = {"cudart", "cublas", "cublaslt", "nvrtc", "nvjitlink", "cupti"}

#: NVIDIA's package of a library, without "nvidia-" and "-cu12"; for others it is the library's own name.
_PACKAGES = {
    "cudart": "cuda-runtime",
    "cublaslt": "cublas",
    "nvrtc": "cuda-nvrtc",
    "cupti": "cuda-cupti",
    "nvtoolsext": "nvtx",
    "nvshmem_host": "nvshmem",
    "cufile_rdma": "cufile",
    "cusolvermg": "cusolver",
    "cufftw": "cufft",
}


def import_cause(error: str, torch: Torch | None, packages: Packages | None) -> str:
    """The cause of a failed import; "TORCH_IMPORT_FAILED" where its text names none.

    A missing CUDA library is a mixture of two CUDA majors only where two are seen: the library's beside torch's, or
    those of NVIDIA's packages. Else the library is just gone.
    """
    named = next((cause for pattern, cause in _CAUSES if re.search(pattern, error)), "")
    found = None if named else _MISSING.search(error)
    if found is None:
        return named or "TORCH_IMPORT_FAILED"
    wanted = found["major"] if found["name"].lower() in _CUDA_NUMBERS else None
    own = (torch.cuda or "").partition(".")[0] if torch else ""
    mixed = bool(wanted and own and wanted != own) or len(_majors(packages)) > 1
    return "CUDA_MAJOR_MIXED_PACKAGES" if mixed else "TORCH_IMPORT_FAILED"


def _majors(packages: Packages | None) -> set[str]:
    """The CUDA majors of NVIDIA's packages, by their names."""
    names = [canonicalize_name(one.name) for one in packages.distributions] if packages else []
    return {match[1] for name in names if (match := re.fullmatch(r"nvidia-.+-cu(\d+)", name))}


def library_package(error: str, packages: Packages | None) -> str:
    """The package of the library that is missing, as torch pins it: "nvidia-cuda-runtime-cu12==12.8.90"; else "".

    Only what this torch asks for is named: one from conda or a vendor has its libraries elsewhere.
    """
    found = _MISSING.search(error)
    if found is None or packages is None:
        return ""
    name = found["name"].lower()
    wanted = re.compile(rf"nvidia-{re.escape(_PACKAGES.get(name, name))}(?:-cu\d+)?")
    asked = next((one.requires for one in packages.distributions if canonicalize_name(one.name) == "torch"), ())
    for line in asked:
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        if wanted.fullmatch(canonicalize_name(one.name)):
            return f"{one.name}{one.specifier}"
    return ""
