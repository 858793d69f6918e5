"""CTR: Docker can hand GPUs to a container."""

from __future__ import annotations

import dataclasses
import re

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Judgement,
    Packages,
    Text,
    Threshold,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.driver.fixes import TOOLKIT
from autoglm_doctor.domain.driver.toolkit import DESKTOP, fault_of, is_mended, is_wsl, open_about
from autoglm_doctor.matrix import Matrix

INSTALL = Fix(
    text=Text("install NVIDIA's container toolkit on the host (from NVIDIA's package source) and tell Docker of it"),
    commands=TOOLKIT.commands,
    effort="install",
    needs_root=True,
)
UPDATE = Fix(
    text=Text("install the newest container toolkit on the host, and start Docker again"),
    commands=(
        "nvidia-ctk --version",
        "sudo apt-get update && sudo apt-get install -y --only-upgrade nvidia-container-toolkit libnvidia-container1",
        "sudo systemctl restart docker",
    ),
    effort="install",
    needs_root=True,
)
UPDATE_DESKTOP = Fix(
    text=Text("on Windows, bring Docker Desktop up to date: the container toolkit is a part of it"),
    commands=("winget upgrade --id Docker.DockerDesktop", "wsl --shutdown"),
    effort="install",
)
_NEWEST = "nvidia-container-toolkit libnvidia-container1"
#: On Kubernetes the operator brings it, in a container of its own.
UPDATE_OPERATOR = Fix(
    text=Text("update NVIDIA's GPU operator, which brings the toolkit; without an operator, the toolkit of every node"),
    commands=(
        "helm list --all-namespaces | grep gpu-operator",
        "helm repo update && helm upgrade gpu-operator nvidia/gpu-operator --namespace gpu-operator --reuse-values",
    ),
    effort="install",
    needs_root=True,
    url="https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/upgrade.html",
)
#: Podman takes GPUs by the CDI specification that the toolkit writes, and no daemon is to be started again.
_AGAIN = {"podman": "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"}
_PACKAGERS = (
    (re.compile(r"fedora|rhel|red hat|rocky|alma|centos|oracle|amazon", re.I), f"sudo dnf upgrade -y {_NEWEST}"),
    (re.compile(r"suse|\bsles\b", re.I), f"sudo zypper update -y {_NEWEST}"),
)
_MISSING = {
    "version": "a version that the table can be held against",
    "driver": "the driver's version",
    "distribution": "the distribution of the host",
}
_PROGRAMS = ("docker", "podman")
#: cuda.h, CUDA_ERROR_NOT_FOUND: libcuda misses a part of the driver.
_NOT_FOUND = 500


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


@check("CTR002", "container-toolkit-new-enough", cause="CONTAINER_TOOLKIT_TOO_OLD", explained_by=("DRV001", "CTR001"))
def container_toolkit_new_enough(
    host: Host,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    torch_run: TorchRun | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The NVIDIA container toolkit is not too old for the driver and the host.

    The toolkit knows by name which files and devices of the driver a container needs. Drivers for Windows need one
    more from 555 on: with a toolkit before 1.14.4 (Docker Desktop before 4.31), every CUDA program in a container
    under WSL2 ends with error 500, "named symbol not found". Before 1.8.0 it does not know control groups of version
    2; other rows of the table, which stop only some containers, are yellow.

    Measured by comparing the stated version with the table; inside such a container the error itself tells, unless the
    stated version is one that hands all of the driver on. Where CUDA starts, nothing is wrong. Not green where the
    driver, the host's distribution or a version that can be compared is missing.

    Source: the toolkit's changelog and issues (compat_matrix.yaml, container_toolkit).

    ## Fix

    Update the toolkit on the host, Docker Desktop, or the GPU operator of Kubernetes, and start the container again.
    """
    inside = bool(host.container) or _starts_container(intent)
    if not inside:
        yield not_applicable(Text("the deployment does not run in a container"))
    elif (torch_run is not None and torch_run.cuda_available) or (cuda is not None and cuda.init_code == 0):
        yield not_applicable(Text("CUDA starts: whatever handed the GPUs on could do it"))
    elif cuda is not None and cuda.init_code == _NOT_FOUND and is_wsl(host, driver):
        yield _of_error(host, driver, matrix)
    elif not host.container_toolkit_version:
        yield not_applicable(Text("the version of the container toolkit is not known"))
    else:
        yield _of_version(host.container_toolkit_version, host, driver, gpus, intent, matrix)


def _update(runtime: str, host: Host) -> Fix:
    """What brings the newest one to this host."""
    if runtime == "kubernetes":
        return UPDATE_OPERATOR
    command = next((words for pattern, words in _PACKAGERS if pattern.search(host.distribution)), UPDATE.commands[1])
    again = _AGAIN.get(runtime, UPDATE.commands[2])
    text = UPDATE.text if runtime != "podman" else Text("install the newest container toolkit, and write its CDI anew")
    return dataclasses.replace(UPDATE, text=text, commands=(UPDATE.commands[0], command, again))


def _of_error(host: Host, driver: Driver | None, matrix: Matrix) -> Judgement:
    version = host.container_toolkit_version
    if version and is_mended(version, host, driver, matrix):
        return not_applicable(Text("CUDA error 500, and {version} hands all of the driver on", {"version": version}))
    words = "CUDA error 500 in a container under WSL2: a part of the driver was not handed into it"
    return fail(Text(words), fix=(UPDATE_DESKTOP, UPDATE), observed=version)


def _of_version(
    version: str, host: Host, driver: Driver | None, gpus: tuple[Gpu, ...] | None, intent: Intent, matrix: Matrix
) -> Judgement:
    runtime = host.container or next((word for word in _PROGRAMS if word in intent.command[:2]), "docker")
    found = fault_of(version, runtime, host, driver, gpus, matrix)
    named = version if version.startswith(DESKTOP) else f"container toolkit {version}"
    missing = "" if found else open_about(version, runtime, host, driver, gpus, matrix)
    if missing:
        said = {"named": named, "missing": _MISSING[missing]}
        return unknown(Text("{named}: whether it is too old is not known without {missing}", said))
    if found is None:
        return ok(Text("no fault of {named} is known with this driver and host", {"named": named}), observed=version)
    said = {"named": named, "what": found.what}
    desktop = version.startswith(DESKTOP)
    wanted = found.docker_desktop if desktop else found.fixed
    return (fail if found.red else warn)(
        Text("{named} is too old: {what}", said),
        fix=(UPDATE_DESKTOP, UPDATE) if is_wsl(host, driver) else _update(runtime, host),
        observed=version,
        expected=f">={wanted}",
        threshold=Threshold(value=wanted, unit="version", source=found.source),
    )
