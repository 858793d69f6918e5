"""The installed command, from outside: exit codes, streams, files, a bare checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest

from autoglm_doctor.report import NAMES

FOLDER = Path(__file__).parent / "machines"
CHECKOUT = Path(__file__).parent.parent
FITS = str(FOLDER / "4090-small-model.json")
FAILS = str(FOLDER / "4090-autoglm-documented-flags.json")


def doctor(*words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoglm_doctor", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **environ},
        check=False,
    )


NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="there is no torch in this environment")
QUICK = ("--final-stage", "none")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("check", "--facts", FITS, *QUICK), 0, id="ready"),
        pytest.param(("check", "--facts", FAILS, *QUICK), 1, id="a check failed"),
        pytest.param(("check", "--facts", FAILS, "--ignore", "VRM003", *QUICK), 0, id="the failure is ignored"),
        pytest.param(("check", "--facts", FAILS, "--skip", "VRM003", *QUICK), 0, id="the failing check is skipped"),
        pytest.param(("check", "--facts", FITS, "--fail-on", "maybe"), 2, id="a bad choice"),
        pytest.param(("check", "--facts", "/nowhere.json"), 2, id="no such reading"),
        pytest.param(("check", "--select", "NOPE"), 2, id="an unknown code"),
        pytest.param(("check", "--frobnicate"), 2, id="an unknown option"),
        pytest.param(("check", "--model", "m", "--", "vllm", "serve", "m"), 2, id="said twice"),
        pytest.param(("check", "--", "nginx"), 2, id="no serving command"),
        pytest.param(("check", "--assume", "gpu=Voodoo2", "--facts", FITS), 2, id="an unknown card"),
        pytest.param(("check", "--python", "/nowhere/python"), 2, id="no such interpreter"),
        pytest.param(("check", "--facts", FITS, "--timeout", "nan"), 2, id="a time limit that is no number"),
        pytest.param(("check", "--facts", FITS, "--out", "/nowhere/report.json"), 2, id="no such folder"),
        pytest.param(("explain", "NOPE001"), 2, id="nothing to explain"),
        pytest.param(("check", "--facts", FITS, "--select", "LIM001", *QUICK), 5, id="nothing applies"),
        pytest.param(("check", "--facts", FITS, "--select", "VRM,HST001", *QUICK), 0, id="two patterns in one word"),
        pytest.param(("explain", "VRM003"), 0, id="a page"),
        pytest.param(("list",), 0, id="the list"),
        pytest.param(("--help",), 0, id="help"),
        pytest.param(("--version",), 0, id="version"),
    ],
)
def test_exit_code(words: tuple[str, ...], code: int) -> None:
    done = doctor(*words)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_incomplete_when_a_required_fact_is_unread(tmp_path: Path) -> None:
    data = json.loads(Path(FITS).read_text())
    data["facts"]["memory"] = {"outcome": "failed", "why": "/proc/meminfo names no MemTotal"}
    (tmp_path / "r.json").write_text(json.dumps(data))
    done = doctor("check", "--facts", str(tmp_path / "r.json"), *QUICK)
    assert done.returncode == 4
    assert "MEM001" in done.stdout


@pytest.mark.parametrize("name", [FITS, FAILS], ids=["ready", "not ready"])
def test_the_json_report_keeps_its_schema(name: str) -> None:
    done = doctor("check", "--facts", name, *QUICK, "--format", "json")
    report = json.loads(done.stdout)
    schema = json.loads(resources.files("autoglm_doctor.report").joinpath("schema.json").read_text())
    jsonschema.validate(report, schema)
    assert report["verdict"]["exit_code"] == done.returncode
    assert done.stderr == ""


def test_a_damaged_reading_is_named_with_its_place(tmp_path: Path) -> None:
    data = json.loads(Path(FITS).read_text())
    data["facts"]["gpus"]["value"][0]["total_bytes"] = "24 GB"
    (tmp_path / "r.json").write_text(json.dumps(data))
    done = doctor("check", "--facts", str(tmp_path / "r.json"))
    assert done.returncode == 2
    assert "$.facts.gpus.value[0].total_bytes: int expected, got '24 GB'" in done.stderr


def test_out_gets_the_report_and_stdout_nothing(tmp_path: Path) -> None:
    done = doctor("check", "--facts", FITS, *QUICK, "--out", str(tmp_path / "report.txt"))
    assert done.stdout == ""
    assert "READY" in (tmp_path / "report.txt").read_text()


def test_an_out_that_cannot_be_written_does_not_lose_the_report() -> None:
    done = doctor("check", "--facts", FITS, *QUICK, "--out", "/dev/full")
    assert done.returncode == 2
    assert "READY" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "utf-8"])
def test_any_console_encoding(encoding: str) -> None:
    done = doctor("check", "--facts", FAILS, *QUICK, PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away() -> None:
    line = f"{sys.executable} -m autoglm_doctor check --facts {FAILS} --final-stage none | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr


def test_piped_output_has_no_escape_codes() -> None:
    assert "\x1b" not in doctor("check", "--facts", FAILS, *QUICK).stdout


def test_launch_flags_with_keys_are_redacted() -> None:
    words = (
        "--",
        "vllm",
        "serve",
        "/srv/models/Qwen2.5-3B-Instruct",
        "--max-model-len",
        "16384",
        "--api-key",
        "s3cr3t",
    )
    for form in NAMES:
        done = doctor("check", "--facts", FITS, *QUICK, "--format", form, *words)
        assert "s3cr3t" not in done.stdout
    assert "s3cr3t" in doctor("check", "--facts", FITS, *QUICK, "--no-redact", *words).stdout


def test_fix_lines_quote_the_command_without_its_keys() -> None:
    line = ("vllm", "serve", "/srv/models/Qwen2.5-3B-Instruct", "--max-model-len", "99999", "--api-key", "s3cr3t")
    for form in NAMES:
        done = doctor("check", "--facts", FITS, *QUICK, "--format", form, "--", *line)
        assert done.returncode == 1
        assert "--max-model-len 32768" in done.stdout
        assert "s3cr3t" not in done.stdout


def test_an_error_message_does_not_quote_keys() -> None:
    assert "s3cr3t" not in doctor("check", "--", "nginx", "--api-key", "s3cr3t").stderr


def test_assumed_facts_are_said() -> None:
    done = doctor("check", "--facts", FAILS, *QUICK, "--assume", "gpu=a100 pcie,vram=79.2")
    assert done.returncode == 0, done.stdout
    assert "assumed" in done.stdout


def test_the_machine_from_a_reading_and_the_packages_from_here() -> None:
    """What CI does: no GPU here, the node's reading, this environment's packages."""
    done = doctor("check", "--facts", FITS, "--python", sys.executable, *QUICK, "--format", "json")
    report = json.loads(done.stdout)
    assert report["facts"]["gpus"]["value"][0]["name"] == "NVIDIA GeForce RTX 4090"
    assert report["facts"]["interpreter"]["value"]["executable"] == sys.executable
    assert "pytest" in [d["name"] for d in report["facts"]["packages"]["value"]["distributions"]]
    assert report["facts"]["torch_run"]["outcome"] == "not_run"


@NEEDS_TORCH
def test_a_saved_reading_gives_the_same_judgement(tmp_path: Path) -> None:
    saved = tmp_path / "node.json"
    words = ("--model", "smoke", "--device", "auto", "--no-disk-write", *QUICK, "--format", "json")
    first = doctor("check", *words, "--save-facts", str(saved))
    again = doctor("check", "--facts", str(saved), "--device", "auto", *QUICK, "--format", "json")
    then, now = (json.loads(done.stdout)["results"] for done in (first, again))
    assert [(r["code"], r["status"], r["text"]) for r in then] == [(r["code"], r["status"], r["text"]) for r in now]
    assert first.returncode == again.returncode == 0


def test_a_bare_checkout_runs_without_install(tmp_path: Path) -> None:
    """Copied without any metadata of an installation, and started by path."""
    import shutil

    bare = tmp_path / "checkout"
    bare.mkdir()
    for name in ("autoglm_doctor", "checks"):
        shutil.copytree(CHECKOUT / name, bare / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "compat_matrix.yaml", bare)
    words = ["x", "check", "--facts", FITS, "--final-stage", "none", "--format", "json"]
    script = f"""
import sys, runpy
sys.path[:] = [{str(bare)!r}] + [p for p in sys.path if p != {str(CHECKOUT)!r} and "editable" not in p]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]
sys.argv = {words!r}
import autoglm_doctor
assert autoglm_doctor.__file__.startswith({str(bare)!r}), autoglm_doctor.__file__
runpy.run_module("autoglm_doctor", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=bare, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"]["status"] == "ready"


def test_only_the_probes_that_a_selection_needs_run() -> None:
    report = json.loads(doctor("check", "--select", "HST001", "--format", "json", *QUICK).stdout)
    assert report["facts"]["host"]["outcome"] == "known"
    assert report["facts"]["disk_speed"]["outcome"] == "not_run"
    assert report["facts"]["torch_run"]["outcome"] == "not_run"


@NEEDS_TORCH
def test_the_final_stage_alone_reads_what_it_needs_first() -> None:
    """With only INF chosen nothing else asks for the interpreter, the packages or the GPUs."""
    report = json.loads(
        doctor("check", "--select", "INF", "--model", "smoke", "--device", "auto", "--format", "json").stdout
    )
    assert report["facts"]["inference"]["outcome"] == "known"
    assert report["facts"]["disk_speed"]["outcome"] == "not_run"
    assert {r["code"]: r["status"] for r in report["results"]}["INF001"] == "pass"
