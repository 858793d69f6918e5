"""CTR002: a container toolkit that is too old for the driver or the host."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.container_toolkit import container_toolkit_new_enough
from autoglm_doctor.facts import Cuda, Driver, Host
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge
from tests.restraint.judged import judged

WSL = {"os": "Ubuntu 22.04 on WSL2", "container": "docker vllm/vllm-openai", "driver_version": "555.85"}
WINDOWS = {"os": "Windows 11", "container": "Docker Desktop 4.29.0", "driver_version": "560.94"}
LINUX = {"os": "Ubuntu 22.04", "container": "docker", "driver_version": "560.35.03"}
POD = {"container": "kubernetes", "driver_version": "550.54.14"}
PODMAN = {"os": "Fedora 40", "container": "podman", "driver_version": "565.57.01"}

STATED = [
    # Too old.
    pytest.param({**WSL, "nvidia_container_toolkit": "1.14.3"}, "fail", id="WSL2 with a driver of 555"),
    pytest.param({**WSL, "container_toolkit_version": "1.13.5-1"}, "fail", id="a package's version"),
    pytest.param({**WSL, "packages": {"libnvidia-container1": "1.13.1"}}, "fail", id="among the packages"),
    pytest.param({**WSL, "driver_version": "581.29", "container_toolkit": "1.12.0"}, "fail", id="a much newer driver"),
    pytest.param(WINDOWS, "fail", id="an old Docker Desktop"),
    pytest.param({**WSL, "docker_desktop": "4.30.0"}, "fail", id="Docker Desktop, named by a key"),
    pytest.param({**LINUX, "nvidia_container_toolkit": "1.5.1"}, "warn", id="control groups of version 2"),
    pytest.param({**POD, "nvidia_container_toolkit": "1.14.3"}, "warn", id="nvidia-frontend is gone"),
    pytest.param({**PODMAN, "nvidia_container_toolkit": "1.17.3"}, "warn", id="branch 565 and CDI"),
    pytest.param(
        {"container": "docker", "gpus": ["Jetson AGX Thor"], "nvidia_container_toolkit": "1.17.5"}, "warn", id="a Thor"
    ),
    pytest.param(
        {"os": "Windows Server 2022", "container": "docker", "driver_version": "560.94", "container_toolkit": "1.13.5"},
        "fail",
        id="a Windows that is named first",
    ),
    pytest.param({**WSL, "cuda_init_code": 500}, "fail", id="the error, and no version"),
    pytest.param({**WSL, "cuda_init_code": 500, "container_toolkit": "1.13.5"}, "fail", id="the error and the version"),
    # Healthy.
    pytest.param(
        {**LINUX, "os": "Ubuntu 22.04; client: Windows 11", "nvidia_container_toolkit": "1.14.0"},
        "pass",
        id="a client",
    ),
    pytest.param(
        {**LINUX, "os": "Ubuntu 22.04 with systemd.unified_cgroup_hierarchy=0", "container_toolkit": "1.7.0"},
        "pass",
        id="control groups of version 1, by choice",
    ),
    pytest.param(
        {**LINUX, "os": "Ubuntu 22.04 (image); host CentOS 7.9", "container_toolkit": "1.7.0"}, "pass", id="an image's"
    ),
    pytest.param({**WSL, "nvidia_container_toolkit": "1.14.4"}, "pass", id="the first that has it"),
    pytest.param({**WSL, "nvidia_container_toolkit": "1.17.8"}, "pass", id="a newer one"),
    pytest.param(
        {**WSL, "driver_version": "552.44", "nvidia_container_toolkit": "1.13.5"}, "pass", id="an older driver"
    ),
    pytest.param({**WINDOWS, "container": "Docker Desktop 4.31.0"}, "pass", id="Docker Desktop with it"),
    pytest.param({**WSL, "nvidia_container_toolkit": "installed"}, "pass", id="of no version"),
    pytest.param(WSL, "pass", id="nothing is said of it"),
    pytest.param({**WSL, "container": None, "nvidia_container_toolkit": "1.13.5"}, "pass", id="no container"),
    pytest.param({**WSL, "nvidia_container_toolkit": "1.14.3", "cuda_available": True}, "pass", id="it works"),
    pytest.param({**LINUX, "nvidia_container_toolkit": "1.13.5"}, "pass", id="Linux itself"),
    pytest.param(
        {**LINUX, "os": "Ubuntu 20.04", "nvidia_container_toolkit": "1.5.1"}, "pass", id="control groups of 1"
    ),
    pytest.param(
        {**POD, "driver_version": "535.183.01", "nvidia_container_toolkit": "1.13.5"}, "pass", id="driver 535"
    ),
    pytest.param({**POD, "nvidia_container_toolkit": "1.14.6"}, "pass", id="a pod with the mended one"),
    pytest.param(
        {**PODMAN, "driver_version": "570.86.10", "nvidia_container_toolkit": "1.17.3"}, "pass", id="570 and CDI"
    ),
    pytest.param({**PODMAN, "nvidia_container_toolkit": "1.16.2"}, "pass", id="before CDI was written so"),
]


@pytest.mark.parametrize(("stated", "status"), STATED)
def test_stated(stated: dict[str, Any], status: str) -> None:
    found = judged(stated)
    assert found.status == status
    assert [one.cause for one in found.causes] == ([] if status == "pass" else ["CONTAINER_TOOLKIT_TOO_OLD"])


def test_inside_of_it_the_error_tells() -> None:
    here = Host(system="Linux", machine="x86_64", kernel="5.15-microsoft", wsl=True, container="docker")
    (red,) = judge(container_toolkit_new_enough, host=here, cuda=Cuda(library=None, init_code=500))
    (works,) = judge(container_toolkit_new_enough, host=here, cuda=Cuda(library=None, init_code=0))
    assert (red.status, works.status) == ("fail", "not_applicable")
    assert red.fixes


@pytest.mark.parametrize(
    "release", [{"container_toolkit": "1.18.1"}, {"docker_desktop": "4.48"}], ids=["it", "Desktop"]
)
def test_an_error_of_one_that_hands_all_on_has_another_cause(release: dict[str, str]) -> None:
    found = judged({**WSL, "cuda_init_code": 500, **release})
    assert [one.cause for one in found.causes] == ["CUDA_INIT_FAILED"]


BASE = Host(system="Linux", machine="x86_64", kernel="6.8", container="docker", distribution="Ubuntu 22.04")
DRIVER = Driver(version="570.86.10")
OPEN = [
    pytest.param({"wsl": True, "container_toolkit_version": "1.13.5"}, None, "unknown", id="WSL without a driver"),
    pytest.param(
        {"container": "kubernetes", "container_toolkit_version": "1.14.5"}, None, "unknown", id="a pod without a driver"
    ),
    pytest.param({"distribution": "", "container_toolkit_version": "1.7.0"}, DRIVER, "unknown", id="no distribution"),
    pytest.param({"container_toolkit_version": "Docker Desktop 4.10"}, DRIVER, "unknown", id="Desktop outside of WSL"),
    pytest.param({"container_toolkit_version": "abc"}, DRIVER, "unknown", id="no version"),
    pytest.param({"container_toolkit_version": "1.15.0~rc.1"}, DRIVER, "unknown", id="a version of another form"),
    pytest.param({"wsl": True, "container_toolkit_version": "1.17.8"}, None, "pass", id="new for any driver"),
    pytest.param({"distribution": "", "container_toolkit_version": "1.9.0"}, DRIVER, "pass", id="new for any host"),
    pytest.param({"container_toolkit_version": "1.13.5"}, DRIVER, "pass", id="Linux"),
]


@pytest.mark.parametrize(("host", "driver", "status"), OPEN)
def test_green_is_what_was_compared(host: dict[str, Any], driver: Driver | None, status: str) -> None:
    given: dict[str, Any] = {"driver": driver} if driver else {}
    (found,) = judge(container_toolkit_new_enough, host=dataclasses.replace(BASE, **host), **given)
    assert found.status == status


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        pytest.param({**LINUX, "container_toolkit": "1.5.1"}, ["apt-get", "restart docker"], id="Ubuntu and docker"),
        pytest.param(
            {**LINUX, "os": "Rocky Linux 9", "container_toolkit": "1.5.1"}, ["dnf", "restart docker"], id="Rocky"
        ),
        pytest.param({**PODMAN, "container_toolkit": "1.17.3"}, ["dnf", "cdi generate"], id="Fedora and podman"),
        pytest.param({**POD, "container_toolkit": "1.14.3"}, ["helm upgrade gpu-operator"], id="Kubernetes"),
    ],
)
def test_the_way_out_is_that_of_the_runtime(stated: dict[str, Any], words: list[str]) -> None:
    (fix,) = judged(stated).fixes
    assert fix is not None
    assert [word for word in words if not any(word in command for command in fix.commands)] == []
    others = {"apt-get", "dnf", "restart docker", "cdi generate", "helm upgrade gpu-operator"} - set(words)
    assert [word for word in others if any(word in command for command in fix.commands)] == []


def test_one_that_is_started_by_the_command() -> None:
    host = Host(
        system="Linux", machine="x86_64", kernel="6.8", distribution="Debian 12", container_toolkit_version="1.5"
    )
    intent = Intent(model="m", engine="vllm", command=("sudo", "docker", "run", "--gpus", "all", "vllm/vllm-openai"))
    (found,) = judge(container_toolkit_new_enough, host=host, driver=Driver(version="550.54.14"), intent=intent)
    assert found.status == "warn"
    assert found.expected == ">=1.8.0"


def test_every_fault_names_its_source() -> None:
    assert [row.what for row in load_matrix().toolkit_faults if not row.source.startswith("github.com/")] == []
