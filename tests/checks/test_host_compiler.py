"""PKG014: gcc and the nvcc that compiles when the server starts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.host_compiler import nvcc_takes_compiler
from autoglm_doctor.facts import Distribution, Environment, Gpu, Host, Packages, Toolchain
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.restraint.judged import judged

UBUNTU = Host(system="Linux", machine="x86_64", kernel="6.8", distribution="Ubuntu 25.10", os_ids=("ubuntu", "debian"))


def tools(gcc: str = "15.2.0", cuda: str = "12.8", **more: Any) -> Toolchain:
    said = {"cc": "/usr/bin/gcc", "nvcc": "/usr/local/cuda/bin/nvcc", "cuda_home": "/usr/local/cuda", **more}
    return Toolchain(cc_version=gcc, nvcc_version=cuda, python_headers=True, **said)


def ask(
    found: Toolchain,
    engine: Any = "vllm",
    version: str = "0.24.0",
    *,
    host: Host = UBUNTU,
    command: tuple[str, ...] = (),
    variables: dict[str, str] | None = None,
    more: tuple[Distribution, ...] = (),
    **intent: Any,
) -> Finding:
    packages = Packages(distributions=(Distribution(name=engine, version=version), *more))
    (finding,) = judge(
        nvcc_takes_compiler,
        toolchain=found,
        packages=packages,
        host=host,
        gpus=(Gpu(index=0, name="card", compute_capability="8.9", total_bytes=1, free_bytes=1),),
        environment=Environment(variables=variables or {}),
        intent=Intent(model="m", engine=engine, device="cuda", command=command, **intent),
    )
    return finding


LIMITS = [
    pytest.param("11.8", "11.4.0", "pass", id="11.8 and gcc 11"),
    pytest.param("11.8", "12.2.0", "warn", id="11.8 and gcc 12"),
    pytest.param("12.0", "12.3.0", "pass", id="12.0 and gcc 12"),
    pytest.param("12.1", "13.2.0", "warn", id="12.1 and gcc 13"),
    pytest.param("12.3", "13.3.0", "warn", id="12.3 and gcc 13"),
    pytest.param("12.4", "13.3.0", "pass", id="12.4 and gcc 13"),
    pytest.param("12.6", "14.2.0", "warn", id="12.6 and gcc 14"),
    pytest.param("12.8", "14.2.0", "pass", id="12.8 and gcc 14"),
    pytest.param("12.9", "15.1.1", "warn", id="12.9 and gcc 15"),
    pytest.param("13.0", "15.2.0", "pass", id="13.0 and gcc 15"),
    pytest.param("13.3", "16.0.1", "warn", id="13.3 and gcc 16"),
    pytest.param("13.5", "16.1.0", "pass", id="13.5 and gcc 16"),
    pytest.param("12.8", "9.4.0", "pass", id="an old gcc, compared as numbers"),
    pytest.param("14.0", "18.1.0", "unknown", id="a CUDA from after the table"),
    pytest.param("10.2", "9.4.0", "unknown", id="a CUDA from before the table"),
    pytest.param("", "15.2.0", "unknown", id="a CUDA that nvcc does not tell"),
    pytest.param("12.8", "", "unknown", id="a gcc that does not tell"),
    pytest.param("12.8", "1.26.0", "unknown", id="the number of a builder"),
]


@pytest.mark.parametrize(("cuda", "gcc", "status"), LIMITS)
def test_limits(cuda: str, gcc: str, status: str) -> None:
    finding = ask(tools(gcc, cuda))
    assert finding.status == status
    assert bool(finding.fixes) == (status == "warn")


HOME = "/home/u/miniforge3/envs/serve/bin/"
JIT_CACHE = Distribution(name="flashinfer-jit-cache", version="0.6.12")

#: What a deployment is like in which gcc 15 and CUDA 12.8 do no harm, or none that could be told.
QUIET: dict[str, tuple[dict[str, Any], str]] = {
    "the distribution's nvcc": ({"found": tools(nvcc="/usr/bin/nvcc")}, "unknown"),
    "Debian's folder of it": ({"found": tools(nvcc="/usr/lib/nvidia-cuda-toolkit/bin/nvcc")}, "unknown"),
    "Arch's nvcc": ({"found": tools(nvcc="/opt/cuda/bin/nvcc")}, "unknown"),
    "conda's nvcc": ({"found": tools(nvcc=f"{HOME}nvcc", cc=f"{HOME}x86_64-conda-linux-gnu-cc")}, "unknown"),
    "Nix's nvcc": ({"found": tools(nvcc="/nix/store/abc-cuda_nvcc-12.8/bin/nvcc")}, "unknown"),
    "an nvcc whose place is not known": ({"found": tools(nvcc="nvcc")}, "unknown"),
    "clang": ({"found": tools("18.1.3", cc="/usr/bin/clang")}, "unknown"),
    "a compiler of some other name": ({"found": tools(cc="/usr/bin/cc")}, "unknown"),
    "an nvcc of FlashInfer's own": ({"found": tools(flashinfer_nvcc="/o/nvcc")}, "unknown"),
    "no nvcc": ({"found": tools(nvcc="")}, "not_applicable"),
    "nvcc that was not looked for": ({"found": tools(nvcc=None)}, "not_applicable"),
    "a variable of nvcc's": ({"found": tools(), "variables": {"NVCC_CCBIN": "/usr/bin/g++-14"}}, "unknown"),
    "flags in front of nvcc's": (
        {"found": tools(), "variables": {"NVCC_PREPEND_FLAGS": "-allow-unsupported-compiler"}},
        "unknown",
    ),
    "FlashInfer's flags": ({"found": tools(), "variables": {"FLASHINFER_EXTRA_CUDAFLAGS": "-ccbin g++-14"}}, "unknown"),
    "an older gcc named for FlashInfer": ({"found": tools("13.3.0", cc="/usr/bin/gcc-13")}, "pass"),
    "an older gcc that SGLang's kernels do not take": (
        {"found": tools("13.3.0", cc="/usr/bin/gcc-13"), "engine": "sglang", "version": "0.5.9"},
        "unknown",
    ),
    "a vLLM that compiles nothing": ({"found": tools(), "version": "0.12.0"}, "not_applicable"),
    "a sampler that is turned off": (
        {"found": tools(), "variables": {"VLLM_USE_FLASHINFER_SAMPLER": "0"}},
        "not_applicable",
    ),
    "kernels compiled beforehand": ({"found": tools(), "more": (JIT_CACHE,)}, "not_applicable"),
    "embeddings": ({"found": tools(), "command": ("vllm", "serve", "m", "--runner", "pooling")}, "not_applicable"),
    "plain transformers": ({"found": tools(), "engine": "transformers", "version": "5.2.0"}, "not_applicable"),
    "a Jetson": ({"found": tools(), "host": dataclasses.replace(UBUNTU, tegra=True)}, "not_applicable"),
    "Windows": ({"found": tools(), "host": dataclasses.replace(UBUNTU, system="Windows")}, "not_applicable"),
}


@pytest.mark.parametrize(("given", "status"), [pytest.param(*row, id=name) for name, row in QUIET.items()])
def test_quiet(given: dict[str, Any], status: str) -> None:
    assert ask(**given).status == status


@pytest.mark.parametrize(
    "stated",
    [
        pytest.param(
            {"gcc": "13.3.0", "cuda_toolkit": "12.1", "os": "Ubuntu 24.04"}, id="a toolkit that may be torch's"
        ),
        pytest.param({"gcc": "15.2.0", "nvcc": "12.8"}, id="an nvcc of unknown origin"),
        pytest.param({"gcc": "15.2.0", "nvcc": "/usr/local/cuda/bin/nvcc"}, id="an nvcc of unknown release"),
    ],
)
def test_loose_facts_are_quiet(stated: dict[str, Any]) -> None:
    causes = judged({"engine": "vllm 0.24.0", "gpus": ["RTX 4090"], **stated}).causes
    assert "PKG014" not in [one.check for one in causes]


@pytest.mark.parametrize(
    ("engine", "version"),
    [
        pytest.param("vllm", "0.24.0", id="vLLM's sampler"),
        pytest.param("sglang", "0.5.9", id="SGLang's kernels"),
        pytest.param("vllm", "0.33.0", id="a vLLM that asks FlashInfer first"),
    ],
)
def test_it_is_yellow(engine: str, version: str) -> None:
    finding = ask(tools(), engine, version)
    assert finding.status == "warn"
    assert render(finding.text).endswith("with nvcc of CUDA 12.8, which takes no gcc after 14; this is 15")


def host(name: str, *ids: str, container: str = "") -> Host:
    return dataclasses.replace(UBUNTU, distribution=name, os_ids=ids, container=container)


WAYS = [
    pytest.param("vllm", UBUNTU, "sudo apt-get install -y gcc-14 g++-14", "CC=gcc-14 vllm serve m", id="Ubuntu"),
    pytest.param(
        "vllm",
        host("Debian GNU/Linux 14", "debian", container="docker"),
        "apt-get update; apt-get install -y gcc-14 g++-14",
        "CC=gcc-14 vllm serve m",
        id="an image",
    ),
    pytest.param(
        "vllm",
        host("Fedora Linux 43", "fedora"),
        "sudo dnf install -y gcc14 gcc14-c++",
        "CC=gcc-14 vllm serve m",
        id="Fedora",
    ),
    pytest.param(
        "vllm",
        host("Rocky Linux 10.1", "rocky", "rhel", "centos", "fedora"),
        "sudo dnf install -y gcc-toolset-14-gcc-c++",
        "CC=/opt/rh/gcc-toolset-14/root/usr/bin/gcc vllm serve m",
        id="Rocky",
    ),
    pytest.param(
        "sglang",
        host("openSUSE Tumbleweed", "opensuse-tumbleweed", "suse"),
        "sudo zypper install -y gcc14 gcc14-c++",
        "NVCC_PREPEND_FLAGS='-ccbin gcc-14' python3 -m sglang.launch_server",
        id="SUSE and SGLang",
    ),
]


@pytest.mark.parametrize(("engine", "machine", "install", "start"), WAYS)
def test_an_older_gcc_beside_it(engine: str, machine: Host, install: str, start: str) -> None:
    fix = ask(tools(), engine, "0.24.0" if engine == "vllm" else "0.5.9", host=machine).fixes[-1]
    assert "; ".join(fix.commands[:-1]) == install
    assert fix.commands[-1].startswith(start)
    assert fix.needs_root


def test_vllm_can_do_without() -> None:
    first = ask(tools()).fixes[0]
    assert first.commands[0].startswith("VLLM_USE_FLASHINFER_SAMPLER=0 vllm serve m")
    assert not first.needs_root
