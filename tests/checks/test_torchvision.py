"""TOR004: which way out leads where an engine pins another pair. The rest is beside the other checks of torch."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.torchvision import torchvision_matches
from autoglm_doctor.facts import Distribution, Host, Packages, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.torch_cases import ARM, NEW_DRIVER, PIP, PYTHON, X86, gpu


@pytest.mark.parametrize(
    ("requires", "wanted"),
    [
        pytest.param(("torch==2.9.0", "torchvision==0.24.0"), "vllm==0.12.0", id="its metadata pins another torch"),
        pytest.param((), "vllm==", id="the table knows that it was built for another torch"),
    ],
)
def test_the_engine_decides_which_pair_is_right(requires: tuple[str, ...], wanted: str) -> None:
    torch = Torch(version="2.8.0", cuda="12.8", location="/v/lib/torch")
    there = (
        PIP,
        Distribution(name="vllm", version="0.12.0", requires=requires),
        Distribution(name="torch", version="2.8.0"),
        Distribution(name="torchvision", version="0.24.0"),
    )
    [finding] = judge(
        torchvision_matches,
        torch=torch,
        packages=Packages(distributions=there),
        interpreter=PYTHON,
        driver=NEW_DRIVER,
        gpus=(gpu(),),
        intent=Intent(model="zai-org/AutoGLM-Phone-9B", engine="vllm"),
    )
    assert finding.status == "fail"
    assert wanted in finding.fixes[0].commands[0]
    assert "torch==2.8.0" not in finding.fixes[0].commands[0]


@pytest.mark.parametrize(
    ("vision", "torch", "host", "status"),
    [
        pytest.param("0.28.0", "2.13.0+cpu", X86, "fail", id="tried: no operator torchvision::nms"),
        pytest.param("0.28.0+cpu", "2.13.0+cpu", X86, "pass", id="both for the CPU"),
        pytest.param("0.28.0", "2.13.0", X86, "pass", id="both of the default index"),
        pytest.param("0.28.0+cu130", "2.13.0+cu130", X86, "pass", id="both for CUDA 13.0"),
        pytest.param("0.28.0a0+1a2b3c4", "2.13.0+cpu", X86, "pass", id="built here"),
        pytest.param("0.28.0", "2.13.0+cpu", ARM, "pass", id="Arm, whose default is the CPU's"),
        pytest.param(
            "0.28.0", "2.13.0+cpu", Host(system="Windows", kernel="", machine="AMD64"), "pass", id="Windows as well"
        ),
        pytest.param("0.28.0", "2.13.0+cpu", None, "pass", id="nobody says which system"),
    ],
)
def test_a_build_for_cuda_does_not_load_with_a_torch_for_the_cpu(
    vision: str, torch: str, host: Any, status: str
) -> None:
    there = (PIP, Distribution(name="torchvision", version=vision), Distribution(name="torch", version=torch))
    facts: dict[str, Any] = {"packages": Packages(distributions=there), "interpreter": PYTHON}
    [finding] = judge(torchvision_matches, torch=Torch(version=torch), host=host, **facts)
    assert finding.status == status
    if status == "fail":
        assert finding.cause == "TORCH_COMPANION_MISMATCH"
        assert "torchvision" in finding.fixes[0].commands[0]
