"""Saved readings judged again: the whole path from a file to the printed report, held against golden texts.

`UPDATE_GOLDEN=1 pytest tests/test_machines.py` rewrites the texts; read the difference before you commit it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from autoglm_doctor.cli.app import run
from autoglm_doctor.intent import SMOKE
from tests.machines import build

FOLDER = Path(__file__).parent / "machines"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))

#: exit code, and the causes of the reds: one root each
EXPECTED = {
    "4090-small-model": (0, []),
    "4090-autoglm-documented-flags": (1, ["KV_CACHE_TOO_SMALL"]),
    "no-driver": (1, ["DRIVER_NOT_INSTALLED"]),
    "535-cuda13-wheel": (1, ["DRIVER_TOO_OLD"]),
    "535-cuda128-wheel": (0, []),
    "cpu-only-torch": (1, ["CPU_ONLY_TORCH"]),
    "gpu-held-by-another": (1, ["GPU_MEMORY_TAKEN_BY_OTHERS"]),
    "this-cpu-machine": (0, []),
}


def judged(name: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    device = ("--device", "auto") if name == "this-cpu-machine" else ()
    code = run(["check", "--facts", str(FOLDER / f"{name}.json"), "--final-stage", "none", *device, *options])
    return code, capsys.readouterr().out


def test_the_readings_are_what_build_writes() -> None:
    """A changed fact type must not leave stale readings behind."""
    before = {path: path.read_text() for path in FOLDER.glob("*.json")}
    build.write()
    assert {path: path.read_text() for path in FOLDER.glob("*.json")} == before


@pytest.mark.parametrize("name", NAMES)
def test_one_root_cause_is_one_red(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = judged(name, capsys, "--format", "json")
    report = json.loads(out)
    reds = [result["cause"] for result in report["results"] if result["status"] == "fail"]
    assert (code, reds) == EXPECTED[name]
    assert all(result["status"] not in ("unknown", "error") for result in report["results"] if result["required"])


@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_the_golden_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = judged(name, capsys)
    text = re.sub(r" in \d+\.\d s$", " in T s", out, flags=re.MULTILINE)
    golden = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_autoglm_on_24_gb_gets_a_line_that_check_accepts(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole circle: the suggested command, judged as the intended one, passes."""
    import shlex

    _, out = judged("4090-autoglm-documented-flags", capsys, "--format", "json")
    red = next(r for r in json.loads(out)["results"] if r["status"] == "fail")
    command = shlex.split(red["fix"][0]["commands"][0])
    path = FOLDER / "4090-autoglm-documented-flags.json"
    code = run(["check", "--facts", str(path), "--final-stage", "none", "--format", "json", "--", *command])
    report = json.loads(capsys.readouterr().out)
    assert [r["text"] for r in report["results"] if r["status"] == "fail"] == []
    assert code == 0


def test_a_redacted_reading_is_judged_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in NAMES:
        code, out = judged(name, capsys, "--format", "json")
        (tmp_path / "redacted.json").write_text(out)
        device = ("--device", "auto") if name == "this-cpu-machine" else ()
        again = run(
            ["check", "--facts", str(tmp_path / "redacted.json"), "--final-stage", "none", "--format", "json", *device]
        )
        second = json.loads(capsys.readouterr().out)
        assert again == code
        assert second["verdict"] == json.loads(out)["verdict"]


def test_this_machine_was_recorded_for_smoke() -> None:
    assert json.loads((FOLDER / "this-cpu-machine.json").read_text())["intent"]["model"] == SMOKE
