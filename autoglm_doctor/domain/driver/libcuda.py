"""Which libcuda programs get: the driver's own, or that of a cuda-compat package in front of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.wheels import driver_cuda, number
from autoglm_doctor.facts import Cuda, Driver, Environment, Host, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import Matrix

SWITCH, FOLDER = "VLLM_ENABLE_CUDA_COMPATIBILITY", "VLLM_CUDA_COMPATIBILITY_PATH"

#: .../cuda-13.0/compat, .../cuda-compat. In NVIDIA's own images .../cuda/compat/lib is a link that their entry point
#: makes only where it helps.
_PLACE = re.compile(r"(?:^|/)(?:cuda[^/]*/compat|cuda-compat[^/]*)/?$", re.IGNORECASE)
_ANYWHERE = re.compile(r"cuda[^:/]*/compat\b|cuda-compat", re.IGNORECASE)
_CUDA = re.compile(r"cuda-(?:compat-)?(\d+)[.-](\d+)")
#: Cards on which no other libcuda than the driver's own starts, by their names.
GEFORCE = re.compile(r"geforce|\bgtx\b|titan|\brtx ?(?:20|30|40|50)[5-9]0\b", re.IGNORECASE)
#: Folders of the driver itself: libcuda is found there before anything behind them.
_DRIVERS_OWN = ("/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64")


@dataclass(frozen=True, slots=True)
class Compat:
    """cuda-compat on the loader's path."""

    by: str  # the variable that puts it there
    folder: str  # "" when not known
    library: str = ""  # driver version of its libcuda, "580.95.05"
    cuda: str = ""  # the CUDA release that it is for


def in_front(environment: Environment | None, torch: Torch | None, intent: Intent) -> Compat | None:
    """What takes the place of the driver's libcuda; None when nothing does, as far as can be told."""
    variables = variables_of(environment, intent)
    found = environment.libraries if environment else None
    libraries = None if found is None else {library.path: library.version for library in found}
    if intent.engine == "vllm" and variables.get(SWITCH, "").strip().lower() in ("1", "true"):
        for folder in _vllm_folders(variables, torch):
            if libraries is None or f"{folder}/libcuda.so.1" in libraries:
                return _one(SWITCH, folder, libraries, torch)
    for entry in variables.get("LD_LIBRARY_PATH", "").split(":"):
        folder = entry.rstrip("/")
        has_driver = f"{folder}/libcuda.so.1" in (libraries or {})
        if _PLACE.search(folder):
            if libraries is None or has_driver:
                return _one("LD_LIBRARY_PATH", folder, libraries, None)
        elif has_driver or folder in _DRIVERS_OWN:
            return None
    return None


def _vllm_folders(variables: Mapping[str, str], torch: Torch | None) -> Iterator[str]:
    """Where vLLM looks, in its order (vllm/env_override.py); "" for the folder of a CUDA that is not known."""
    if variables.get(FOLDER):
        yield variables[FOLDER].rstrip("/")
    if variables.get("CONDA_PREFIX"):
        yield variables["CONDA_PREFIX"].rstrip("/") + "/cuda-compat"
    yield f"/usr/local/cuda-{torch.cuda}/compat" if torch is not None and torch.cuda else ""


def _one(by: str, folder: str, libraries: Mapping[str, str] | None, torch: Torch | None) -> Compat:
    named = _CUDA.search(folder)
    default = torch.cuda if torch is not None and torch.cuda else ""
    cuda = f"{named[1]}.{named[2]}" if named else default
    return Compat(by, folder, (libraries or {}).get(f"{folder}/libcuda.so.1", ""), cuda)


def forward_compatible(cuda: Cuda | None, environment: Environment | None, torch: Torch | None, intent: Intent) -> bool:
    """Whether the engine gets, or is asked to take, a libcuda of cuda-compat of which no more is known than that.

    One that has started says its CUDA itself (`in_use`). vLLM's switch acts later, inside vLLM only.
    """
    compat = in_front(environment, torch, intent)
    if compat is not None and compat.by == SWITCH:
        return True
    if cuda is not None and cuda.library:  # found with the deployment's own variables
        told = cuda.init_code == 0 and bool(cuda.driver_cuda_version)
        return not told and bool(_ANYWHERE.search(cuda.library))
    return bool(_ANYWHERE.search(variables_of(environment, intent).get("LD_LIBRARY_PATH", "")))


def in_use(driver: Driver, cuda: Cuda | None, matrix: Matrix) -> Driver:
    """The driver as programs meet it: with the CUDA of a libcuda that has started, where that is the newer one."""
    said = cuda.driver_cuda_version if cuda is not None and cuda.init_code == 0 else None
    found, has = number(said), number(driver_cuda(driver, matrix))
    newer = found is not None and (has is None or found > has)
    return dataclasses.replace(driver, cuda_version=said) if newer else driver


def foreign_cuda(driver: Driver | None, host: Host | None, matrix: Matrix) -> str:
    """The newest CUDA of the driver's branch, where it answers with a newer one; "" where it does not, or may.

    Branches that are not in the table, and the drivers of Windows and of a Jetson, are not known well enough.
    """
    if driver is None or (host is not None and (host.wsl or host.tegra or host.system != "Linux")):
        return ""
    version, says = number(driver.kernel_version or driver.version), number(driver.cuda_version)
    row = matrix.branches.get(str(version.major)) if version is not None else None
    newest = number(row.cuda) if row is not None else None
    return row.cuda if row and newest is not None and says is not None and says.release[:2] > newest.release[:2] else ""
