"""What the host sets to a server: its network interfaces, the address of its own name, and limits of a process."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def read_interfaces(root: Path) -> tuple[str, ...] | None:
    """Names as the kernel has them, sorted; None where it does not tell (macOS, a closed /sys)."""
    try:
        names = tuple(sorted(os.listdir(root / "sys/class/net")))
    except OSError:
        return None
    # Files such as bonding_masters lie among them, and a sandbox may show a folder without any.
    found = tuple(name for name in names if (root / "sys/class/net" / name / "address").exists())
    return found or None


def read_own_address(root: Path, name: str | None = None) -> str:
    """What /etc/hosts says of this machine's name, the first line first, as the C library reads it; "" where nothing.

    No name server is asked.
    """
    own = name if name is not None else platform.node()
    try:
        lines = (root / "etc/hosts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if own and own in names and ":" not in address:
            return address
    return ""


def read_limits() -> tuple[tuple[int, int] | None, int | None]:
    """Open files, soft and hard, and processes (soft) of this process, which a server inherits; -1: no limit.

    Processes are not counted against the machine's own root: copy_process() in kernel/fork.c lets INIT_USER pass.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None, None

    def plain(limit: int) -> int:
        return -1 if limit == resource.RLIM_INFINITY else limit

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes = -1 if is_root(Path("/")) else plain(resource.getrlimit(resource.RLIMIT_NPROC)[0])
    return (plain(soft), plain(hard)), processes


def is_root(root: Path) -> bool:
    """Whether this process runs as root of the machine; that of a user namespace (rootless container) is none."""
    try:
        first = (root / "proc/self/uid_map").read_text(encoding="ascii").split()[:3]
    except (OSError, ValueError):
        return False
    return os.getuid() == 0 and first == ["0", "0", "4294967295"]
