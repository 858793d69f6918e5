"""DRV003, DRV005, DRV006 and PKG006 with a libcuda that is not the driver's own."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.api import Check
from autoglm_doctor.checks.driver_engine import driver_runs_engine_cuda
from autoglm_doctor.checks.driver_ptx import driver_compiles_ptx
from autoglm_doctor.checks.driver_torch import driver_runs_torch_cuda
from autoglm_doctor.checks.triton import triton_code_loads
from autoglm_doctor.facts import Cuda, Distribution, Driver, Environment, Gpu, Host, LoaderLibrary, Packages, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge

FOLDER = "/usr/local/cuda-13.0/compat"
COMPAT, OWN = FOLDER + "/libcuda.so.580.95.05", "/usr/lib/x86_64-linux-gnu/libcuda.so.570.172.08"
PATH = {"LD_LIBRARY_PATH": FOLDER}
SWITCH = {"VLLM_ENABLE_CUDA_COMPATIBILITY": "1"}
B200 = Gpu(index=0, name="NVIDIA B200", compute_capability="10.0", total_bytes=1 << 37, free_bytes=1 << 37)
PACKAGES = {"vllm": "0.20.0", "torch": "2.12.0", "triton": "3.7.0"}

#: Each on driver 570, for which all of this is too new: check, its installed packages and facts of its own.
CHECKS: dict[str, tuple[Check, dict[str, str], dict[str, Any]]] = {
    "DRV003": (driver_runs_torch_cuda, PACKAGES, {"torch": Torch(version="2.12.0+cu130", cuda="13.0")}),
    "DRV005": (driver_runs_engine_cuda, {"vllm": "0.20.0"}, {}),
    "DRV006": (
        driver_compiles_ptx,
        {**PACKAGES, "vllm": "0.16.0"},  # later ones take FlashAttention-4 on this GPU
        {"intent": Intent(model="zai-org/AutoGLM-Phone-9B", engine="vllm", device="cuda")},
    ),
    "PKG006": (triton_code_loads, PACKAGES, {}),
}
TEXT = Intent(model="nobody/text", engine="vllm", device="cuda")


def ask(code: str, variables: dict[str, str], cuda: Cuda | None, **more: Any) -> str:
    check, versions, own = CHECKS[code]
    rows = tuple(Distribution(name=name, version=version) for name, version in versions.items())
    given: dict[str, Any] = {
        "intent": TEXT,
        "driver": Driver(version="570.172.08", cuda_version="12.8"),
        "packages": Packages(distributions=rows),
        "gpus": (B200,),
        "environment": Environment(variables=variables),
        **({"cuda": cuda} if cuda else {}),
        **own,
        **more,
    }
    (found,) = judge(check, **given)
    return str(found.status)


def started(library: str, version: str | None) -> Cuda:
    return Cuda(library=library, init_code=0, driver_cuda_version=version)


@pytest.mark.parametrize("code", CHECKS)
@pytest.mark.parametrize(
    ("variables", "cuda", "status"),
    [
        pytest.param({}, None, "fail", id="the driver's own libcuda"),
        pytest.param({}, started(OWN, "12.8"), "fail", id="the driver's own, which has started"),
        pytest.param(PATH, started(COMPAT, "13.0"), "pass", id="cuda-compat has started and knows CUDA 13"),
        pytest.param(PATH, started(COMPAT, "12.8"), "fail", id="cuda-compat of an older CUDA has started"),
        pytest.param(PATH, Cuda(library=COMPAT, init_code=804), "unknown", id="cuda-compat that does not start"),
        pytest.param(PATH, started(OWN, "12.8"), "fail", id="the folder is on the path, and nothing in it"),
        pytest.param(PATH, None, "unknown", id="CUDA was not tried"),
        pytest.param(SWITCH, None, "unknown", id="vLLM's switch"),
        pytest.param(SWITCH, started(OWN, "12.8"), "unknown", id="vLLM's switch acts later"),
        pytest.param({"VLLM_ENABLE_CUDA_COMPATIBILITY": "0"}, None, "fail", id="switched off"),
        pytest.param({"LD_LIBRARY_PATH": "/opt/compat/lib"}, None, "fail", id="another kind of compatibility"),
    ],
)
def test_libcuda(code: str, variables: dict[str, str], cuda: Cuda | None, status: str) -> None:
    assert ask(code, variables, cuda) == status


@pytest.mark.parametrize("code", CHECKS)
def test_a_switch_without_a_library_does_nothing(code: str) -> None:
    seen = (LoaderLibrary(path="/usr/local/cuda-12.4/compat/libcuda.so.1", version="550.54.15"),)
    assert ask(code, {}, None, environment=Environment(variables=SWITCH, libraries=seen)) == "fail"


@pytest.mark.parametrize("code", ["DRV003", "DRV005", "DRV006", "PKG006"])
@pytest.mark.parametrize(
    ("host", "words", "package"),
    [
        pytest.param({}, "(on the host, not in a container)", "nvidia-driver-580-open", id="Linux"),
        pytest.param({"container": "docker"}, "on the host of this container", "nvidia-driver-580-open", id="docker"),
        pytest.param({"wsl": True}, "in Windows (never inside WSL)", "", id="WSL"),
    ],
)
def test_the_newer_driver_is_for_this_machine(code: str, host: dict[str, Any], words: str, package: str) -> None:
    check, versions, own = CHECKS[code]
    if code == "DRV005" and host.get("container"):
        pytest.skip("which build of the engine an image holds is not known")
    rows = tuple(Distribution(name=name, version=version) for name, version in versions.items())
    given: dict[str, Any] = {"intent": TEXT, "driver": Driver(version="570.172.08"), "gpus": (B200,), **own}
    here = Host(system="Linux", machine="x86_64", kernel="6", **host)
    (found,) = judge(check, packages=Packages(distributions=rows), host=here, **given)
    (newer,) = (fix for fix in found.fixes if fix.reboot)
    assert words in newer.text.template
    installed = [line.split()[-1] for line in newer.commands if "apt-get" in line]
    assert installed == ([package] if package else [])
    assert any("wsl.exe" in line for line in newer.commands) == bool(host.get("wsl"))


def test_a_newer_driver_that_drops_the_gpu_is_no_way_out() -> None:
    k80 = Gpu(index=0, name="K80", compute_capability="3.7", total_bytes=1 << 33, free_bytes=1 << 33)
    torch = Torch(version="2.1.0+cu121", cuda="12.1")
    (found,) = judge(driver_runs_torch_cuda, intent=TEXT, driver=Driver(version="470.57.02"), gpus=(k80,), torch=torch)
    assert found.status == "fail"
    assert not any("apt-get" in line for fix in found.fixes for line in fix.commands)
