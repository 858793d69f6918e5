"""The doctor's side of the nursery (see probes/nursery.py), from which its own probes are forked.

It only saves time. Whatever goes wrong with it is a `NurseryLostError`, and the caller starts the probe plainly.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoglm_doctor.limits import FORK_SECONDS, LEAVE_SECONDS


class TooLongError(OSError):
    """More words than one packet holds: this probe is started plainly, the nursery is well."""


class NurseryLostError(OSError):
    """The nursery is gone, and what it knew of a child with it."""


class Fostered:
    """A child of the nursery, with the few words of `subprocess.Popen` that watching a probe takes."""

    def __init__(self, output: int, status: int) -> None:
        """Takes over both descriptors: the child's output, and the lines of the nursery about it."""
        self.stdout = os.fdopen(output, "rb")
        self.returncode: int | None = None
        self._status = os.fdopen(status, "rb", buffering=0)
        self._lines = b""
        os.set_blocking(status, False)
        try:
            self.pid = self._born()
        except NurseryLostError:
            self.stdout.close()
            self._status.close()
            raise

    def _born(self) -> int:
        deadline = time.monotonic() + FORK_SECONDS
        while (pid := self._number(b"pid")) is None:
            # The number of a process is what gets killed: an exit code must never be taken for one.
            if time.monotonic() > deadline or self._number(b"exit") is not None:
                raise NurseryLostError("the nursery started nothing")
            self._listen(deadline - time.monotonic())
        return pid

    def _listen(self, seconds: float) -> None:
        """Wait for the next lines, at most so long."""
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if poll.poll(max(0.0, seconds * 1000)):
            data = self._status.read(64)
            if data == b"":
                raise NurseryLostError("the nursery is gone")
            self._lines += data or b""

    def _number(self, word: bytes) -> int | None:
        """What the line that begins with this word says."""
        for line in self._lines.split(b"\n")[:-1]:
            name, _, number = line.partition(b" ")
            if name == word:
                return int(number)
        return None

    def poll(self) -> int | None:
        """The exit code, None while it runs.

        Raises:
            NurseryLostError: nobody is left who could tell.
        """
        if self.returncode is None:
            if self._number(b"exit") is None:  # both lines may have come at once
                self._listen(0)
            self.returncode = self._number(b"exit")
            if self.returncode is not None:
                self._status.close()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit code, waited for.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
            NurseryLostError: nobody is left who could tell.
        """
        deadline = time.monotonic() + timeout
        try:
            while (code := self.poll()) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise subprocess.TimeoutExpired("probe", timeout)
                self._listen(left)
        finally:
            self._status.close()  # whoever waits asks no more
        return code


class Nursery:
    """The process, and the socket on which it is asked for children."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        """Start it in an empty folder. It needs no answer before the first probe, so it starts beside our own work."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ours
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                own_command("autoglm_doctor.probes.nursery"),
                cwd=folder,
                env=own_environ(environ),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.settimeout(FORK_SECONDS)

    def start(self, order: Mapping[str, Any], folder: Path) -> Fostered:
        """Have a probe forked, in a session of its own: `module` with `words`, or `command` with `pythonpath`.

        Raises:
            TooLongError: the arguments are too long for it; NurseryLostError: it is gone or does not answer.
        """
        packet = json.dumps({**order, "folder": str(folder)}).encode()
        with self._lock:
            output, child_output = os.pipe()
            status, child_status = os.pipe()
            try:
                socket.send_fds(self._channel, [packet], [child_output, child_status])
            except OSError as error:
                os.close(output)
                os.close(status)
                if error.errno == errno.EMSGSIZE:
                    raise TooLongError(error.errno, error.strerror) from error
                raise NurseryLostError(str(error)) from error
            finally:
                os.close(child_output)
                os.close(child_status)
            return Fostered(output, status)

    def close(self) -> None:
        """Have it kill its children and leave; kill it when it does not. Safe to repeat, and while a probe starts."""
        with contextlib.suppress(OSError):
            self._channel.send(b"{}", socket.MSG_DONTWAIT)  # we live; without it the scratch folder goes too
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        if not self._gone(LEAVE_SECONDS):
            # Its group: itself and a child that was just forked.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._gone(LEAVE_SECONDS)
        with self._lock:
            self._channel.close()

    def _gone(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def open_nursery(scratch: Path, environ: Mapping[str, str]) -> Nursery | None:
    """A nursery with a folder of its own under `scratch`; None where there can be none."""
    if sys.platform != "linux":  # packets and passed descriptors are Linux's; elsewhere probes start plainly
        return None
    try:
        folder = scratch / "nursery"
        folder.mkdir()
        return Nursery(folder, environ)
    except OSError:
        return None


def own_command(module: str, *words: str) -> list[str]:
    """A module of ours under our own interpreter. It needs no `site`, whose files cost a third of its start."""
    return [sys.executable, "-S", "-m", module, *words]


def own_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What `own_command` finds its modules by.

    A bare checkout is not installed: our own children find the package where this file lies, and the rest where we
    found it ourselves.
    """
    package = Path(__file__).resolve().parent
    path = os.pathsep.join([str(package.parent), *(entry for entry in sys.path if entry)])
    return {**environ, "PYTHONPATH": path}
