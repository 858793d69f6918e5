"""Ending the server and everything that it started, and clearing away what it leaves in shared memory."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable

SHARED_MEMORY = "/dev/shm"  # noqa: S108  where POSIX puts it on Linux, no temporary file of ours

#: Segments as Python (psm_), its semaphores, torch, NCCL and the engines name them: nothing else is ever removed.
_SEGMENTS = re.compile(r"(psm_|sem\.|torch_\d|nccl-|vllm|sglang|cuda\.shm\.)")


class Family:
    """A server and its descendants, remembered also once their parents are gone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Only the server so far."""
        self._process = process
        self._known: dict[int, float] = {}  # pid -> when it began, so that a number taken again is not mistaken
        self._segments = _segments()
        self._since = time.time()
        self.look()

    def look(self) -> None:
        """Remember who belongs to it now: its session, and the children of everybody known."""
        import psutil

        everybody = {p.pid: p.info for p in psutil.process_iter(["ppid", "create_time"])}
        known = {self._process.pid, *self._alive(everybody)}
        while True:
            more = {pid for pid, info in everybody.items() if info["ppid"] in known or self._in_session(pid)} - known
            if not more:
                break
            known |= more
        self._known = {pid: everybody[pid]["create_time"] for pid in known if pid in everybody}

    def _alive(self, everybody: dict[int, dict[str, float]]) -> set[int]:
        return {p for p, began in self._known.items() if p in everybody and everybody[p]["create_time"] == began}

    def _in_session(self, pid: int) -> bool:
        try:
            return os.getsid(pid) == self._process.pid
        except OSError:
            return False

    def end(self, seconds: float) -> bool:
        """End it: asked first, then all of it asked, then killed. True when asking was enough.

        The server gets half of the time, since it also ends its children in order.
        """
        self.look()
        began = time.monotonic()
        self._signal([self._process.pid], signal.SIGTERM)
        if not self._gone_within(seconds / 2):
            self._signal(self._members(), signal.SIGTERM)
        polite = self._gone_within(began + seconds - time.monotonic())
        if not polite:
            self._signal(self._members(), signal.SIGKILL)
            self._gone_within(2.0)
        return polite

    def _members(self) -> list[int]:
        self.look()
        # The server itself last: its children are told before it can start new ones for them.
        return sorted(self._known, key=lambda pid: pid == self._process.pid)

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        pause = 0.01
        while not self._is_gone():
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(0.1, 2 * pause)
        return True

    def _is_gone(self) -> bool:
        import psutil

        if self._process.poll() is None:
            return False
        self.look()
        for pid in self._known:
            with contextlib.suppress(psutil.Error):
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    return False
        return True

    def _signal(self, pids: Iterable[int], number: int) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def clear(self) -> tuple[str, ...]:
        """Remove the segments that it left in shared memory. What cannot be removed, or cannot be killed, is named."""
        import psutil

        self.look()
        left = []
        for pid in self._known:
            with contextlib.suppress(psutil.Error):
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    left.append(f"process {pid}")
        for name in sorted(_segments() - self._segments):
            path = os.path.join(SHARED_MEMORY, name)
            if self._is_orphan(path):
                try:
                    os.unlink(path)
                except OSError:
                    left.append(path)
        return tuple(left)

    def _is_orphan(self, path: str) -> bool:
        """Made during the trial, by our user, and in nobody's use."""
        with contextlib.suppress(OSError):
            found = os.stat(path)
            return found.st_uid == os.getuid() and found.st_ctime >= self._since - 1 and not _in_use(path)
        return False


def _segments() -> set[str]:
    with contextlib.suppress(OSError):
        return {name for name in os.listdir(SHARED_MEMORY) if _SEGMENTS.match(name)}
    return set()


def _in_use(path: str) -> bool:
    """Whether a process that we may look into has it mapped or open; when in doubt it is."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as lines:
                if any(line.rstrip("\n").endswith(path) for line in lines):
                    return True
            for number in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{number}") == path:
                    return True
        except OSError:  # ended meanwhile, or another user's, who cannot map what is ours alone
            continue
    return False
