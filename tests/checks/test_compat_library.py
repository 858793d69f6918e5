"""CUD004: cuda-compat in front of the driver."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.compat_library import SHADOWS, UNSUPPORTED, compat_library
from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    Driver,
    Environment,
    Gpu,
    Host,
    LoaderLibrary,
    Toolchain,
    Torch,
    TorchRun,
)
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.restraint.judged import judged

SWITCH = {"VLLM_ENABLE_CUDA_COMPATIBILITY": "1"}
VLLM = Intent(model="/m", engine="vllm")
H100, A6000, RTX4090 = "NVIDIA H100 80GB HBM3", "NVIDIA RTX A6000", "NVIDIA GeForce RTX 4090"


def path(*folders: str) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": ":".join(folders)}


def seen(libraries: dict[str, str]) -> tuple[LoaderLibrary, ...]:
    return tuple(LoaderLibrary(path=where, version=version) for where, version in libraries.items())


def facts(variables: dict[str, str], driver: str, name: str, cuda: str = "") -> dict[str, Any]:
    given: dict[str, Any] = {"environment": Environment(variables=variables)}
    if driver:
        given["driver"] = Driver(version=driver)
    if name:
        gpu = Gpu(index=0, name=name, compute_capability="9.0", total_bytes=80 << 30, free_bytes=79 << 30)
        given["gpus"] = (gpu,)
    if cuda:
        given["torch"] = Torch(version="2.9.0", cuda=cuda)
    return given


C13, C129 = "/usr/local/cuda-13.0/compat", "/usr/local/cuda-12.9/compat"
CASES = [
    # The faults.
    pytest.param(SWITCH, "580.126.09", "Quadro RTX 6000", "", SHADOWS, id="vLLM's switch on a workstation card"),
    pytest.param(SWITCH, "580.126.09", RTX4090, "12.8", SHADOWS, id="vLLM's switch on a GeForce"),
    pytest.param(SWITCH, "580.126.09", H100, "12.9", SHADOWS, id="the driver knows more than the image"),
    pytest.param(SWITCH, "535.129.03", RTX4090, "12.8", UNSUPPORTED, id="an older driver on a GeForce"),
    pytest.param(path(C129), "580.65.06", H100, "", SHADOWS, id="an old compat folder"),
    pytest.param(path("/opt/x", C129 + "/"), "590.44.01", "", "", SHADOWS, id="no GPU is stated"),
    pytest.param(path(C129), "570.86.15", "RTX 3090", "", UNSUPPORTED, id="a GeForce by its short name"),
    pytest.param(path("/usr/local/cuda-11.8/compat"), "535.129.03", H100, "", SHADOWS, id="a release before the table"),
    # Healthy, or not known to be ill.
    pytest.param({}, "580.65.06", RTX4090, "12.8", "", id="nothing set"),
    pytest.param({"VLLM_ENABLE_CUDA_COMPATIBILITY": "0"}, "580.65.06", RTX4090, "12.8", "", id="switched off"),
    pytest.param(SWITCH, "535.129.03", H100, "12.8", "", id="what it is made for"),
    pytest.param(path(C13), "570.86.15", H100, "", "", id="a folder for an older driver"),
    pytest.param(path(C13), "575.57.08", "NVIDIA A100-SXM4-80GB", "", "", id="a branch that is not in the table"),
    pytest.param(path(C13), "580.65.06", H100, "", "", id="of the driver's branch, and perhaps no older"),
    pytest.param(path(C13), "580.173.02", H100, "", "", id="a driver after those that CUDA 13.0 came with"),
    pytest.param(
        path("/usr/local/cuda-12.8/compat"), "570.211.01", H100, "", "", id="a late driver of the branch of CUDA 12.8"
    ),
    pytest.param(SWITCH, "580.126.09", H100, "13.0", "", id="vLLM's switch within the driver's own branch"),
    pytest.param(path(C13), "580", H100, "", "", id="the driver's branch alone"),
    pytest.param(path(C13), "570.86.15", A6000, "", "", id="some workstation cards can"),
    pytest.param(SWITCH, "580.65.06", H100, "", "", id="whose CUDA is not known"),
    pytest.param(
        path("/usr/local/cuda/compat/lib", "/usr/local/nvidia/lib64"),
        "580.65.06",
        H100,
        "",
        "",
        id="NVIDIA's own images",
    ),
    pytest.param(path("/usr/lib/wsl/lib", C129), "596.36", RTX4090, "", "", id="the driver's own comes first"),
    pytest.param(path("/opt/compat/lib"), "580.65.06", RTX4090, "", "", id="another kind of compatibility"),
    pytest.param(path(C13), "", "", "", "", id="nothing else is stated"),
]


@pytest.mark.parametrize(("variables", "driver", "name", "cuda", "cause"), CASES)
def test_stated(variables: dict[str, str], driver: str, name: str, cuda: str, cause: str) -> None:
    (found,) = judge(compat_library, intent=VLLM, **facts(variables, driver, name, cuda))
    assert (found.status == "fail", found.cause) == (bool(cause), cause)
    assert bool(found.fixes) == bool(cause)


LIBRARIES = [
    pytest.param({}, "not_applicable", id="there is no such folder"),
    pytest.param({f"{C129}/libcuda.so.1": "575.57.08"}, "fail", id="older than the driver"),
    pytest.param({f"{C129}/libcuda.so.1": "580.65.06"}, "pass", id="the driver's own version"),
    pytest.param({f"{C129}/libcuda.so.1": "595.40.01"}, "pass", id="newer than the driver"),
    pytest.param({"/usr/local/cuda-12.4/compat/libcuda.so.1": "550.54.15"}, "not_applicable", id="another CUDA's"),
]


OWN_BRANCH = [
    pytest.param({"version": "580.173.02"}, "580.95.05", "fail", id="an older package of the driver's own branch"),
    pytest.param({"version": "580.173.02"}, "580.173.02", "pass", id="the package of this very driver"),
    pytest.param({"version": "580.173.02"}, "580.178.04", "pass", id="a newer package of the driver's own branch"),
    pytest.param(
        {"version": "580.178.04", "kernel_version": "580.173.02"},
        "580.173.02",
        "pass",
        id="the loaded module counts, not the libraries of an update",
    ),
]


@pytest.mark.parametrize(("driver", "library", "status"), OWN_BRANCH)
def test_within_the_branch_the_file_decides(driver: dict[str, Any], library: str, status: str) -> None:
    given = facts({}, "", H100) | {"driver": Driver(**driver)}
    given["environment"] = Environment(variables=path(C13), libraries=seen({f"{C13}/libcuda.so.1": library}))
    (found,) = judge(compat_library, intent=VLLM, **given)
    assert found.status == status


@pytest.mark.parametrize("variables", [SWITCH, path(C129)], ids=["vLLM's switch", "LD_LIBRARY_PATH"])
@pytest.mark.parametrize(("libraries", "status"), LIBRARIES)
def test_the_library_is_there_to_be_seen(variables: dict[str, str], libraries: dict[str, str], status: str) -> None:
    given = facts(variables, "580.65.06", H100, "12.9")
    given["environment"] = Environment(variables=variables, libraries=seen(libraries))
    (found,) = judge(compat_library, intent=VLLM, **given)
    assert found.status == status


def test_a_driver_in_an_earlier_folder_wins() -> None:
    libraries = {"/opt/driver/libcuda.so.1": "580.65.06", f"{C129}/libcuda.so.1": "575.57.08"}
    given = facts({}, "580.65.06", H100)
    given["environment"] = Environment(variables=path("/opt/driver", C129), libraries=seen(libraries))
    (found,) = judge(compat_library, intent=VLLM, **given)
    assert found.status == "not_applicable"


@pytest.mark.parametrize(("variables", "status"), [(path(C129), "pass"), (SWITCH, "fail")], ids=["path", "switch"])
def test_cuda_that_starts_settles_the_path_and_not_the_switch(variables: dict[str, str], status: str) -> None:
    device = CudaDevice(index=0, name=H100, compute_capability="9.0", total_bytes=80 << 30)
    given = facts(variables, "580.126.09", H100, "12.9") | {"cuda": Cuda(library="x", init_code=0, devices=(device,))}
    (found,) = judge(compat_library, intent=VLLM, **given)
    assert found.status == status


def test_the_switch_is_vllms() -> None:
    sglang = Intent(model="/m", engine="sglang")
    (found,) = judge(compat_library, intent=sglang, **facts(SWITCH, "580.126.09", RTX4090, "12.8"))
    assert found.status == "not_applicable"


def test_a_switch_in_front_of_the_command_counts() -> None:
    intent = dataclasses.replace(VLLM, environment=SWITCH)
    (found,) = judge(compat_library, intent=intent, **facts({}, "580.126.09", RTX4090, "12.8"))
    assert found.fixes[0].commands == ("unset VLLM_ENABLE_CUDA_COMPATIBILITY",)


OLD = Driver(version="545.23.08", cuda_version="12.5")
MODULE = Driver(version="545.23.08", kernel_version="545.23.08", cuda_version="12.5")
BARE = Host(system="Linux", machine="x86_64", kernel="6.8.0")
INSIDE = dataclasses.replace(BARE, container="docker")
SEES_CUDA = TorchRun(version="2.5.1", cuda_available=True)


def card(name: str) -> tuple[Gpu, ...]:
    return (Gpu(index=0, name=name, compute_capability="8.9", total_bytes=24 << 30, free_bytes=24 << 30),)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        pytest.param({"driver": OLD}, "warn", id="a number that the branch does not know"),
        pytest.param({"driver": OLD, "gpus": card(RTX4090)}, "warn", id="a GeForce, and nothing else"),
        pytest.param({"driver": OLD, "gpus": card(RTX4090), "host": INSIDE}, "warn", id="a GeForce in a container"),
        pytest.param({"driver": MODULE, "gpus": card(RTX4090), "host": INSIDE}, "fail", id="with the module's version"),
        pytest.param({"driver": MODULE, "gpus": card(RTX4090)}, "fail", id="a GeForce and the module's version"),
        pytest.param({"driver": OLD, "gpus": card(H100)}, "unknown", id="a data center card"),
        pytest.param({"driver": OLD, "host": dataclasses.replace(BARE, wsl=True)}, "unknown", id="WSL"),
        pytest.param({"driver": OLD, "host": dataclasses.replace(BARE, tegra=True)}, "unknown", id="a Jetson"),
        pytest.param({"driver": OLD, "torch_run": SEES_CUDA}, "unknown", id="torch sees CUDA"),
        pytest.param({"driver": OLD, "cuda": Cuda(library=None, init_code=0)}, "unknown", id="CUDA starts"),
        pytest.param({"driver": OLD, "torch": Torch(version="2.5.1", cuda="12.5")}, "unknown", id="torch's number"),
        pytest.param({"driver": OLD, "toolchain": Toolchain(nvcc_version="12.5.1")}, "unknown", id="nvcc's number"),
        pytest.param({"driver": Driver(version="620.11", cuda_version="13.6")}, "unknown", id="a newer branch"),
        pytest.param({"driver": Driver(version="551.86", cuda_version="12.5")}, "unknown", id="a branch of Windows"),
        pytest.param({"driver": Driver(version="545.23.08", cuda_version="12.3")}, "unknown", id="its own number"),
        pytest.param({"driver": Driver(version="545.23.08")}, "unknown", id="no number"),
    ],
)
def test_a_newer_cuda_than_the_branch_knows(given: dict[str, Any], status: str) -> None:
    (found,) = judge(compat_library, intent=VLLM, **given)
    assert found.status == status
    assert bool(found.fixes) == (status in ("fail", "warn"))
    assert (found.cause == UNSUPPORTED) == (status == "fail")


def test_the_number_of_the_toolkit_is_no_drivers() -> None:
    stated = {"driver_version": "545.23.08", "cuda_driver_version": "12.5"}
    assert judged({**stated, "cuda_toolkit": "12.5"}).status == "pass"
    assert judged({**stated, "cuda_toolkit": "12.5", "container": "docker"}).status == "pass"
    assert judged({**stated, "cuda_toolkit": "12.1"}).status == "warn"


SMALL = {"driver_version": "550.54.14", "gpus": ["RTX 4090"]}


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        pytest.param(
            {"cuda_version_shown_in_container": "12.8", "container": "docker"}, "fail", id="seen in the container"
        ),
        pytest.param(
            {"cuda_version_shown_in_container": "12.6", "cuda_driver_version": "12.6", "cuda_toolkit": "12.6"},
            "fail",
            id="seen there, whatever else has this number",
        ),
        pytest.param(
            {"cuda_version_in_container": "12.8", "container": "docker"}, "pass", id="an image's toolkit, most likely"
        ),
        pytest.param(
            {"cuda_version_in_container": "12.6", "cuda_toolkit": "12.6"}, "pass", id="of the toolkit in the container"
        ),
        pytest.param({"cuda_driver_version": "12.7", "container": "docker"}, "warn", id="nobody says where"),
        pytest.param(
            {"driver_version": "535.183.01", "cuda_driver_version": "12.4", "container": "nvidia/cuda:12.4.1-devel"},
            "pass",
            id="the image's",
        ),
        pytest.param(
            {"cuda_driver_version": "12.8", "container": "docker", "engine": "vllm 0.11.0"}, "pass", id="the engine's"
        ),
        pytest.param(
            {"cuda_driver_version": "12.8", "packages": {"torch": "2.8.0"}}, "pass", id="that of torch's default wheel"
        ),
    ],
)
def test_whose_number_it_is(stated: dict[str, Any], status: str) -> None:
    assert judged({**SMALL, **stated}).status == status


def test_torch_that_sees_cuda_settles_the_path_and_not_the_switch() -> None:
    (quiet,) = judge(compat_library, intent=VLLM, torch_run=SEES_CUDA, **facts(path(C129), "580.65.06", H100, "12.9"))
    (red,) = judge(compat_library, intent=VLLM, torch_run=SEES_CUDA, **facts(SWITCH, "580.126.09", RTX4090, "12.8"))
    assert (quiet.status, red.status) == ("pass", "fail")


def test_where_no_variable_puts_it_in_front_the_package_goes_or_the_hook() -> None:
    (found,) = judge(compat_library, intent=VLLM, driver=OLD)
    lines = [command for fix in found.fixes for command in fix.commands]
    assert not any("LD_LIBRARY_PATH" in line for line in lines)
    assert "sudo apt-get remove -y 'cuda-compat-*'" in lines
    assert any("disable-cuda-compat-lib-hook=true" in line for line in lines)
