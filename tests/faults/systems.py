"""Faults of the system around: /proc, /sys, scratch space, disks, HOME, limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fault import Fault
from tests.faults.machine import Machine
from tests.faults.proofs import told, variable, wrapped

HUB_MODEL = ["vllm", "serve", "Qwen/Qwen2.5-0.5B-Instruct", "--max-model-len", "8192", "--port", "18231"]

#: Written where nothing is asked for: without it a fault that changes nothing is a hole in the doctor.
NOTHING_IS_WRITTEN = "nothing is written there, and the weights are in a folder of their own"
OTHER_PLACES = "scratch files go to the next folder that takes them"


def environ(**variables: str) -> Callable[[Machine], None]:
    """Variables of the deployment and the doctor."""
    return lambda machine: machine.environ.update(variables)


def without(name: str) -> Callable[[Machine], None]:
    """A variable taken away."""

    def break_it(machine: Machine) -> None:
        del machine.environ[name]

    return break_it


def mounted(*lines: str) -> Callable[[Machine], None]:
    """Shell lines in a mount namespace; {root} is the machine's folder."""
    return lambda machine: machine.mounts.extend(line.format(root=machine.root) for line in lines)


def limited(words: str) -> Callable[[Machine], None]:
    """Started under a limit of the shell."""
    return lambda machine: machine.wrap.extend(["sh", "-c", f'ulimit {words} && exec "$@"', "sh"])


def without_kernel_log(machine: Machine) -> None:
    if not Path("/dev/kmsg").exists():
        pytest.skip("there is no kernel log here")
    machine.mounts += [
        "mount --bind /dev/null /dev/kmsg",
        'test "$(stat -c %t:%T /dev/kmsg)" = "$(stat -c %t:%T /dev/null)" && echo /dev/kmsg is null >&2',
    ]


def full_cache(machine: Machine) -> None:
    machine.command = list(HUB_MODEL)
    machine.environ["HF_HOME"] = str(machine.cwd / "cache")
    machine.mounts += [
        f"mount -t tmpfs -o size=1m none {machine.cwd}",
        f"cat /dev/zero > {machine.cwd}/filler 2>/dev/null || true",
    ]


def read_only_cache(machine: Machine) -> None:
    machine.command = list(HUB_MODEL)
    machine.environ["HF_HOME"] = str(machine.cwd / "cache")
    machine.mounts += [f"mount -t tmpfs -o ro none {machine.cwd}"]


def cache_is_a_file(machine: Machine) -> None:
    machine.command = list(HUB_MODEL)
    (machine.root / "cache").write_text("")
    machine.environ["HF_HOME"] = str(machine.root / "cache")


def without_shared_memory(machine: Machine) -> None:
    (machine.root / "dev").mkdir()
    for name in ("null", "zero", "urandom"):
        (machine.root / "dev" / name).touch()
        machine.mounts.append(f"mount --bind /dev/{name} {machine.root}/dev/{name}")
    machine.mounts.append(f"mount --rbind {machine.root}/dev /dev")


def only_shared_memory(machine: Machine) -> None:
    """A container with a read-only root: nothing can be written but /dev/shm."""
    machine.mounts.append("mount -t tmpfs none /dev/shm")  # of our own, so that nobody else's comings and goings count
    for folder in ("/tmp", "/var/tmp", str(machine.root)):
        machine.mounts += [f"mount --rbind {folder} {folder}", f"mount -o remount,bind,ro {folder}"]
    machine.mounts.append(f"touch /tmp/x /var/tmp/x {machine.root}/x 2>/dev/null || echo nothing can be written >&2")


FAULTS = [
    Fault(
        name="/proc/meminfo is hidden",
        break_it=mounted("mount --bind /dev/null /proc/meminfo"),
        code="MEM001",
        status="unknown",
        exit=4,
        says=("/proc/meminfo",),
    ),
    Fault(
        name="/proc is empty",
        break_it=mounted("mount -t tmpfs none /proc"),
        code="MEM001",
        status="unknown",
        exit=4,
        says=("/proc/meminfo",),
    ),
    Fault(
        name="/sys is empty",
        break_it=mounted("mount -t tmpfs none /sys", "echo /sys holds $(ls -A /sys | wc -l) >&2"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="NVML shows the driver and the GPUs; the bus is only looked at where there is no driver",
        took_hold=told("/sys holds 0"),
    ),
    Fault(
        name="there is no /dev/shm",
        break_it=without_shared_memory,
        code="LIM001",
        status="skipped",
        exit=0,
        harmless="one GPU needs no shared memory",
    ),
    Fault(
        name="the kernel log cannot be read",
        break_it=without_kernel_log,
        code="DRV001",
        status="pass",
        exit=0,
        harmless="nobody reads it: fixes name the line that a person runs",
        took_hold=told("/dev/kmsg is null"),
    ),
    Fault(
        name="the cache of models is on a full disk",
        break_it=full_cache,
        code="DSK001",
        status="fail",
        cause="DISK_FULL",
        exit=1,
    ),
    Fault(
        name="the cache of models is read-only",
        break_it=read_only_cache,
        code="DSK001",
        status="fail",
        cause="DISK_FULL",
        exit=1,
    ),
    Fault(
        name="the cache of models is a file",
        break_it=cache_is_a_file,
        code="DSK001",
        status="fail",
        cause="DISK_FULL",
        exit=1,
    ),
    Fault(
        name="TMPDIR does not exist",
        break_it=environ(TMPDIR="/no/such/folder"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
        took_hold=variable("TMPDIR", "/no/such/folder"),
    ),
    Fault(
        name="TMPDIR is a file",
        break_it=environ(TMPDIR="/etc/passwd"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
        took_hold=variable("TMPDIR", "/etc/passwd"),
    ),
    Fault(
        name="TMPDIR is on a full disk",
        break_it=mounted(
            "mount -t tmpfs -o size=64k none {root}/tmp",
            "cat /dev/zero > {root}/tmp/filler 2>/dev/null || echo the disk is full >&2",
        ),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
        took_hold=told("the disk is full"),
    ),
    Fault(
        name="nothing can be written but /dev/shm",
        break_it=only_shared_memory,
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
        took_hold=told("nothing can be written"),
    ),
    Fault(
        name="HOME is read-only",
        break_it=mounted(
            "mount -t tmpfs -o ro none {root}/home", "touch {root}/home/x 2>/dev/null || echo HOME is read-only >&2"
        ),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
        took_hold=told("HOME is read-only"),
    ),
    Fault(
        name="HOME does not exist",
        break_it=environ(HOME="/no/such/home"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
        took_hold=variable("HOME", "/no/such/home"),
    ),
    Fault(
        name="HOME is not set",
        break_it=without("HOME"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
        took_hold=variable("HOME", None),
    ),
    Fault(
        name="HOME is /",
        break_it=environ(HOME="/"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
        took_hold=variable("HOME", "/"),
    ),
    Fault(
        name="few descriptors may be open",
        break_it=limited("-n 24"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="so few are enough for us; what the server needs is its own limit, often set by its unit",
        took_hold=wrapped("ulimit -n", "24"),
    ),
    Fault(
        name="hardly any descriptor may be open",
        break_it=limited("-n 8"),
        code="DRV001",
        status="unknown",
        exit=4,
        says=("Too many open files",),
    ),
]
