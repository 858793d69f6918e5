"""`driver_version`, `cuda_driver_version`, `nvml_error` -> the driver, and what NVML and CUDA said at their start."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.wheels import driver_cuda, line, number
from autoglm_doctor.facts import Cuda, Driver, Reading, Torch, TorchRun, known
from autoglm_doctor.loose.container import cuda_of_image, image_engine
from autoglm_doctor.loose.start import cuda_code, nvml_words
from autoglm_doctor.loose.values import first, table, text, version
from autoglm_doctor.matrix import Matrix

#: What nvidia-smi shows inside a container: the CUDA of the libcuda there.
_SHOWN = "cuda_version_shown_in_container"
#: The CUDA that the driver knows. By cuda_version_in_container and the like most mean the toolkit of the image.
_CUDA_OF_DRIVER = (_SHOWN, "cuda_driver_version", "nvidia_smi_cuda_version")


def read_driver(facts: Mapping[str, Any], matrix: Matrix) -> Reading[Driver] | None:
    """The driver as far as it is stated; None when nothing is."""
    stated = version(first(facts, "driver_version", "driver"))
    newest = _newest(facts, stated, matrix)
    branch = _branch(facts)
    if branch and not stated:
        # Its oldest release would be meant by the bare number; what its libcuda knows holds for all of the branch.
        stated, newest = branch, newest or matrix.driver_branches.get(branch)
    kernel = version(first(facts, "kernel_module_version", "driver_kernel_version")) or None
    if stated and facts.get(_SHOWN) is not None:
        kernel = kernel or stated  # there the host's kernel module and the container's libcuda are told apart
    library = version(first(facts, "driver_library_version", "nvml_library_version")) or None
    code, said = nvml_words(facts)
    if not (stated or newest or kernel or library or code):
        return None
    driver = Driver(
        version=stated or kernel or library,
        kernel_version=kernel,
        library_version=library,
        cuda_version=newest,
        nvml_code=code,
        nvml_error=said or None,
    )
    return known(driver, source="stated")


def _newest(facts: Mapping[str, Any], driver: str, matrix: Matrix) -> str | None:
    """The CUDA that the driver knows, by the first key whose number is not that of something else.

    What was shown in the container counts whatever has the same number: an image's cuda-compat has its toolkit's.
    """
    for key in _CUDA_OF_DRIVER:
        says = version(facts.get(key))
        if not says:
            continue
        return None if key == "cuda_driver_version" and _is_anothers(says, facts, driver, matrix) else says
    return None


def _is_anothers(says: str, facts: Mapping[str, Any], driver: str, matrix: Matrix) -> bool:
    """The driver's CUDA is one that its branch does not know yet, and the number of something else that is stated.

    Who wrote it down mixed them up.
    """
    stated, newest = number(says), number(matrix.newest_cuda(driver))
    if stated is None or newest is None:
        return False
    is_newer = stated.major == newest.major and stated > newest
    return is_newer and line(says) in _cuda_of_others(facts, matrix)


def _cuda_of_others(facts: Mapping[str, Any], matrix: Matrix) -> set[str]:
    """CUDA releases of the toolkit, the image, and the wheels of torch and the engine."""
    container, listed = facts.get("container"), table(facts.get("packages"))
    found = {line(version(facts.get("cuda_toolkit"))), *cuda_of_image(container)}
    name, tagged = image_engine(container)
    said = text(facts.get("engine"))
    torches = [version(facts.get("torch")), version(listed.get("torch"))]
    for engine in ("vllm", "sglang"):
        own = tagged if engine == name else version(said) if engine in said.lower() else ""
        release = version(listed.get(engine)) or own
        row = matrix.engine_release(engine, release) if release else None
        torches.append(row.torch if row else "")
        found.add(matrix.image_cuda(engine, release) if release else "")
    return {one for one in (*found, *(matrix.torch_cuda(torch) for torch in torches if torch)) if one}


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
    code = cuda_code(facts)
    if not code:
        return None
    library = text(first(facts, "libcuda_path", "libcuda")) or None
    return known(Cuda(library=library, init_code=code), source="stated")
