"""ENG006: vLLM and torch of one CUDA."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.engine_cuda import engine_cuda
from autoglm_doctor.facts import Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed

CASES = [
    pytest.param("0.21.0", "12.9", "fail", id="12 with a vLLM for 13"),
    pytest.param("0.2.2", "11.8", "fail", id="11 with the first vLLM for 12"),
    pytest.param("0.12.0", "13.0", "fail", id="13 with a vLLM for 12"),
    pytest.param("0.12.0", "12.6", "pass", id="another minor"),
    pytest.param("0.21.0+cu129", "12.9", "pass", id="the tag decides"),
    pytest.param("0.12.0+cu130", "12.8", "fail", id="the tag decides against it"),
    pytest.param("0.21.0+g12", "12.9", "unknown", id="a build of one's own"),
    pytest.param("0.21.1.dev5", "12.9", "unknown", id="a development version"),
    pytest.param("0.1.0", "11.8", "unknown", id="before the table"),
    pytest.param("0.21.0", None, "not_applicable", id="a torch for the CPU"),
]


@pytest.mark.parametrize(("vllm", "cuda", "status"), CASES)
def test_cuda(vllm: str, cuda: str | None, status: str) -> None:
    torch = Torch(version="2.10.0", cuda=cuda)
    (finding,) = judge(engine_cuda, packages=installed(vllm=vllm), torch=torch)
    assert finding.status == status
    assert bool(finding.fixes) == (status == "fail")


LOOSE = [
    pytest.param("2.11.0", "12.8", "", "unknown", id="the oldest CUDA that the architectures allow"),
    pytest.param("2.9.0", "13.0", "", "fail", id="newer than vLLM's is newer than vLLM's"),
    pytest.param("2.11.0+cu128", "12.8", "", "fail", id="torch's own tag tells it"),
    pytest.param("2.11.0", "12.8", "/env/torch", "fail", id="read from torch's files"),
]


@pytest.mark.parametrize(("version", "cuda", "location", "status"), LOOSE)
def test_a_cuda_that_was_concluded_is_a_lower_bound(version: str, cuda: str, location: str, status: str) -> None:
    torch = Torch(version=version, cuda=cuda, architectures=("sm_80", "sm_120"), location=location)
    vllm = "0.12.0" if cuda == "13.0" else "0.25.0"
    (finding,) = judge(engine_cuda, packages=installed(vllm=vllm), torch=torch)
    assert finding.status == status


@pytest.mark.parametrize("vllm", ["0.2.2", "0.6.3", "0.12.0", "0.21.0"])
def test_no_fix_lets_the_installer_choose_a_torch(vllm: str) -> None:
    """The newest torch is for another CUDA again."""
    cuda = "13.0" if vllm == "0.12.0" else "11.8"
    (finding,) = judge(engine_cuda, packages=installed(vllm=vllm), torch=Torch(version="2.10.0", cuda=cuda))
    lines = [line for fix in finding.fixes for line in fix.commands]
    assert lines
    assert not any("torch" in line.split() for line in lines), lines


def test_sglang_is_not_judged() -> None:
    intent: Any = Intent(model="m", engine="sglang")
    torch = Torch(version="2.9.1+cu130", cuda="13.0")
    (finding,) = judge(engine_cuda, packages=installed(sglang="0.5.5"), torch=torch, intent=intent)
    assert finding.status == "not_applicable"
