"""CUD: a libcuda of cuda-compat in the place of the driver's own."""

from __future__ import annotations

import re
from collections.abc import Mapping

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Judgement,
    Matrix,
    Text,
    Threshold,
    Toolchain,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.driver.libcuda import GEFORCE, SWITCH, Compat, foreign_cuda, in_front
from autoglm_doctor.domain.wheels import driver_cuda, line, number

SHADOWS, UNSUPPORTED = "CUDA_COMPAT_LIB_SHADOWS_DRIVER", "CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU"
_SOURCE = "https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html"

_WORKSTATION = re.compile(r"quadro|\bnvs\b|\brtx ?(?:pro|a?\d{3,4})\b|\bT\d{3,4}\b", re.IGNORECASE)


@check(
    "CUD004",
    "compat-library",
    cause=SHADOWS,
    explained_by=("DRV001", "DRV002", "CUD001"),
)
def compat_library(
    environment: Environment | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    torch: Torch | None,
    torch_run: TorchRun | None,
    toolchain: Toolchain | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """No cuda-compat stands in front of a driver that does not want it.

    The packages cuda-compat-X-Y hold the libcuda of a newer driver, so that an older one runs a newer CUDA. Set for
    good, by VLLM_ENABLE_CUDA_COMPATIBILITY=1 or a compat folder in LD_LIBRARY_PATH, it does harm: a libcuda that is
    older than the loaded driver ends with CUDA error 803, and GeForce cards refuse it with 804 (some with 803).
    NVIDIA supports it on data center cards, on some RTX cards for servers, and on Jetson.

    Judged by the version of that libcuda (the name of its file) against the driver; where it is not there to be seen,
    by the CUDA release in the folder's name and NVIDIA's table of packages and driver branches. A package of the
    driver's own branch stays open then: NVIDIA goes on publishing them with that branch's drivers
    (cuda-compat-13-0_580.178.04). Where CUDA really started with this path, it is no fault; vLLM's switch acts later,
    inside vLLM only.

    A driver that names a newer CUDA than its branch knows ("12.5" beside 545.23.08) shows the same without a path: its
    answer came from the libcuda of another package. Yellow, and red for a GeForce where the kernel module's version is
    known as well, or where that number was seen in a container. Not where CUDA starts, where that number is the one of
    nvcc, torch, the engine's wheels or the image, on WSL, on a Jetson, and on data center cards, for which it is made.

    ## Fix

    Unset it: a driver of the same CUDA major needs no cuda-compat. Where no variable sets it, take the package out, or
    switch off the hook of the container toolkit.
    """
    compat = in_front(environment, torch, intent)
    if compat is None:
        works = (cuda is not None and cuda.init_code == 0) or (torch_run is not None and torch_run.cuda_available)
        others = {line(one or "") for one in (toolchain and toolchain.nvcc_version, torch and torch.cuda)}
        newest = "" if works else foreign_cuda(driver, host, matrix)
        if newest and driver is not None and line(driver.cuda_version or "") not in others:
            yield _foreign(newest, driver, gpus_of(gpus, cuda, environment, intent))
        elif environment is None:
            yield unknown(Text("the variables were not read, and nothing else tells of a cuda-compat"))
        else:
            yield not_applicable(Text("no cuda-compat on the loader's path"))
    elif compat.by != SWITCH and _starts(cuda, torch_run):
        yield ok(Text("CUDA starts with {folder} on the loader's path", {"folder": compat.folder}))
    else:
        taken = gpus_of(gpus, cuda, environment, intent)
        yield _judge(compat, driver, taken, matrix)


def _starts(cuda: Cuda | None, run: TorchRun | None) -> bool:
    """With this very path."""
    return (cuda is not None and cuda.init_code == 0 and bool(cuda.devices)) or (run is not None and run.cuda_available)


def _foreign(newest: str, driver: Driver, gpus: tuple[Gpu, ...] | None) -> Judgement:
    names = [gpu.name for gpu in gpus or ()]
    geforce = next((name for name in names if GEFORCE.search(name)), "")
    said = {"driver": driver.version or "", "cuda": driver.cuda_version or "", "newest": newest, "gpu": geforce}
    said |= {"by": "", "library": ""}
    words = "driver {driver} knows CUDA {newest} at most and answers {cuda}: the libcuda of another package is in front"
    if geforce and driver.kernel_version:
        return _red(words + ", which {gpu} does not support (CUDA error 803 or 804)", said, UNSUPPORTED)
    if names and not geforce:
        return unknown(Text(words + ", as it may be on this GPU", said))
    return warn(
        Text(words + " (or the number is a toolkit's)", said),
        fix=_REMOVE,
        observed=driver.cuda_version,
        expected=f"<={newest}",
        threshold=Threshold(value=newest, unit="CUDA", source=_SOURCE),
    )


def _judge(compat: Compat, driver: Driver | None, gpus: tuple[Gpu, ...] | None, matrix: Matrix) -> Judgement:
    names = [gpu.name for gpu in gpus or ()]
    geforce = next((name for name in names if GEFORCE.search(name)), "")
    station = next((name for name in names if _WORKSTATION.search(name)), "")
    version = (driver.version if driver else None) or ""
    said = {
        "by": compat.by,
        "library": compat.library,
        "cuda": compat.cuda,
        "driver": version,
        "gpu": geforce or station,
    }
    text = "{by} puts cuda-compat before the driver's own libcuda"
    age = _against_driver(compat, driver, matrix)
    if age == "older":
        of = " ({library})" if compat.library else " (for CUDA {cuda})"
        return _red(text + of + ": it is older than driver {driver}, and CUDA ends with error 803", said, SHADOWS)
    if age == "same":
        return ok(Text("{by} puts a cuda-compat of the driver's own version first", said))
    if geforce and age == "newer":
        return _red(text + ": {gpu} does not support it (CUDA error 804)", said, UNSUPPORTED)
    if geforce or (station and not age and _knows_newest_major(driver, matrix)):
        words = ": {gpu} is no data center card, and CUDA ends with error 803 or 804"
        return _red(text + words, said, SHADOWS)
    if age == "newer" and gpus and not station:
        return ok(Text("{by} puts a cuda-compat first that is newer than driver {driver}, as it is meant", said))
    return unknown(Text(text + "; whether it runs over this driver and GPU is not known", said))


def _against_driver(compat: Compat, driver: Driver | None, matrix: Matrix) -> str:
    """ "older", "same" or "newer" than the driver; "" when that is not known."""
    said = (driver.kernel_version or driver.version) if driver else None
    version, library = number(said), number(compat.library)
    if said is None or version is None:
        return ""
    if library is not None:
        return "older" if library < version else "same" if library == version else "newer"
    mark = matrix.compat_package(compat.cuda, said) if compat.cuda else None
    if mark == "not needed":  # of the driver's own branch, and such packages go on being published with its drivers
        return ""
    if mark is not None:
        return "older" if mark == "not" else "newer"
    return _by_cuda(compat.cuda, matrix.newest_cuda(said))


def _by_cuda(cuda: str, newest: str) -> str:
    has, wants = number(newest), number(cuda)
    if has is None or wants is None or has == wants:
        return ""
    return "older" if wants < has else "newer"


def _knows_newest_major(driver: Driver | None, matrix: Matrix) -> bool:
    """The driver runs every CUDA there is, by its major: cuda-compat has nothing to give it."""
    has = number(driver_cuda(driver, matrix) or "") if driver is not None else None
    return has is not None and has.major >= max(int(major) for major in matrix.cuda_majors)


#: No variable puts it in front: the loader's own list does, of a package or by the toolkit's hook (from 1.17.5 on).
_REMOVE = (
    Fix(
        text=Text("take the package with the other libcuda out; in a container, out of its image"),
        commands=("ldconfig -p | grep libcuda.so", "sudo apt-get remove -y 'cuda-compat-*'", "sudo ldconfig"),
        needs_root=True,
    ),
    Fix(
        text=Text("or, on the host of a container, keep the container toolkit from putting it in front"),
        commands=(
            "sudo nvidia-ctk config --in-place --set features.disable-cuda-compat-lib-hook=true",
            "sudo systemctl restart docker",
        ),
        effort="restart",
        needs_root=True,
        url="https://github.com/NVIDIA/nvidia-container-toolkit/pull/1082",
    ),
)


def _off(by: str) -> tuple[Fix, ...]:
    if not by:
        return _REMOVE
    without = "export LD_LIBRARY_PATH=$(echo $LD_LIBRARY_PATH | tr : '\\n' | grep -v compat | paste -sd:)"
    text = Text("let the driver's own libcuda be found; in a container, take the variable out of its start")
    return (Fix(text=text, commands=(f"unset {by}" if by == SWITCH else without,)),)


def _red(words: str, said: Mapping[str, str], cause: str) -> Judgement:
    return fail(
        Text(words, said),
        fix=_off(said["by"]),
        cause=cause,
        observed=said["library"] or said["cuda"] or None,
        expected=said["driver"] or None,
        threshold=Threshold(value=said["driver"] or None, unit="driver", source=_SOURCE),
    )
