"""Which library counts for a GPU, and what of it runs there."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.kernels import code_for, engine_library, flash_attention_2
from autoglm_doctor.facts import KernelLibrary
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.matrix.numbers import code_runs_on

VLLM = KernelLibrary(package="vllm", name="vllm/_C.abi3.so", common=("sm_70", "sm_80", "sm_90"), others=("sm_100a",))
FA2 = KernelLibrary(
    package="vllm", name="vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so", common=("sm_80", "compute_80"), ptx="8.8"
)
SM90 = KernelLibrary(package="sgl-kernel", name="sgl_kernel/sm90/common_ops.abi3.so", common=("sm_90a",))
SM100 = KernelLibrary(package="sgl-kernel", name="sgl_kernel/sm100/common_ops.abi3.so", common=("sm_80", "sm_100a"))
FLAT = KernelLibrary(package="sgl-kernel", name="sgl_kernel/common_ops.abi3.so", common=("sm_80",))


@pytest.mark.parametrize(
    ("kernels", "engine", "gpu", "library"),
    [
        pytest.param((FA2, VLLM, SM90), "vllm", "9.0", VLLM, id="vLLM's own, not its attention"),
        pytest.param((SM90, SM100), "sglang", "9.0", SM90, id="SGLang on 9.0"),
        pytest.param((SM90, SM100), "sglang", "8.9", SM100, id="SGLang on any other"),
        pytest.param((FLAT,), "sglang", "9.0", FLAT, id="SGLang before it had two"),
        pytest.param((SM90,), "sglang", "8.9", None, id="the one that it would load was not read"),
        pytest.param((FA2,), "vllm", "9.0", None, id="attention alone says nothing"),
        pytest.param((VLLM,), "transformers", "9.0", None, id="an engine without kernels"),
        pytest.param(None, "vllm", "9.0", None, id="nobody looked"),
    ],
)
def test_the_library_that_counts(
    kernels: tuple[KernelLibrary, ...] | None, engine: str, gpu: str, library: KernelLibrary | None
) -> None:
    assert engine_library(kernels, engine, gpu) == library


def test_flash_attention_is_found() -> None:
    assert (flash_attention_2((VLLM, FA2)), flash_attention_2((VLLM,))) == (FA2, None)


@pytest.mark.parametrize(
    ("library", "gpu", "by", "some"),
    [
        pytest.param(VLLM, "8.9", "sm_80", True, id="code for 8.0 runs on 8.9"),
        pytest.param(VLLM, "10.0", "", True, id="special kernels alone"),
        pytest.param(VLLM, "10.3", "", False, id="code for 10.0a is for 10.0 alone"),
        pytest.param(FA2, "12.0", "compute_80", True, id="PTX"),
        pytest.param(VLLM, "6.1", "", False, id="too old"),
    ],
)
def test_what_runs(library: KernelLibrary, gpu: str, by: str, some: bool) -> None:
    assert tuple(code_for(library, gpu)) == (by, some)


@pytest.mark.parametrize(
    ("code", "runs", "does_not"),
    [
        ("8.0", "8.0 8.6 8.9", "7.5 9.0"),
        ("10.0a", "10.0", "10.3 12.0"),
        ("10.0f", "10.0 10.3", "12.0"),
        ("x", "", "8.0"),
    ],
)
def test_where_compiled_code_runs(code: str, runs: str, does_not: str) -> None:
    assert all(code_runs_on(code, gpu) for gpu in runs.split())
    assert not any(code_runs_on(code, gpu) for gpu in does_not.split())


@pytest.mark.parametrize(
    ("version", "gpu", "machine", "has"),
    [
        pytest.param("0.5.10", "10.0", "x86_64", True, id="B200"),
        pytest.param("0.5.10", "10.3", "x86_64", False, id="B300 before its code came"),
        pytest.param("0.5.11", "10.3", "x86_64", True, id="B300 by code of its own"),
        pytest.param("0.5.23", "10.3", "x86_64", True, id="B300 by code for its family"),
        pytest.param("0.5.23", "12.1", "x86_64", False, id="GB10's code is in the wheel for Arm"),
        pytest.param("0.5.23", "12.1", "aarch64", True, id="GB10"),
        pytest.param("0.5.23", "12.1", "", True, id="of either"),
        pytest.param("0.4.6", "10.3", "x86_64", None, id="not read"),
    ],
)
def test_sglang_s_wheels(version: str, gpu: str, machine: str, has: bool | None) -> None:
    assert load_matrix().engine_has_code_for("sglang", version, gpu, machine) is has
