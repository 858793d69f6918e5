"""DRV on a Jetson, where NVML is missing or knows little and CUDA works without."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.cuda import cuda_initialises
from autoglm_doctor.checks.driver import driver_libraries_match, driver_present
from autoglm_doctor.checks.gpu import gpus_answer
from autoglm_doctor.facts import Cuda, Facts, known
from autoglm_doctor.intent import Device
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from tests.checks.test_driver import ABSENT, FAILED, GOOD, HOST, WORKS, nvml, one

JETSON = dataclasses.replace(HOST, machine="aarch64", tegra=True)
ON_JETSON = {
    "NVML is not there, CUDA starts": (ABSENT, WORKS, "pass"),
    "NVML does not load, CUDA starts": (nvml(12), WORKS, "pass"),
    "NVML refuses, CUDA starts": (nvml(3), WORKS, "pass"),
    "NVML does not know its GPU, CUDA starts": (nvml(999), WORKS, "pass"),
    "NVML answers": (GOOD, WORKS, "pass"),
    "NVML answers, CUDA was not tried": (GOOD, FAILED, "pass"),
    "NVML is not there, CUDA does not start": (ABSENT, Cuda(library="/x", init_code=999), "unknown"),
    "NVML is not there, CUDA shows no device": (ABSENT, Cuda(library="/x", init_code=0), "unknown"),
    "NVML is not there, CUDA was not tried": (ABSENT, FAILED, "unknown"),
    "NVML hangs": (FAILED, FAILED, "fail"),
}


@pytest.mark.parametrize("device", ["cuda", "auto"])
@pytest.mark.parametrize(("driver", "cuda", "status"), ON_JETSON.values(), ids=ON_JETSON)
def test_a_jetson_needs_no_nvml(driver: Any, cuda: Any, status: str, device: Device) -> None:
    intent = dataclasses.replace(default_intent(), device=device)
    finding = one(judge(driver_present, driver=driver, cuda=cuda, host=JETSON, pci_gpus=(), intent=intent))
    if device == "auto" and status == "fail":
        status = "warn"  # the driver itself left no trace
    assert finding.status == status


def test_a_jetson_on_which_cuda_does_not_start_is_one_red() -> None:
    dead = known(Cuda(library=None, load_error="libcuda.so.1: cannot open shared object file"))
    facts = Facts(driver=ABSENT, gpus=ABSENT, cuda=dead, host=known(JETSON), pci_gpus=known(()))
    found = run_checks([driver_present, gpus_answer, cuda_initialises], facts, default_intent(), load_matrix())
    assert [(f.code, f.status) for f in found if f.status == "fail"] == [("CUD001", "fail")]
    assert "nvidia-l4t-cuda" in str(found[-1].fixes[0].commands)


def test_the_libraries_of_a_jetson_are_not_compared() -> None:
    assert one(judge(driver_libraries_match, driver=nvml(12), host=JETSON)).status == "not_applicable"
