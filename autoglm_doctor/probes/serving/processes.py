"""All processes of this machine at one moment, and what of them holds a port. Linux; elsewhere what psutil can tell."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

#: linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36

_LISTENS = "0A"  # TCP_LISTEN, include/net/tcp_states.h


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `began` only tells it from a later one with the same number."""

    pid: int
    parent: int
    group: int
    session: int
    began: float
    zombie: bool


def everybody() -> dict[int, Process]:
    """By number. What ends meanwhile is left out."""
    if not os.path.exists("/proc/self/stat"):
        return _by_psutil()
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat", "rb") as stream:
            # proc(5): the name stands in brackets and may hold any, then state, parent, group, session ... start
            rest = stream.read().rpartition(b")")[2].split()
            parent, group, session = map(int, rest[1:4])
            found[pid] = Process(pid, parent, group, session, float(rest[19]), rest[0] in (b"Z", b"X"))
    return found


def _by_psutil() -> dict[int, Process]:
    import psutil

    found = {}
    for one in psutil.process_iter(["ppid", "create_time", "status"]):
        with contextlib.suppress(OSError):
            group, session = os.getpgid(one.pid), os.getsid(one.pid)
            info = one.info
            zombie = info["status"] == psutil.STATUS_ZOMBIE
            found[one.pid] = Process(one.pid, info["ppid"] or 0, group, session, info["create_time"] or 0.0, zombie)
    return found


def adopt_orphans() -> None:
    """What a server hides from us by forking twice becomes our child instead of init's (prctl(2), Linux 3.4)."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def holds_port(port: int, pids: Iterable[int]) -> bool | None:
    """Whether one of them listens there. None: nobody does, or it cannot be told."""
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    if not sockets:
        return None
    unknown = False
    for pid in pids:
        try:
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    if os.readlink(f"/proc/{pid}/fd/{number}") in sockets:
                        return True
        except FileNotFoundError:  # ended
            continue
        except OSError:
            unknown = True
    return None if unknown else False


def _listeners(port: int) -> set[str]:
    """Inodes of the listening sockets: proc(5), the table of /proc/net/tcp."""
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/self/net/{table}", encoding="ascii", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if len(words) > 9 and words[3] == _LISTENS and words[1].endswith(f":{port:04X}"):
                    found.add(words[9])
    return found
