"""SGLang's kernels that were built for a newer CUDA than torch: they run where the system has its libraries."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from autoglm_doctor.api import (
    Distribution,
    Environment,
    Fix,
    Interpreter,
    Judgement,
    Packages,
    Text,
    Toolchain,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.compiled import FIRST_FOR_CUDA_13, KERNELS
from autoglm_doctor.domain.conflicts import install_line, installed_version, remove_line
from autoglm_doctor.domain.wheels import number

#: What the local version of a wheel says: "2.8.3+cu12torch2.8cxx11abiTRUE".
CUDA = re.compile(r"cu(\d{2})\d{0,2}(?!\d)")
TORCH = re.compile(r"(?:torch|pt)(\d)\.?(\d{1,2})(?!\d)")
ABI = re.compile(r"cxx11abi(true|false)", re.IGNORECASE)


def marks(one: Distribution) -> str:
    """What the local version says of torch or CUDA; "" when it says nothing."""
    local = one.version.partition("+")[2]
    return local if any(mark.search(local) for mark in (CUDA, TORCH, ABI)) else ""


def is_for_newer_cuda(one: Distribution, cuda: str) -> bool:
    """SGLang's kernels alone: they link none of torch's CUDA libraries, and take the system's."""
    said = CUDA.search(marks(one))
    return bool(cuda and said and canonicalize_name(one.name) in KERNELS and int(said[1]) > int(cuda.split(".")[0]))


def with_newer_cuda(
    one: Distribution,
    here: str,
    packages: Packages,
    toolchain: Toolchain | None,
    python: Interpreter | None,
    *,
    is_open: bool,
) -> Judgement:
    """Seen to run: 0.3.21+cu130 beside torch 2.9.1+cu129 on a GB10 (github.com/mmcdermott/MEDS_EIC_AR/issues/163)."""
    major = _major(one)
    values = {"name": f"{one.name} {one.version}", "major": major, "torch": here}
    places = (toolchain.nvcc_version, toolchain.cuda_home.rpartition("cuda-")[2]) if toolchain else ()
    if any(place.split(".")[0] == major for place in places):
        text = Text("{name} takes the libraries of CUDA {major} that are here; this is torch {torch}", values)
        return ok(text, subject="torch", observed=one.version)
    text = Text("{name} needs the libraries of CUDA {major}, which torch {torch} does not bring", values)
    # A toolkit of which no release is told may be of that CUDA.
    if is_open or (toolchain is not None and toolchain.nvcc and not toolchain.nvcc_version):
        return unknown(text, subject="torch")
    fix = Fix(
        text=Text("install kernels and torch for one and the same CUDA"),
        commands=_of_one_cuda(one, python.executable if python else None, packages),
        effort="install",
    )
    return warn(text, fix=fix, subject="torch", observed=one.version, expected=f"CUDA {major}")


def _major(one: Distribution) -> str:
    """The major of CUDA that it was built for, "13"; "" where its version does not tell."""
    said = CUDA.search(marks(one))
    return said[1] if said else ""


def may_have(one: Distribution, packages: Packages, environment: Environment | None) -> bool:
    """Where libraries of its CUDA lie beside torch's: whether they are found is open.

    sgl_kernel looks for the runtime in CUDA_HOME and in the system's folders, and never among Python's packages
    (_preload_cuda_library in its load_utils.py); the loader goes through LD_LIBRARY_PATH.
    """
    major, folders = _major(one), environment.variables.get("LD_LIBRARY_PATH", "") if environment else ""
    runtime = installed_version(packages, "nvidia-cuda-runtime") or ""
    # "/usr/local/cuda" is whatever toolkit was installed last.
    named = re.search(rf"/(?:cuda-?|cu){major}(?!\d)|/cuda(?:/|:|$)", folders)
    return named is not None or runtime.split(".")[0] == major


def _of_one_cuda(one: Distribution, executable: str | None, packages: Packages) -> tuple[str, ...]:
    """PyPI's kernels were for CUDA 12 once; since they are for CUDA 13, so is its torch that goes with them."""
    version = one.version.partition("+")[0]
    if (number(version) or FIRST_FOR_CUDA_13) < FIRST_FOR_CUDA_13:
        pin = f"{canonicalize_name(one.name)}=={version}"
        return (install_line(executable, [pin], packages, ["--force-reinstall", "--no-deps"]),)
    torch = (installed_version(packages, "torch") or "").partition("+")[0]
    wanted = f"torch=={torch}" if torch else "torch"
    return remove_line(executable, ["torch"], packages), install_line(executable, [wanted], packages)
