"""PYT001: a Python that does not start is one red with a fix; our own trouble is none."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.engine import engine_installed
from autoglm_doctor.checks.engine_command import command_starts
from autoglm_doctor.checks.python import python_starts
from autoglm_doctor.facts import Environment, Facts, Interpreter, Reading, known, with_readings
from autoglm_doctor.finding import Finding
from autoglm_doctor.launch import parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

PYTHON = Interpreter(executable="/v/bin/python", version="3.11.7", missing_program="")
SERVE = parse_command(["vllm", "serve", "/m"])


def ended(why: str, outcome: Any = "failed", source: str = "/v/bin/python") -> Reading[Interpreter]:
    return Reading(outcome=outcome, why=why, source=source)


def one(interpreter: Any, **given: Any) -> Finding:
    (finding,) = judge(python_starts, interpreter=interpreter, **given)
    return finding


def commands(finding: Finding) -> str:
    return "\n".join(line for fix in finding.fixes for line in fix.commands)


def test_it_starts() -> None:
    finding = one(PYTHON)
    assert (finding.status, finding.observed) == ("pass", "3.11.7")


RED = {
    "no Python at all": (ended("there is no python3 on PATH", "absent"), "no python3 on PATH", "uv venv"),
    "a link to nothing": (
        ended("[Errno 2] No such file or directory: '/v/bin/python'"),
        "cannot be started",
        "uv venv",
    ),
    "no program": (ended("[Errno 8] Exec format error: '/v/bin/python'"), "cannot be started", "uv venv"),
    "not executable": (ended("[Errno 13] Permission denied: '/v/bin/python'"), "cannot be started", "--python"),
    "a link loop": (ended("[Errno 40] Too many levels of symbolic links"), "cannot be started", "uv venv"),
    "no Python": (ended("ended with exit code 0 and no answer: hello"), "is no Python", "--python"),
    "hangs": (ended("no answer within 30 s", "timeout"), "/v/bin/python hangs", "/v/bin/python -I -S -c pass"),
    "a link to nothing, by the nursery": (
        ended("ended with exit code 127 and no answer: /v/bin/python: No such file or directory"),
        "cannot be started",
        "uv venv",
    ),
    "a wrapper that finds no Python": (
        ended("ended with exit code 127 and no answer: /v/bin/python: 3: exec: python3.9: not found"),
        "cannot be started",
        "uv venv",
    ),
    "in a folder with a name like ours": (
        ended(
            "[Errno 2] No such file or directory: '/tmp/autoglm-doctor-x/env/python'",
            source="/tmp/autoglm-doctor-x/env/python",
        ),
        "cannot be started",
        "uv venv",
    ),
    "crashes": (ended("killed by SIGSEGV"), "/v/bin/python crashes", "uv venv"),
    "its site fails": (ended("ended with exit code 1 and no answer: SystemExit: 0"), "fails when", "-I -S"),
    "the reading names no Python": (ended("killed by SIGILL", source="interpreter"), "the deployment's Python", "uv"),
}


@pytest.mark.parametrize(("reading", "says", "command"), RED.values(), ids=RED.keys())
def test_it_does_not_start(reading: Reading[Interpreter], says: str, command: str) -> None:
    finding = one(reading)
    assert (finding.status, finding.cause) == ("fail", "TARGET_PYTHON_BROKEN")
    assert says in render(finding.text)
    assert command in commands(finding)


OPEN = {
    "no memory, by the nursery": ended("ended with exit code 127 and no answer: /v/bin/python: Cannot allocate memory"),
    "no memory for Python": ended("ended with exit code 1 and no answer: MemoryError"),
    "no memory for its library": ended(
        "ended with exit code 1 and no answer: its standard library does not import, see /l/json.py: MemoryError: "
    ),
    "a full disk": ended("ended with exit code 1 and no answer: OSError: [Errno 28] No space left on device"),
    "killed, as by the kernel": ended("killed by SIGKILL"),
    "stopped by somebody": ended("killed by SIGTERM"),
    "stopped by a closed terminal": ended("killed by SIGHUP"),
    "our folder is gone": ended("[Errno 2] No such file or directory: '/tmp/autoglm-doctor-x1/interpreter'"),
    "our script is not readable": ended(
        "[Errno 13] Permission denied: '/s/autoglm_doctor/probes/target/interpreter.py'"
    ),
    "some other file": ended("[Errno 2] No such file or directory: '/dev/null'"),
    "our folder cannot be seen from its container": ended(
        "ended with exit code 2 and no answer: python3: can't open file '/tmp/autoglm-doctor-x1/interpreter/interpreter.py': "
        "[Errno 2] No such file or directory"
    ),
    "no file may be opened": ended("[Errno 24] Too many open files"),
    "no process may be started": ended("[Errno 11] Resource temporarily unavailable"),
    "no memory": ended("[Errno 12] Cannot allocate memory"),
    "the scratch folder is full": ended("[Errno 28] No space left on device: '/tmp/x'"),
    "our answer could not be written": ended(
        "ended with exit code 1 and no answer: the doctor's scratch folder cannot be written: [Errno 28] No space"
    ),
    "interrupted": ended("interrupted", "not_run"),
    "stopped": ended("interrupted"),
    "never read": ended("", "not_run"),
    "an answer of the wrong form": ended("the probe's answer has the wrong form ($.interpreter)"),
}


@pytest.mark.parametrize("reading", OPEN.values(), ids=OPEN.keys())
def test_our_own_trouble_says_nothing_of_it(reading: Reading[Interpreter]) -> None:
    finding = one(reading)
    assert (finding.status, finding.required, finding.fixes) == ("unknown", True, ())


def test_a_slow_start_is_given_time_before_the_environment_is_made_again() -> None:
    fixes = one(ended("no answer within 30 s", "timeout")).fixes
    assert fixes[0].commands == ("time /v/bin/python -c pass",)
    assert fixes[1].commands == ("autoglm-doctor check --timeout 3",)
    assert "uv venv" in fixes[-1].commands[0]


def test_variables_are_the_first_suspects() -> None:
    reading = ended("ended with exit code 1 and no answer: SyntaxError: invalid syntax (json.py, line 1)")
    environment = Environment(variables={"PYTHONPATH": "/odd"})
    assert one(reading, environment=environment).fixes[0].commands == (
        "env -u PYTHONPATH /v/bin/python -c 'import json'",
        "unset PYTHONPATH",
    )
    assert "PYTHON" not in one(reading).fixes[0].commands[0]
    intent = parse_command(["env", "PYTHONHOME=/odd", "vllm", "serve", "/m"])
    assert "unset PYTHONHOME" in one(reading, intent=intent).fixes[0].commands


GONE = {
    "the Python in the first line": ("/gone/bin/python3.11", "fail"),
    "a Python that the script looks for on PATH": ("python3", "fail"),
    "the program itself": ("vllm", "pass"),  # ENG005 speaks of that
    "nothing": ("", "pass"),
}


@pytest.mark.parametrize(("missing", "status"), GONE.values(), ids=GONE.keys())
def test_the_python_of_the_commands_script(missing: str, status: str) -> None:
    fallback = Interpreter(executable="/usr/bin/python3", version="3.11.2", missing_program=missing)
    assert one(fallback, intent=SERVE).status == status


def test_a_python_that_the_command_itself_names_is_left_to_eng005() -> None:
    intent = parse_command(["python3.12", "-m", "vllm.entrypoints.openai.api_server", "--model", "/m"])
    assert (
        one(Interpreter(executable="/p", version="3.11.2", missing_program="python3.12"), intent=intent).status
        == "pass"
    )


def test_the_others_are_explained_by_it() -> None:
    gone: Reading[Any] = Reading(outcome="failed", why="killed by SIGSEGV")
    facts = with_readings(Facts(), {"interpreter": gone, "packages": gone})
    checks = [engine_installed, command_starts, python_starts]
    found = run_checks(checks, facts, SERVE, load_matrix())
    assert [finding.status for finding in found] == ["skipped", "skipped", "fail"]
    facts = with_readings(facts, {"interpreter": known(PYTHON)})
    assert [finding.status for finding in run_checks(checks, facts, SERVE, load_matrix())] == [
        "unknown",
        "pass",
        "pass",
    ]
