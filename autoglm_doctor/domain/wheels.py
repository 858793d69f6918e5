"""Which builds of torch and of the engines exist for a driver and a GPU: what an install line has to say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
#: GPUs from Blackwell on have no code in builds for less than CUDA 12.8.
_NEW_GPU, _NEW_CUDA = (10, 0), Version("12.8")
#: Older ones (Kepler) have lost their code in every build of the table: torch's builds for CUDA 11.8 begin with sm_50.
_OLDEST_GPU = (5, 0)

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


def capability(text: str) -> tuple[int, int] | None:
    """ "8.9" as (8, 9); None where it is no compute capability."""
    match = re.fullmatch(r"(\d+)(?:\.(\d+))?", text.strip())
    return (int(match[1]), int(match[2] or 0)) if match else None


def capabilities(gpus: Iterable[Gpu] | None) -> list[tuple[int, int]]:
    """Those that are known, the smallest first."""
    return sorted(one for one in (capability(gpu.compute_capability) for gpu in gpus or ()) if one is not None)


def oldest_gpu(gpus: Iterable[Gpu] | None) -> tuple[int, int] | None:
    """The smallest compute capability; None without a GPU, or where none is known."""
    return next(iter(capabilities(gpus)), None)


def torch_choice(
    version: str | None,
    driver: Driver | None,
    gpus: Iterable[Gpu] | None,
    host: Host | None,
    matrix: Matrix,
) -> TorchChoice | None:
    """The build of a torch version (None: the newest) for this machine; None when no build of any version runs.

    The default build is taken wherever it runs; another index is named only where it must be.
    """
    gpus = tuple(gpus or ())
    wanted = version.split("+")[0] if version else None
    builds = TORCH_BUILDS.get(line(wanted)) if wanted else TORCH_BUILDS[max(TORCH_BUILDS, key=Version)]
    requirement = f"torch=={wanted}" if wanted else "torch"
    if not builds:
        return TorchChoice(requirement=requirement, options=(), cuda="")
    cuda = _build(builds, driver, gpus, matrix)
    if cuda is None:  # nothing of this version runs here: the newest line that has a build for it
        return _older_torch(driver, gpus, matrix)
    default_is_cpu = (
        host is not None and host.machine == "aarch64" and bool(wanted) and Version(wanted or "0") < Version("2.11")
    )
    if cuda == builds[-1] and not default_is_cpu:
        return TorchChoice(requirement=requirement, options=(), cuda=cuda)
    return TorchChoice(requirement=requirement, options=_index(cuda), cuda=cuda)


def _build(builds: tuple[str, ...], driver: Driver | None, gpus: Iterable[Gpu], matrix: Matrix) -> str | None:
    """The default build where it runs, else the newest within the driver's own CUDA, else the oldest of its major."""
    major, cards = driver_major(driver, matrix), capabilities(gpus)
    fitting = [cuda for cuda in builds if _runs(Version(cuda), major, cards)]
    if builds[-1] in fitting:
        return builds[-1]
    known = Version(driver_cuda(driver, matrix) or "0")
    within = [cuda for cuda in fitting if Version(cuda) <= known]
    return max(within, key=Version, default=min(fitting, key=Version, default=None))


def _runs(cuda: Version, major: int | None, cards: Sequence[tuple[int, int]]) -> bool:
    """A build for this CUDA runs on the driver and has code for every GPU, as far as they are known."""
    if major is not None and cuda.major > major:
        return False
    if not cards:
        return True
    too_old = cards[0] < _OLDEST_GPU or (cards[0] < _OLD_GPU and cuda >= _NEW_CUDA)
    return not too_old and (cards[-1] < _NEW_GPU or cuda >= _NEW_CUDA)


def _older_torch(driver: Driver | None, gpus: Iterable[Gpu], matrix: Matrix) -> TorchChoice | None:
    for name in sorted(TORCH_BUILDS, key=Version, reverse=True):
        cuda = _build(TORCH_BUILDS[name], driver, gpus, matrix)
        if cuda is not None:
            is_default = cuda == TORCH_BUILDS[name][-1]
            return TorchChoice(requirement=f"torch=={name}.*", options=() if is_default else _index(cuda), cuda=cuda)
    return None


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
        if (major is None or row.cuda_major <= major) and (oldest is None or not _below(oldest, row))
    )


def _below(card: tuple[int, int], row: EngineRelease) -> bool:
    minimum = capability(row.minimum_capability)
    return minimum is not None and card < minimum


def engine_requirement(engine: str, driver: Driver | None, gpus: Iterable[Gpu] | None, matrix: Matrix) -> str | None:
    """The newest release of an engine that runs here, as pip takes it: "vllm" or "vllm<0.20"; None: no release does."""
    rows = matrix.engines.get(engine, ())
    if not rows:
        return engine
    allowed = engine_rows(engine, driver, gpus, matrix)
    if not allowed:
        return None
    if allowed[-1] == rows[-1]:
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
    """The lines that put the right build of torch in the place of the one that is there; () when none would run."""
    choice = torch_choice(version, driver, gpus, host, matrix)
    if choice is None:
        return ()
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
    if gpu is None:
        return best
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
