"""Which builds of torch and of the engines exist for a driver and a GPU: what an install line has to say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.conflicts import install_line
from autoglm_doctor.facts import Driver, Gpu, Host, Interpreter, Packages
from autoglm_doctor.matrix import EngineRelease, Matrix

#: CUDA releases that torch is built for on Linux x86-64, the one that a plain `pip install torch` takes last.
#: From the local versions of its published wheels and the CUDA runtime that the default wheel requires.
TORCH_BUILDS: Mapping[str, tuple[str, ...]] = {
    "2.3": ("11.8", "12.1"),
    "2.4": ("11.8", "12.4", "12.1"),
    "2.5": ("11.8", "12.1", "12.4"),
    "2.6": ("11.8", "12.6", "12.4"),
    "2.7": ("11.8", "12.8", "12.6"),
    "2.8": ("12.6", "12.9", "12.8"),
    "2.9": ("12.6", "13.0", "12.8"),
    "2.10": ("12.6", "13.0", "12.8"),
    "2.11": ("12.6", "12.8", "12.9", "13.0"),
    "2.12": ("12.6", "13.2", "13.0"),
    "2.13": ("12.6", "13.2", "13.0"),
    "2.14": ("12.6", "13.2", "13.0"),
    "2.15": ("13.0", "13.2"),
}

#: GPUs older than this have lost their code in builds for CUDA 12.8 and newer; those for 12.6 keep it.
_OLD_GPU = (7, 5)
_NEW_GPU = (10, 0)

_INDEX = "https://download.pytorch.org/whl/cu{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchChoice:
    """A requirement and the options that pip needs to find the right build of it."""

    requirement: str  # "torch==2.9.1"
    options: tuple[str, ...]  # () or ("--index-url", "...")
    cuda: str  # "" when not known


def number(version: str | None) -> Version | None:
    """A version, or None where it is none."""
    try:
        return Version(version or "")
    except InvalidVersion:
        return None


def line(version: str) -> str:
    """The release line of a version, "2.9"."""
    return ".".join(version.split("+")[0].split(".")[:2])


def driver_cuda(driver: Driver | None, matrix: Matrix) -> str | None:
    """The newest CUDA release that the driver knows: as it says itself, else by its branch; None when not known."""
    if driver is None:
        return None
    if driver.cuda_version:
        return driver.cuda_version
    branch = (driver.version or "").split(".")[0]
    known = [(int(key), cuda) for key, cuda in matrix.driver_branches.items()]
    fitting = [pair for pair in known if branch.isdigit() and pair[0] <= int(branch)]
    return max(fitting)[1] if fitting else None


def driver_major(driver: Driver | None, matrix: Matrix) -> int | None:
    """The newest CUDA major all of whose releases run on the driver; None when not known."""
    version = number(driver.version) if driver else None
    if version is None:
        cuda = driver_cuda(driver, matrix)
        return int(cuda.split(".")[0]) if cuda else None
    fitting = [int(m) for m, row in matrix.cuda_majors.items() if Version(row.minimum_driver) <= version]
    return max(fitting, default=None)


def capability(text: str) -> tuple[int, int]:
    """ "8.9" as (8, 9)."""
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def oldest_gpu(gpus: Iterable[Gpu] | None) -> tuple[int, int] | None:
    """The smallest compute capability; None without a GPU."""
    return min((capability(gpu.compute_capability) for gpu in gpus or ()), default=None)


def torch_choice(
    version: str | None,
    driver: Driver | None,
    gpus: Iterable[Gpu] | None,
    host: Host | None,
    matrix: Matrix,
) -> TorchChoice:
    """The build of a torch version (None: the newest) for this machine.

    The default build is taken wherever it runs; another index is named only where it must be.
    """
    wanted = version.split("+")[0] if version else None
    builds = TORCH_BUILDS.get(line(wanted)) if wanted else TORCH_BUILDS[max(TORCH_BUILDS, key=Version)]
    requirement = f"torch=={wanted}" if wanted else "torch"
    if not builds:
        return TorchChoice(requirement=requirement, options=(), cuda="")
    cuda = _build(builds, driver, gpus, matrix)
    if cuda is None:  # nothing of this version runs on the driver: the newest line that has a build for it
        return _older_torch(driver, matrix)
    default_is_cpu = (
        host is not None and host.machine == "aarch64" and bool(wanted) and Version(wanted or "0") < Version("2.11")
    )
    if cuda == builds[-1] and not default_is_cpu:
        return TorchChoice(requirement=requirement, options=(), cuda=cuda)
    return TorchChoice(requirement=requirement, options=_index(cuda), cuda=cuda)


def _build(builds: tuple[str, ...], driver: Driver | None, gpus: Iterable[Gpu] | None, matrix: Matrix) -> str | None:
    major, oldest = driver_major(driver, matrix), oldest_gpu(gpus)
    if oldest is not None and oldest < _OLD_GPU and "12.6" in builds and builds[-1] not in ("11.8", "12.1", "12.4"):
        return "12.6" if major is None or major >= 12 else None
    if major is None or int(builds[-1].split(".")[0]) <= major:
        return builds[-1]
    fitting = [cuda for cuda in builds if int(cuda.split(".")[0]) <= major]
    known = Version(driver_cuda(driver, matrix) or "0")
    within = [cuda for cuda in fitting if Version(cuda) <= known]
    if oldest is not None and oldest >= _NEW_GPU:  # builds for less than CUDA 12.8 have no code for Blackwell
        return max((c for c in fitting if Version(c) >= Version("12.8")), key=Version, default=None)
    return max(within, key=Version, default=min(fitting, key=Version, default=None))


def _older_torch(driver: Driver | None, matrix: Matrix) -> TorchChoice:
    major = driver_major(driver, matrix) or 0
    for name in sorted(TORCH_BUILDS, key=Version, reverse=True):
        fitting = [cuda for cuda in TORCH_BUILDS[name] if int(cuda.split(".")[0]) <= major]
        if fitting:
            cuda = max(fitting, key=Version)
            is_default = cuda == TORCH_BUILDS[name][-1]
            return TorchChoice(requirement=f"torch=={name}.*", options=() if is_default else _index(cuda), cuda=cuda)
    return TorchChoice(requirement="torch", options=(), cuda="")


def _index(cuda: str) -> tuple[str, ...]:
    return "--index-url", _INDEX.format(cuda.replace(".", ""))


def engine_rows(
    engine: str, driver: Driver | None, gpus: Iterable[Gpu] | None, matrix: Matrix
) -> tuple[EngineRelease, ...]:
    """The rows of an engine that the driver's CUDA and the GPUs allow; what is not known forbids nothing."""
    major, oldest = driver_major(driver, matrix), oldest_gpu(gpus)
    return tuple(
        row
        for row in matrix.engines.get(engine, ())
        if (major is None or row.cuda_major <= major)
        and (oldest is None or capability(row.minimum_capability) <= oldest)
    )


def engine_requirement(engine: str, driver: Driver | None, gpus: Iterable[Gpu] | None, matrix: Matrix) -> str:
    """The newest release of an engine that runs here, as pip takes it: "vllm" or "vllm<0.20"."""
    rows = matrix.engines.get(engine, ())
    allowed = engine_rows(engine, driver, gpus, matrix)
    if not allowed or allowed[-1] == rows[-1]:
        return engine
    first_too_new = rows[rows.index(allowed[-1]) + 1].since
    return f"{engine}<{first_too_new.removesuffix('.0')}"


def torch_lines(
    version: str | None,
    interpreter: Interpreter | None,
    packages: Packages | None,
    driver: Driver | None,
    gpus: Iterable[Gpu] | None,
    host: Host | None,
    matrix: Matrix,
) -> tuple[str, ...]:
    """The lines that put the right build of torch in the place of the one that is there."""
    choice = torch_choice(version, driver, gpus, host, matrix)
    executable = interpreter.executable if interpreter else None
    install = install_line(executable, [choice.requirement], packages, choice.options)
    remove = install_line(executable, ["torch"], packages).replace(" install ", " uninstall ", 1)
    if version is None:
        return (install,)
    # Removing it first: pip takes 2.9.1+cpu for 2.9.1, and --force-reinstall would move everything below it too.
    return (remove.replace(" uninstall ", " uninstall -y ", 1) if " -m pip " in remove else remove, install)


def runs_on(compute_capability: str, listed: Iterable[str]) -> str:
    """The entry of a list of architectures that runs on a GPU, compiled code before PTX; "" when there is none."""
    gpu = capability(compute_capability)
    best = ""
    for entry in listed:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", entry)
        if match is None:
            continue
        kind, chip, suffix = match[1], (int(match[2]), int(match[3])), match[4]
        same_family = chip[0] == gpu[0] and chip[1] <= gpu[1]
        fits = chip == gpu if suffix == "a" else same_family if kind == "sm" or suffix == "f" else chip <= gpu
        if fits and (kind == "sm" or not best):
            best = entry
    return best
