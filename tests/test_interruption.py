"""Ctrl-C, SIGTERM and a closed terminal in every phase: the report of what ran, exit code 130, and nothing left."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.machine import Machine
from tests.faults.running import doctor_command, left_behind, snapshot
from tests.faults.torches import TORCHES
from tests.stubs import fake_tool

HANGS = "import time\ntime.sleep(600)\n"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Something that goes on for long, and a fact that was read before it."""

    prepare: Callable[[Machine], object]
    read: str  # a fact that must be in the report with its value
    unread: str  # one that cannot be


def hanging_python(machine: Machine) -> None:
    fake_tool(machine.root / "slow", "python3", "exec sleep 600")
    machine.options += ["--python", str(machine.root / "slow" / "python3")]
    machine.command = []


def hanging_torch(machine: Machine) -> None:
    (machine.torch / "__init__.py").write_text(HANGS)


def stubborn_torch(machine: Machine) -> None:
    (machine.torch / "__init__.py").write_text(TORCHES["hangs and ignores signals"])


def measured_disk(machine: Machine) -> None:
    machine.options[:] = ["--timeout", "1"]  # nothing skipped: the measurement takes a second


def hanging_fork(machine: Machine) -> None:
    """A torch whose import leaves a process in its group that ignores every polite signal."""
    leave = "import subprocess; subprocess.Popen(['sh', '-c', 'trap \"\" INT TERM HUP; sleep 600; sleep 600'])\n"
    (machine.torch / "__init__.py").write_text(leave + HANGS)


PHASES = {
    "the target's Python hangs": Phase(prepare=hanging_python, read="host", unread="packages"),
    "NVML hangs": Phase(prepare=lambda m: m.environ.update(STUB_HANG="1"), read="packages", unread="gpus"),
    "libcuda hangs": Phase(prepare=lambda m: m.environ.update(STUB_CUDA_HANG="1"), read="gpus", unread="torch_run"),
    "torch hangs": Phase(prepare=hanging_torch, read="cuda", unread="torch_run"),
    "torch ignores signals": Phase(prepare=stubborn_torch, read="cuda", unread="torch_run"),
    "torch has children": Phase(prepare=hanging_fork, read="cuda", unread="torch_run"),
    "the disk is measured": Phase(prepare=measured_disk, read="torch_run", unread="disk_speed"),
}


@dataclass(frozen=True)
class Ended:
    """A doctor that was told to stop."""

    code: int
    out: str
    err: str
    seconds: float  # from the signal on
    left: tuple[str, ...]


def start(machine: Machine, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        doctor_command(machine, *options),
        env=machine.environ,
        cwd=machine.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # signals of this test are for it alone
    )


def wait_for(machine: Machine, fact: str) -> None:
    """Until a probe has written this fact, however busy this machine is."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for path in machine.tmp.glob("autoglm-doctor-*/*.jsonl"):
            with contextlib.suppress(OSError):
                if f'"fact": "{fact}"' in path.read_text():
                    time.sleep(0.2)  # and on to what hangs
                    return
        time.sleep(0.01)
    raise AssertionError(f"{fact} was never read")


def stop(machine: Machine, child: subprocess.Popen[bytes], after: str | float, *numbers: int) -> Ended:
    """Send signals once a fact has been read, or after some seconds, and see what is left."""
    if isinstance(after, str):
        wait_for(machine, after)
    else:
        time.sleep(after)
    started = time.monotonic()
    for number in numbers:
        child.send_signal(number)
    out, err = child.communicate(timeout=30)
    seconds = time.monotonic() - started
    return Ended(child.returncode, out.decode(), err.decode(), seconds, left_behind(machine, BEFORE[machine.root]))


BEFORE: dict[Path, frozenset[str]] = {}


@pytest.fixture
def machine(tmp_path: Path, stub_folder: Path) -> Machine:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("a real NVIDIA driver is loaded here: its version would not be the stub's")
    return Machine(tmp_path / "machine", stub_folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES.keys())
def test_a_report_of_what_ran(phase: Phase, number: int, machine: Machine) -> None:
    phase.prepare(machine)
    BEFORE[machine.root] = snapshot(machine)
    ended = stop(machine, start(machine, "--format", "json"), phase.read, number)
    report = json.loads(ended.out)
    assert (ended.code, report["verdict"]["status"], report["verdict"]["exit_code"]) == (130, "interrupted", 130)
    assert report["facts"][phase.read]["outcome"] == "known"
    assert report["facts"][phase.unread] == {
        **report["facts"][phase.unread],
        "outcome": "not_run",
        "why": "interrupted",
    }
    assert ended.left == ()
    assert ended.err == ""
    assert ended.seconds < 6


def test_a_closed_terminal(machine: Machine) -> None:
    hanging_torch(machine)
    BEFORE[machine.root] = snapshot(machine)
    ended = stop(machine, start(machine), "cuda", signal.SIGHUP, signal.SIGHUP)  # by the shell and by the kernel
    assert (ended.code, ended.left) == (130, ())
    assert "interrupted" in ended.out


def test_whoever_insists_is_heard(machine: Machine) -> None:
    """A second Ctrl-C does not wait for the report; what runs is ended all the same."""
    stubborn_torch(machine)
    BEFORE[machine.root] = snapshot(machine)
    ended = stop(machine, start(machine), "cuda", signal.SIGINT, signal.SIGINT)
    assert (ended.code, ended.left) == (130, ())
    assert "Traceback" not in ended.err


def test_a_reader_who_reads_no_more_does_not_hold_us(machine: Machine) -> None:
    """The report is larger than the pipe, and nobody takes it: after the grace time we leave without."""
    facts = machine.root / "tmp" / ".." / "facts.json"
    machine.options += ["--save-facts", str(facts)]
    first = start(machine)
    first.communicate(timeout=30)
    data = json.loads(facts.read_text())
    data["facts"]["packages"]["value"]["faults"] = ["x" * 100] * 5000
    facts.write_text(json.dumps(data))
    machine.options[:] = ["--facts", str(facts), "--format", "json"]
    machine.command = []
    child = start(machine)
    assert child.stdout is not None
    assert child.stdout.read(1) == b"{"  # it writes, and more than the pipe holds
    time.sleep(0.3)
    assert child.poll() is None
    started = time.monotonic()
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=20) == 130
    assert time.monotonic() - started < 7
    child.communicate()


@pytest.mark.parametrize("after", [0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.25, 0.3, 0.35], ids=lambda s: f"after {s} s")
def test_at_any_moment(after: float, machine: Machine) -> None:
    """Also between the phases: nothing is left, and there is no traceback. Before Python is up it is Python's own."""
    BEFORE[machine.root] = snapshot(machine)
    ended = stop(machine, start(machine, "--format", "json"), after, signal.SIGTERM)
    assert ended.left == ()
    assert "Traceback" not in ended.err
    if ended.code == -signal.SIGTERM:
        assert ended.out == ""  # not yet listening
    elif ended.code == 130:
        assert json.loads(ended.out)["verdict"]["status"] in ("interrupted", "ready")
    else:
        assert (ended.code, json.loads(ended.out)["verdict"]["status"]) == (0, "ready")  # it was over before


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(hanging_python, id="the target's Python hangs"),
        pytest.param(hanging_torch, id="torch hangs"),
        pytest.param(hanging_fork, id="torch has children"),
        pytest.param(measured_disk, id="the disk is measured"),
    ],
)
def test_even_a_doctor_that_is_killed_leaves_nothing(prepare: Callable[[Machine], object], machine: Machine) -> None:
    """As the kernel does when memory is short: nobody is asked, and the nursery clears up."""
    prepare(machine)
    BEFORE[machine.root] = snapshot(machine)
    ended = stop(machine, start(machine), "host", signal.SIGKILL)
    assert (ended.code, ended.left) == (-signal.SIGKILL, ())


def test_under_nohup_a_closed_terminal_stops_nothing(machine: Machine) -> None:
    machine.wrap = ["nohup"]
    hanging_torch(machine)
    machine.options += ["--timeout", "0.05"]
    child = start(machine, "--format", "json")
    wait_for(machine, "cuda")
    child.send_signal(signal.SIGHUP)
    out, _ = child.communicate(timeout=30)
    assert (child.returncode, json.loads(out)["verdict"]["status"]) == (1, "not_ready")
