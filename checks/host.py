"""The operating system: an engine runs on it, and its C library is new enough for the wheels."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from autoglm_doctor.api import (
    Findings,
    Fix,
    Host,
    Intent,
    Text,
    Threshold,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)

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
def glibc_new_enough(host: Host, torch: Torch, torch_run: TorchRun | None) -> Findings:
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
            fix=_newer(),
            observed=host.glibc,
            expected=GLIBC,
            threshold=Threshold(value=GLIBC, unit="glibc", source="wheel tag manylinux_2_28 of torch 2.7"),
        )
    else:
        yield ok(Text("glibc {glibc} is new enough for torch {torch}", said), observed=host.glibc, expected=GLIBC)


def _needs(torch: str) -> bool:
    try:
        return Version(torch) >= Version(FIRST_TORCH)
    except InvalidVersion:
        return False


def _newer() -> tuple[Fix, ...]:
    container = Fix(
        text=Text("run the engine in its container image"),
        commands=("docker run --gpus all --ipc=host -p 8000:8000 vllm/vllm-openai:latest --help",),
        effort="install",
    )
    older = Fix(
        text=Text("take the last torch for older systems, with an engine that pins it"),
        commands=('python -m pip install "torch<2.7"',),
        effort="install",
    )
    return (container, older)
