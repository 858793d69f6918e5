"""CTR: Docker can hand GPUs to a container."""

from __future__ import annotations

from autoglm_doctor.api import (
    Findings,
    Fix,
    Host,
    Intent,
    Interpreter,
    Packages,
    Text,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.domain.driver.fixes import TOOLKIT

INSTALL = Fix(
    text=Text("install NVIDIA's container toolkit on the host (from NVIDIA's package source) and tell Docker of it"),
    commands=TOOLKIT.commands,
    effort="install",
    needs_root=True,
)
_PROGRAMS = ("docker", "podman")


@check("CTR001", "container-toolkit", cause="CONTAINER_TOOLKIT_MISSING", explained_by=("DRV001",))
def container_toolkit(
    host: Host,
    packages: Packages | None,
    torch: Torch | None,
    torch_run: TorchRun | None,
    interpreter: Interpreter | None,
    intent: Intent,
) -> Findings:
    """The NVIDIA container toolkit is there for a deployment in a container.

    Docker and Podman hand GPUs to a container through NVIDIA's container toolkit (or through a CDI specification that
    it wrote). Without it a start with `--gpus all` ends with "could not select device driver".

    Judged where the deployment's command starts docker or podman or is said to run in one, and where nothing else than
    the host is described. Apptainer, LXC and a server without a container do not need it.
    On a machine the toolkit's programs and CDI specifications are looked for; inside a container and in WSL, whose
    Docker may live in another virtual machine, nobody can tell.

    Source: the installation guide of the NVIDIA container toolkit.

    ## Fix

    Install the toolkit, `nvidia-ctk runtime configure`, and start Docker again.
    """
    server = intent.stated_by == "command" or intent.engine != "transformers"
    described = server or any(one is not None for one in (packages, torch, interpreter))
    described = described or bool(host.container) or host.wsl
    if not _starts_container(intent) and host.container not in _PROGRAMS and described:
        yield not_applicable(Text("the deployment is not started in a container"))
    elif torch_run is not None and torch_run.cuda_available:
        yield not_applicable(Text("torch sees the GPUs: whatever started it could hand them on"))
    elif host.container_toolkit is None and _starts_container(intent):
        yield unknown(Text("whether the container toolkit is installed was not read"))
    elif host.container_toolkit is None:
        yield not_applicable(Text("nothing is said of a container that is to be started"))
    elif host.container_toolkit:
        yield ok(Text("the NVIDIA container toolkit is installed"), observed="installed")
    else:
        yield fail(
            Text("the NVIDIA container toolkit is not installed: Docker cannot hand GPUs to a container"),
            fix=INSTALL,
            observed="missing",
            expected="installed",
        )


def _starts_container(intent: Intent) -> bool:
    words = [word for word in intent.command if word != "sudo"]
    return bool(words) and words[0].rpartition("/")[2] in _PROGRAMS
