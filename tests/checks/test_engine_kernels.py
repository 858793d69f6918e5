"""ENG004 and DRV006 by the GPU code in the engine's own files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoglm_doctor.checks.driver_ptx import driver_compiles_ptx
from autoglm_doctor.checks.engine_cuda import engine_cuda
from autoglm_doctor.checks.engine_gpu import engine_supports_gpu
from autoglm_doctor.facts import Distribution, Driver, Gpu, Host, KernelLibrary, Packages, Torch
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge

WHEEL = "sm_70 sm_75 sm_80 sm_89 sm_90 sm_100 sm_120"
SPECIAL = "sm_90a sm_100a sm_120a compute_80"
NAMES = {"vllm": "vllm/_C.abi3.so", "sgl-kernel": "sgl_kernel/sm100/common_ops.abi3.so"}
FA2 = "vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so"
LINUX = Host(system="Linux", machine="x86_64", kernel="6.8.0")


def library(
    common: str,
    others: str = "",
    *,
    package: str = "vllm",
    ptx: str = "",
    name: str = "",
    cuda_major: int | None = None,
) -> KernelLibrary:
    return KernelLibrary(
        package=package,
        name=name or NAMES[package],
        common=tuple(common.split()),
        others=tuple(others.split()),
        ptx=ptx,
        cuda_major=cuda_major,
    )


def card(capability: str) -> Gpu:
    return Gpu(index=0, name=f"GPU {capability}", compute_capability=capability, total_bytes=1 << 35, free_bytes=1)


def of(check: Any, capability: str, version: str, kernels: Any, engine: Any = "vllm", **more: Any) -> Finding:
    packages = Packages(distributions=(Distribution(name=engine, version=version),))
    given = {"driver": Driver(version="580.95.05"), "host": LINUX, **more}
    intent = Intent(model="some/model", engine=engine)
    (found,) = judge(check, gpus=(card(capability),), packages=packages, kernels=kernels, intent=intent, **given)
    return found


@pytest.mark.parametrize(
    ("capability", "version", "kernels", "engine", "status"),
    [
        pytest.param("8.6", "0.12.0", (library(WHEEL, SPECIAL),), "vllm", "pass", id="the wheel on an RTX 3090"),
        pytest.param("12.1", "0.12.0", (library(WHEEL, SPECIAL),), "vllm", "pass", id="code for 12.0 runs on GB10"),
        pytest.param("6.1", "0.12.0", (library(WHEEL, SPECIAL),), "vllm", "fail", id="a P40"),
        pytest.param("6.0", "0.9.3.dev2+p100", (library("sm_60 sm_70"),), "vllm", "pass", id="a build for old GPUs"),
        pytest.param("8.6", "0.12.0+local", (library("sm_89"),), "vllm", "fail", id="a build for a newer GPU"),
        pytest.param(
            "8.6", "0.12.0+local", (library("sm_89", "sm_80 compute_80"),), "vllm", "unknown", id="Marlin alone runs"
        ),
        pytest.param("12.0", "0.12.0", (library("sm_80 compute_90"),), "vllm", "pass", id="PTX"),
        pytest.param(
            "10.3",
            "0.5.9",
            (library("sm_80 sm_90 sm_100a sm_120a", package="sgl-kernel"),),
            "sglang",
            "fail",
            id="SGLang for B200 on a B300",
        ),
        pytest.param(
            "10.3", "0.5.23", (library("sm_80 sm_100f", package="sgl-kernel"),), "sglang", "pass", id="for the family"
        ),
        pytest.param("8.7", "0.12.0", (library("sm_80 sm_89"),), "vllm", "fail", id="an Orin runs its own code only"),
        pytest.param("8.6", "0.12.0", (library("sm_80", package="sgl-kernel"),), "vllm", "pass", id="another engine's"),
    ],
)
def test_the_files_decide(capability: str, version: str, kernels: Any, engine: str, status: str) -> None:
    found = of(engine_supports_gpu, capability, version, kernels, engine)
    assert found.status == status
    if status == "fail":
        too_old = capability == "6.1"
        assert found.cause == ("GPU_TOO_OLD_FOR_ENGINE" if too_old else "GPU_ARCH_NOT_IN_WHEEL")
        assert found.fixes


@pytest.mark.parametrize(
    ("capability", "version", "engine", "more", "status"),
    [
        pytest.param("12.0", "0.8.5", "vllm", {}, "fail", id="an RTX 5090 and a wheel from before it"),
        pytest.param("12.0", "0.9.2", "vllm", {}, "pass", id="the first wheels for it"),
        pytest.param("10.3", "0.5.10", "sglang", {}, "unknown", id="a B300: kernels may be of another index"),
        pytest.param("7.5", "0.5.10", "sglang", {}, "fail", id="a T4: no index has kernels for it"),
        pytest.param("10.3", "0.5.11", "sglang", {}, "pass", id="a B300 and a wheel with code for it"),
        pytest.param("12.0", "0.8.5+abc", "vllm", {}, "unknown", id="a build of one's own"),
        pytest.param("6.1", "0.8.1", "vllm", {}, "fail", id="a P40 and the wheel"),
        pytest.param("6.1", "0.8.1+source", "vllm", {}, "fail", id="the project's sources have nothing for a P40"),
        pytest.param("6.1", "0.8.2.dev3+g1a2b3c4d", "vllm", {}, "fail", id="nor has a build of its repository"),
        pytest.param("6.1", "0.10.0+cu118", "vllm", {}, "fail", id="nor the project's wheel for another CUDA"),
        pytest.param("6.1", "0.9.2.dev3+g1a2b3c4d.d20250701", "vllm", {}, "unknown", id="a changed tree of it"),
        pytest.param("12.0", "0.8.5+cu128", "vllm", {}, "unknown", id="the project made none for that CUDA"),
        pytest.param("6.1", "0.8.5+cu128", "vllm", {}, "unknown", id="for an old GPU the same"),
        pytest.param("12.0", "0.8.5+cu124", "vllm", {}, "fail", id="the CUDA of the release itself"),
        pytest.param("6.1", "0.21.0+cu129", "vllm", {}, "fail", id="a build of the project's page of releases"),
        pytest.param("6.1", "0.8.1+pascal", "vllm", {}, "unknown", id="somebody else's build for Pascal"),
        pytest.param("7.0", "0.20.1+volta", "vllm", {}, "unknown", id="somebody else's build for Volta"),
        pytest.param(
            "12.0",
            "0.8.5",
            "vllm",
            {"host": Host(system="Linux", machine="x86_64", kernel="6", container="docker")},
            "unknown",
            id="an image, which may hold another build",
        ),
        pytest.param(
            "12.1",
            "0.5.23",
            "sglang",
            {"host": Host(system="Linux", machine="aarch64", kernel="6")},
            "pass",
            id="GB10's code is in the wheel for Arm",
        ),
        pytest.param("12.0", "0.4.6", "sglang", {}, "unknown", id="a new GPU, and kernels that were not read"),
        pytest.param("9.0", "0.4.6", "sglang", {}, "pass", id="only the lowest capability is known"),
        pytest.param("13.0", "0.99.0", "vllm", {}, "unknown", id="a release that is newer than the table"),
        pytest.param("12.0", "0.6.3", "vllm", {}, "unknown", id="an old release and a new GPU"),
    ],
)
def test_without_the_files_the_published_wheel_decides(
    capability: str, version: str, engine: str, more: Any, status: str
) -> None:
    assert of(engine_supports_gpu, capability, version, None, engine, **more).status == status


OF_570, OF_575 = Driver(version="570.124.06"), Driver(version="575.51.03")
ATTENTION = library("sm_80 compute_80", name=FA2, ptx="8.8")


@pytest.mark.parametrize(
    ("driver", "capability", "version", "kernels", "engine", "status"),
    [
        pytest.param(OF_570, "12.0", "0.12.1.dev3+g1", (library(WHEEL), ATTENTION), "vllm", "fail", id="own build"),
        pytest.param(OF_575, "12.0", "0.12.1.dev3+g1", (library(WHEEL), ATTENTION), "vllm", "pass", id="newer driver"),
        pytest.param(OF_570, "8.9", "0.12.1.dev3+g1", (library(WHEEL), ATTENTION), "vllm", "not_applicable", id="8.9"),
        pytest.param(
            OF_570,
            "12.0",
            "0.12.0",
            (library(WHEEL), library("sm_120", name=FA2)),
            "vllm",
            "not_applicable",
            id="published by its version, built for this GPU by its files",
        ),
        pytest.param(
            OF_570, "9.0", "0.12.0", (library("sm_80 compute_80", ptx="8.8"),), "vllm", "fail", id="all of it is PTX"
        ),
        pytest.param(
            OF_570,
            "12.0",
            "0.5.6",
            (library("sm_80 compute_90", package="sgl-kernel", ptx="9.0"),),
            "sglang",
            "fail",
            id="SGLang's kernels as PTX",
        ),
        pytest.param(
            OF_570,
            "12.0",
            "0.12.0",
            (library("sm_80 compute_80", ptx="99.1"),),
            "vllm",
            "unknown",
            id="PTX of a new CUDA",
        ),
    ],
)
def test_ptx_in_the_files(
    driver: Driver, capability: str, version: str, kernels: Any, engine: str, status: str
) -> None:
    found = of(driver_compiles_ptx, capability, version, kernels, engine, driver=driver)
    assert found.status == status
    if status == "fail":
        assert found.fixes


IMAGE = Host(system="Linux", machine="x86_64", kernel="6.8.0", container="docker")
FOR_13 = KernelLibrary(
    package="sgl-kernel", name="sgl_kernel/sm100/common_ops.abi3.so", common=("sm_80",), cuda_major=13
)


@pytest.mark.parametrize(
    ("version", "engine", "kernels", "more", "status"),
    [
        pytest.param("0.15.1", "vllm", None, {}, "fail", id="a wheel for CUDA 12 beside a torch for 13"),
        pytest.param("0.15.1", "vllm", None, {"host": IMAGE}, "unknown", id="an image may hold another build"),
        pytest.param("0.15.1+cu130", "vllm", None, {"host": IMAGE}, "pass", id="an image that says which"),
        pytest.param("0.15.1+source", "vllm", None, {}, "unknown", id="a build of one's own"),
        pytest.param("0.5.9", "sglang", None, {}, "not_applicable", id="SGLang whose kernels were not read"),
        pytest.param("0.5.9", "sglang", (FOR_13,), {}, "pass", id="kernels of another index under the same version"),
        pytest.param("0.5.9", "sglang", (replace(FOR_13, cuda_major=12),), {}, "fail", id="kernels for CUDA 12"),
        pytest.param(
            "0.15.1", "vllm", (library("sm_80", cuda_major=13),), {"host": IMAGE}, "pass", id="the files of an image"
        ),
    ],
)
def test_the_cuda_of_the_engine(version: str, engine: str, kernels: Any, more: dict[str, Any], status: str) -> None:
    given = {"torch": Torch(version="2.9.1+cu130", cuda="13.0", location="/t"), **more}
    found = of(engine_cuda, "9.0", version, kernels, engine, **given)
    assert found.status == status
    if status == "fail":
        assert found.fixes
