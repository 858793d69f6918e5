"""Proofs that a fault took hold: without them a row that expects "pass" passes as well when nothing was broken.

A proof looks at the machine from outside, or at what the run has left: a witness file beside the machine's folder
(nothing in there may change), the report, the standard error of the doctor.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.machine import Machine

if TYPE_CHECKING:
    from tests.faults.running import Run

Proof = Callable[[Machine, "Run"], bool]


def met(machine: Machine, _: Run) -> bool:
    """The broken part itself has written the witness file."""
    return machine.witness.exists()


def told(words: str) -> Proof:
    """Standard error of the doctor holds these words."""
    return lambda _, run: words in run.err


def listed(name: str) -> Proof:
    """The package was found, with all that is wrong about it."""

    def proof(_: Machine, run: Run) -> bool:
        packages = run.report["facts"]["packages"]["value"]
        return name in [one["name"] for one in packages["distributions"]]

    return proof


def faulty(words: str) -> Proof:
    """The metadata was found damaged, in these words."""
    return lambda _, run: words in str(run.report["facts"]["packages"]["value"]["faults"])


def holds(folder: Callable[[Machine], Path], pattern: str, least_bytes: int = 0) -> Proof:
    """A folder holds such an entry, of this size at least."""
    return lambda machine, _: any(p.lstat().st_size >= least_bytes for p in folder(machine).glob(pattern))


def variable(name: str, wanted: str | None) -> Proof:
    """A program that is started there sees this variable so; None: it does not see it."""

    def proof(machine: Machine, _: Run) -> bool:
        done = started(machine, sys.executable, "-c", f"import os; print(repr(os.environ.get({name!r})))")
        return done.stdout.strip().splitlines()[-1:] == [repr(wanted)]

    return proof


def wrapped(line: str, says: str) -> Proof:
    """A line of the shell says this, started as the doctor is."""
    return lambda machine, _: started(machine, *machine.wrap, "sh", "-c", line).stdout.strip() == says


def fails(*words: str) -> Proof:
    """This program fails there."""
    return lambda machine, _: started(machine, *words).returncode != 0


def ends_with(code: int, *words: str) -> Proof:
    """This program ends there with this code."""
    return lambda machine, _: started(machine, *words).returncode == code


def hangs(*words: str) -> Proof:
    """This program does not come back there."""

    def proof(machine: Machine, _: Run) -> bool:
        try:
            started(machine, *words, seconds=1)
        except subprocess.TimeoutExpired:
            return True
        return False

    return proof


def python(code: str) -> tuple[str, ...]:
    """The words that run it."""
    return sys.executable, "-c", code


#: What a program of the driver does: start NVML, use it, end it.
NVML_CALLS = "import ctypes; lib = ctypes.CDLL('libnvidia-ml.so.1'); lib.nvmlInitWithFlags(0); {more}"


def nvml(more: str = "pass") -> tuple[str, ...]:
    """The words that start NVML there, and then do more."""
    return python(NVML_CALLS.format(more=more))


def prints(least_bytes: int, *words: str) -> Proof:
    """This program prints so much there."""
    return lambda machine, _: len(started(machine, *words).stdout) >= least_bytes


def started(machine: Machine, *words: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
    """A program on that machine; what it prints is read as text."""
    return subprocess.run(
        [*words],
        env=machine.environ,
        cwd=machine.cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
