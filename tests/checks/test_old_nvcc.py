"""PKG008: an nvcc that FlashInfer does not take for capability 12.x."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.toolchain import cuda_compiler
from autoglm_doctor.facts import Distribution, Environment, Gpu, Host, Packages, Toolchain, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge


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
    pytest.param(V24, "", "12.0", "pass", id="an nvcc of unknown release"),
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


def test_the_toolkit_is_no_older_than_what_is_asked_for() -> None:
    commands = [command for fix in ask(V24).fixes for command in fix.commands]
    assert commands[0].startswith("VLLM_USE_FLASHINFER_SAMPLER=0 ")
    assert "export CUDA_HOME=/usr/local/cuda-13.0" in commands
