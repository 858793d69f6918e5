"""Which builds of torch and of the engines exist for a driver and a GPU: what an install line has to say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.conflicts import install_line, remove_line
from autoglm_doctor.facts import Driver, Gpu, Host, Interpreter, Packages
from autoglm_doctor.matrix import EngineRelease, Matrix
from autoglm_doctor.matrix.numbers import code_runs_on, cuda_of
from autoglm_doctor.matrix.numbers import line as line

#: Where torch's project keeps its builds for other CUDA releases than the default index has.
_INDEX = "https://download.pytorch.org/whl/{}"

#: From this release on the default index has a CUDA build for Arm as well (Requires-Dist of the wheels on PyPI: up to
#: 2.10 that for aarch64 asks for no CUDA library, that of 2.11 does).
_CUDA_ON_ARM = Version("2.11")

#: Before that: the builds for Arm on torch's own index. Lock files with 2.6.0+cu126 and 2.8.0+cu129;
#: github.com/vllm-project/vllm/issues/16502 (2.7); github.com/OpenRAL/openral/issues/88 (2.8 has no cu128, its
#: neighbours do); CUDA_AARCH64_ARCHES of torch's generate_binary_build_matrix.py (2.9, 2.10).
_ARM_BUILDS = {
    "2.6": ("cu126",),
    "2.7": ("cu128",),
    "2.8": ("cu129",),
    "2.9": ("cu126", "cu128", "cu130"),
    "2.10": ("cu126", "cu128", "cu130"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchChoice:
    """A requirement and the options that pip needs to find the right build of it."""

    requirement: str  # "torch==2.9.1"; of another index with its local part, "torch==2.9.1+cu126"
    options: tuple[str, ...]  # () or ("--extra-index-url", "..."): beside the indexes that the user has set up
    cuda: str  # "" when not known
    version: str = ""  # "2.9.1"; "" when not known


def number(version: str | None) -> Version | None:
    """A version, or None where it is none."""
    try:
        return Version(version or "")
    except InvalidVersion:
        return None


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
    said = driver.cuda_version.split(".")[0] if driver and driver.cuda_version else ""
    return max([*fitting, *([int(said)] if said.isdigit() else [])], default=None)


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
    python: str = "",
) -> TorchChoice | None:
    """The build of a torch version (None: the newest) for this machine; None when no build of any version runs.

    The default build is taken wherever it runs; another index is named only where it must be.
    """
    cards = tuple(gpu.compute_capability for gpu in gpus or ())
    target = Target(
        major=driver_major(driver, matrix),
        cuda=driver_cuda(driver, matrix) or "",
        capabilities=cards,
        machine=host.machine if host else "",
        python=line(python),
        driver=(driver.version if driver else "") or "",
    )
    return build_for(version, target, matrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a build of torch must run on; None, "" and () where it is not known, which rules out nothing."""

    major: int | None = None  # the newest CUDA major all of whose releases run on the driver
    cuda: str = ""  # the newest CUDA that the driver knows, "12.8"
    capabilities: tuple[str, ...] = ()
    machine: str = ""
    python: str = ""  # "3.12"
    driver: str = ""  # its version


def build_for(version: str | None, target: Target, matrix: Matrix) -> TorchChoice | None:
    """`torch_choice` for a machine that need not be this one."""
    wanted = version.split("+")[0] if version else _newest(target, matrix)
    if not matrix.torch_variants(wanted):  # a line that the table does not know
        return TorchChoice(requirement=f"torch=={wanted}", options=(), cuda="", version=wanted)
    tag = _build(wanted, target, matrix)
    if tag:
        return _choice(wanted, tag, target, matrix, pinned=version is not None)
    # Nothing of this version runs here: the newest release that has a build for it.
    for other in sorted(matrix.torch, key=Version, reverse=True):
        tag = _build(other, target, matrix) if _for_python(other, target, matrix) else ""
        if tag:
            return _choice(other, tag, target, matrix, pinned=True)
    return None


def _newest(target: Target, matrix: Matrix) -> str:
    fitting = [one for one in matrix.torch if _for_python(one, target, matrix)]
    return max(fitting or matrix.torch, key=Version)


def _for_python(version: str, target: Target, matrix: Matrix) -> bool:
    pythons = matrix.torch_pythons(version)
    return not target.python or not pythons or "cp" + target.python.replace(".", "") in pythons


def _choice(version: str, tag: str, target: Target, matrix: Matrix, *, pinned: bool) -> TorchChoice:
    cuda = cuda_of(tag)
    if tag == default_build(version, target.machine, matrix):
        return TorchChoice(
            requirement=f"torch=={version}" if pinned else "torch", options=(), cuda=cuda, version=version
        )
    return TorchChoice(requirement=f"torch=={version}+{tag}", options=index_of(tag), cuda=cuda, version=version)


def default_build(version: str, machine: str, matrix: Matrix) -> str:
    """The tag of the wheel that the default index has for a machine, "cu128"; "cpu" on Arm for older releases."""
    found = number(version)
    if machine == "aarch64" and found is not None and found < _CUDA_ON_ARM:
        return "cpu"
    return _default(version, matrix)


def _builds(version: str, machine: str, matrix: Matrix) -> tuple[str, ...]:
    """The CUDA builds of a torch for a machine, the oldest first."""
    found = number(version)
    if machine == "aarch64" and found is not None and found < _CUDA_ON_ARM:
        return _ARM_BUILDS.get(line(version), ())
    return matrix.torch_variants(version)


def arm_build(version: str, matrix: Matrix) -> str:
    """The build for Arm in the place of the default one, where that has no CUDA: of the same major; "" without one."""
    default = _default(version, matrix)
    major = cuda_of(default).partition(".")[0] if default != "cu" else ""
    same = [tag for tag in _builds(version, "aarch64", matrix) if cuda_of(tag).partition(".")[0] == major]
    return default if default in same else next(reversed(same), "")


def _default(version: str, matrix: Matrix) -> str:
    """The CUDA build of the default index on x86-64; of a release that is not in the table, that of its line."""
    same = [one for one in matrix.torch if line(one) == line(version)]
    cuda = matrix.torch_cuda(version) or (matrix.torch_cuda(same[-1]) if same else "")
    return "cu" + cuda.replace(".", "")


def _build(version: str, target: Target, matrix: Matrix) -> str:
    """The default build where it runs, else the newest within the driver's own CUDA, else the oldest of its major."""
    fitting = [tag for tag in _builds(version, target.machine, matrix) if _runs(version, tag, target, matrix)]
    default = _default(version, matrix)
    if default in fitting:
        return default
    known = number(target.cuda) or Version("0")
    within = [tag for tag in fitting if Version(cuda_of(tag)) <= known]
    return within[-1] if within else next(iter(fitting), "")


def _runs(version: str, tag: str, target: Target, matrix: Matrix) -> bool:
    """A build runs on the driver and has code for every GPU, as far as they are known."""
    if target.major is not None and Version(cuda_of(tag)).major > target.major:
        return False
    if any(matrix.drives(target.driver, card) is False for card in target.capabilities):
        return False
    return all(matrix.torch_has_code_for(version, card, tag) is not False for card in target.capabilities)


def line_has_code_for(version: str, card: str, matrix: Matrix) -> bool | None:
    """Whether any published build of a line of torch has code for a capability; None where that is not known."""
    answers = {matrix.torch_has_code_for(version, card, tag) for tag in matrix.torch_variants(version, sure=False)}
    return True if True in answers else False if answers == {False} else None


def index_of(tag: str) -> tuple[str, ...]:
    """The options for a build of torch's own index; a mirror that the user has set up stays in force beside it."""
    return "--extra-index-url", _INDEX.format(tag)


def torch_line(
    executable: str | None, requirements: Iterable[str], packages: Packages | None, options: tuple[str, ...] = ()
) -> str:
    """`install_line` for a choice of torch: uv has an option of its own, which leaves all else to the user's index."""
    said = install_line(executable, requirements, packages, options)
    return _by_uv(said) if said.startswith("uv ") else said


def _by_uv(said: str) -> str:
    return re.sub(r"--extra-index-url \S+/whl/(\w+)", r"--torch-backend \1", said)


def companion(version: str, options: tuple[str, ...], matrix: Matrix, machine: str = "") -> str:
    """The torchvision of a torch release, of the same index: "torchvision==0.28.0+cu126"; "torchvision" if unknown.

    For Arm the indexes hold it without such a tag (github.com/pytorch/vision/issues/9330).
    """
    row = matrix.torch_release(version)
    if row is None or not row.torchvision or (options and not _has_own_torchvision(version, matrix)):
        return "torchvision"
    tagged = options and machine != "aarch64"
    return f"torchvision=={row.torchvision}" + (f"+{options[-1].rpartition('/')[2]}" if tagged else "")


def _has_own_torchvision(version: str, matrix: Matrix) -> bool:
    """One that was made with this line of torch, and so for the same releases of CUDA."""
    row = matrix.torch_release(version)
    others = (one for one in matrix.torch.values() if line(one.version) != line(version))
    return row is not None and all(one.torchvision != row.torchvision for one in others)


def with_companion(choice: TorchChoice, matrix: Matrix) -> TorchChoice:
    """On another index: the newest release of the line that has a torchvision of its own there."""
    if not choice.options or _has_own_torchvision(choice.version, matrix):
        return choice
    same = [one for one in matrix.torch if line(one) == line(choice.version) and _has_own_torchvision(one, matrix)]
    if not same:
        return choice
    tag = choice.options[-1].rpartition("/")[2]
    return TorchChoice(
        requirement=f"torch=={same[-1]}+{tag}", options=choice.options, cuda=choice.cuda, version=same[-1]
    )


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
    choice = torch_choice(version, driver, gpus, host, matrix, interpreter.version if interpreter else "")
    if choice is None:
        return ()
    executable = interpreter.executable if interpreter else None
    install = torch_line(executable, [choice.requirement], packages, choice.options)
    if version is None:
        return (install,)
    # Removing it first: pip takes 2.9.1+cpu for 2.9.1, and --force-reinstall would move everything below it too.
    return remove_line(executable, ["torch"], packages), install


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
        plain_ptx = kind == "compute" and not suffix
        fits = chip <= gpu if plain_ptx else code_runs_on(f"{match[2]}.{match[3]}{suffix}", compute_capability)
        if fits and (kind == "sm" or not best):
            best = entry
    return best
