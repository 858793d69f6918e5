"""Ending the server and everything that it started, and clearing away what it leaves in shared memory."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable

from autoglm_doctor.probes.serving.processes import Process, adopt_orphans, everybody

SHARED_MEMORY = "/dev/shm"  # noqa: S108  where POSIX puts it on Linux, no temporary file of ours

#: Segments as Python (psm_), its semaphores, torch, NCCL and the engines name them: nothing else is ever removed.
_SEGMENTS = re.compile(r"(psm_|sem\.|torch_\d|nccl-|vllm|sglang|cuda\.shm\.)")

#: How long killing may take: whoever starts new processes all the time must be caught between two of them.
KILL_SECONDS = 2.0


#: What outlives the server gets so long to notice that it is gone, before it is asked itself.
ORPHANS_SECONDS = 1.0


class Family:
    """A server and its descendants, remembered also once their parents are gone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Only the server so far."""
        adopt_orphans()
        self._pid = process.pid
        now = everybody()
        self._began = now[process.pid].began if process.pid in now else None
        self._others = {pid for pid, one in now.items() if one.parent == os.getpid()} - {process.pid}  # our own
        self._known: dict[int, float] = {}  # pid -> when it began, so that a number taken again is not mistaken
        self._before = _segments()
        self._used: set[str] = set()  # segments that one of them had open
        self._since = time.time()
        self.look()

    def look(self) -> list[Process]:
        """Remember who belongs to it now: its session, the children of everybody known, and the orphans among them.

        Returns those that are alive.
        """
        all_of_them = everybody()
        known = {pid for pid, began in self._known.items() if pid in all_of_them and all_of_them[pid].began == began}
        # Its session bears its number, which nobody else gets before the last of the session is gone.
        leader = all_of_them.get(self._pid)
        ours = leader is None or leader.began == self._began
        us = os.getpid()
        while True:
            more = {
                one.pid
                for one in all_of_them.values()
                if one.parent in known or one.parent == us or (ours and self._pid in (one.pid, one.session))
            }
            more -= known | self._others
            if not more:
                break
            known |= more
        self._known = {pid: all_of_them[pid].began for pid in known}
        members = [all_of_them[pid] for pid in known]
        _bury(one.pid for one in members if one.zombie and one.parent == us and one.pid != self._pid)
        alive = [one for one in members if not one.zombie]
        self._notice_segments(alive)
        return alive

    @property
    def pids(self) -> tuple[int, ...]:
        """Who belonged to it at the last look."""
        return tuple(self._known)

    def _notice_segments(self, alive: list[Process]) -> None:
        """Which new segments are its own: another program may make some at the same time."""
        new = {os.path.join(SHARED_MEMORY, name) for name in _segments() - self._before} - self._used
        if new:
            self._used |= _in_use(new, (one.pid for one in alive))

    def end(self, seconds: float) -> bool:
        """End it: asked first, then all of it asked, then killed. True when asking was enough.

        The server gets half of the time, since it also ends its children in order.
        """
        began = time.monotonic()
        if any(one.pid == self._pid for one in self.look()):
            _signal([self._pid], signal.SIGTERM)
            self._gone_within(seconds / 2, only_server=True)
            self._gone_within(min(ORPHANS_SECONDS, seconds / 4))
        # The server itself last: its children are told before it can start new ones for them.
        _signal(sorted((one.pid for one in self.look()), key=lambda pid: pid == self._pid), signal.SIGTERM)
        polite = self._gone_within(began + seconds - time.monotonic())
        if not polite:
            self._kill()
        return polite

    def _kill(self) -> None:
        """Again and again, by groups too: a process that forks and ends is another one when its signal comes."""
        deadline = time.monotonic() + KILL_SECONDS
        while (alive := self.look()) and time.monotonic() < deadline:
            for group in {one.group for one in alive} - {os.getpgrp()}:
                with contextlib.suppress(OSError):
                    os.killpg(group, signal.SIGKILL)
            _signal((one.pid for one in alive), signal.SIGKILL)
            time.sleep(0.005)

    def _gone_within(self, seconds: float, *, only_server: bool = False) -> bool:
        deadline = time.monotonic() + seconds
        pause = 0.01
        while any(one.pid == self._pid or not only_server for one in self.look()):
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(0.1, 2 * pause)
        return True

    def clear(self) -> tuple[str, ...]:
        """Remove the segments that it left in shared memory. What cannot be removed, or cannot be killed, is named."""
        left = [f"process {one.pid}" for one in self.look()]
        orphans = {path for path in self._used if self._is_new(path)}
        everyone = map(int, filter(str.isdigit, os.listdir("/proc"))) if orphans else ()
        for path in sorted(orphans - _in_use(orphans, everyone)):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError:
                left.append(path)
        return tuple(left)

    def _is_new(self, path: str) -> bool:
        """Made during the trial by our user."""
        with contextlib.suppress(OSError):
            found = os.stat(path)
            return found.st_uid == os.getuid() and found.st_ctime >= self._since - 1
        return False


def _bury(pids: Iterable[int]) -> None:
    """Adopted and dead: a server that starts new ones for ever would fill the table of processes."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _segments() -> set[str]:
    with contextlib.suppress(OSError):
        return {name for name in os.listdir(SHARED_MEMORY) if _SEGMENTS.match(name)}
    return set()


def _in_use(paths: set[str], pids: Iterable[int]) -> set[str]:
    """Those that a process which we may look into has mapped or open."""
    found: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's, who cannot map what is ours alone
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as lines:
                names = {line.rstrip("\n").partition("/")[2] for line in lines if SHARED_MEMORY in line}
            found |= {path for path in paths if path[1:] in names}
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    found |= paths & {os.readlink(f"/proc/{pid}/fd/{number}")}
    return found
