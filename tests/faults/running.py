"""One run of the doctor on a machine, from outside, and what it left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.machine import MARK, Machine

#: Nothing may take longer; a run that does is killed and fails its test.
HARD_LIMIT_SECONDS = 60


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    code: int
    out: str
    err: str
    seconds: float
    left: tuple[str, ...]  # processes, scratch files and changes that should not be there

    @property
    def report(self) -> dict[str, Any]:
        """The JSON report."""
        return dict(json.loads(self.out))

    def finding(self, code: str) -> dict[str, Any]:
        """The worst result of one check."""
        order = ["fail", "error", "unknown", "warn", "skipped", "not_applicable", "pass"]
        results = [r for r in self.report["results"] if r["code"] == code]
        assert results, f"no result of {code}"
        return dict(min(results, key=lambda r: order.index(r["status"])))


def doctor_command(machine: Machine, *options: str) -> list[str]:
    """The whole command line of one check on this machine."""
    doctor = [sys.executable, "-m", "autoglm_doctor", "check", "--final-stage", "none"]
    words = [*machine.wrap, *doctor, *machine.options, *options]
    if machine.command:
        words += ["--", *machine.command]
    if machine.mounts:
        script = "\n".join(["set -e", *machine.mounts, 'exec "$@"'])
        words = ["unshare", "-rm", "sh", "-c", script, "sh", *words]
    return words


def check(machine: Machine, *options: str) -> Run:
    """Run `check` on it."""
    before = snapshot(machine)
    started = time.monotonic()
    done = subprocess.run(
        doctor_command(machine, *options),
        env=machine.environ,
        cwd=machine.cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=HARD_LIMIT_SECONDS,
        check=False,
    )
    seconds = time.monotonic() - started
    out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    return Run(done.returncode, out, err, seconds, left_behind(machine, before))


def left_behind(machine: Machine, before: frozenset[str]) -> tuple[str, ...]:
    """What is there now and was not before: processes with the mark of this run, and files."""
    return (*running(machine.environ[MARK]), *sorted(snapshot(machine) ^ before))


def snapshot(machine: Machine) -> frozenset[str]:
    """Every file of the machine with its size, and what lies in shared memory."""
    files = [f"{path} ({path.lstat().st_size})" for path in machine.root.rglob("*") if not path.is_dir()]
    folders = [str(path) for path in machine.root.rglob("*") if path.is_dir()]
    return frozenset([*files, *folders, *(f"/dev/shm/{name}" for name in os.listdir("/dev/shm") if "autoglm" in name)])


def running(mark: str, patience: float = 1.0) -> list[str]:
    """Command lines of the processes that carry the mark; a killed one may take a moment to be gone."""
    deadline = time.monotonic() + patience
    while (found := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _marked(mark: str) -> list[str]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found
