"""PKG007 and PKG008: compilers for what is compiled when the server starts."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.toolchain import c_compiler, cuda_compiler
from autoglm_doctor.facts import Distribution, Environment, Gpu, Host, Packages, Toolchain, Torch
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge

THERE = Toolchain(cc="/usr/bin/gcc", nvcc="/usr/local/cuda/bin/nvcc", nvcc_version="12.8", python_headers=True)
BARE = Toolchain(cc="", nvcc="", python_headers=False)


def host(name: str = "Ubuntu 22.04.4 LTS", container: str = "", system: str = "Linux") -> Host:
    return Host(system=system, machine="x86_64", kernel="6.1", distribution=name, container=container)


def ask(
    check: Any,
    tools: Toolchain,
    engine: Any,
    versions: dict[str, str] | None = None,
    *,
    gpu: str = "8.9",
    eager: bool = False,
    variables: dict[str, str] | None = None,
    machine: Host | None = None,
    device: Any = "cuda",
) -> Finding:
    rows = (Distribution(name=n, version=v) for n, v in (versions or {}).items())
    (finding,) = judge(
        check,
        toolchain=tools,
        packages=Packages(distributions=tuple(rows)),
        gpus=(Gpu(index=0, name="card", compute_capability=gpu, total_bytes=1, free_bytes=1),),
        environment=Environment(variables=variables or {}),
        torch=Torch(version="2.9.1+cu128", cuda="12.8"),
        host=machine or host(),
        intent=Intent(model="m", engine=engine, device=device, launch=Launch(enforce_eager=eager)),
    )
    return finding


NO_CC = Toolchain(cc="", python_headers=True)
NO_HEADERS = Toolchain(cc="/usr/bin/gcc", python_headers=False)

C_CASES = [
    pytest.param(NO_CC, "vllm", "0.9.2", False, "fail", id="vLLM without a compiler"),
    pytest.param(NO_CC, "vllm", None, False, "fail", id="a vLLM of unknown release"),
    pytest.param(NO_HEADERS, "vllm", "0.11.0", False, "fail", id="vLLM without headers"),
    pytest.param(NO_CC, "vllm", "0.9.2", True, "warn", id="vLLM with --enforce-eager"),
    pytest.param(NO_CC, "vllm", "0.6.3", False, "warn", id="a vLLM that does not compile the model"),
    pytest.param(NO_CC, "sglang", "0.5.3", False, "fail", id="SGLang without a compiler"),
    pytest.param(NO_HEADERS, "sglang", "0.5.3", True, "fail", id="SGLang without headers or graphs"),
    pytest.param(THERE, "vllm", "0.9.2", False, "pass", id="both are there"),
    pytest.param(THERE, "sglang", "0.5.3", False, "pass", id="both are there for SGLang"),
    pytest.param(Toolchain(cc="/usr/bin/clang", python_headers=True), "vllm", "0.9.2", False, "pass", id="clang"),
    pytest.param(Toolchain(cc="gcc"), "vllm", "0.9.2", False, "unknown", id="nothing is known of the headers"),
    pytest.param(Toolchain(nvcc=""), "vllm", "0.9.2", False, "unknown", id="only nvcc is spoken of"),
    pytest.param(BARE, "transformers", None, False, "not_applicable", id="plain transformers"),
    pytest.param(BARE, "llamacpp", None, False, "not_applicable", id="llama.cpp"),
]


@pytest.mark.parametrize(("tools", "engine", "version", "eager", "status"), C_CASES)
def test_c_compiler(tools: Toolchain, engine: Any, version: str | None, eager: bool, status: str) -> None:
    finding = ask(c_compiler, tools, engine, {engine: version} if version else {}, eager=eager)
    assert finding.status == status
    assert bool(finding.fixes) == (status in ("fail", "warn"))


@pytest.mark.parametrize(
    ("machine", "command"),
    [
        pytest.param(host(), "sudo apt-get install -y gcc libc6-dev python3-dev", id="Ubuntu"),
        pytest.param(host("Rocky Linux 9.4"), "sudo dnf install -y gcc python3-devel", id="Rocky"),
        pytest.param(host("SLES 15"), "sudo zypper install -y gcc python3-devel", id="SUSE"),
        pytest.param(host("Debian 12", "docker"), "apt-get install -y gcc libc6-dev python3-dev", id="a container"),
    ],
)
def test_fix_of_the_distribution(machine: Host, command: str) -> None:
    assert ask(c_compiler, BARE, "vllm", machine=machine).fixes[0].commands == (command,)


def test_windows_and_cpu_are_not_judged() -> None:
    assert ask(c_compiler, BARE, "vllm", machine=host("Windows 11", system="Windows")).status == "not_applicable"
    assert ask(c_compiler, BARE, "vllm", device="cpu").status == "not_applicable"
    assert ask(cuda_compiler, BARE, "vllm", {"vllm": "0.24.0"}, device="cpu").status == "not_applicable"


NO_NVCC = Toolchain(nvcc="")

CUDA_CASES = [
    pytest.param("vllm", {"vllm": "0.24.0", "flashinfer-python": "0.6.12"}, "8.9", "fail", id="vLLM 0.24"),
    pytest.param("vllm", {"vllm": "0.33.0"}, "8.9", "warn", id="a vLLM that asks FlashInfer first"),
    pytest.param(
        "vllm", {"vllm": "0.10.2", "flashinfer-python": "0.3.0"}, "8.0", "warn", id="FlashInfer put to vLLM 0.10"
    ),
    pytest.param("vllm", {}, "8.9", "warn", id="a vLLM of unknown release"),
    pytest.param("sglang", {"sglang": "0.5.9"}, "9.0", "fail", id="SGLang 0.5.9"),
    pytest.param("sglang", {"sglang": "0.5.3"}, "8.0", "warn", id="SGLang with FlashInfer's attention"),
    pytest.param("sglang", {"sglang": "0.5.3"}, "9.0", "not_applicable", id="SGLang with FlashAttention-3"),
    pytest.param("vllm", {"vllm": "0.12.0", "flashinfer-python": "0.5.3"}, "8.9", "not_applicable", id="vLLM 0.12"),
    pytest.param("vllm", {"vllm": "0.10.2"}, "8.9", "not_applicable", id="vLLM 0.10 alone"),
    pytest.param("vllm", {"vllm": "0.8.5"}, "7.0", "not_applicable", id="vLLM 0.8"),
    pytest.param(
        "vllm", {"vllm": "0.24.0", "flashinfer-jit-cache": "0.6.12"}, "8.9", "not_applicable", id="precompiled"
    ),
    pytest.param("transformers", {}, "8.9", "not_applicable", id="plain transformers"),
]


@pytest.mark.parametrize(("engine", "versions", "gpu", "status"), CUDA_CASES)
def test_cuda_compiler(engine: Any, versions: dict[str, str], gpu: str, status: str) -> None:
    finding = ask(cuda_compiler, NO_NVCC, engine, versions, gpu=gpu)
    assert finding.status == status
    assert bool(finding.fixes) == (status in ("fail", "warn"))


def test_nvcc_that_is_there_or_elsewhere_or_unread() -> None:
    new = {"vllm": "0.24.0"}
    assert ask(cuda_compiler, THERE, "vllm", new).status == "pass"
    elsewhere = Toolchain(nvcc="", nvcc_in_packages="/venv/nvidia/cu13/bin/nvcc")
    assert ask(cuda_compiler, elsewhere, "vllm", new).status == "unknown"
    assert ask(cuda_compiler, Toolchain(cc="gcc"), "vllm", new).status == "unknown"


def test_the_sampler_may_be_off() -> None:
    off = {"VLLM_USE_FLASHINFER_SAMPLER": "0"}
    assert ask(cuda_compiler, NO_NVCC, "vllm", {"vllm": "0.24.0"}, variables=off).status == "not_applicable"


def test_the_fixes() -> None:
    vllm = ask(cuda_compiler, NO_NVCC, "vllm", {"vllm": "0.24.0"})
    assert vllm.fixes[0].commands[0].startswith("VLLM_USE_FLASHINFER_SAMPLER=0 vllm serve m")
    assert "cuda-nvcc-12-8" in vllm.fixes[1].commands[0]
    assert len(ask(cuda_compiler, NO_NVCC, "sglang", {"sglang": "0.5.9"}).fixes) == 1


LOOSE = [
    pytest.param({"gcc": "missing"}, Toolchain(cc=""), id="no compiler"),
    pytest.param({"gcc": "11.4.0"}, Toolchain(cc="gcc", cc_version="11.4.0"), id="a compiler's version"),
    pytest.param({"nvcc": "not found"}, Toolchain(nvcc=""), id="no nvcc"),
    pytest.param({"cuda_toolkit": "11.8"}, Toolchain(nvcc="nvcc", nvcc_version="11.8"), id="a toolkit"),
    pytest.param({"cuda_toolkit": "not installed"}, Toolchain(nvcc=""), id="no toolkit"),
    pytest.param({"python_headers": False}, Toolchain(python_headers=False), id="no headers"),
    pytest.param({"nvcc": "/opt/cuda/bin/nvcc"}, Toolchain(nvcc="/opt/cuda/bin/nvcc"), id="a path"),
    pytest.param({"gcc": "who knows"}, None, id="nothing clear"),
    pytest.param({"python": "3.11.2"}, None, id="nothing stated"),
]


@pytest.mark.parametrize(("stated", "tools"), LOOSE)
def test_loose_facts(stated: dict[str, Any], tools: Toolchain | None) -> None:
    assert read_facts(stated, load_matrix())[0].toolchain.value == tools
