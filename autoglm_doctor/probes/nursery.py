"""The nursery: one process that imports what every probe needs, and forks them.

Starting Python and importing the facts takes some 40 ms, forking a process that has done so 1 ms. The nursery runs no
probe itself: a child that crashes or hangs is a process of its own, in a session of its own, as any other.

Its standard input is a socket on which the doctor asks, one packet a probe: a JSON object {"module", "result",
"arguments", "folder"} and two file descriptors. The first becomes the output of the child. On the second the child
writes "pid N" once it leads a session, and the nursery "exit N" once it is over (negative: the signal), a line each.
An end of file without an exit means that the nursery is gone. When the doctor is gone, everything here is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from importlib import import_module

from autoglm_doctor.limits import NURSERY_REAP_SECONDS
from autoglm_doctor.probes.protocol import run

#: More than the kernel lets through in one packet by default (net.core.wmem_default is 212 992).
PACKET_BYTES = 1 << 20


def main() -> None:
    """Serve until the doctor is gone. Returns in each child, where it runs the probe."""
    channel = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    run(import_module(_Nursery(channel).serve()).probe)
    # All is written. Taking an interpreter apart takes longer than most probes.
    sys.stdout.flush()
    os._exit(0)


class _Nursery:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._statuses: dict[int, int] = {}  # of the running children: where their exit code is to be written
        # The number of each signal is written to a pipe, since a wait for requests alone could miss it.
        self._wake, self._signalled = os.pipe()
        for fd in (self._wake, self._signalled):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> str:
        """Fork what is asked for. Returns in the children only, with the name of the module."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if self._channel.fileno() in ready:
                data, fds, _, _ = socket.recv_fds(self._channel, PACKET_BYTES, 2)
                if not data:
                    self._leave()
                module = self._fork(json.loads(data), *fds)
                if module:
                    return module

    def _fork(self, order: dict[str, str], output: int, status: int) -> str:
        """The name of the module in the child, "" in the nursery."""
        pid = os.fork()
        if pid:
            self._statuses[pid] = status
            os.close(output)
            return ""
        os.setsid()
        # Only the nursery may hold the statuses and the channel: their end tells the doctor that it is gone.
        self._let_go()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.chdir(order["folder"])
        sys.argv = [order["module"], order["result"], order["arguments"]]
        os.write(status, b"pid %d\n" % os.getpid())
        os.close(status)
        return order["module"]

    def _let_go(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._channel.close()
        for fd in (self._wake, self._signalled, *self._statuses.values()):
            os.close(fd)

    def _reap(self) -> None:
        for pid, status in list(self._statuses.items()):
            ended, code = os.waitpid(pid, os.WNOHANG)
            if ended:
                with contextlib.suppress(OSError):  # the doctor no longer listens
                    os.write(status, b"exit %d\n" % os.waitstatus_to_exitcode(code))
                os.close(status)
                del self._statuses[pid]

    def _leave(self) -> None:
        for pid in self._statuses:
            for kill in (os.killpg, os.kill):  # a child that was just forked has no group of its own yet
                with contextlib.suppress(OSError):
                    kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + NURSERY_REAP_SECONDS
        while self._statuses and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.001)
        os._exit(0)


if __name__ == "__main__":
    main()
