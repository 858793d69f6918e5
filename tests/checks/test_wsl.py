"""HST003: expandable segments inside WSL."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.wsl import wsl_expandable_segments
from autoglm_doctor.facts import Driver, Environment, Gpu, Host
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge

WSL = Host(system="Linux", machine="x86_64", kernel="5.15.153.1-microsoft-standard-WSL2", wsl=True)
LINUX = dataclasses.replace(WSL, kernel="6.8", wsl=False)
VLLM = Intent(model="/m", engine="vllm")
ON = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


def card(capability: str) -> Gpu:
    return Gpu(index=0, name="GPU", compute_capability=capability, total_bytes=24 << 30, free_bytes=23 << 30)


CASES = [
    pytest.param(ON, "596.36", "8.6", "fail", id="Ampere, an older driver"),
    pytest.param({"PYTORCH_ALLOC_CONF": "expandable_segments:True"}, "610.62", "8.9", "fail", id="the newer name"),
    pytest.param(
        {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512,expandable_segments:true"},
        "596.36",
        "8.6",
        "fail",
        id="among others",
    ),
    pytest.param({"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments on"}, "596.36", "", "fail", id="in words"),
    pytest.param(ON, "", "", "fail", id="the driver is not known"),
    pytest.param(ON, "610.74", "12.0", "warn", id="could not be made to fail there"),
    pytest.param(ON, "616.92", "8.6", "pass", id="a driver that can"),
    pytest.param(ON, "615", "8.6", "pass", id="its branch alone"),
    pytest.param({}, "596.36", "8.6", "pass", id="not set"),
    pytest.param({"PYTORCH_CUDA_ALLOC_CONF": ""}, "596.36", "8.6", "pass", id="set to nothing"),
    pytest.param({"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False"}, "596.36", "8.6", "pass", id="switched off"),
    pytest.param({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:128"}, "596.36", "8.6", "pass", id="other settings"),
    pytest.param(
        {"PYTORCH_ALLOC_CONF": "expandable_segments:False", **ON},
        "596.36",
        "8.6",
        "pass",
        id="the newer name is read first",
    ),
]


@pytest.mark.parametrize(("variables", "driver", "capability", "status"), CASES)
def test_in_wsl(variables: dict[str, str], driver: str, capability: str, status: str) -> None:
    given: dict[str, Any] = {"host": WSL, "environment": Environment(variables=variables)}
    if driver:
        given["driver"] = Driver(version=driver)
    if capability:
        given["gpus"] = (card(capability),)
    (found,) = judge(wsl_expandable_segments, intent=VLLM, **given)
    assert found.status == status
    assert bool(found.fixes) == (status in ("fail", "warn"))


@pytest.mark.parametrize(
    ("host", "intent"),
    [
        pytest.param(LINUX, VLLM, id="on Linux"),
        pytest.param(WSL, Intent(model="/m.gguf", engine="llamacpp"), id="llama.cpp does not use torch"),
        pytest.param(WSL, Intent(model="/m", engine="transformers", device="cpu"), id="on the CPU"),
    ],
)
def test_it_does_not_concern(host: Host, intent: Intent) -> None:
    environment = Environment(variables=ON)
    (found,) = judge(wsl_expandable_segments, intent=intent, host=host, environment=environment)
    assert found.status == "not_applicable"


def test_a_setting_in_front_of_the_command_counts_and_the_others_stay() -> None:
    value = "expandable_segments:True,max_split_size_mb:512"
    intent = dataclasses.replace(VLLM, environment={"PYTORCH_CUDA_ALLOC_CONF": value})
    (found,) = judge(wsl_expandable_segments, intent=intent, host=WSL, environment=Environment())
    kept = "export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:False,max_split_size_mb:512"
    assert (found.status, found.fixes[0].commands) == ("fail", (kept,))
