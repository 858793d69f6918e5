"""ENG005: the command's program is there."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest

from autoglm_doctor.checks.engine import engine_installed
from autoglm_doctor.checks.engine_command import command_starts
from autoglm_doctor.facts import Distribution, Facts, Interpreter, Packages, known
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge

VENV = Interpreter(executable="/v/bin/python", version="3.12.1", prefix="/v", base_prefix="/usr")


def holding(*names: str) -> Packages:
    return Packages(distributions=tuple(Distribution(name=name, version="0.12.0") for name in names))


CASES = {
    "vllm": (
        "HF_HUB_OFFLINE=1 vllm serve org/m --port 9000",
        "vllm",
        "HF_HUB_OFFLINE=1 /v/bin/python -m vllm.entrypoints.openai.api_server --model org/m --port 9000",
    ),
    "by a path": (
        "./nowhere/vllm serve org/m",
        "./nowhere/vllm",
        "/v/bin/python -m vllm.entrypoints.openai.api_server --model org/m",
    ),
    "in uv's environment": (
        "uv run vllm serve org/m",
        "vllm",
        "/v/bin/python -m vllm.entrypoints.openai.api_server --model org/m",
    ),
    "sglang": ("sglang serve --model-path m", "sglang", "/v/bin/python -m sglang.launch_server --model-path m"),
    "transformers": ("transformers serve org/m", "transformers", "source /v/bin/activate"),
    "uv": ("uv run vllm serve org/m", "uv", "python3 -m pip install --user uv"),
    "a Python that a script names": ("vllm serve org/m", "/gone/python", "source /v/bin/activate"),
}


@pytest.mark.parametrize(("line", "missing", "fix"), CASES.values(), ids=CASES.keys())
def test_a_program_that_is_missing(line: str, missing: str, fix: str) -> None:
    python = dataclasses.replace(VENV, missing_program=missing)
    packages = holding("vllm", "sglang", "transformers")
    (finding,) = judge(command_starts, interpreter=python, packages=packages, intent=parse_command(shlex.split(line)))
    assert (finding.status, finding.cause) == ("fail", "COMMAND_NOT_FOUND")
    assert missing in finding.text.params["program"]
    assert finding.fixes[0].commands[0] == fix


def test_no_module_is_offered_where_the_engine_is_not_known_to_be() -> None:
    python = dataclasses.replace(VENV, missing_program="vllm")
    intent = parse_command(["vllm", "serve", "org/m"])
    for given in ({}, {"packages": holding("rich")}):
        (finding,) = judge(command_starts, interpreter=python, intent=intent, **given)
        assert finding.status == "fail"
        assert finding.fixes[0].commands[0] == "source ENVIRONMENT/bin/activate"


STATED: dict[str, tuple[Any, str]] = {
    "a command": (parse_command(["vllm", "serve", "org/m"]), "pass"),
    "options": (dataclasses.replace(default_intent(), stated_by="options"), "not_applicable"),
    "the profile's documented line": (default_intent(), "not_applicable"),
}


@pytest.mark.parametrize(("intent", "status"), STATED.values(), ids=STATED.keys())
def test_only_a_stated_command_is_judged(intent: Any, status: str) -> None:
    (finding,) = judge(command_starts, interpreter=dataclasses.replace(VENV, missing_program=""), intent=intent)
    assert finding.status == status
    missing = dataclasses.replace(VENV, missing_program="vllm")
    (finding,) = judge(command_starts, interpreter=missing, intent=intent)
    assert finding.status == ("fail" if status == "pass" else "not_applicable")


def test_an_engine_that_is_nowhere_is_one_red() -> None:
    facts = Facts(interpreter=known(dataclasses.replace(VENV, missing_program="vllm")), packages=known(holding("pip")))
    found = run_checks(
        [command_starts, engine_installed], facts, parse_command(["vllm", "serve", "org/m"]), load_matrix()
    )
    assert sorted((f.code, f.status) for f in found) == [("ENG001", "fail"), ("ENG005", "skipped")]


def test_a_program_that_nobody_looked_for_is_not_green() -> None:
    (finding,) = judge(command_starts, interpreter=VENV, intent=parse_command(["vllm", "serve", "org/m"]))
    assert finding.status == "unknown"
