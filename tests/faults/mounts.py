"""Faults of mounts whose server is gone: whoever looks at them waits for ever."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.machine import Machine
from tests.faults.proofs import told
from tests.faults.systems import HUB_MODEL, NOTHING_IS_WRITTEN, OTHER_PLACES

HANGING_MOUNT = Path(__file__).with_name("hanging_mount.py")

#: By SIGKILL.
IT_HANGS = told("looking ended with 137")


def hanging(machine: Machine, folder: Path) -> None:
    """A mount that never answers."""
    folder.mkdir(parents=True, exist_ok=True)
    machine.mounts.append("true")
    machine.wrap += [sys.executable, str(HANGING_MOUNT), str(folder)]
    machine.options += ["--timeout", "0.1"]


def looked_at(machine: Machine) -> None:
    """Somebody else looks there first, and has to be killed: the mount does hang."""
    look = f"timeout -s KILL 0.5 ls {machine.root}/nfs/x >/dev/null 2>&1; echo looking ended with $? >&2"
    machine.wrap += ["sh", "-c", f'{look}; exec "$@"', "sh"]


def hanging_model(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.command[2] = str(machine.root / "nfs" / "model")


def hanging_cache(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.environ["HF_HOME"] = str(machine.root / "nfs" / "cache")
    machine.command = list(HUB_MODEL)


def hanging_path(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.environ["PATH"] = f"{machine.root}/nfs/bin:{machine.environ['PATH']}"


def hanging_scratch(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.environ["TMPDIR"] = f"{machine.root}/nfs/tmp"
    looked_at(machine)


def hanging_home(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.environ["HOME"] = f"{machine.root}/nfs/home"
    looked_at(machine)


FAULTS = [
    Fault(
        name="the model lies on a mount that hangs",
        break_it=hanging_model,
        limit=3,
        code="MDL001",
        status="fail",
        cause="MODEL_STORAGE_HANGS",
        exit=1,
        says=("network mount",),
    ),
    Fault(
        name="the cache of models lies on a mount that hangs",
        break_it=hanging_cache,
        limit=3,
        code="MDL001",
        status="fail",
        cause="MODEL_STORAGE_HANGS",
        exit=1,
        says=("network mount",),
    ),
    Fault(
        name="PATH leads through a mount that hangs",
        break_it=hanging_path,
        limit=10,
        code="PYT001",
        status="fail",
        cause="TARGET_PYTHON_BROKEN",
        exit=1,
        says=("PATH",),
    ),
    Fault(
        name="TMPDIR lies on a mount that hangs",
        break_it=hanging_scratch,
        limit=5,
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
        took_hold=IT_HANGS,
    ),
    Fault(
        name="HOME lies on a mount that hangs",
        break_it=hanging_home,
        limit=5,
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
        took_hold=IT_HANGS,
    ),
]
