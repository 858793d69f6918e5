"""CUD005: what an image asks of the host, in NVIDIA's own words."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.container_cuda import image_cuda
from autoglm_doctor.domain.requirement import Offer, cuda_wanted, holds, requirements
from autoglm_doctor.facts import Cuda, Driver, Environment, Gpu, TorchRun
from autoglm_doctor.finding import Finding
from autoglm_doctor.testing import judge
from tests.restraint.judged import judged

#: The form of NVIDIA's CUDA images: the release itself, or a product family on an older branch.
BRANCHES = ("unknown", "grid", "tesla", "nvidia", "quadro", "quadrortx", "nvidiartx")
IMAGE = "cuda>=12.8 " + " ".join(f"brand={b},driver>={d},driver<{d + 1}" for d in (535, 550) for b in BRANCHES)

HOLDS = {
    "the driver knows the release": (IMAGE, "12.8", "570.86", "RTX 4090", True),
    "a newer driver": (IMAGE, "13.0", "580.95", "RTX 4090", True),
    "a GeForce on an older branch": (IMAGE, "12.4", "550.54.15", "NVIDIA GeForce RTX 4090", False),
    "a GeForce named shortly": (IMAGE, "12.2", "535.183.01", "RTX 3060", False),
    "a data centre card on an older branch": (IMAGE, "12.4", "550.54.15", "NVIDIA A100-SXM4-80GB", True),
    "a data centre card on a branch that is not named": (IMAGE, "12.6", "560.35.03", "NVIDIA H100 PCIe", False),
    "a workstation card on an older branch": (IMAGE, "12.2", "535.183.01", "RTX A6000", True),
    "a card of an unknown family": (IMAGE, "12.2", "535.183.01", "Something 9", None),
    "no card is known": (IMAGE, "12.2", "535.183.01", "", None),
    "no card is known, on a branch that is not named": (IMAGE, "12.6", "560.35.03", "", False),
    "no driver is known": (IMAGE, None, None, "RTX 4090", None),
    "two words are either of them": ("cuda>=12.1.1 driver>=530", "12.0", "535.1", "L4", True),
    "a comma is both of them": ("cuda>=12.0,driver>=550", "12.2", "535.1", "L4", False),
    "a patch release of CUDA": ("cuda>=12.4.1", "12.4", "550.1", "L4", True),
    "one family or the other, by driver": ("brand=tesla,driver>=418,driver<419", "10.1", "418.4", "Tesla V100", None),
    "a capability": ("arch>=7.0", "12.4", "550.1", "L4", True),
    "a capability that is not there": ("arch>=9.0", "12.4", "550.1", "L4", False),
    "a condition that nobody knows": ("colour=green", "12.4", "550.1", "L4", None),
}


@pytest.mark.parametrize(
    ("wanted", "cuda", "driver", "name", "answer"), [pytest.param(*row, id=name) for name, row in HOLDS.items()]
)
def test_holds(wanted: str, cuda: str | None, driver: str | None, name: str, answer: bool | None) -> None:
    offer = Offer(cuda=cuda, driver=driver, capabilities=("8.9",), names=(name,) if name else ())
    assert holds(wanted, offer) is answer


def test_words() -> None:
    assert cuda_wanted(IMAGE) == "12.8"
    assert cuda_wanted("brand=tesla,driver>=418") == ""
    assert requirements({"NVIDIA_REQUIRE_CUDA": "cuda>=12.8"}) == ("cuda>=12.8",)
    assert requirements({"NVIDIA_REQUIRE_CUDA": "cuda>=12.8", "NVIDIA_DISABLE_REQUIRE": "true"}) == ()
    assert requirements({"NVIDIA_REQUIRE_CUDA": "cuda>=12.8", "NVIDIA_DISABLE_REQUIRE": "0"}) == ("cuda>=12.8",)
    assert requirements({"NVIDIA_REQUIRE_CUDA": "", "CUDA_HOME": "cuda>=13"}) == ()


def _judged(**given: Any) -> Finding:
    gpu = Gpu(index=0, name="NVIDIA GeForce RTX 4090", compute_capability="8.9", total_bytes=1, free_bytes=1)
    facts = {
        "driver": Driver(version="550.54.15", cuda_version="12.4"),
        "gpus": (gpu,),
        "environment": Environment(variables={"NVIDIA_REQUIRE_CUDA": IMAGE}),
    }
    (finding,) = judge(image_cuda, **{**facts, **given})
    return finding


STATUS: dict[str, tuple[dict[str, Any], str]] = {
    "the container does not start": ({}, "fail"),
    "a driver that is new enough": ({"driver": Driver(version="570.86.15", cuda_version="12.8")}, "pass"),
    "it runs: NVML answers": ({"driver": Driver(version="550.54.15", nvml_code=0)}, "not_applicable"),
    "it runs: CUDA starts": ({"cuda": Cuda(library="libcuda.so.1", init_code=0)}, "not_applicable"),
    "it runs: torch sees CUDA": ({"torch_run": TorchRun(cuda_available=True)}, "not_applicable"),
    "CUDA does not start": ({"cuda": Cuda(library="libcuda.so.1", init_code=999)}, "fail"),
    "nothing is asked for": ({"environment": Environment(variables={})}, "not_applicable"),
    "no variable was read": ({"environment": None}, "not_applicable"),
    "the family is not known": ({"gpus": None}, "unknown"),
}


@pytest.mark.parametrize(("given", "status"), [pytest.param(*row, id=name) for name, row in STATUS.items()])
def test_status(given: dict[str, Any], status: str) -> None:
    assert _judged(**given).status == status


def test_switching_the_question_off_helps_only_within_the_major() -> None:
    commands = [_judged().fixes[0].commands[0]]
    other = Environment(variables={"NVIDIA_REQUIRE_CUDA": "cuda>=13.0"})
    commands.append(_judged(environment=other).fixes[0].commands[0])
    assert ["NVIDIA_DISABLE_REQUIRE" in one for one in commands] == [True, False]


def test_one_red_where_torch_needs_the_newer_driver_too() -> None:
    facts = {"container": "requires CUDA 13.0", "driver_version": "550.54.15", "torch": "2.9.1+cu130"}
    assert len([one for one in judged(facts).causes if one.status == "fail"]) == 1


def test_loosely_stated() -> None:
    facts: dict[str, Any] = {"container": "an image that requires CUDA 12.8", "gpus": ["RTX 3090"]}
    assert [one.cause for one in judged({**facts, "driver_version": "535.183.01"}).causes] == [
        "CONTAINER_REQUIRES_NEWER_CUDA"
    ]
    assert judged({**facts, "driver_version": "570.86.15"}).causes == ()
    assert judged(facts).causes == ()
