"""PKG015: FlashInfer and its compiled kernels."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.flashinfer import flashinfer_of_one_release
from autoglm_doctor.facts import Distribution, Environment, Interpreter, Packages
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed
from tests.restraint.judged import judged

VLLM = Intent(model="/m", engine="vllm")
CUBIN = [
    pytest.param("0.6.14", "0.6.13", "fail", id="left behind"),
    pytest.param("0.5.3", "0.6.1", "fail", id="too new"),
    pytest.param("0.6.14", "0.6.14.post1", "fail", id="a post-release is another one"),
    pytest.param("0.6.14", "0.6.14", "pass", id="the same"),
    pytest.param("0.0.0+unknown", "0.6.14", "not_applicable", id="FlashInfer from source"),
    pytest.param("0.6.15.dev3", "0.6.14", "not_applicable", id="a development version"),
    pytest.param("0.6.14+g1a2b3c4", "0.6.13", "not_applicable", id="a build of one's own"),
    pytest.param("0.7.1", "0.6.13", "fail", id="the last that refuses"),
    pytest.param("0.7.2", "0.6.13", "warn", id="it is left aside, and the first start is slow"),
    pytest.param("0.7.2", "0.7.2", "pass", id="the same of that release"),
    pytest.param("0.4.0", "0.3.1", "fail", id="the first that refuses"),
    pytest.param("0.3.1", "0.3.0", "not_applicable", id="before it asked"),
    pytest.param("0.6.14", "0.6.13.dev20260411", "not_applicable", id="kernels of a development version"),
]


@pytest.mark.parametrize(("python", "cubin", "status"), CUBIN)
def test_cubin(python: str, cubin: str, status: str) -> None:
    there = installed(flashinfer_python=python, flashinfer_cubin=cubin)
    (finding,) = judge(flashinfer_of_one_release, packages=there, intent=VLLM)
    assert finding.status == status


JIT = [
    pytest.param("0.6.11", "0.6.9+cu130", "fail", id="left behind"),
    pytest.param("0.6.16", "0.6.16+cu130", "pass", id="with its CUDA"),
    pytest.param("0.6.16", "0.6.16.post1+cu130", "pass", id="it must begin alike, no more"),
    pytest.param("0.7.0", "0.7.0.post1+cu130", "fail", id="from 0.7.0 on nothing may stand before the CUDA"),
    pytest.param("0.7.0", "0.7.0+cu130", "pass", id="0.7.0 with its CUDA"),
    pytest.param("0.7.2", "0.7.1+cu130", "warn", id="left aside"),
]


@pytest.mark.parametrize(("python", "cache", "status"), JIT)
def test_jit_cache(python: str, cache: str, status: str) -> None:
    there = installed(flashinfer_python=python, flashinfer_jit_cache=cache)
    (finding,) = judge(flashinfer_of_one_release, packages=there, intent=VLLM)
    assert finding.status == status


QUIET: dict[str, dict[str, Any]] = {
    "switched off": {
        "packages": installed(flashinfer_python="0.6.14", flashinfer_cubin="0.6.13"),
        "environment": Environment(variables={"FLASHINFER_DISABLE_VERSION_CHECK": "1"}),
    },
    "the kernels of another folder go before the package": {
        "packages": installed(flashinfer_python="0.7.1", flashinfer_cubin="0.6.13"),
        "environment": Environment(variables={"FLASHINFER_CUBIN_DIR": "/cubins"}),
    },
    "an engine without it": {
        "packages": installed(flashinfer_python="0.6.14", flashinfer_cubin="0.6.13"),
        "intent": Intent(model="/m", engine="transformers"),
    },
    "FlashInfer alone": {"packages": installed(flashinfer_python="0.6.14")},
    "the kernels alone": {"packages": installed(flashinfer_cubin="0.6.14")},
}


@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in QUIET.items()])
def test_quiet(given: dict[str, Any]) -> None:
    (finding,) = judge(flashinfer_of_one_release, **{"intent": VLLM, **given})
    assert finding.status == "not_applicable"


def test_before_0_7_the_folder_of_kernels_comes_second() -> None:
    there = installed(flashinfer_python="0.6.14", flashinfer_cubin="0.6.13")
    variables = Environment(variables={"FLASHINFER_CUBIN_DIR": "/cubins"})
    (finding,) = judge(flashinfer_of_one_release, packages=there, environment=variables, intent=VLLM)
    assert finding.status == "fail"


def test_the_ways_out() -> None:
    there = Packages(
        distributions=(
            *installed(flashinfer_python="0.6.16", flashinfer_jit_cache="0.6.14+cu130", pip="25.0").distributions,
        )
    )
    python = Interpreter(executable="/venv/bin/python", version="3.12.1")
    (finding,) = judge(flashinfer_of_one_release, packages=there, interpreter=python, intent=VLLM)
    same, without = (fix.commands[0] for fix in finding.fixes)
    assert same == (
        "/venv/bin/python -m pip install --no-deps --extra-index-url https://flashinfer.ai/whl/cu130 "
        "flashinfer-jit-cache==0.6.16+cu130"
    )
    assert without == "/venv/bin/python -m pip uninstall -y flashinfer-jit-cache"


def test_an_environment_without_pip() -> None:
    there = installed(flashinfer_python="0.6.16", flashinfer_cubin="0.6.14")
    python = Interpreter(executable="/venv/bin/python", version="3.12.1")
    (finding,) = judge(flashinfer_of_one_release, packages=there, interpreter=python, intent=VLLM)
    assert finding.fixes[1].commands[0] == "uv pip uninstall --python /venv/bin/python flashinfer-cubin"


def test_one_red_where_the_engine_pins_it() -> None:
    vllm = {"vllm": ["flashinfer-cubin==0.6.14"]}
    there = {"vllm": "0.26.0", "flashinfer-python": "0.6.14", "flashinfer-cubin": "0.6.13"}
    found = judged({"python": "3.12.1", "packages": there, "requires": vllm})
    assert [one.check for one in found.causes if one.status == "fail"] == ["PKG001"]


def test_a_package_under_another_spelling() -> None:
    there = Packages(
        distributions=(
            Distribution(name="flashinfer_python", version="0.6.14"),
            Distribution(name="flashinfer_cubin", version="0.6.13"),
        )
    )
    (finding,) = judge(flashinfer_of_one_release, packages=there, intent=VLLM)
    assert finding.subject == "flashinfer-cubin"


@pytest.mark.parametrize(
    ("versions", "status"),
    [
        pytest.param({}, "warn", id="no engine is named"),
        pytest.param({"transformers": "5.2.0"}, "pass", id="plain transformers"),
        pytest.param({"flashinfer-jit-cache": "0.6.11+cu130"}, "pass", id="no engine, one release"),
    ],
)
def test_a_list_without_an_engine(versions: dict[str, str], status: str) -> None:
    there = {"flashinfer-python": "0.6.11", "flashinfer-jit-cache": "0.6.9+cu130", **versions}
    assert judged({"packages": there}).status == status
