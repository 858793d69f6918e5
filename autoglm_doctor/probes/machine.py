"""The host: system, variables, PCI GPUs, main memory, /dev/shm and the server's port."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import Reading, SharedMemory, known
from autoglm_doctor.probes.cgroup import read_memory
from autoglm_doctor.probes.osinfo import read_environment, read_host
from autoglm_doctor.probes.pci import read_pci_gpus
from autoglm_doctor.probes.port import read_port
from autoglm_doctor.probes.protocol import Answers, run


def probe(arguments: dict[str, Any]) -> Answers:
    """Answer host, environment, pci_gpus, memory, shared_memory and port, each guarded by itself.

    Arguments: root (stands for "/" when reading /proc, /sys, /etc and /dev), host and port of the server (port null:
    it has none), variables (assignments over our own environment), pythonpath (the deployment's; ours is not it).
    """
    root = Path(arguments.get("root", "/"))
    variables = arguments.get("variables") or {}
    environ = {**os.environ, **variables}
    inherited = _inherited(arguments.get("pythonpath"))
    yield "host", _guarded(lambda: read_host(root, environ), "the operating system")
    yield "environment", _guarded(lambda: read_environment(inherited, variables, root), "the environment")
    yield "pci_gpus", _guarded(lambda: read_pci_gpus(root), "the PCI bus", "/sys/bus/pci")
    yield "memory", _guarded(lambda: read_memory(root), "main memory", "/proc/meminfo, control groups")
    yield "shared_memory", _shared_memory(root)
    yield "port", _port(arguments)


def _inherited(pythonpath: str | None) -> dict[str, str]:
    """The deployment's environment: ours, with the PYTHONPATH that it had before we needed one for ourselves."""
    rest = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**rest, "PYTHONPATH": pythonpath} if pythonpath else rest


def _guarded(read: Callable[[], Any], what: str, source: str = "") -> Reading[Any]:
    try:
        return known(read(), source=source)
    except Exception as error:  # one broken source must not cost the others
        return Reading(outcome="failed", why=f"{what} cannot be read: {error}", source=source)


def _shared_memory(root: Path) -> Reading[SharedMemory]:
    folder = root / "dev/shm"
    if not folder.is_dir():
        return Reading(outcome="absent", why="this system has no /dev/shm")
    return _guarded(lambda: _size(folder), "the size of /dev/shm", "statvfs")


def _size(folder: Path) -> SharedMemory:
    size = os.statvfs(folder)
    return SharedMemory(total_bytes=size.f_blocks * size.f_frsize, free_bytes=size.f_bavail * size.f_frsize)


def _port(arguments: dict[str, Any]) -> Reading[Any]:
    port = arguments.get("port")
    if port is None:
        return Reading(outcome="absent", why="this run needs no port")
    host = arguments.get("host") or "0.0.0.0"  # noqa: S104  the engines' default
    return _guarded(lambda: read_port(host, int(port)), f"port {port}", "a bind")


if __name__ == "__main__":
    run(probe)
