"""`container`, `nvidia_container_toolkit` and `env`: what is one, which release it is, and JSON's switches."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.container import cuda_of_image, kind_of
from autoglm_doctor.loose.environment import read_environment
from autoglm_doctor.loose.host import read_host, toolkit_version
from autoglm_doctor.matrix import load_matrix

KINDS = [
    pytest.param("bare metal", "", id="bare metal"),
    pytest.param("no, bare metal", "", id="no"),
    pytest.param("None (bare metal)", "", id="none"),
    pytest.param("n/a", "", id="not applicable"),
    pytest.param("N/A - bare metal", "", id="not applicable, and a dash"),
    pytest.param("not in a container", "", id="not in one"),
    pytest.param("not a docker container", "", id="not one of docker's"),
    pytest.param("no docker", "", id="no docker"),
    pytest.param("bare metal (no docker)", "", id="no docker behind it"),
    pytest.param("native", "", id="native"),
    pytest.param("runs directly on the host", "", id="on the host"),
    pytest.param("bare metal Kubernetes", "kubernetes", id="Kubernetes on bare metal"),
    pytest.param("docker on bare metal", "docker", id="docker on bare metal"),
    pytest.param("host network, docker", "docker", id="the host's network"),
    pytest.param("no --gpus flag", "container", id="no flag"),
    pytest.param("no container toolkit; docker run", "docker", id="no toolkit"),
    pytest.param("no container memory limit", "container", id="no limit of one"),
    pytest.param("podman, rootless", "podman", id="podman"),
    pytest.param("an image of mine", "container", id="an image"),
]


@pytest.mark.parametrize(("said", "kind"), KINDS)
def test_kinds(said: str, kind: str) -> None:
    assert kind_of(said) == kind


@pytest.mark.parametrize(
    ("said", "releases"),
    [
        pytest.param("nvidia/cuda:12.4.1-devel-ubuntu22.04", {"12.4"}, id="NVIDIA's image"),
        pytest.param("docker, CUDA 12.1 image", {"12.1"}, id="in words"),
        pytest.param("lmsysorg/sglang:v0.5.2-cu126", {"12.6"}, id="a tag"),
        pytest.param("docker", set(), id="none"),
    ],
)
def test_cuda_of_an_image(said: str, releases: set[str]) -> None:
    assert cuda_of_image(said) == releases


@pytest.mark.parametrize(
    ("stated", "version"),
    [
        pytest.param("1.13.5-1", "1.13.5-1", id="a package"),
        pytest.param("updated from 1.13.5 to 1.17.8", "1.17.8", id="an update"),
        pytest.param("1.13.5 -> 1.17.8", "1.17.8", id="an arrow"),
        pytest.param("1.13.5 on the host, 1.17.8 in WSL", "", id="two"),
        pytest.param("1.17.8 (libnvidia-container 1.17.8-1)", "1.17.8", id="the same twice"),
        pytest.param("installed", "", id="none"),
    ],
)
def test_release_of_the_toolkit(stated: str, version: str) -> None:
    assert toolkit_version({"nvidia_container_toolkit": stated}) == version


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param(True, "1", id="true"),
        pytest.param(False, "0", id="false"),
        pytest.param("True", "True", id="a word"),
        pytest.param(2, "2", id="a number"),
    ],
)
def test_values_of_json(value: Any, read: str) -> None:
    found = read_environment({"env": {"X": value}}, load_matrix())
    assert found is not None
    assert found.value is not None
    assert found.value.variables["X"] == read


@pytest.mark.parametrize(
    ("said", "is_wsl"), [("Ubuntu 22.04 on WSL2", True), ("Ubuntu 22.04, not WSL", False)], ids=["WSL", "not WSL"]
)
def test_wsl(said: str, is_wsl: bool) -> None:
    found = read_host({"os": said}, load_matrix())
    assert found is not None
    assert found.value is not None
    assert found.value.wsl == is_wsl
