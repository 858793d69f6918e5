"""HST004 and HST005: glibc and the loaded libstdc++, against what the engine's own libraries ask for."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.host import engine_glibc
from autoglm_doctor.checks.libstdcxx import engine_libstdcxx
from autoglm_doctor.domain.kernels import PACKAGES
from autoglm_doctor.facts import Distribution, Environment, Host, Interpreter, KernelLibrary, Packages, TorchRun
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import parse_command
from autoglm_doctor.testing import judge

CONDA, SYSTEM = "/opt/conda/envs/serve/lib", "/usr/lib/x86_64-linux-gnu"
COMMAND = parse_command(["vllm", "serve", "org/model"])


def library(version: str, package: str = "vllm", name: str = "vllm/_C.abi3.so") -> KernelLibrary:
    return KernelLibrary(package=package, name=name, common=("sm_80",), libstdcxx=version)


def found(path: str, *libraries: KernelLibrary, intent: Intent = COMMAND, **more: Any) -> Finding:
    (finding,) = judge(engine_libstdcxx, kernels=libraries, torch_run=TorchRun(libstdcxx=path), intent=intent, **more)
    return finding


@pytest.mark.parametrize(
    ("path", "libraries", "status"),
    [
        pytest.param(f"{SYSTEM}/libstdc++.so.6.0.28", [library("3.4.30")], "fail", id="older"),
        pytest.param(f"{SYSTEM}/libstdc++.so.6.0.30", [library("3.4.30")], "pass", id="the same"),
        pytest.param(f"{SYSTEM}/libstdc++.so.6.0.30", [library("3.4.9")], "pass", id="numbers, no letters"),
        pytest.param(
            f"{SYSTEM}/libstdc++.so.6.0.29", [library("3.4.21"), library("3.4.30")], "fail", id="one of two asks more"
        ),
        pytest.param(f"{SYSTEM}/libstdc++.so.6", [library("3.4.30")], "unknown", id="a name without a version"),
        pytest.param("", [library("3.4.30")], "unknown", id="not read"),
        pytest.param(f"{SYSTEM}/libstdc++.so.6.0.28", [library("")], "not_applicable", id="nothing is asked for"),
        pytest.param(f"{SYSTEM}/libstdc++.so.6.0.28", [], "not_applicable", id="no library"),
        pytest.param(
            f"{SYSTEM}/libstdc++.so.6.0.28",
            [library("3.4.30", "flash-attn", "flash_attn_2_cuda.so")],
            "not_applicable",
            id="a package that the engine may do without",
        ),
    ],
)
def test_it_is_compared(path: str, libraries: list[KernelLibrary], status: str) -> None:
    finding = found(path, *libraries)
    assert (finding.status, finding.cause) == (status, "LIBSTDCXX_TOO_OLD" if status == "fail" else "")


def test_the_way_out_is_where_the_library_lies() -> None:
    python = Interpreter(executable="/v/bin/python", version="3.12.3", prefix="/v", base_prefix=CONDA[:-4])
    old, asked = "libstdc++.so.6.0.28", library("3.4.30")
    conda = found(f"{CONDA}/{old}", asked, interpreter=python)
    assert conda.fixes[0].commands == (f"conda install -y -p {CONDA[:-4]} -c conda-forge libstdcxx-ng",)
    variables = Environment(variables={"LD_LIBRARY_PATH": "/opt/gcc/lib64/:/x"})
    shadowed = found(f"/opt/gcc/lib64/{old}", asked, interpreter=python, environment=variables)
    assert shadowed.fixes[0].commands == ("env LD_LIBRARY_PATH=/x vllm serve org/model",)
    alone = Environment(variables={"LD_LIBRARY_PATH": "/opt/gcc/lib64"})
    shadowed = found(f"/opt/gcc/lib64/{old}", asked, interpreter=python, environment=alone)
    assert shadowed.fixes[0].commands == ("env -u LD_LIBRARY_PATH vllm serve org/model",)
    usr = Interpreter(executable="/usr/bin/python3", version="3.12.3", prefix="/usr", base_prefix="/usr")
    assert "vllm/vllm-openai" in found(f"/usr/lib/{old}", asked, interpreter=usr).fixes[0].commands[0]
    sglang = parse_command(["python3", "-m", "sglang.launch_server", "--model-path", "org/model"])
    kernels = library("3.4.30", PACKAGES["sglang"], "sgl_kernel/common_ops.abi3.so")
    image = found(f"/usr/lib/{old}", kernels, interpreter=usr, intent=sglang).fixes[0].commands[0]
    assert "lmsysorg/sglang" in image


@pytest.mark.parametrize(
    ("version", "asked", "glibc", "status"),
    [
        pytest.param("0.20.0", "2.34", "2.31", "fail", id="its kernels do not load"),
        pytest.param("0.12.0", "2.14", "2.28", "unknown", id="the tag asks for more than the kernels"),
        pytest.param("0.12.0", "2.14", "2.35", "pass", id="tag and kernels fit"),
        pytest.param("0.20.0+gabc1234", "2.38", "2.35", "fail", id="a build of one's own, from a newer system"),
        pytest.param("0.20.0+gabc1234", "2.34", "2.35", "pass", id="a build of one's own that fits"),
        pytest.param("0.20.0+gabc1234", "", "2.35", "not_applicable", id="a build of one's own, not read"),
    ],
)
def test_what_the_kernels_ask_of_glibc_decides(version: str, asked: str, glibc: str, status: str) -> None:
    kernels = (KernelLibrary(package="vllm", name="vllm/_C.abi3.so", common=("sm_80",), glibc=asked),)
    there = Packages(distributions=(Distribution(name="vllm", version=version, location="/srv/env/lib"),))
    host = Host(system="Linux", machine="x86_64", kernel="6", glibc=glibc)
    (finding,) = judge(engine_glibc, host=host, packages=there, kernels=kernels)
    assert finding.status == status
    assert bool(finding.fixes) == (status == "fail")
