"""ENG010, and torches and CUDA libraries that lie beside each other, as they are stated."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.engine_wheels import engine_wheels
from autoglm_doctor.facts import Distribution, Host, Interpreter, Packages
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.restraint.judged import findings, judged

PYTHON, TWICE, MIXED = "PYTHON_UNSUPPORTED", "DUPLICATE_TORCH_INSTALL", "CUDA_MAJOR_MIXED_PACKAGES"
USER, SYSTEM = "/home/u/.local/lib/python3.10/site-packages/torch", "/usr/lib/python3/dist-packages/torch"
CUDA12 = {"torch": "2.9.1+cu128", "nvidia-cublas-cu12": "12.8.4.1"}

CASES = [
    pytest.param({"python": "3.14.0", "engine": "sglang 0.5.3"}, [(PYTHON, "fail")], id="torch without a wheel"),
    pytest.param({"python": "3.13", "packages": {"vllm": "0.8.0"}}, [(PYTHON, "warn")], id="xFormers without a wheel"),
    pytest.param({"python": "3.13.2", "engine": "vllm 0.8.1"}, [(PYTHON, "warn")], id="the next release of it"),
    pytest.param({"python": "3.13.2", "engine": "vllm 0.11.0"}, [], id="xFormers for any Python"),
    pytest.param({"python": "3.12.3", "engine": "vllm 0.4.3"}, [(PYTHON, "warn")], id="Python 3.12 in its first year"),
    pytest.param({"python": "3.11.9", "engine": "vllm 0.4.3"}, [], id="the newest Python of that year"),
    pytest.param({"python": "3.12.3", "engine": "vllm 0.8.5"}, [], id="the newest Python of its time"),
    pytest.param({"python": "3.14.0", "engine": "sglang 0.5.9"}, [], id="torch with a wheel for it"),
    pytest.param({"python": "3.13.2", "engine": "vllm 0.8.0", "nvcc": "12.4"}, [], id="built with nvcc"),
    pytest.param({"python": "3.13.2", "engine": "vllm 0.8.0", "cuda_available": True}, [], id="seen to work"),
    pytest.param({"python": "3.13.2", "container": "vllm/vllm-openai:v0.8.0"}, [], id="a host's Python"),
    pytest.param({"python": "3.14.0", "packages": {"sglang": "0.5.3.dev1+gabc1234"}}, [], id="a build of one's own"),
    pytest.param({"python": "3.14.0", "engine": "sglang"}, [], id="no version"),
    pytest.param(
        {"torch_file": USER, "torch_installs": [f"{SYSTEM} 2.1.0", f"{USER} 2.5.1"]}, [(TWICE, "warn")], id="u"
    ),
    pytest.param({"packages": {"torch": ["2.1.0", "2.5.1"]}}, [(TWICE, "warn")], id="two versions in one list"),
    pytest.param({"torch_installed": "conda 2.1.0 and pip 2.4.0"}, [(TWICE, "warn")], id="two installers"),
    pytest.param({"torch_installed": "pip 2.4.0"}, [], id="one installer"),
    pytest.param({"torch_installed": "conda 2.4.0 and pip 2.4.0"}, [], id="of one release"),
    pytest.param({"torch_installed": "2.1.0, then 2.4.0"}, [], id="what was tried"),
    pytest.param({"torch_installed": True}, [], id="yes"),
    pytest.param({"packages": {"torch": ["2.5.1"]}}, [], id="a list of one"),
    pytest.param(
        {"torch_installs": [f"/opt/{n}/lib/python3.12/site-packages/torch 2.{n}.0" for n in (8, 9)]},
        [],
        id="environments of their own",
    ),
    pytest.param(
        {"torch_installs": [f"{USER} 2.5.1", "/usr/lib/python3.12/site-packages/torch 2.8.0"]}, [], id="two Pythons"
    ),
    pytest.param({"packages": {**CUDA12, "nvidia-cudnn-cu13": "9.13.0.50"}}, [(MIXED, "warn")], id="cuDNN of CUDA 13"),
    pytest.param(
        {
            "packages": {
                "torch": "2.1.0+cu118",
                "nvidia-cusolver-cu11": "11.4.1.48",
                "nvidia-cusolver-cu12": "11.4.5.107",
            }
        },
        [(MIXED, "warn")],
        id="cuSOLVER of 11 and 12 is one file",
    ),
    pytest.param(
        {"packages": {"torch": "2.1.0+cu118", "nvidia-nvtx-cu11": "11.8.86", "nvidia-nvtx-cu12": "12.1.105"}},
        [(MIXED, "warn")],
        id="NVTX of 11 and 12 is one file",
    ),
    pytest.param({"packages": {**CUDA12, "nvidia-cublas": "13.0.0.19"}}, [], id="cuBLAS of both majors"),
    pytest.param({"packages": {**CUDA12, "nvidia-cublas-cu11": "11.11.3.6"}}, [], id="cuBLAS of 11 and 12"),
    pytest.param({"packages": {**CUDA12, "nvidia-curand": "10.4.0.35"}}, [], id="cuRAND of 13 has its folder"),
    pytest.param({"packages": {**CUDA12, "nvidia-cudnn-cu11": "8.9.6.50"}}, [], id="cuDNN 8 for something else"),
    pytest.param({"packages": {**CUDA12, "nvidia-nccl-cu13": "2.28.9"}}, [], id="NCCL needs no other library"),
    pytest.param(
        {"packages": {"torch": "2.9.1+cu130", "nvidia-cudnn-cu13": "9.13.0.50", "nvidia-cublas": "13.0.0.19"}},
        [],
        id="13",
    ),
    pytest.param(
        {"packages": {"torch": "2.9.1+cu128", "nvidia-cudnn-cu13": "9.13.0.50"}}, [], id="whose it is is open"
    ),
]


@pytest.mark.parametrize(("facts", "causes"), CASES)
def test_as_stated(facts: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    assert [(one.cause, one.status) for one in judged(facts).causes] == causes


def ask(version: str, torch: str = "", **facts: Any) -> str:
    there = {"sglang": version, "torch": torch}
    (found,) = judge(
        engine_wheels,
        packages=Packages(distributions=tuple(Distribution(name=n, version=v) for n, v in there.items() if v)),
        interpreter=Interpreter(executable="", version="3.14.0"),
        intent=Intent(model="/m", engine="sglang"),
        **facts,
    )
    return found.status


def test_nothing_compared_is_no_green() -> None:
    assert ask("0.5.3") == "fail"
    assert ask("0.5.9") == "pass"
    assert (
        ask("0.5.3", host=Host(system="Linux", machine="x86_64", kernel="6.8", container="docker")) == "not_applicable"
    )
    assert ask("0.5.3", torch="2.8.0") == "not_applicable"  # which is there already


def test_two_copies_without_a_folder_are_told_without_one() -> None:
    shown = [
        render(one.text) for one in found_of({"torch_installed": "conda 2.1.0 and pip 2.4.0"}) if one.code == "PKG002"
    ]
    assert shown == ["torch is installed twice: 2.1.0 and 2.4.0, and which of them is used is not known"]


def found_of(facts: dict[str, Any]) -> tuple[Finding, ...]:
    return findings(*read_facts(facts, load_matrix()))
