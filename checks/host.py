"""The operating system: an engine runs on it, and its C library is new enough for the wheels."""

from __future__ import annotations

from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Judgement,
    KernelLibrary,
    Matrix,
    ModelFiles,
    Packages,
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
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.engine_images import image_line
from autoglm_doctor.domain.kernels import PACKAGES
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import number

#: torch's wheels from 2.7 on are tagged manylinux_2_28; the newest symbols in their libraries agree.
FIRST_TORCH, GLIBC = "2.7", "2.28"

IN_WSL = Fix(
    text=Text("run the engine in WSL 2, in a container there, or on a Linux machine"),
    commands=("wsl.exe --install -d Ubuntu-24.04",),
    effort="install",
)
ON_LINUX = Fix(
    text=Text("run the engine on a Linux machine with an NVIDIA GPU, and only the client here"),
    commands=("ssh USER@LINUX-MACHINE autoglm-doctor check",),
    effort="hardware",
)
TRANSFORMERS = Fix(
    text=Text("judge for transformers, which runs natively"),
    commands=("autoglm-doctor check --engine transformers",),
    effort="flag",
)


@check("HST001", "os-supported", cause="OS_UNSUPPORTED_BY_ENGINE")
def os_supported(host: Host, intent: Intent) -> Findings:
    """The engine runs on this operating system.

    vLLM and SGLang are made for Linux: they publish no wheels with GPU code for Windows or macOS, and on native Windows
    a start ends at uvloop or at a missing kernel. transformers runs on all three.

    Source: the wheels that the two engines publish.

    ## Fix

    Windows: WSL 2. macOS: a Linux machine as the server.
    """
    said = {"system": host.system, "engine": intent.engine, "machine": host.machine}
    if intent.engine == "transformers":
        yield ok(Text("transformers runs on {system}", said), observed=host.system)
    elif host.system == "Linux":
        yield ok(Text("{engine} runs on {system} {machine}", said), observed=host.system, expected="Linux")
    else:
        first = IN_WSL if host.system == "Windows" else ON_LINUX
        yield fail(
            Text("{engine} does not run on native {system}", said),
            fix=(first, TRANSFORMERS),
            observed=host.system,
            expected="Linux",
        )


@check("HST002", "glibc-new-enough", cause="GLIBC_TOO_OLD", explained_by=("HST001", "PYT001"))
def glibc_new_enough(host: Host, torch: Torch, torch_run: TorchRun | None, intent: Intent) -> Findings:
    """The C library is new enough for the installed torch.

    A wheel names the oldest glibc it runs with. A torch copied or forced onto an older system fails at import with
    "version `GLIBC_2.28' not found". A torch that imports has what it needs, whoever built it.

    Threshold: glibc 2.28 for torch 2.7 and newer (tag and symbols of the wheels). Older wheels take any glibc in use.

    ## Fix

    A container image with a newer system, or a newer distribution; glibc itself cannot be upgraded alone.
    """
    said = {"glibc": host.glibc, "needed": GLIBC, "torch": torch.version, "system": host.distribution or host.system}
    if host.system != "Linux":
        yield not_applicable(Text("{system} has no glibc", said))
    elif torch_run is not None and torch_run.import_error is None:
        yield ok(Text("torch {torch} loads with glibc {glibc}", said), observed=host.glibc)
    elif host.glibc is None:
        yield unknown(Text("this system has no glibc (musl?), which the wheels are built for", said))
    elif _needs(torch.version) and Version(host.glibc) < Version(GLIBC):
        yield fail(
            Text("{system} has glibc {glibc}; torch {torch} needs {needed}", said),
            fix=_newer(intent.engine),
            observed=host.glibc,
            expected=GLIBC,
            threshold=Threshold(value=GLIBC, unit="glibc", source="wheel tag manylinux_2_28 of torch 2.7"),
        )
    else:
        yield ok(Text("glibc {glibc} is new enough for torch {torch}", said), observed=host.glibc, expected=GLIBC)


@check("HST004", "engine-glibc", cause="GLIBC_TOO_OLD", explained_by=("HST001", "HST002", "PYT001", "ENG003", "ENG004"))
def engine_glibc(
    host: Host,
    packages: Packages,
    interpreter: Interpreter | None,
    toolchain: Toolchain | None,
    torch_run: TorchRun | None,
    kernels: tuple[KernelLibrary, ...] | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The C library is new enough for the engine's wheel.

    Some wheels ask for more than torch's do: vLLM 0.12 to 0.19 for glibc 2.31 and 0.20 for 2.35, SGLang's kernels from
    0.5.11 on for 2.34. pip does not take them for an older system; what another tool or another machine put there ends
    at import with "version `GLIBC_2.34' not found".

    Measured by comparing the system's glibc with the tag of the release's wheel (of its cu129 build, with what its
    libraries ask for). Where the headers of the installed kernels were read, what their symbols ask for decides: more
    than the system has is red, and a tag that asks for more than they do leaves it open. Otherwise an engine that is
    really installed on this machine was mostly built on it, and so may be one beside a CUDA compiler or a torch that
    works: yellow; red where only its version is stated. Of development versions and builds of your own only the
    kernels are judged.

    ## Fix

    The newest engine whose wheel takes this system, or the engine's container image.
    """
    version = installed_version(packages, intent.engine)
    needed = _engine_needs(intent.engine, version, matrix)
    said = {"glibc": host.glibc, "needed": needed, "engine": f"{intent.engine} {version}"}
    said["system"] = host.distribution or host.system
    asked = _kernels_ask(kernels, intent.engine)
    if host.system != "Linux" or not (needed or asked) or host.glibc is None:
        yield not_applicable(Text("no wheel of an engine to hold against this system's C library"))
    elif asked and (Version(asked) > Version(host.glibc) or not needed):
        yield _by_its_kernels(asked, host.glibc, said, intent.engine)
    elif Version(host.glibc) >= Version(needed):
        yield ok(Text("glibc {glibc} is new enough for {engine}", said), observed=host.glibc, expected=needed)
    elif asked:
        words = "the wheel of {engine} is tagged for glibc {needed}, its kernels ask for {asked}; {system} has {glibc}"
        yield unknown(Text(words, said | {"asked": asked}))
    else:
        one = next(one for one in packages.distributions if one.name.lower() == intent.engine)
        taken = gpus_of(gpus, cuda, environment, intent)
        site = Site(matrix, intent, driver, taken, host, interpreter, packages, model_files)
        built = one.location or _may_be_built_here(toolchain, torch_run)
        yield (warn if built else fail)(
            Text("{system} has glibc {glibc}; the wheel of {engine} needs {needed}", said),
            fix=(*(one for one in install_fixes(site) if one.effort == "install"), _newer(intent.engine)[0]),
            observed=host.glibc,
            expected=needed,
            threshold=Threshold(value=needed, unit="glibc", source=f"tag of the wheel of {said['engine']}"),
        )


def _by_its_kernels(asked: str, glibc: str, said: dict[str, str | None], engine: str) -> Judgement:
    limit = Threshold(value=asked, unit="glibc", source="symbols that the installed libraries ask for")
    values = said | {"asked": asked}
    if Version(asked) <= Version(glibc):
        text = Text("glibc {glibc} is new enough for the kernels of {engine}, which ask for {asked}", values)
        return ok(text, observed=glibc, expected=asked, threshold=limit)
    text = Text("{system} has glibc {glibc}; the kernels of {engine} ask for {asked}", values)
    return fail(text, fix=_newer(engine)[0], observed=glibc, expected=asked, threshold=limit)


def _kernels_ask(kernels: tuple[KernelLibrary, ...] | None, engine: str) -> str:
    """The newest glibc that the engine's own libraries ask for; "" where none was read."""
    asked = (one.glibc for one in kernels or () if one.package == PACKAGES.get(engine) and one.glibc)
    return max(asked, key=Version, default="")


def _may_be_built_here(toolchain: Toolchain | None, torch_run: TorchRun | None) -> bool:
    """Pip takes no wheel for another system: what is there all the same came another way."""
    return bool(toolchain and toolchain.nvcc) or bool(torch_run and torch_run.cuda_available)


def _engine_needs(engine: str, version: str | None, matrix: Matrix) -> str:
    """The oldest glibc of a published wheel, "2.35"; "" where none is known."""
    if version is None or engine not in matrix.engines or not published(version):
        return ""
    public, _, tag = version.partition("+")
    if not tag:
        return matrix.engine_glibc(engine, version)
    builds = matrix.engine_builds.get(engine, ())
    return next((one.glibc for one in builds if (one.version, one.tag) == (public, tag)), "")


def _needs(torch: str) -> bool:
    found = number(torch)
    return found is not None and found >= Version(FIRST_TORCH)


def _newer(engine: str) -> tuple[Fix, ...]:
    container = Fix(
        text=Text("run the engine in its container image"),
        commands=(image_line(engine),),
        effort="install",
    )
    older = Fix(
        text=Text("take the last torch for older systems, with an engine that pins it"),
        commands=('python -m pip install "torch<2.7"',),
        effort="install",
    )
    return (container, older)
