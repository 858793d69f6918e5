"""PKG018: triton's own assembler and the GPU."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.triton import triton_knows_gpu
from autoglm_doctor.facts import Distribution, Environment, Facts, Gpu, Host, Packages, Reading, Toolchain, known
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

NOT_READ: Reading[Any] = Reading(outcome="not_run")


def ask(
    triton: str,
    gpu: str,
    *,
    engine: Any = "vllm",
    environment: Reading[Environment] | None = None,
    variables: dict[str, str] | None = None,
    system: str = "Linux",
    toolchain: Toolchain | None = None,
    name: str = "triton",
) -> Finding:
    rows = (Distribution(name=name, version=triton),) if triton else ()
    read = known(Environment(variables=variables or {}), source="/proc")
    (finding,) = judge(
        triton_knows_gpu,
        toolchain=toolchain or NOT_READ,
        packages=Packages(distributions=rows),
        gpus=(Gpu(index=0, name="card", compute_capability=gpu, total_bytes=1, free_bytes=1),),
        environment=environment or read,
        host=Host(system=system, machine="aarch64", kernel="6.8"),
        intent=Intent(model="m", engine=engine, device="cuda"),
    )
    return finding


CASES = [
    pytest.param("3.5.1", "12.1", "fail", id="a GB10 with triton 3.5"),
    pytest.param("3.5.0", "10.3", "fail", id="a B300 with triton 3.5"),
    pytest.param("3.5.1", "11.0", "fail", id="Thor with triton 3.5"),
    pytest.param("3.6.0", "11.0", "fail", id="Thor with triton 3.6"),
    pytest.param("3.6.0", "12.1", "pass", id="a GB10 with triton 3.6"),
    pytest.param("3.6.0", "10.3", "pass", id="a B300 with triton 3.6"),
    pytest.param("3.7.0", "11.0", "pass", id="Thor with triton 3.7"),
    pytest.param("3.5.1", "12.0", "pass", id="an RTX 5090"),
    pytest.param("3.5.1", "10.0", "pass", id="a B200"),
    pytest.param("3.3.1", "12.0", "pass", id="the first triton for Blackwell"),
    pytest.param("3.5.1", "8.9", "pass", id="an RTX 4090"),
    pytest.param("3.7.1", "7.0", "pass", id="a V100"),
    pytest.param("3.5.1", "", "unknown", id="a GPU that is not known"),
    pytest.param("3.5.1", "14.0", "unknown", id="one of the future"),
    pytest.param("3.5.0+git7416ffcb", "12.1", "unknown", id="a triton of one's own"),
    pytest.param("", "12.1", "not_applicable", id="no triton"),
]


@pytest.mark.parametrize(("triton", "gpu", "status"), CASES)
def test_assembler(triton: str, gpu: str, status: str) -> None:
    found = ask(triton, gpu)
    assert found.status == status
    assert bool(found.fixes) == (status == "fail")


NIGHTLY = [
    pytest.param("3.5.0+git7416ffcb", "12.1", "fail", id="a GB10"),
    pytest.param("3.5.1", "12.1", "fail", id="of torch's index, without a commit"),
    pytest.param("3.5.0+git7416ffcb", "12.0", "unknown", id="it may be older than its release"),
    pytest.param("3.6.0+git5261b273", "12.1", "unknown", id="the same on a GPU that the release knows"),
    pytest.param("3.6.0+git5261b273", "8.9", "unknown", id="an RTX 4090"),
]


@pytest.mark.parametrize(("triton", "gpu", "status"), NIGHTLY)
def test_the_triton_of_nightly_builds(triton: str, gpu: str, status: str) -> None:
    assert ask(triton, gpu, name="pytorch-triton").status == status


FIRST, SECOND = "TRITON_PTXAS_PATH", "TRITON_PTXAS_BLACKWELL_PATH"


@pytest.mark.parametrize(
    ("triton", "gpu", "name", "status"),
    [
        pytest.param("3.5.1", "12.1", FIRST, "not_applicable", id="a GB10, triton 3.5, its variable"),
        pytest.param("3.5.1", "12.1", SECOND, "fail", id="a GB10, triton 3.5, that of later ones"),
        pytest.param("3.6.0", "11.0", SECOND, "not_applicable", id="Thor, triton 3.6, its variable"),
        pytest.param("3.6.0", "11.0", FIRST, "fail", id="Thor, triton 3.6, that of earlier ones"),
        pytest.param("3.3.1", "12.1", SECOND, "fail", id="a GB10, triton 3.3, which reads neither"),
        pytest.param("3.5.0+git7416ffcb", "12.1", SECOND, "not_applicable", id="a triton of one's own"),
        pytest.param("3.6.0", "12.1", FIRST, "pass", id="a GB10, triton 3.6, that of earlier ones"),
        pytest.param("3.5.1", "8.9", FIRST, "not_applicable", id="an RTX 4090"),
    ],
)
def test_another_assembler_is_named(triton: str, gpu: str, name: str, status: str) -> None:
    assert ask(triton, gpu, variables={name: "/usr/local/cuda/bin/ptxas"}).status == status


def lines(found: Finding) -> list[str]:
    return [command for fix in found.fixes for command in fix.commands]


def test_the_assembler_of_a_toolkit_that_is_new_enough() -> None:
    there = Toolchain(nvcc="/opt/cuda-13.0/bin/nvcc", nvcc_version="13.0", cuda_home="/opt/cuda-13.0")
    assert "export TRITON_PTXAS_PATH=/opt/cuda-13.0/bin/ptxas" in lines(ask("3.5.1", "12.1", toolchain=there))
    assert f"export {SECOND}=/opt/cuda-13.0/bin/ptxas" in lines(ask("3.6.0", "11.0", toolchain=there))


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(None, id="no toolkit is known"),
        pytest.param(Toolchain(nvcc=""), id="a machine of pip's packages"),
        pytest.param(Toolchain(nvcc="/usr/local/cuda/bin/nvcc", nvcc_version="12.8"), id="one as old as triton's"),
        pytest.param(Toolchain(nvcc="nvcc", nvcc_version="13.0"), id="one that nobody knows the place of"),
    ],
)
def test_a_toolkit_to_install(there: Toolchain | None) -> None:
    found = lines(ask("3.5.1", "12.1", toolchain=there))
    assert any("cuda-nvcc-12-9" in one for one in found)
    assert "export TRITON_PTXAS_PATH=/usr/local/cuda-12.9/bin/ptxas" in found


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_a_newer_torch_is_offered(engine: str) -> None:
    found = ask("3.5.1", "12.1", engine=engine)
    assert "2.10.0" in render(found.fixes[-1].text)
    assert any("install" in one for one in found.fixes[-1].commands)


def test_no_line_for_a_variable_that_cannot_be_exported() -> None:
    assert "PTXAS" not in " ".join(lines(ask("3.3.1", "12.1")))


def test_other_engines_and_systems() -> None:
    assert ask("3.5.1", "12.1", engine="transformers").status == "warn"
    assert ask("3.5.1", "12.1", system="Windows").status == "not_applicable"


def test_variables_that_are_not_all_known() -> None:
    assert ask("3.5.1", "12.1", environment=NOT_READ).status == "unknown"
    stated = known(Environment(variables={"CUDA_HOME": "/usr/local/cuda"}), source="stated")
    assert ask("3.5.1", "12.1", environment=stated).status == "unknown"
    assert ask("3.6.0", "12.1", environment=stated).status == "pass"


@pytest.mark.parametrize("env", [{}, {"CUDA_HOME": "/usr/local/cuda"}])
def test_what_somebody_states_proves_nothing(env: dict[str, str]) -> None:
    facts = {"gpus": ["NVIDIA GB10"], "packages": {"triton": "3.5.1", "torch": "2.9.1+cu130"}, "env": env}
    found = diagnose("x", {"facts": facts}, load_checks().checks, load_matrix())
    assert "GPU_ARCH_NOT_IN_WHEEL" not in [one.cause for one in found.causes]


def test_the_fact_says_where_it_is_from() -> None:
    """The check tells what was read from what was stated by this word."""
    from autoglm_doctor.loose.read import read_facts

    facts: Facts = read_facts({"env": {"A": "1"}}, load_matrix())[0]
    assert facts.environment.source == "stated"
