"""TOR004: which way out leads where an engine pins another pair. The rest is beside the other checks of torch."""

from __future__ import annotations

import pytest

from autoglm_doctor.checks.torchvision import torchvision_matches
from autoglm_doctor.facts import Distribution, Packages, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.torch_cases import NEW_DRIVER, PIP, PYTHON, gpu


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
