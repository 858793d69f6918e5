"""A hundred runs on sick machines, side by side, some of them cut off: nothing is left behind, and none is a bug.

What is drawn hangs on the seed and the number of the run alone; a failure names both and the faults.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import drivers, mounts, process, systems, targets, torch_faults
from tests.faults.fault import Fault
from tests.faults.machine import MARK, Machine, can_mount
from tests.faults.running import doctor_command, left_behind, running, snapshot

FAULTS = [*drivers.FAULTS, *torch_faults.FAULTS, *targets.FAULTS, *systems.FAULTS, *mounts.FAULTS, *process.FAULTS]

SEED = 176
SIDE_BY_SIDE = 4

#: The table of exit codes in README.md, without 70: that is a bug of ours.
DOCUMENTED = (0, 1, 2, 3, 4, 5, 130)

#: Where scratch files go when TMPDIR takes none. Every doctor on this machine uses them.
SHARED = ("/tmp", "/var/tmp", "/dev/shm")

#: No run takes as long: the longest limit of a row, 20 s, with four runs at a time on two cores.
HARD_LIMIT_SECONDS = 90


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What happens to one run."""

    number: int
    faults: tuple[Fault, ...]
    options: tuple[str, ...]
    stop: tuple[int, float] | None  # a signal, and so many seconds after the doctor has begun to listen

    def __str__(self) -> str:
        """One line from which it can be repeated."""
        stop = f", {signal.Signals(self.stop[0]).name} after {self.stop[1]:.3f} s" if self.stop else ""
        return f"seed {SEED}, run {self.number}: {' + '.join(f.name for f in self.faults)}; {self.options}{stop}"


def draw(number: int) -> Drawn:
    chance = random.Random(f"{SEED}-{number}")
    several = chance.random() < 1 / 3
    stopped = chance.random() < 1 / 5
    options = ["--format", chance.choice(["terminal", "json"])]
    for more in (["--no-redact"], ["--fail-on", "warn"], ["--out", "report"], ["--save-facts", "reading"]):
        options += more if chance.random() < 1 / 4 else []
    return Drawn(
        number=number,
        faults=tuple(chance.sample(FAULTS, chance.randint(2, 4) if several else 1)),
        options=tuple(options),
        stop=(chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL]), chance.uniform(0, 1.2))
        if stopped
        else None,
    )


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what is wrong with that."""

    drawn: Drawn
    mark: str
    code: int
    wrong: tuple[str, ...]


def break_it(machine: Machine, faults: tuple[Fault, ...]) -> None:
    """The first fault on a healthy machine; of a further one only as much as the earlier ones have left to break."""
    for number, fault in enumerate(faults):
        try:
            fault.break_it(machine)
        except pytest.skip.Exception:  # no such Python here
            continue
        except (OSError, LookupError, StopIteration, ValueError):
            if number == 0:
                raise
    if machine.mounts and not can_mount():
        machine.mounts.clear()
        machine.wrap.clear()


def run(drawn: Drawn, folder: Path, stubs: Path) -> Outcome:
    machine = Machine(folder / f"machine-{drawn.number}", stubs)
    mark = machine.environ[MARK]
    break_it(machine, drawn.faults)
    asked_for = {str(machine.root / name) for name in ("report", "reading")}
    before = snapshot(machine)
    words = [str(machine.root / w) if w in ("report", "reading") else w for w in drawn.options]
    child = subprocess.Popen(
        doctor_command(machine, *words),
        env=machine.environ,
        cwd=machine.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # signals of this test are for it alone
    )
    try:
        if drawn.stop:
            stop(child, *drawn.stop)
        out, err = (text.decode("utf-8", "replace") for text in child.communicate(timeout=HARD_LIMIT_SECONDS))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = "", f"still ran after {HARD_LIMIT_SECONDS} s"
        child.communicate()
    left = [one for one in left_behind(machine, before) if not one.startswith("/dev/shm")]  # others' come and go there
    left = [one for one in left if one.rpartition(" (")[0] not in asked_for and not barely_begun(machine, one)]
    shutil.rmtree(machine.root, ignore_errors=True)
    wrong = [*(f"left behind: {one}" for one in left), *complaints(drawn, child.returncode, out, err)]
    return Outcome(drawn, mark, child.returncode, tuple(wrong))


def barely_begun(machine: Machine, left: str) -> bool:
    """A doctor that is killed between making its folder and starting the nursery, which would clear up: 2 ms."""
    folders = list(machine.tmp.glob("autoglm-doctor-*"))
    names = {path.name for folder in folders for path in folder.rglob("*")}
    return left.startswith(f"{machine.tmp}/autoglm-doctor-") and names <= {"room", "nursery"}


def stop(child: subprocess.Popen[bytes], number: int, after: float) -> None:
    """Some time after the doctor has begun to listen. Before that, Python and what is in front of it have the word."""
    deadline = time.monotonic() + 20
    while child.poll() is None and not listens(child.pid) and time.monotonic() < deadline:
        time.sleep(0.002)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(after)
    child.send_signal(number)


def listens(pid: int) -> bool:
    """Has this process a handler for SIGTERM?"""
    with contextlib.suppress(OSError):
        caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return bool(caught and int(caught.group(1), 16) >> (signal.SIGTERM - 1) & 1)
    return False


def complaints(drawn: Drawn, code: int, out: str, err: str) -> Iterator[str]:
    number = drawn.stop[0] if drawn.stop else 0
    if "Traceback" in out + err:
        yield f"a traceback: {err[-2000:] or out[-2000:]}"
    if code == -signal.SIGKILL == -number:
        return
    if code not in DOCUMENTED or (code == 130 and not number):
        yield f"exit code {code}: {err[-2000:]}"
    if code != 2 and "json" in drawn.options and "--out" not in drawn.options:
        with contextlib.suppress(ValueError):
            if json.loads(out)["verdict"]["exit_code"] == code or code == 130:  # stopped after all was said
                return
        yield f"exit code {code}, and the report says: {out[:500]}"


def scratch_folders() -> set[str]:
    """Folders and logs of any doctor, where all of them may be. Those in use are the working folder of a process."""
    found = {f"{place}/{name}" for place in SHARED for name in os.listdir(place) if name.startswith("autoglm-doctor-")}
    used: set[str] = set()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            used.update(re.findall(r"^(/.*?/autoglm-doctor-[^/]*)", str(link.readlink())))
    return found - used


def abandoned(before: set[str], patience: float = 5.0) -> list[str]:
    """Those that were not there before, and stay. One that is about to be used or removed is gone in a moment."""
    found = scratch_folders() - before
    deadline = time.monotonic() + patience
    while found and time.monotonic() < deadline:
        time.sleep(0.1)
        found &= scratch_folders()
    return sorted(found)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(range(12), id="12 runs"),
        pytest.param(range(100), id="100 runs", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_no_run_leaves_anything(numbers: range, tmp_path: Path, stub_folder: Path) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("a real NVIDIA driver is loaded here: its version would not be the stub's")
    print(f"seed {SEED}")
    before = scratch_folders()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        outcomes = list(pool.map(lambda number: run(draw(number), tmp_path, stub_folder), numbers))
    print(*(f"{outcome.code:4}  {outcome.drawn}" for outcome in outcomes), sep="\n")
    assert [f"{outcome.drawn}: {what}" for outcome in outcomes for what in outcome.wrong] == []
    assert [f"{o.drawn}: {left}" for o in outcomes for left in running(o.mark, patience=0)] == []
    assert abandoned(before) == []
    assert [path for path in tmp_path.iterdir() if path.name != "witness"] == []  # the faults' own


def test_what_is_drawn_is_what_was_promised() -> None:
    """A third with several faults, a fifth cut off; and twice the same."""
    drawn = [draw(number) for number in range(100)]
    assert 25 <= sum(len(one.faults) > 1 for one in drawn) <= 42
    assert 14 <= sum(one.stop is not None for one in drawn) <= 27
    assert {one.stop[0] for one in drawn if one.stop} == {signal.SIGINT, signal.SIGTERM, signal.SIGKILL}
    assert any(one.stop for one in drawn[:12])
    assert any(len(one.faults) > 1 for one in drawn[:12])
    assert [str(draw(number)) for number in range(100)] == [str(one) for one in drawn]


#: In one process; what it holds after some runs, as JSON. Its words: the folder of torch, the options.
IN_ONE_PROCESS = """
import json, os, pathlib, resource, sys, threading, time
import psutil
from autoglm_doctor.cli.app import run

torch = pathlib.Path(sys.argv[1], "__init__.py")
healthy = torch.read_text()
FAULTS = [{"STUB_HANG": "1"}, {"torch": "import ctypes; ctypes.string_at(0)"}, {}]


def held():
    deadline = time.monotonic() + 2  # a thread that has answered may not be over yet
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    return {
        "descriptors": sorted(fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
                              or os.path.lexists(f"/proc/self/fd/{fd}")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": [child.name() for child in psutil.Process().children(recursive=True)],
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


out = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
codes, measured = [], {}
for number in range(1, 21):
    fault = FAULTS[number % 3]
    os.environ["STUB_HANG"] = fault.get("STUB_HANG", "")
    torch.write_text(fault.get("torch", healthy))
    codes.append(run(["check", "--final-stage", "none", *sys.argv[2:]]))
    if number in (3, 20):
        measured[str(number)] = held()
os.write(out, json.dumps({"codes": codes, **measured}).encode())
"""


@pytest.mark.slow
def test_one_process_keeps_nothing_of_its_runs(tmp_path: Path, stub_folder: Path) -> None:
    """Descriptors, threads, children and memory after the third run, and after the twentieth."""
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("a real NVIDIA driver is loaded here: its version would not be the stub's")
    machine = Machine(tmp_path / "machine", stub_folder)
    words = [str(machine.torch), *machine.options, "--timeout", "0.02", "--", *machine.command]
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, *words],
        env=machine.environ,
        cwd=machine.cwd,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    held = json.loads(done.stdout)
    early, late = held["3"], held["20"]
    assert held["codes"] == [1, 0, 1] * 6 + [1, 0]  # torch, healthy, NVML: each fault was there
    assert late["descriptors"] == early["descriptors"]
    assert (late["threads"], late["children"]) == (1, [])
    assert late["MB"] - early["MB"] < 20
    assert running(machine.environ[MARK]) == []
