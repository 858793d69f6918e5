"""Probes that die, hang, flood and lie: real child processes, each costing no more than its own facts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from autoglm_doctor import collect
from autoglm_doctor.collect import Probe, Session, run_probe
from autoglm_doctor.facts import Reading

HEAD = "import sys, json, os, time, signal\nout = open(sys.argv[1], 'a')\n"
DRIVER = (
    "out.write(json.dumps({'fact':'driver','outcome':'known','value':{'version':'570.26'}}) + '\\n'); out.flush()\n"
)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(scratch=tmp_path, environ=dict(os.environ))


def run(
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    limit: float = 5,
    farewell: float = 0,
) -> dict[str, Reading]:  # type: ignore[type-arg]
    """Run a script as a target probe that gives the driver and the GPUs."""
    package = tmp_path / "package"
    (package / "probes" / "target").mkdir(parents=True)
    (package / "probes" / "target" / "probe.py").write_text(HEAD + body)
    monkeypatch.setattr(collect, "__file__", str(package / "collect.py"))
    probe = Probe(
        name="probe",
        script="probe.py",
        gives=("driver", "gpus"),
        limit_seconds=limit,
        hang_means="a wedge",
        farewell_seconds=farewell,
    )
    return run_probe(probe, {}, session, sys.executable)


@pytest.mark.parametrize(
    ("body", "driver", "gpus", "why"),
    [
        pytest.param(DRIVER, "known", "failed", "exit code 0 and no answer", id="answers half of it"),
        pytest.param(DRIVER + "os.kill(os.getpid(), signal.SIGSEGV)", "known", "failed", "SIGSEGV", id="segfaults after it"),
        pytest.param("os.abort()", "failed", "failed", "SIGABRT", id="aborts"),
        pytest.param("raise ValueError('no such thing')", "failed", "failed", "ValueError: no such thing", id="raises"),
        pytest.param("sys.exit(3)", "failed", "failed", "exit code 3", id="exits"),
        pytest.param("os._exit(0)", "failed", "failed", "exit code 0", id="leaves without a word"),
        pytest.param("out.write('{\"fact\": \"driver\", \"outc'); out.flush()", "failed", "failed", "no answer", id="half a line"),
        pytest.param("out.write('[1]\\nnull\\n'); out.flush()", "failed", "failed", "no answer", id="JSON of another kind"),
        pytest.param(
            "out.write(json.dumps({'fact':'driver','outcome':'known','value':{'version':5}})+'\\n'); out.flush()",
            "failed", "failed", "no answer", id="the wrong form",
        ),
        pytest.param(DRIVER + "[sys.stdout.write('x' * 2**20) for _ in range(30)]", "known", "failed", "", id="prints 30 MB"),
        pytest.param(DRIVER + "os.close(1); os.close(2)", "known", "failed", "no answer", id="closes its output"),
        pytest.param(DRIVER + "sys.stdout.buffer.write(bytes(range(256)) * 9)", "known", "failed", "", id="prints bytes"),
    ],
)  # fmt: skip
def test_a_dying_probe_costs_its_own_facts(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, driver: str, gpus: str, why: str
) -> None:
    found = run(session, tmp_path, monkeypatch, body)
    assert (found["driver"].outcome, found["gpus"].outcome) == (driver, gpus)
    assert why in found["gpus"].why


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("time.sleep(60)", id="sleeps"),
        pytest.param("signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)", id="ignores SIGTERM"),
        pytest.param("while True: pass", id="spins"),
        pytest.param("while True: sys.stdout.write('x' * 2**16)", id="floods for ever"),
        pytest.param("import subprocess\nsubprocess.Popen(['sleep', '60'])\ntime.sleep(60)", id="has a child"),
    ],
)
def test_a_hanging_probe_ends_at_its_limit(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    started = time.monotonic()
    found = run(session, tmp_path, monkeypatch, DRIVER + body, limit=0.7)
    assert time.monotonic() - started < 0.7 + collect.REAP_SECONDS
    assert found["driver"].outcome == "known"
    assert found["gpus"].outcome == "timeout"
    assert "a wedge" in found["gpus"].why


def test_children_left_behind_are_killed(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f"import subprocess\nchild = subprocess.Popen(['sleep', '61'])\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    run(session, tmp_path, monkeypatch, body)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 2
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_stop_ends_what_runs_and_starts_nothing_more(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threading.Timer(0.4, session.stop).start()
    started = time.monotonic()
    found = run(session, tmp_path, monkeypatch, "time.sleep(60)", limit=30)
    assert time.monotonic() - started < 5
    assert (found["driver"].outcome, found["driver"].why) == ("not_run", "interrupted")
    with pytest.raises(InterruptedError):
        session.start(["true"], tmp_path, os.environ)


def test_an_interpreter_that_is_none(session: Session, tmp_path: Path) -> None:
    probe = Probe(name="interpreter", script="interpreter.py", gives=("interpreter",), limit_seconds=10)
    found = run_probe(probe, {}, session, str(tmp_path / "no-python"))
    assert found["interpreter"].outcome == "failed"
    assert "no-python" in found["interpreter"].why


def test_the_script_lies_alone_in_its_folder(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of ours may shadow what the target imports."""
    body = "out.write(json.dumps({'fact':'driver','outcome':'known','value':{'version':str(os.listdir(sys.path[0]))}})+'\\n')"
    found = run(session, tmp_path, monkeypatch, body)
    assert found["driver"].value.version == "['probe.py']"


def test_progress_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []
    session = Session(scratch=tmp_path, environ=dict(os.environ), on_progress=lambda *words: said.append(words))
    run(session, tmp_path, monkeypatch, 'out.write(\'{"progress": "loading"}\\n\'); out.flush(); time.sleep(0.4)')
    assert said == [("probe", "loading")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_doctor_reports_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    """The command itself, stopped while a target hangs: a report of what ran, exit 130, no process, no scratch."""
    slow = tmp_path / "python3"
    slow.write_text(f"#!/bin/sh\nexec sleep 98{int(number)}\n")
    slow.chmod(0o755)
    environ = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "autoglm_doctor", "check", "--python", str(slow), "--format", "json", "--timeout", "9"],
        stdout=subprocess.PIPE,
        env=environ,
    )
    time.sleep(2.5)
    child.send_signal(number)
    out, _ = child.communicate(timeout=10)
    assert child.returncode == 130
    assert b'"interrupted"' in out
    assert list((tmp_path / "tmp").iterdir()) == []
    left = [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("TMPDIR") == environ["TMPDIR"]]
    assert not left  # the nursery, its children and the hanging target included


ENDS_ITS_OWN = (
    "def end(*_):\n    time.sleep(0.3); open({done!r}, 'w').close(); sys.exit()\n"
    "signal.signal(signal.SIGTERM, end)\nopen({up!r}, 'w').close()\ntime.sleep(60)\n"
)


@pytest.mark.parametrize(("farewell", "ends"), [(5.0, True), (0.0, False)], ids=["with time for it", "without"])
@pytest.mark.parametrize("how", ["its time is up", "the user stops us"])
def test_who_has_something_to_end_is_asked_first(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, farewell: float, ends: bool
) -> None:
    """A probe that has started a server must be able to end it."""
    up, done = tmp_path / "up", tmp_path / "done"
    body = ENDS_ITS_OWN.format(up=str(up), done=str(done))
    if how == "its time is up":
        run(session, tmp_path, monkeypatch, body, 1.0, farewell)
    else:
        thread = threading.Thread(target=run, args=(session, tmp_path, monkeypatch, body, 30, farewell))
        thread.start()
        while not up.exists():
            time.sleep(0.01)
        session.stop()
        thread.join()
    assert done.exists() is ends


def test_a_farewell_that_never_ends_is_cut_off(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)"
    found = run(session, tmp_path, monkeypatch, body, 0.5, 0.5)
    assert found["gpus"].outcome == "timeout"
    assert time.monotonic() - began < 20
