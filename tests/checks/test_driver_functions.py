"""DRV008: functions of libcuda that the engine's kernels name."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.version import Version

from autoglm_doctor.checks.driver_functions import driver_has_functions
from autoglm_doctor.domain.resolve.shelf import shelf_of
from autoglm_doctor.facts import Cuda, Distribution, Driver, Environment, Gpu, Host, Packages
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge

OLD, NEW = Driver(version="535.86.10"), Driver(version="550.54.14")
STARTED = Cuda(library="/compat/libcuda.so.1", init_code=0, driver_cuda_version="12.8", devices=())
COMPAT = Environment(variables={"LD_LIBRARY_PATH": "/usr/local/cuda/compat"})

IMAGE = Host(system="Linux", machine="x86_64", kernel="6", container="docker")
CARD = (
    Gpu(index=0, name="NVIDIA GeForce RTX 4090", compute_capability="8.9", total_bytes=24 << 30, free_bytes=24 << 30),
)


def ask(versions: dict[str, str], driver: Driver, engine: Any = "sglang", **more: Any) -> Finding:
    there = tuple(Distribution(name=name, version=version) for name, version in versions.items())
    card = Gpu(
        index=0, name="NVIDIA A100-SXM4-80GB", compute_capability="8.0", total_bytes=80 << 30, free_bytes=80 << 30
    )
    given = {"gpus": (card,), "intent": Intent(model="/m", engine=engine), **more}
    [found] = judge(driver_has_functions, packages=Packages(distributions=there), driver=driver, **given)
    return found


ROWS = [
    pytest.param({"sgl-kernel": "0.2.7"}, OLD, {}, "fail", id="kernels that name green contexts, CUDA 12.2"),
    pytest.param({"sgl-kernel": "0.2.6"}, OLD, {}, "fail", id="the first of them"),
    pytest.param({"sgl-kernel": "0.3.5"}, Driver(version="545.23.08"), {}, "fail", id="the last, and CUDA 12.3"),
    pytest.param({"sglang": "0.4.10"}, OLD, {}, "fail", id="by the release of SGLang that pins them"),
    pytest.param(
        {"sgl-kernel": "0.2.7"}, Driver(version=None, cuda_version="12.2"), {}, "fail", id="by the CUDA alone"
    ),
    pytest.param({"sgl-kernel": "0.2.7"}, NEW, {}, "pass", id="the first driver that has them"),
    pytest.param({"sgl-kernel": "0.2.7"}, OLD, {"cuda": STARTED}, "pass", id="a newer libcuda has started"),
    pytest.param({"sgl-kernel": "0.2.7"}, OLD, {"environment": COMPAT}, "unknown", id="a libcuda of unknown release"),
    pytest.param({"sgl-kernel": "0.2.7"}, OLD, {"host": IMAGE}, "unknown", id="an image may bring another libcuda"),
    pytest.param({"sgl-kernel": "0.2.7"}, OLD, {"host": IMAGE, "gpus": CARD}, "fail", id="but not for a GeForce"),
    pytest.param({"sgl-kernel": "0.2.7"}, Driver(version=None), {}, "unknown", id="a driver of which nothing is known"),
    pytest.param({"sgl-kernel": "0.2.5"}, OLD, {}, "not_applicable", id="the release before"),
    pytest.param({"sgl-kernel": "0.3.6.post2"}, OLD, {}, "not_applicable", id="from then on by itself"),
    pytest.param({"sglang": "0.5.1.post3"}, OLD, {}, "not_applicable", id="by the release of SGLang that pins that"),
    pytest.param(
        {"sglang": "0.4.10.dev3"}, OLD, {}, "not_applicable", id="an SGLang from source, its kernels unstated"
    ),
    pytest.param({"sgl-kernel": "0.2.7", "vllm": "0.10.0"}, OLD, {"engine": "vllm"}, "not_applicable", id="vLLM"),
    pytest.param({"sgl-kernel": "0.2.7.dev0"}, OLD, {}, "not_applicable", id="a build of one's own"),
]


@pytest.mark.parametrize(("versions", "driver", "more", "status"), ROWS)
def test_green_contexts(versions: dict[str, str], driver: Driver, more: dict[str, Any], status: str) -> None:
    found = ask(versions, driver, **more)
    assert found.status == status
    if status == "fail":
        assert found.cause == "DRIVER_TOO_OLD"
        assert "sglang==" in found.fixes[0].commands[0]


def test_resolve_offers_no_such_engine_to_an_old_driver() -> None:
    matrix = load_matrix()
    needs = {one.version: one.minimum_driver for one in shelf_of(matrix, "sglang").releases}
    assert needs["0.4.10.post2"] == matrix.branch_for_cuda("12.4")
    assert Version(needs["0.5.1.post3"]) < Version(needs["0.5.1"])
