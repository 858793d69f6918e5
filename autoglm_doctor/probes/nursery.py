"""The nursery: one process that imports what every probe needs, and forks them.

Starting Python and importing the facts takes some 40 ms, forking a process that has done so 1 ms. The nursery runs no
probe itself: a child that crashes or hangs is a process of its own, in a session of its own, as any other.

Its standard input is a socket on which the doctor asks, one packet a probe: a JSON object {"folder", "module", "words"}
or {"folder", "command", "pythonpath"} (a script of the target, under the target's own PYTHONPATH) and two file
descriptors. The first becomes the output of the child. On the second the child writes "pid N" once it leads a session,
and the nursery "exit N" once it is over (negative: the signal), a line each. An end of file without an exit means that
the nursery is gone.

When the doctor closes the socket, or is gone itself (killed for memory, say), everything here is killed: also what a
child left in a session of its own, since the kernel gives orphans to the nursery. Then the scratch folder goes as well.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from importlib import import_module
from typing import Any, NoReturn

from autoglm_doctor.limits import NURSERY_REAP_SECONDS
from autoglm_doctor.probes.protocol import run

#: More than the kernel lets through in one packet by default (net.core.wmem_default is 212 992).
PACKET_BYTES = 1 << 20

#: linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Serve until the doctor is gone. Returns in each child, where it runs the probe."""
    gc.disable()  # probes are short, and what they read is no garbage
    channel = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    order = _Nursery(channel).serve()
    if "command" in order:
        _become(order["command"], order["pythonpath"])
    sys.argv = [order["module"], *order["words"]]
    run(import_module(order["module"]).probe)
    # All is written. Taking an interpreter apart takes longer than most probes.
    sys.stdout.flush()
    os._exit(0)


def _become(command: list[str], pythonpath: str | None) -> NoReturn:
    """The target's interpreter, with the environment and the signals that it would have without us."""
    for name in ("SIGPIPE", "SIGXFSZ"):  # ignored by every Python, and that would be inherited
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if pythonpath is not None:
        environ["PYTHONPATH"] = pythonpath
    try:
        # Read-only towards the target: not even compiled files.
        os.execvpe(command[0], command, {**environ, "PYTHONDONTWRITEBYTECODE": "1"})  # noqa: S606
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}".encode("utf-8", "replace"))
    os._exit(127)


class _Nursery:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        # The doctor may be killed at any time, also while it removes its folder or before we are up.
        self._scratch = _scratch_folder(os.getcwd())
        self._dismissed = False  # by a doctor that lives and clears up itself
        self._takes_orphans = False
        self._statuses: dict[int, int] = {}  # of the running children: where their exit code is to be written
        # The number of each signal is written to a pipe, since a wait for requests alone could miss it.
        self._wake, self._signalled = os.pipe()
        for fd in (self._wake, self._signalled):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> dict[str, Any]:
        """Fork what is asked for. Returns in the children only, with what is to be run there."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll(0)]
            if not ready:
                self._take_orphans()
                ready = [fd for fd, _ in poll.poll()]
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if self._channel.fileno() in ready:
                data, fds, _, _ = socket.recv_fds(self._channel, PACKET_BYTES, 2)
                if not data:
                    self._leave()
                order = json.loads(data)
                if not order:
                    self._dismissed = True
                elif self._is_child(order, *fds):
                    return dict(order)

    def _take_orphans(self) -> None:
        """Once, and when nothing is to do: loading ctypes takes longer than forking a probe."""
        if not self._takes_orphans:
            self._takes_orphans = True
            with contextlib.suppress(ImportError, OSError, AttributeError):
                import ctypes

                ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def _is_child(self, order: dict[str, Any], output: int, status: int) -> bool:
        """Fork; True in the child."""
        pid = os.fork()
        if pid:
            self._statuses[pid] = status
            os.close(output)
            return False
        os.setsid()
        # Only the nursery may hold the statuses and the channel: their end tells the doctor that it is gone.
        self._let_go()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.chdir(order["folder"])
        os.write(status, b"pid %d\n" % os.getpid())
        os.close(status)
        return True

    def _let_go(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._channel.close()
        for fd in (self._wake, self._signalled, *self._statuses.values()):
            os.close(fd)

    def _reap(self) -> None:
        """Everything that has ended, orphans too. A child's group goes first, while its number is still taken."""
        while pid := _ended():
            if pid in self._statuses:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
            _, code = os.waitpid(pid, 0)
            status = self._statuses.pop(pid, None)
            if status is not None:
                with contextlib.suppress(OSError):  # the doctor no longer listens
                    os.write(status, b"exit %d\n" % os.waitstatus_to_exitcode(code))
                os.close(status)

    def _leave(self) -> None:
        deadline = time.monotonic() + NURSERY_REAP_SECONDS
        while (left := {*self._statuses, *_children()}) and time.monotonic() < deadline:
            for pid in left:
                for kill in (os.killpg, os.kill):  # a child that was just forked has no group of its own yet
                    with contextlib.suppress(OSError):
                        kill(pid, signal.SIGKILL)
            self._reap()
            time.sleep(0.001)
        # Whether our parent lives would not tell: a dying process closes its socket before it is gone.
        if not self._dismissed and self._scratch:
            import shutil

            shutil.rmtree(self._scratch, ignore_errors=True)
        os._exit(0)


def _scratch_folder(ours: str) -> str:
    """The doctor's folder around ours; "" unless it bears the doctor's name: nothing else is ever removed."""
    parent, own = os.path.split(ours)
    return parent if own == "nursery" and os.path.basename(parent).startswith("autoglm-doctor-") else ""


def _children() -> list[int]:
    """Everything whose parent we are by now: what was started here, and its orphans."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as stream:
            return [int(word) for word in stream.read().split()]
    except OSError:  # a kernel without it, or no /proc
        return []


def _ended() -> int:
    """A child that has ended and not been waited for; 0 for none."""
    with contextlib.suppress(ChildProcessError):
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found.si_pid if found else 0
    return 0


if __name__ == "__main__":
    main()
