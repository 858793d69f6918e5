"""Probes forked from the nursery: as well contained as plain processes, and its own death costs nothing but time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoglm_doctor import collect, nursery
from autoglm_doctor.collect import Probe, Session, run_probe
from autoglm_doctor.facts import Reading
from autoglm_doctor.nursery import Nursery, NurseryLostError, TooLongError, open_nursery

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere probes start plainly")

#: A probe that answers the driver with a text of its own choice, and then does what the test wants.
MODULE = """
import json, os, signal, subprocess, sys, time
from autoglm_doctor.facts import Driver, known
from autoglm_doctor.probes.protocol import run

def probe(arguments):
    say = lambda text: ("driver", known(Driver(version=str(text), read_by=())))
    BODY

if __name__ == "__main__":
    run(probe)
"""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "scratch").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    one = Session(scratch=tmp_path / "scratch", environ=dict(os.environ))
    one.nursery = open_nursery(one.scratch, one.environ)
    assert one.nursery is not None
    yield one
    one.stop()


def start(
    session: Session, body: str, *, name: str = "first", limit: float = 5, **arguments: Any
) -> dict[str, Reading]:  # type: ignore[type-arg]
    """Run a probe with this body, which yields answers, from the session's nursery."""
    lines = "\n    ".join(body.splitlines())
    (session.scratch.parent / "modules" / f"probe_{name}.py").write_text(MODULE.replace("BODY", lines))
    gives = ("driver", "gpus")
    probe = Probe(name=name, module=f"probe_{name}", gives=gives, limit_seconds=limit, hang_means="a wedge")
    return run_probe(probe, arguments, session)


def process(one: Session | Nursery) -> int:
    found = one.nursery if isinstance(one, Session) else one
    assert found is not None
    return found._process.pid


def eventually(true: Callable[[], object], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(true())


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def text(found: dict[str, Reading]) -> str:  # type: ignore[type-arg]
    assert found["driver"].outcome == "known", found["driver"].why
    return str(found["driver"].value.version)


@pytest.mark.parametrize(
    ("body", "driver", "why"),
    [
        pytest.param("yield say(1)", "known", "exit code 0 and no answer", id="answers half of it"),
        pytest.param("yield say(1)\nos.kill(os.getpid(), signal.SIGSEGV)", "known", "SIGSEGV", id="segfaults after it"),
        pytest.param("os.abort()\nyield", "failed", "SIGABRT", id="aborts"),
        pytest.param("raise ValueError('no such thing')\nyield", "failed", "ValueError: no such thing", id="raises"),
        pytest.param("yield say(1)\nsys.exit(3)", "known", "exit code 3", id="exits"),
        pytest.param(
            "sys.stderr.write('last words')\nyield say(1)", "known", "last words", id="words without a newline"
        ),
        pytest.param(
            "[print('x' * 2**20) for _ in range(30)]\nyield say(1)", "known", "exit code 0", id="prints 30 MB"
        ),
        pytest.param("os.closerange(1, 99)\nyield", "failed", "no answer", id="closes everything"),
    ],
)
def test_a_dying_probe_costs_its_own_facts_and_not_the_nursery(
    session: Session, body: str, driver: str, why: str
) -> None:
    before = process(session)
    found = start(session, body)
    assert (found["driver"].outcome, found["gpus"].outcome) == (driver, "failed")
    assert why in found["gpus"].why
    assert text(start(session, "yield say(os.getppid())", name="second")) == str(before)


def test_a_missing_module_is_a_failure_of_this_probe(session: Session) -> None:
    found = run_probe(Probe(name="first", module="no_such_module", gives=("driver",), limit_seconds=10), {}, session)
    assert "No module named" in found["driver"].why
    assert session.nursery is not None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("time.sleep(60)", id="sleeps"),
        pytest.param("signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)", id="ignores SIGTERM"),
        pytest.param("while True: print('x' * 2**16)", id="floods for ever"),
        pytest.param("subprocess.Popen(['sleep', '62'])\ntime.sleep(60)", id="has a child"),
    ],
)
def test_a_hanging_probe_ends_at_its_limit(session: Session, body: str) -> None:
    started = time.monotonic()
    found = start(session, "yield say(os.getpid())\n" + body, limit=0.7)
    assert time.monotonic() - started < 0.7 + collect.REAP_SECONDS
    assert (found["driver"].outcome, found["gpus"].outcome) == ("known", "timeout")
    assert "a wedge" in found["gpus"].why
    assert gone(int(text(found)))
    assert session.nursery is not None


def test_children_left_behind_are_killed(session: Session) -> None:
    pid = int(text(start(session, "yield say(subprocess.Popen(['sleep', '63']).pid)")))
    assert eventually(lambda: gone(pid))


def test_a_child_stands_alone(session: Session) -> None:
    """Its own session, its own folder, an empty input, and no descriptor of anybody else's."""
    slow = threading.Thread(target=start, args=(session, "time.sleep(1)\nyield"), kwargs={"name": "other"})
    slow.start()
    time.sleep(0.3)
    body = (
        "links = {fd: os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')}\n"
        "files = sorted(v.split(':')[0].split('/')[-1] for v in links.values())\n"
        "own = os.getsid(0) == os.getpgid(0) == os.getpid()\n"
        "yield say([own, os.getcwd(), sys.stdin.read(), signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL, files])"
    )
    found = text(start(session, body))
    slow.join()
    assert found == str([True, str(session.scratch / "first"), "", True, ["first.jsonl", "null", "pipe", "pipe"]])


def test_a_nursery_killed_in_the_middle_costs_only_time(session: Session, tmp_path: Path) -> None:
    """The cut-short probe leaves half a line and a child; it runs again as a plain process, and so does the next."""
    mark = tmp_path / "mark"
    body = (
        "if os.path.exists(arguments['mark']):\n"
        "    yield say('again')\n"
        "else:\n"
        "    open(sys.argv[1], 'a').write('{\"fact\": \"dri')\n"
        "    open(arguments['mark'] + '~', 'w').write(str(os.getpid()))\n"
        "    os.rename(arguments['mark'] + '~', arguments['mark'])\n"
        "    time.sleep(60)"
    )
    pid = process(session)

    def kill() -> None:
        eventually(mark.exists)
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    found = start(session, body, limit=20, mark=str(mark))
    killer.join()
    assert text(found) == "again"
    assert eventually(lambda: gone(int(mark.read_text())))
    assert session.nursery is None
    assert text(start(session, "yield say(os.getppid())", name="second")) == str(os.getpid())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_nursery_that_does_not_answer_costs_only_time(
    session: Session, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(nursery, "FORK_SECONDS", 0.5)
    pid = process(session)
    os.kill(pid, number)
    started = time.monotonic()
    assert text(start(session, "yield say('plain')")) == "plain"
    assert time.monotonic() - started < 5
    assert gone(pid)


def test_arguments_that_are_too_long_for_a_packet(session: Session) -> None:
    """A plain start is tried, for which they are too long as well; the others still come from the nursery."""
    pid = process(session)
    assert "Argument list too long" in start(session, "yield say(1)", long="x" * 2**18)["driver"].why
    assert session.nursery is not None
    assert not gone(pid)
    with pytest.raises(TooLongError):
        session.nursery.start({"module": "probe", "words": ["result", "x" * 2**20]}, session.scratch)


def test_an_exit_code_is_never_taken_for_a_process_to_kill(session: Session, tmp_path: Path) -> None:
    """A child that dies before it says its number ends with 1, and process 1 is not ours to kill."""
    assert session.nursery is not None
    with pytest.raises(NurseryLostError):
        session.nursery.start({"module": "probe", "words": ["result", "{}"]}, tmp_path / "no-such-folder")


def test_stop_ends_what_runs_and_the_nursery(session: Session, tmp_path: Path) -> None:
    mark, pid = tmp_path / "mark", process(session)

    def stop() -> None:
        eventually(mark.exists)
        session.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    found = start(session, "open(arguments['mark'], 'w')\ntime.sleep(60)\nyield", limit=30, mark=str(mark))
    stopper.join()
    assert (found["driver"].outcome, found["driver"].why) == ("not_run", "interrupted")
    assert gone(pid)
    assert start(session, "yield say(1)", name="second")["driver"].why == "interrupted"


DOCTOR = """
import os, sys, time
from pathlib import Path
from autoglm_doctor.nursery import open_nursery
nursery = open_nursery(Path(sys.argv[1]), os.environ)
child = nursery.start({"module": "probe_hangs", "words": [sys.argv[1] + "/result", "{}"]}, Path(sys.argv[1]))
print(nursery._process.pid, child.pid, child.stdout.readline().decode().strip(), flush=True)
time.sleep(60)
"""


def test_nothing_is_left_when_the_doctor_is_killed(tmp_path: Path) -> None:
    body = "print(subprocess.Popen(['sleep', '64']).pid, flush=True)\ntime.sleep(60)\n    yield"
    (tmp_path / "probe_hangs.py").write_text(MODULE.replace("BODY", body.replace("\ntime", "\n    time")))
    path = os.pathsep.join([str(tmp_path), *sys.path])
    doctor = subprocess.Popen(
        [sys.executable, "-c", DOCTOR, str(tmp_path)], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE
    )
    assert doctor.stdout is not None
    pids = [int(word) for word in doctor.stdout.readline().split()]
    assert len(pids) == 3
    assert not any(map(gone, pids))
    doctor.kill()
    doctor.wait()
    assert eventually(lambda: all(map(gone, pids)))
    doctor.stdout.close()


def test_a_probe_answers_the_same_from_the_nursery_and_plainly(tmp_path: Path) -> None:
    probe = Probe(
        name="machine", module="autoglm_doctor.probes.machine", gives=("host", "environment", "port"), limit_seconds=10
    )
    found = []
    for name in ("fostered", "plain"):
        (tmp_path / name).mkdir()
        one = Session(scratch=tmp_path / name, environ=dict(os.environ))
        one.nursery = open_nursery(one.scratch, one.environ) if name == "fostered" else None
        readings = run_probe(probe, {}, one)
        found.append({fact: (reading.outcome, reading.value) for fact, reading in readings.items()})
        assert (one.nursery is not None) == (name == "fostered")
        one.stop()
    assert found[0] == found[1]
    assert found[0]["host"][0] == "known"
