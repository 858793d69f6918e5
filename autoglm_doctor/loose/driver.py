"""`driver_version`, `driver_branch`, `cuda_driver_version` -> the driver, and what CUDA said at its start."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.wheels import driver_cuda
from autoglm_doctor.facts import Cuda, Driver, Reading, Torch, TorchRun, known
from autoglm_doctor.loose.values import first, number, text, version
from autoglm_doctor.matrix import Matrix

#: cuInit on a machine whose NVLink switches are not set up yet (cuda.h, CUDA_ERROR_SYSTEM_NOT_READY).
_NOT_READY = 802

#: What NVML calls a fabric that is set up (nvml.h, NVML_GPU_FABRIC_STATE_COMPLETED), or one that there is none of.
_FABRIC_READY = re.compile(r"completed|n/?a|not supported|none", re.IGNORECASE)


def read_driver(facts: Mapping[str, Any], matrix: Matrix) -> Reading[Driver] | None:
    """The driver as far as it is stated; None when nothing is."""
    stated = version(first(facts, "driver_version", "driver"))
    newest = version(facts.get("cuda_driver_version")) or None
    branch = _branch(facts)
    if branch and not stated:
        # Its oldest release would be meant by the bare number; what its libcuda knows holds for all of the branch.
        stated, newest = branch, newest or matrix.driver_branches.get(branch)
    kernel = version(first(facts, "kernel_module_version", "driver_kernel_version")) or None
    library = version(first(facts, "driver_library_version", "nvml_library_version")) or None
    if not (stated or newest or kernel or library):
        return None
    driver = Driver(
        version=stated or kernel or library, kernel_version=kernel, library_version=library, cuda_version=newest
    )
    return known(driver, source="stated")


def seen_to_work(
    driver: Reading[Driver] | None, torch: Torch | None, run: TorchRun | None, matrix: Matrix
) -> Reading[Driver] | None:
    """The driver, whose libcuda knows at least the CUDA major of a torch that sees CUDA, whatever its version says.

    So it is with a forward-compatibility package.
    """
    if driver is None or driver.value is None or torch is None or torch.cuda is None or run is None:
        return driver
    one, major = driver.value, torch.cuda.partition(".")[0]
    newest = one.cuda_version or driver_cuda(one, matrix) or "0"
    knows = int(newest.partition(".")[0])
    if not major.isdigit() or (one.cuda_version and knows >= int(major)):
        return driver
    cuda = newest if knows >= int(major) else f"{major}.0"
    return dataclasses.replace(driver, value=dataclasses.replace(one, cuda_version=cuda))


def _branch(facts: Mapping[str, Any]) -> str:
    said = first(facts, "driver_branch", "driver")
    match = re.search(r"\b(\d{3})(?:\.?xx)?\b", str(said)) if said is not None and not version(said) else None
    return match[1] if match else ""


def read_cuda(facts: Mapping[str, Any]) -> Reading[Cuda] | None:
    """How cuInit ended, where a code is stated or follows from the state of the fabric; None when not known."""
    code = number(first(facts, "cuda_init_code", "cuda_error_code", "cuda_error"))
    fabric = text(facts.get("fabric_state"))
    if code is None and fabric and not _FABRIC_READY.fullmatch(fabric):
        code = _NOT_READY
    if code is None or code == 0:
        return None
    library = text(first(facts, "libcuda_path", "libcuda")) or None
    return known(Cuda(library=library, init_code=int(code)), source="stated")
