"""ENG006: vLLM and torch of one CUDA."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.version import Version

from autoglm_doctor.checks.engine_cuda import engine_cuda
from autoglm_doctor.facts import Distribution, Driver, Gpu, Host, Interpreter, Packages, Torch
from autoglm_doctor.finding import Finding
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


STATED = [
    pytest.param(
        "0.20.0", "12.9", "535.161.08", "", "unknown", id="a driver for CUDA 12, and the project's build for 12.9"
    ),
    pytest.param("0.20.0", "12.9", "580.95.05", "", "fail", id="a driver that runs the default wheel"),
    pytest.param("0.20.0", "12.8", "535.161.08", "", "fail", id="a CUDA that the project has no build for"),
    pytest.param("0.20.0", "12.9", "535.161.08", "/v", "fail", id="installed here, so that its version is whole"),
]


@pytest.mark.parametrize(("version", "cuda", "driver", "folder", "status"), STATED)
def test_a_version_that_is_only_stated(version: str, cuda: str, driver: str, folder: str, status: str) -> None:
    there = Packages(distributions=(Distribution(name="vllm", version=version, location=folder),))
    torch = Torch(version=f"2.11.0+cu{cuda.replace('.', '')}", cuda=cuda)
    intent: Any = Intent(model="m", engine="vllm")
    (finding,) = judge(engine_cuda, packages=there, torch=torch, driver=Driver(version=driver), intent=intent)
    assert finding.status == status


INDEX = "https://download.pytorch.org/whl/"
#: vLLM, torch's CUDA, machine; what comes behind "pip install --force-reinstall" in the first line.
PLACES = [
    pytest.param("0.12.0", "13.0", "x86_64", "vllm==0.12.0 torch==2.9.0", id="PyPI has it"),
    pytest.param("0.21.0", "12.9", "x86_64", "vllm==0.21.0 torch==2.11.0", id="PyPI has it for CUDA 13"),
    pytest.param("0.21.0", "12.9", "aarch64", "vllm==0.21.0 torch==2.11.0", id="PyPI has it for Arm"),
    pytest.param(
        "0.12.0",
        "13.0",
        "aarch64",
        f"--extra-index-url {INDEX}cu128 vllm==0.12.0 torch==2.9.0+cu128",
        id="PyPI's for Arm has no CUDA",
    ),
    pytest.param(
        "0.11.0",
        "13.0",
        "aarch64",
        f"--extra-index-url {INDEX}cu129 vllm==0.11.0 torch==2.8.0+cu129 transformers==4.56.2",
        id="a torch with one build for Arm, and no transformers that is too new for this vLLM",
    ),
]


@pytest.mark.parametrize(("vllm", "cuda", "machine", "wanted"), PLACES)
def test_where_its_torch_comes_from(vllm: str, cuda: str, machine: str, wanted: str) -> None:
    finding = _judge(vllm, cuda, machine, pip="25.0")
    (line,) = finding.fixes[0].commands
    assert line == f"/v/bin/python -m pip install --force-reinstall {wanted}"


def test_uv_has_an_option_of_its_own() -> None:
    (line,) = _judge("0.12.0", "13.0", "aarch64", rich="14.0").fixes[0].commands
    assert line.endswith("--force-reinstall --torch-backend cu128 vllm==0.12.0 torch==2.9.0+cu128")


@pytest.mark.parametrize("cuda", ["11.8", "13.0"])
@pytest.mark.parametrize("vllm", ["0.8.0", "0.9.2", "0.10.2", "0.12.0", "0.19.1"])
def test_no_line_for_arm_takes_a_torch_without_cuda(vllm: str, cuda: str) -> None:
    lines = [one for fix in _judge(vllm, cuda, "aarch64", pip="25.0").fixes for one in fix.commands]
    assert lines
    for words in (line.split() for line in lines if "vllm==" in line):
        old = [word for word in words if word.startswith("vllm==") and Version(word[6:]) < Version("0.20")]
        assert not old or any(word.startswith("torch==") and "+cu" in word for word in words), words


def _judge(vllm: str, cuda: str, machine: str, **more: str) -> Finding:
    (finding,) = judge(
        engine_cuda,
        packages=installed(vllm=vllm, torch="2.10.0", **more),
        torch=Torch(version="2.10.0", cuda=cuda),
        host=Host(system="Linux", machine=machine, kernel="6.8", glibc="2.39"),
        interpreter=Interpreter(executable="/v/bin/python", version="3.12.3"),
        driver=Driver(version="580.95.05", cuda_version="13.0"),
        gpus=(Gpu(index=0, name="card", compute_capability="9.0", total_bytes=1, free_bytes=1),),
    )
    assert finding.status == "fail"
    return finding


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        pytest.param("4.55.4", "4.55.4", id="the one that is here goes with it"),
        pytest.param("5.2.0", "4.56.2", id="the one that is here is too new: the newest from before the release"),
    ],
)
def test_no_transformers_that_breaks_an_old_vllm(there: str, wanted: str) -> None:
    (line,) = _judge("0.11.0", "13.0", "x86_64", pip="25.0", transformers=there).fixes[0].commands
    assert line.endswith(f"vllm==0.11.0 torch==2.8.0 transformers=={wanted}")


def test_metadata_that_excludes_them_is_enough() -> None:
    (line,) = _judge("0.15.0", "13.0", "x86_64", pip="25.0").fixes[0].commands
    assert "transformers" not in line
