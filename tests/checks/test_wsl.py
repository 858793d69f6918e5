"""HST003: expandable segments inside WSL."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.wsl import wsl_expandable_segments
from autoglm_doctor.facts import Distribution, Driver, Environment, Gpu, Host, Packages, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge

WSL = Host(system="Linux", machine="x86_64", kernel="5.15.153.1-microsoft-standard-WSL2", wsl=True)
LINUX = dataclasses.replace(WSL, kernel="6.8", wsl=False)
VLLM = Intent(model="/m", engine="vllm")
ON = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


def card(capability: str) -> Gpu:
    return Gpu(index=0, name="GPU", compute_capability=capability, total_bytes=24 << 30, free_bytes=23 << 30)


NEW = {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}
OFF, NEW_OFF = ({name: "expandable_segments:False"} for one in (ON, NEW) for name in one)
ELSE = {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:128"}

CASES = [
    pytest.param(ON, "596.36", "8.6", "fail", id="Ampere, an older driver"),
    pytest.param(ON, "610.62", "8.9", "fail", id="the last branch with the fault"),
    pytest.param(
        {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512,expandable_segments:true"},
        "596.36",
        "8.6",
        "fail",
        id="among others",
    ),
    pytest.param({"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments on"}, "596.36", "", "fail", id="in words"),
    pytest.param(ON, "", "", "warn", id="the driver is not known"),
    pytest.param(ON, "591.86", "8.6", "warn", id="a driver of which the reports differ"),
    pytest.param(ON, "560.94", "8.6", "warn", id="a driver before all reports"),
    pytest.param(ON, "610.74", "12.0", "warn", id="could not be made to fail there"),
    pytest.param(ON, "616.92", "8.6", "pass", id="a driver that can"),
    pytest.param(ON, "615", "8.6", "pass", id="its branch alone"),
    pytest.param({}, "596.36", "8.6", "pass", id="not set"),
    pytest.param({"PYTORCH_CUDA_ALLOC_CONF": ""}, "596.36", "8.6", "pass", id="set to nothing"),
    pytest.param(OFF, "596.36", "8.6", "pass", id="switched off"),
    pytest.param(ELSE, "596.36", "8.6", "pass", id="other settings"),
    pytest.param(NEW, "596.36", "8.6", "warn", id="a torch that is not known may not read the newer name"),
    pytest.param({**NEW_OFF, **ON}, "596.36", "8.6", "warn", id="the names differ, and torch is not known"),
    pytest.param({**NEW_OFF, **OFF}, "596.36", "8.6", "pass", id="off in both"),
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
    ("variables", "torch", "status"),
    [
        pytest.param(NEW, "2.9.1+cu128", "pass", id="2.9 does not read the newer name"),
        pytest.param({**NEW_OFF, **ON}, "2.9.1", "fail", id="2.9 is not held back by the newer name"),
        pytest.param({**NEW, **OFF}, "2.8.0", "pass", id="2.8 reads the older name alone"),
        pytest.param(NEW, "2.10.0", "fail", id="2.10 reads the newer name"),
        pytest.param(NEW, "2.15.0.dev20260831+cu132", "fail", id="a nightly build"),
        pytest.param(ON, "2.10.0", "fail", id="and still the older one"),
        pytest.param({**NEW_OFF, **ON}, "2.11.0", "warn", id="which of the two 2.11 takes is not known"),
        pytest.param({**NEW_OFF, **ON}, "2.13.0", "fail", id="2.13 takes the older one"),
        pytest.param({**NEW, **OFF}, "2.13.0", "pass", id="2.13 takes the older one, switched off"),
        pytest.param({**NEW, **ELSE}, "2.13.0", "pass", id="2.13 takes the older one, whatever it says"),
    ],
)
@pytest.mark.parametrize("stated", [False, True], ids=["read", "in the list"])
def test_each_torch_reads_its_names(variables: dict[str, str], torch: str, status: str, stated: bool) -> None:
    row = Distribution(name="torch", version=torch)
    which: dict[str, Any] = {"packages": Packages(distributions=(row,))} if stated else {"torch": Torch(version=torch)}
    given: dict[str, Any] = {
        "host": WSL,
        "environment": Environment(variables=variables),
        "driver": Driver(version="596.36"),
    }
    (found,) = judge(wsl_expandable_segments, intent=VLLM, **given, **which)
    assert found.status == status


@pytest.mark.parametrize(("vllm", "status"), [("0.12.0", "pass"), ("0.20.0", "fail"), ("0.12.0+mine", "warn")])
def test_a_published_vllm_tells_its_torch(vllm: str, status: str) -> None:
    packages = Packages(distributions=(Distribution(name="vllm", version=vllm),))
    given: dict[str, Any] = {"host": WSL, "environment": Environment(variables=NEW), "driver": Driver(version="596.36")}
    (found,) = judge(wsl_expandable_segments, intent=VLLM, packages=packages, **given)
    assert found.status == status


def test_both_names_are_switched_off() -> None:
    given: dict[str, Any] = {
        "host": WSL,
        "environment": Environment(variables={**ON, **NEW}),
        "driver": Driver(version="596.36"),
    }
    (found,) = judge(wsl_expandable_segments, intent=VLLM, **given)
    assert found.fixes[0].commands == (
        "export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:False",
        "export PYTORCH_ALLOC_CONF=expandable_segments:False",
    )


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
    driver = Driver(version="596.36")
    (found,) = judge(wsl_expandable_segments, intent=intent, host=WSL, environment=Environment(), driver=driver)
    kept = "export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:False,max_split_size_mb:512"
    assert (found.status, found.fixes[0].commands) == ("fail", (kept,))
