"""Our half of docs/against-env-doctor.md, and the rule that says there who is right. No network, no other tool."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.verdict_installs import ASKED, our_line, their_line
from benchmarks.verdict_judgement import Answer, judged, ours, theirs, usual_lines
from benchmarks.verdict_machines import CARDS, Simulated, matrix, simulate
from benchmarks.verdict_page import page
from benchmarks.verdict_rows import ROWS, TEN, Row
from tests.faults.machine import can_mount
from tests.faults.running import check

HEALTHY = Row(name="healthy", machine=Simulated(), runs=True, truth="", source="")
SICK = replace(HEALTHY, runs=False, named="needs driver 580", causes=("DRIVER_TOO_OLD",))


def newer_python() -> str:
    """A Python 3.13 that starts, on PATH or beside the one that runs this; or nothing."""
    beside = Path(sys.base_prefix).parent.glob("*3.13*/bin/python3.13")
    for found in filter(None, [shutil.which("python3.13"), *map(str, beside)]):
        if not subprocess.run([found, "-c", ""], capture_output=True, check=False, timeout=20).returncode:
            return found
    return ""


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name, marks=() if row in TEN else pytest.mark.slow) for row in ROWS],
)
def test_our_verdict(row: Row, tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("a real NVIDIA driver is loaded here: its version would not be the stub's")
    if not row.machine.memory_told and not can_mount():
        pytest.skip("main memory as large as that GPU's cannot be shown here")
    if row.machine.python:
        if not newer_python():
            pytest.skip("no Python 3.13 here")
        row = replace(row, machine=replace(row.machine, python=newer_python()))
    run = check(simulate(row.machine, tmp_path / "one"), "--format", "json")
    answer = ours(run.report, run.code)
    assert judged(row, answer) == "right", answer
    assert bool(answer.causes) != row.runs
    assert sum(result["status"] == "fail" for result in run.report["results"]) == (0 if row.runs else 1), answer.said
    assert run.left == ()


def test_there_are_ten() -> None:
    assert len(TEN) == len({row.name for row in TEN}) == 10


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_simulation_is_what_the_matrix_says(row: Row) -> None:
    """Truth is not ours to set: whether torch holds code for the card is read from the matrix."""
    if not row.machine.torch.endswith("+cpu"):
        capability = CARDS[row.machine.card][1]
        assert matrix().torch_has_code_for(row.machine.torch, capability) is row.machine.kernels


@pytest.mark.parametrize(
    ("row", "answer", "verdict"),
    [
        pytest.param(HEALTHY, Answer(said=(), red=False, gate=0, text=""), "right", id="silent on a machine that runs"),
        pytest.param(
            HEALTHY,
            Answer(said=("❌ it will fail", "⚠ MISMATCH (Soft)"), red=True, gate=0, text=""),
            "wrong: false alarm, exit code 0",
            id="red on a machine that runs",
        ),
        pytest.param(
            HEALTHY,
            Answer(said=("⚠ MISMATCH (Soft)", "⚠ other"), red=True, gate=0, text=""),
            "wrong: false warning, exit code 0",
            id="a warning on a machine that runs",
        ),
        pytest.param(
            HEALTHY,
            Answer(said=("fail DRV001: x",), red=True, gate=1, text="", causes=("X",)),
            "wrong: false alarm, exit code 1",
            id="ours red on a machine that runs",
        ),
        pytest.param(
            HEALTHY,
            Answer(said=(), red=False, gate=1, text=""),
            "half right: no red, exit code 1",
            id="a gate that stops a machine that runs",
        ),
        pytest.param(
            HEALTHY,
            Answer(said=(), red=False, gate=4, text=""),
            "open: says that it does not know, exit code 4",
            id="not knowing",
        ),
        pytest.param(
            SICK, Answer(said=(), red=True, gate=1, text="it NEEDS DRIVER 580"), "right", id="named and stopped"
        ),
        pytest.param(
            SICK,
            Answer(said=(), red=True, gate=0, text="needs driver 580"),
            "half right: says so, exit code 0",
            id="named and let pass",
        ),
        pytest.param(SICK, Answer(said=(), red=False, gate=0, text=""), "wrong: lets it pass", id="missed"),
        pytest.param(
            SICK,
            Answer(said=(), red=True, gate=1, text="needs driver 580", causes=("CPU_ONLY_TORCH", "DRIVER_TOO_OLD")),
            "half right: says so, under the cause CPU_ONLY_TORCH",
            id="another cause before the right one",
        ),
        pytest.param(
            SICK,
            Answer(said=(), red=True, gate=1, text="needs driver 580", broke_down="a traceback"),
            "wrong: breaks down",
            id="a traceback that happens to hold the words",
        ),
    ],
)
def test_the_rule(row: Row, answer: Answer, verdict: str) -> None:
    assert judged(row, answer) == verdict


CONTROL = "❌  jax is NOT installed.\n⚠️   no nvcc\n🚀 vLLM 0.19.1  →  compatible with driver"


@pytest.mark.parametrize(
    ("out", "err", "code", "said", "red", "broke"),
    [
        pytest.param(CONTROL, "", 0, ("🚀 vLLM 0.19.1 → compatible with driver",), False, "", id="the control itself"),
        pytest.param(
            f"⚠️  mild\n{CONTROL}\n    ❌ CRITICAL CONFLICT: torch | x",
            "",
            0,
            ("❌ CRITICAL CONFLICT: torch / x", "⚠ mild", "🚀 vLLM 0.19.1 → compatible with driver"),
            True,
            "",
            id="red before yellow, and no sign of a table's border",
        ),
        pytest.param(
            "",
            "Traceback (most recent call last):\nTypeError: x",
            1,
            (),
            False,
            "a traceback: TypeError: x",
            id="crash",
        ),
        pytest.param("", "", -11, (), False, "killed by signal 11, no report", id="killed"),
    ],
)
def test_what_is_quoted(out: str, err: str, code: int, said: tuple[str, ...], red: bool, broke: str) -> None:
    answer = theirs(out, err, code, 0, usual_lines(CONTROL))
    assert (answer.said, answer.red, answer.broke_down) == (said, red, broke)


def test_the_page_counts_as_the_rows_do() -> None:
    cells = ["name", "truth", "they", "we"]
    rows = [(TEN[0], [*cells, "env-doctor: wrong: false alarm<br>we: right"])]
    rows.append((TEN[1], [*cells, "env-doctor: right<br>we: open: says that it does not know"]))
    installs = [(ASKED[0], "pip install new", "pip install old")]
    text = page(rows, installs, ("mcp-2 to 1", ""), day="2026-01-01", python="3", versions=("1", "2"), offline=True)
    assert "we are right in 1, open in 1; env-doctor is right in 1, wrong in 1" in text
    assert "would replace mcp-2 to 1" in text
    assert "replaces nothing" in text
    assert "| V100, driver 580.95.05 |" in text


def test_the_lines_to_paste() -> None:
    assert (
        their_line("x\n  📋 Copy-to-fix: pip install uv && uv pip install vllm==1\n")
        == "pip install uv && uv pip install vllm==1"
    )
    assert their_line("    → Install: uv pip install vllm==2\n") == "uv pip install vllm==2"
    assert their_line("  1. Install the CUDA 12.9 build\n") == "no line"
    assert (
        our_line("vllm 1\n\n  python3 -m pip install vllm==1\n  uv pip install vllm==1\n")
        == "python3 -m pip install vllm==1"
    )
    both = "  /v/python3 -m pip install vllm==1\n  uv pip install vllm==1\n\nNewer\n  /v/python3 -m pip install URL\n"
    assert our_line(both) == "/v/python3 -m pip install vllm==1`<br>or, newer: `/v/python3 -m pip install URL"
    assert our_line("nothing runs here\n") == "no line"
