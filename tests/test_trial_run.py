"""The doctor starts a server, on a machine with a simulated GPU: how the server behaves, and what may stay of it.

The server is tests/probes/serving/fake_server.py behind a program `vllm` on PATH, and the faults are in that program.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.machine import MARK, Machine
from tests.faults.running import doctor_command, left_behind, running, snapshot

FAKE = Path(__file__).parent / "probes" / "serving" / "fake_server.py"

#: The head of every program: where the server is, and its words.
HEAD = f"import os, signal, subprocess, sys, time\nSERVER = [sys.executable, {str(FAKE)!r}, *sys.argv[1:]]\n"
SERVE = "os.execv(SERVER[0], SERVER)\n"
PORT = "PORT = int(sys.argv[sys.argv.index('--port') + 1])\n"


@pytest.fixture
def machine(tmp_path: Path, stub_folder: Path) -> Machine:
    return Machine(tmp_path / "m", stub_folder)


def vllm(machine: Machine, code: str) -> None:
    """What the program `vllm` does."""
    script = machine.venv / "bin" / "vllm"
    script.write_text(code if code.startswith("#!") else f"#!{machine.venv}/bin/python\n{HEAD}{code}")


class Run:
    """One run, and what it left behind."""

    def __init__(self, code: int, out: bytes, err: bytes, left: tuple[str, ...], machine: Machine) -> None:
        self.code, self.err, self.left = code, err.decode("utf-8", "replace"), left
        self.out = out.decode("utf-8", "replace")
        assert self.out.startswith("{"), (code, self.out[:500], self.err[-3000:])
        self.report: dict[str, Any] = json.loads(self.out)
        self.reading: dict[str, Any] = self.report["facts"]["serving"]
        self.value: dict[str, Any] = self.reading["value"]


def begin(machine: Machine, *options: str) -> subprocess.Popen[bytes]:
    words = ["--select", "INF005,INF006", "--format", "json", "--timeout", "0.01", "--final-stage", "command", *options]
    return subprocess.Popen(
        doctor_command(machine, *words),
        env=machine.environ,
        cwd=machine.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def check(machine: Machine, *options: str) -> Run:
    before = snapshot(machine)
    child = begin(machine, *options)
    out, err = child.communicate(timeout=100)
    return Run(child.returncode, out, err, left_behind(machine, before), machine)


def test_a_server_is_started_asked_and_ended(machine: Machine) -> None:
    vllm(machine, SERVE)
    run = check(machine)
    assert run.value["failure"] is None, run.value
    assert run.value["start_seconds"] < 15
    assert run.left == ()


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        pytest.param("sys.exit(0)", "died", "", id="ends at once, content"),
        pytest.param("print('ERROR boom'); os.close(1); os.close(2); sys.exit(3)", "died", "boom", id="ends at once"),
        pytest.param("os.write(1, b'\\0\\xff\\xc3(' * 9999); sys.exit(3)", "died", "", id="prints what is no text"),
        pytest.param("sys.stdout.write('x' * 200_000_000); sys.exit(3)", "died", "", id="a line of 200 MB"),
    ],
)
def test_a_start_that_fails(machine: Machine, code: str, kind: str, said: str) -> None:
    vllm(machine, code)
    run = check(machine)
    assert run.value["failure"]["kind"] == kind, run.value
    assert said in run.value["failure"]["message"]
    assert run.value["ending"]["exit_code"] in (0, 3)
    assert run.left == ()


@pytest.mark.parametrize(
    "code",
    [
        pytest.param('#!/bin/sh\n{python} {fake} "$@"\n', id="a shell script without exec"),
        pytest.param("os.close(1); os.close(2); os.open('/dev/null', 1); os.dup(0)\n" + SERVE, id="no output"),
        pytest.param(
            "signal.signal(15, signal.SIG_IGN)\nchild = subprocess.Popen(SERVER, start_new_session=True)\n"
            "time.sleep(60)\n",
            id="the parent ignores SIGTERM",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)\n"
            "os.wait()\n" + SERVE,
            id="a daemon beside it",
        ),
    ],
)
def test_however_it_is_built_it_is_asked_and_goes(machine: Machine, code: str) -> None:
    vllm(machine, code.replace("{python}", f"{machine.venv}/bin/python").replace("{fake}", str(FAKE)))
    run = check(machine, "--python", str(machine.venv))
    assert run.value, run.reading
    assert run.value["failure"] is None, run.value
    assert run.value["leftovers"] == []
    assert run.left == ()


def test_a_stranger_on_the_port_is_not_measured(machine: Machine, tmp_path: Path) -> None:
    """It answers as a healthy server does; ours only looks on."""
    wish = tmp_path / "port"
    vllm(machine, PORT + f"open({str(wish)!r}, 'w').write(str(PORT)); time.sleep(60)")
    strangers = []

    def steal() -> None:
        while not wish.exists() or not wish.read_text():
            time.sleep(0.01)
        strangers.append(subprocess.Popen([sys.executable, str(FAKE), "--port", wish.read_text()]))

    threading.Thread(target=steal, daemon=True).start()
    try:
        run = check(machine)
    finally:
        for one in strangers:
            one.kill()
            one.wait()
    assert run.reading["outcome"] == "not_run", run.value
    assert "another program took port" in run.reading["why"]
    assert {r["status"] for r in run.report["results"]} <= {"unknown", "skipped", "not_applicable"}
    assert run.left == ()


def test_secrets_and_names_in_the_log_stay_here(machine: Machine, tmp_path: Path) -> None:
    """Also when the saved reading is judged again; and a key for another server is not given to this one."""
    machine.environ["AUTOGLM_DOCTOR_API_KEY"] = "key-of-another-server"
    lines = "ERROR hf_abcdefghijklmnopqrstuv at /home/somebody/m on 10.1.2.3:80 {'api_key': ['s3cret-key-1']}"
    vllm(machine, f"print({lines!r}, os.environ.get('AUTOGLM_DOCTOR_API_KEY')); sys.exit(1)")
    machine.command += ["--api-key", "s3cret-key-1"]
    saved = tmp_path / "saved.json"
    first = check(machine, "--save-facts", str(saved))
    again = check(machine_without_command(machine), "--facts", str(saved))
    for run in (first, again):
        for secret in ("hf_abc", "somebody", "10.1.2.3", "s3cret", "key-of-another"):
            assert secret not in run.out, secret
        assert "ERROR" in json.dumps(run.value["log"])
    assert "key-of-another" not in saved.read_text()
    assert [r["text"] for r in first.report["results"]] == [r["text"] for r in again.report["results"]]


def machine_without_command(machine: Machine) -> Machine:
    machine.command = []
    return machine


LINGERING = (
    "signal.signal(15, signal.SIG_IGN)\n"
    "for _ in range(3):\n    subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, "
    "signal.SIG_IGN); time.sleep(600)'], start_new_session=True)\n"
    "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)\n"
    "open(os.environ['TMPDIR'] + '/there', 'w')\nopen({there!r}, 'w')\n"
)


@contextmanager
def busy(machine: Machine, there: Path, rest: str) -> Iterator[subprocess.Popen[bytes]]:
    vllm(machine, LINGERING.replace("{there!r}", repr(str(there))) + rest)
    child = begin(machine)
    deadline = time.monotonic() + 40
    while not there.exists():
        if child.poll() is not None:
            out = child.communicate()[0]
            pytest.fail(
                str([(r["code"], r["status"], r["text"]) for r in json.loads(out)["results"]]) if out else "died"
            )
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield child
    child.communicate(timeout=30)


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["SIGKILL", "SIGTERM", "SIGINT"]
)
@pytest.mark.parametrize(
    ("rest", "wait"),
    [
        pytest.param("time.sleep(600)", 0.0, id="starting"),
        pytest.param("SERVER += ['--mode', 'hang']\nsubprocess.run(SERVER)", 1.5, id="asking"),
        pytest.param("SERVER += ['--mode', 'http500']\nsubprocess.run(SERVER)", 3.0, id="stopping"),
    ],
)
def test_nothing_stays_when_the_doctor_is_killed(
    machine: Machine, tmp_path: Path, number: int, rest: str, wait: float
) -> None:
    before = snapshot(machine)
    with busy(machine, tmp_path / "there", rest) as child:
        time.sleep(wait)
        child.send_signal(number)
        if number == signal.SIGINT:
            time.sleep(0.2)
            child.send_signal(number)
    assert running(machine.environ[MARK], patience=5.0) == []
    deadline = time.monotonic() + 2
    while (left := snapshot(machine) ^ before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {path for path in left if "/bin/vllm" not in path} == set()
