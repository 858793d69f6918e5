"""PKG008: an nvcc that FlashInfer does not take for capability 12.x."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.toolchain import cuda_compiler
from autoglm_doctor.facts import Distribution, Environment, Gpu, Host, Packages, Toolchain, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render


def ask(
    versions: dict[str, str],
    nvcc: str = "12.8",
    gpu: str = "12.0",
    *,
    engine: Any = "vllm",
    torch: str = "2.11.0+cu130",
    variables: dict[str, str] | None = None,
) -> Any:
    rows = (Distribution(name=n, version=v) for n, v in versions.items())
    cards = enumerate(gpu.split())
    (finding,) = judge(
        cuda_compiler,
        toolchain=Toolchain(cc="gcc", nvcc="/usr/local/cuda/bin/nvcc", nvcc_version=nvcc, python_headers=True),
        packages=Packages(distributions=tuple(rows)),
        gpus=tuple(Gpu(index=i, name="card", compute_capability=c, total_bytes=1, free_bytes=1) for i, c in cards),
        environment=Environment(variables=variables or {}),
        torch=Torch(version=torch, cuda="13.0"),
        host=Host(system="Linux", machine="x86_64", kernel="6.1", distribution="Ubuntu 22.04.4 LTS"),
        intent=Intent(model="m", engine=engine, device="cuda"),
    )
    return finding


V24 = {"vllm": "0.24.0", "flashinfer-python": "0.6.12"}

CASES = [
    pytest.param(V24, "12.8", "12.0", "fail", id="an RTX 5090 with CUDA 12.8"),
    pytest.param(V24, "12.8.93", "12.0", "fail", id="all of its version"),
    pytest.param(V24, "12.6", "12.1", "fail", id="a GB10 with CUDA 12.6"),
    pytest.param({"vllm": "0.30.0"}, "12.8", "12.0", "fail", id="the FlashInfer that vLLM brings"),
    pytest.param({"vllm": "0.24.0", "flashinfer-python": "0.7.1"}, "12.8", "12.1", "fail", id="a GB10, newer one"),
    pytest.param({"vllm": "0.24.0", "flashinfer-python": "0.7.1"}, "12.6", "12.0", "fail", id="older than 12.8"),
    pytest.param({}, "12.8", "12.0", "warn", id="a vLLM of unknown release beside a torch of such ones"),
    pytest.param({"vllm": "0.24.0", "flashinfer-python": "0.7.1"}, "12.8", "12.0", "pass", id="takes 12.8 again"),
    pytest.param({"vllm": "0.24.0", "flashinfer-python": "0.6.6"}, "12.8", "12.0", "pass", id="before the rule"),
    pytest.param(V24, "12.9", "12.0", "pass", id="CUDA 12.9"),
    pytest.param(V24, "13.0", "12.1", "pass", id="CUDA 13"),
    pytest.param(V24, "12.8", "8.9", "pass", id="an RTX 4090"),
    pytest.param(V24, "12.8", "10.0", "pass", id="a B200"),
    pytest.param(V24, "12.8", "", "pass", id="no GPU is known"),
    pytest.param(V24, "", "12.0", "unknown", id="an nvcc of unknown release"),
    pytest.param({"vllm": "0.21.0"}, "12.4", "10.0", "unknown", id="a B200 and CUDA 12.4, which has no code for it"),
    pytest.param({"vllm": "0.21.0"}, "11.5", "9.0", "unknown", id="an H100 and CUDA 11.5"),
    pytest.param({"vllm": "0.31.0"}, "12.8", "12.1", "unknown", id="a GB10 and CUDA 12.8, where vLLM asks first"),
    pytest.param({"vllm": "0.21.0"}, "12.4", "9.0", "pass", id="an H100 and CUDA 12.4"),
    pytest.param({"vllm": "0.21.0"}, "12.4", "14.0", "pass", id="a GPU that is in no table"),
    pytest.param({"vllm": "0.31.0"}, "12.8", "12.0", "pass", id="a vLLM that asks FlashInfer first"),
    pytest.param({"vllm": "0.12.0"}, "12.8", "12.0", "not_applicable", id="a vLLM that samples by itself"),
    pytest.param({"vllm": "0.34.0"}, "12.8", "12.0", "not_applicable", id="a vLLM that tries first"),
    pytest.param({"vllm": "0.22.0rc1.dev9+gabc"}, "12.8", "12.0", "fail", id="a build after 0.21"),
    pytest.param({"vllm": "0.1.dev9752+g1a2b3c4"}, "12.8", "12.0", "pass", id="a build that does not tell its age"),
]


@pytest.mark.parametrize(("versions", "nvcc", "gpu", "status"), CASES)
def test_releases(versions: dict[str, str], nvcc: str, gpu: str, status: str) -> None:
    found = ask(versions, nvcc, gpu)
    assert found.status == status
    assert bool(found.fixes) == (status in ("fail", "warn"))


def test_a_vllm_of_unknown_release_beside_an_older_torch() -> None:
    assert ask({}, torch="2.9.1+cu130").status == "pass"


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        pytest.param({"VLLM_USE_FLASHINFER_SAMPLER": "0"}, "not_applicable", id="told to sample by itself"),
        pytest.param({"FLASHINFER_CUDA_ARCH_LIST": "12.0a"}, "pass", id="the letter is named"),
        pytest.param({"FLASHINFER_CUDA_ARCH_LIST": "12.0"}, "fail", id="no letter"),
    ],
)
def test_variables(variables: dict[str, str], status: str) -> None:
    assert ask(V24, variables=variables).status == status


def test_sglang_compiles_with_a_rule_of_its_own() -> None:
    assert ask({"sglang": "0.5.9", "flashinfer-python": "0.6.12"}, engine="sglang").status == "pass"


@pytest.mark.parametrize(
    ("flashinfer", "gpus", "needs"),
    [
        pytest.param("0.6.12", "12.0", "12.9", id="all of 12.x"),
        pytest.param("0.7.1", "12.0", "12.8", id="an RTX 5090 of late"),
        pytest.param("0.7.1", "12.1", "12.9", id="a GB10"),
    ],
)
def test_what_is_asked_for(flashinfer: str, gpus: str, needs: str) -> None:
    found = ask({"vllm": "0.24.0", "flashinfer-python": flashinfer}, "12.6", gpus)
    assert (found.status, found.expected) == ("fail", f"nvcc >= {needs}")
    assert f"takes none before {needs} " in render(found.text)


def test_sglang_and_an_nvcc_without_code_for_the_gpu() -> None:
    assert ask({"sglang": "0.5.9"}, "12.4", engine="sglang").status == "unknown"


STATED = [
    pytest.param({"cuda_toolkit": "12.8"}, [], id="a toolkit that may be torch's"),
    pytest.param({"cuda_toolkit": "12.8", "torch_cuda": "12.8"}, [], id="torch's own release"),
    pytest.param({"cuda_toolkit": "12.8", "container": "vllm/vllm-openai:v0.21.0"}, [], id="the host of an image"),
    pytest.param({"nvcc": "not found", "container": "vllm/vllm-openai:v0.21.0"}, [], id="none on the host of an image"),
    pytest.param(
        {"cuda_toolkit": "12.8", "torch_cuda": "13.0", "container": "docker"}, [], id="the host of a container"
    ),
    pytest.param({"nvcc": "13.0", "cuda_toolkit": "12.8"}, [], id="a new nvcc beside an old toolkit"),
    pytest.param({"nvcc": "12.8"}, ["NVCC_MISSING_FOR_JIT"], id="an old nvcc"),
    pytest.param({"cuda_toolkit": "12.8", "torch_cuda": "13.0"}, ["NVCC_MISSING_FOR_JIT"], id="apart from torch's"),
]


@pytest.mark.parametrize(("stated", "causes"), STATED)
def test_stated(stated: dict[str, Any], causes: list[str]) -> None:
    facts = {"engine": "vllm 0.21.0", "gpus": ["RTX 5090"], **stated}
    found = diagnose("x", {"facts": facts}, load_checks().checks, load_matrix())
    assert [one.cause for one in found.causes if one.check == "PKG008"] == causes


def test_the_toolkit_is_no_older_than_what_is_asked_for() -> None:
    commands = [command for fix in ask(V24).fixes for command in fix.commands]
    assert commands[0].startswith("VLLM_USE_FLASHINFER_SAMPLER=0 ")
    assert "export CUDA_HOME=/usr/local/cuda-13.0" in commands
