"""Reading what the server prints, as it comes, so that neither a flood nor a silence stops anything."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator

from autoglm_doctor.domain.engine_log import Follower
from autoglm_doctor.facts import EngineFigures, Phase

#: Longer lines are cut: no engine prints one that matters.
LONGEST_LINE = 4_000

#: What a server writes about every request that went well: ours, and of no interest.
_ACCESS = re.compile(r'"(GET|POST) \S+ HTTP/[\d.]+"? [2]\d\d')

_ENDS = re.compile(rb"[\r\n]+")  # a progress bar ends its lines with a carriage return


class Log:
    """The output of a process, followed by a thread until its end."""

    def __init__(self, process: subprocess.Popen[bytes], engine: str) -> None:
        """Begin to read."""
        self._follower = Follower(engine, began=0.0)
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._lines():
            if _ACCESS.search(line):
                continue
            with self._lock:
                self._follower.feed(line, time.monotonic() - self._started)

    def _lines(self) -> Iterator[str]:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101  Popen was given PIPE
        rest = b""
        while data := _read_some(stream):
            *lines, rest = _ENDS.split(rest + data)
            rest = rest[:LONGEST_LINE]
            yield from (line[:LONGEST_LINE].decode("utf-8", "replace") for line in lines if line)
        if rest:
            yield rest.decode("utf-8", "replace")

    def drain(self, seconds: float) -> None:
        """Let it read what is left of an ended process."""
        self._thread.join(seconds)

    @property
    def phase(self) -> str:
        """What the server is doing, by its log."""
        with self._lock:
            return self._follower.phase

    @property
    def doomed(self) -> str:
        """The line that says that this start has failed; "" for none."""
        with self._lock:
            return self._follower.doomed

    @property
    def kept(self) -> tuple[str, ...]:
        """The lines worth keeping."""
        with self._lock:
            return self._follower.kept

    @property
    def figures(self) -> EngineFigures:
        """What the engine said of itself."""
        with self._lock:
            return self._follower.figures

    def phases(self, until: float) -> tuple[Phase, ...]:
        """The parts of the start, the last of which ended `until` seconds after it began."""
        with self._lock:
            return self._follower.phases(until)


def _read_some(stream: object) -> bytes:
    try:
        data: bytes = stream.read1(65_536)  # type: ignore[attr-defined]
    except (OSError, ValueError):  # closed under us
        return b""
    return data
