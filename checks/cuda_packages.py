"""PKG: no library of CUDA is there for two majors of CUDA at once."""

from __future__ import annotations

import re
from collections.abc import Mapping

from packaging.utils import canonicalize_name

from autoglm_doctor.api import (
    Findings,
    Fix,
    Interpreter,
    Packages,
    Text,
    Torch,
    TorchRun,
    check,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.checks.engine_cuda import cuda_was_read
from autoglm_doctor.domain.conflicts import install_line, remove_line

#: Their packages for CUDA 12 and 13 put files of the same names into the same folders (nvidia/cudnn/lib/libcudnn.so.9).
#: The others have the major in their file names, or a folder of their own from CUDA 13 on (nvidia/cu13).
#: Those for CUDA 11 and 12 do so as well with cuRAND (libcurand.so.10), cuSOLVER (libcusolver.so.11) and NVTX
#: (libnvToolsExt.so.1); cuDNN 8 and 9 have other names. Read from the file lists of the wheels, 11.8 to 13.1.
SHARED = ("cudnn", "nccl", "cusparselt", "nvshmem", "curand", "cusolver", "nvtx")
#: Its version is that of CUDA, its file name is the same.
_OF_CUDA = ("nvtx",)
_NAME = re.compile(rf"nvidia-({'|'.join(SHARED)})-cu(\d\d)")


@check(
    "PKG013",
    "cuda-packages",
    cause="CUDA_MAJOR_MIXED_PACKAGES",
    explained_by=("PYT001", "TOR001", "TOR002", "PKG001", "PKG002"),
)
def cuda_packages(
    packages: Packages, torch: Torch | None, torch_run: TorchRun | None, interpreter: Interpreter | None
) -> Findings:
    """No library of CUDA is installed for two majors of CUDA at once.

    nvidia-cudnn-cu12 and nvidia-cudnn-cu13 put their files under the same names into the same folder, as do the
    packages of NCCL, cuSPARSELt and NVSHMEM: the last one wins, and taking one away again takes the files of both. That
    is left behind when torch for CUDA 13 is installed over one for CUDA 12. cuRAND, cuSOLVER and NVTX share their files
    between CUDA 11 and 12 only. The other libraries (cuBLAS, the runtime) have names of their own for each major and
    may lie side by side.

    Measured by the names of the installed packages, and by torch's CUDA where it is known. Where torch was seen to work
    with CUDA it is no fault. Yellow: what was installed last may well be what torch needs.

    Source: the folders that torch/__init__.py loads its libraries from.

    ## Fix
    Take away those of the other major, then install those of torch's again, since the files are shared.
    """
    found = _shared(packages)
    major = _major(torch)
    mixed = {name: majors for name, majors in found.items() if len(majors) > 1}
    if major == 12 and not mixed and _has_cudnn13(packages):
        mixed = {"cudnn 9": found["cudnn 9"]}
    if major and _by_packages(packages):
        mixed |= {name: majors for name, majors in found.items() if major not in _majors(found, name)}
    names = ", ".join(line.partition("==")[0] for majors in mixed.values() for line in majors.values())
    values = {"names": names, "torch": torch.version if torch else "?", "major": major}
    if not found:
        yield not_applicable(Text("no such library of CUDA comes as a package here"))
    elif not mixed:
        yield ok(Text("each library of CUDA is there for one major"), observed=len(found))
    elif torch_run is not None and torch_run.cuda_available and torch_run.import_error is None:
        yield ok(Text("{names} are for different majors of CUDA, and torch works with CUDA", values))
    else:
        words = "{names} put their files into the same places"
        if all(len(majors) == 1 for majors in mixed.values()):
            words = "{names} is not for CUDA {major}, which torch {torch} was built for"
        yield warn(Text(words, values), fix=_fix(mixed, major, interpreter, packages), observed=names)


def _by_packages(packages: Packages) -> bool:
    """Whether torch takes its libraries of CUDA from NVIDIA's packages; conda's and the vendors' builds do not."""
    torch = (one for one in packages.distributions if canonicalize_name(one.name) == "torch")
    return any("nvidia-" in demand for one in torch for demand in one.requires)


def _has_cudnn13(packages: Packages) -> bool:
    """Whether cuDNN for CUDA 13 lies where a torch for CUDA 12 has its own: both sorts of packages are named.

    It loads cuBLAS and NVRTC of CUDA 13 by their names. NCCL needs none of them, and is left alone.
    """
    names = {str(canonicalize_name(one.name)) for one in packages.distributions}
    of_torch = any(re.fullmatch(r"nvidia-(?:cublas|cuda-runtime|cuda-nvrtc|cufft)-cu12", name) for name in names)
    versions = (one.version for one in packages.distributions if canonicalize_name(one.name) == "nvidia-cudnn-cu13")
    return of_torch and any(version.startswith("9.") for version in versions)


def _shared(packages: Packages) -> dict[str, dict[int, str]]:
    """Library and its own major -> CUDA major -> requirement: cuDNN 8 and 9 do not share a file name."""
    found: dict[str, dict[int, str]] = {}
    for one in packages.distributions:
        name = canonicalize_name(one.name)
        match = _NAME.fullmatch(name)
        if match:
            library = f"{match[1]} {1 if match[1] in _OF_CUDA else one.version.partition('.')[0]}"
            found.setdefault(library, {})[int(match[2])] = f"{name}=={one.version}"
    return found


def _majors(found: Mapping[str, Mapping[int, str]], library: str) -> set[int]:
    """For which majors of CUDA the library is there, in whatever version."""
    name = library.split()[0]
    return {major for one, majors in found.items() if one.split()[0] == name for major in majors}


def _major(torch: Torch | None) -> int | None:
    cuda = torch.cuda if torch and cuda_was_read(torch) else None
    return int(cuda.split(".")[0]) if cuda and cuda.split(".")[0].isdigit() else None


def _fix(
    mixed: dict[str, dict[int, str]], major: int | None, interpreter: Interpreter | None, packages: Packages
) -> Fix:
    python = interpreter.executable if interpreter else None
    alone = [f"nvidia-{name.split()[0]}-cu{major}" for name, majors in mixed.items() if len(majors) == 1]
    several = [majors for majors in mixed.values() if len(majors) > 1]
    keep = [*alone, *(majors.get(major or 0) or majors[max(majors)] for majors in several)]
    drop = [line.partition("==")[0] for majors in mixed.values() for line in majors.values() if line not in keep]
    return Fix(
        text=Text("take away what is not for torch's CUDA, then put the shared files back"),
        commands=(
            remove_line(python, drop, packages),
            install_line(python, keep, packages, ["--force-reinstall", "--no-deps"]),
        ),
        effort="install",
    )
