"""PKG017: CUDA_HOME is the path of one folder."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.cuda_home import cuda_home_is_a_folder
from autoglm_doctor.facts import Distribution, Environment, Host, Packages
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge

VLLM, OLD, PLAIN = ("vllm", "0.24.0"), ("vllm", "0.12.0"), ("transformers", "4.57.1")

CASES = [
    pytest.param({"CUDA_HOME": ":/usr/local/cuda-12.8"}, VLLM, "fail", id="a colon in front"),
    pytest.param({"CUDA_HOME": "/usr/local/cuda:/usr/local/cuda-12.8"}, VLLM, "fail", id="two folders"),
    pytest.param({"CUDA_HOME": "/usr/local/cuda:"}, ("sglang", "0.5.9"), "fail", id="a colon behind"),
    pytest.param({"CUDA_HOME": ":/usr/local/cuda"}, OLD, "warn", id="a release that compiles nothing"),
    pytest.param({"CUDA_HOME": ":/usr/local/cuda"}, PLAIN, "warn", id="plain transformers"),
    pytest.param({"CUDA_HOME": "usr/local/cuda"}, VLLM, "fail", id="not from the root"),
    pytest.param({"CUDA_PATH": ":/usr/local/cuda"}, VLLM, "fail", id="the other name"),
    pytest.param({"CUDA_HOME": "/usr/local/cuda", "CUDA_PATH": ":/usr"}, VLLM, "pass", id="the first name counts"),
    pytest.param({"CUDA_HOME": "/usr/local/cuda"}, VLLM, "pass", id="one folder"),
    pytest.param({"CUDA_HOME": "/usr/local/cuda-12.8/"}, VLLM, "pass", id="one folder with its slash"),
    pytest.param({"CUDA_HOME": '"/usr/local/cuda"'}, VLLM, "pass", id="quoted by whoever states it"),
    pytest.param({"CUDA_HOME": "$CONDA_PREFIX"}, VLLM, "pass", id="not expanded"),
    pytest.param({"CUDA_HOME": "/opt/cuda:12"}, VLLM, "pass", id="a colon in a name"),
    pytest.param({"CUDA_HOME": ""}, VLLM, "not_applicable", id="empty"),
    pytest.param({"CUDA_HOME": "None"}, VLLM, "not_applicable", id="none of it, in a word"),
    pytest.param({"CUDA_HOME": "N/A"}, VLLM, "not_applicable", id="not available"),
    pytest.param({"CUDA_HOME": "No"}, VLLM, "not_applicable", id="no"),
    pytest.param({"CUDA_HOME": "not set"}, OLD, "not_applicable", id="not set, in words"),
    pytest.param({"CUDA_HOME": "None", "CUDA_PATH": ":/usr"}, VLLM, "fail", id="none of the first, and a colon"),
    pytest.param({"CUDA_PATH": "C:\\Program Files\\CUDA\\v12.8"}, VLLM, "not_applicable", id="of Windows, as in WSL"),
    pytest.param({"CUDA_HOME": "d:/CUDA/v12.8"}, PLAIN, "not_applicable", id="of Windows, with slashes"),
    pytest.param({"LD_LIBRARY_PATH": ":/usr/local/cuda/lib64"}, VLLM, "not_applicable", id="a list that may have it"),
    pytest.param({}, VLLM, "not_applicable", id="not set"),
]


def ask(variables: dict[str, str], engine: tuple[str, str], *, system: str = "Linux", device: Any = "cuda") -> Any:
    name: Any = engine[0]
    (finding,) = judge(
        cuda_home_is_a_folder,
        environment=Environment(variables=variables),
        packages=Packages(distributions=(Distribution(name=name, version=engine[1]),)),
        host=Host(system=system, machine="x86_64", kernel="6.8"),
        intent=Intent(model="m", engine=name, device=device),
    )
    return finding


@pytest.mark.parametrize(("variables", "engine", "status"), CASES)
def test_form(variables: dict[str, str], engine: tuple[str, str], status: str) -> None:
    found = ask(variables, engine)
    assert found.status == status
    assert bool(found.fixes) == (status in ("fail", "warn"))


def test_the_fix_names_the_last_folder() -> None:
    found = ask({"CUDA_HOME": "/usr/local/cuda-11.8:/usr/local/cuda-12.8"}, VLLM)
    assert found.fixes[0].commands[0] == "export CUDA_HOME=/usr/local/cuda-12.8"


def test_windows_and_the_cpu_are_not_judged() -> None:
    assert ask({"CUDA_PATH": "C:\\CUDA"}, VLLM, system="Windows").status == "not_applicable"
    assert ask({"CUDA_HOME": ":/usr"}, VLLM, device="cpu").status == "not_applicable"
