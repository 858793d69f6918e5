"""Many reads at once from a file: Linux's own asynchronous I/O by raw system calls, threads where that is refused.

`libaio` needs no library and no compiler: four system calls through ctypes. It keeps pace with fio up to about
250,000 reads/s, which threads do not (the interpreter's lock), and works under container profiles that forbid
io_uring. All functions read places (file descriptor, offset) in the given order, again from the start when they run
out, and stop at their time limit; reads still under way then are awaited and not counted.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import mmap
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

Place = tuple[int, int]

#: io_setup, io_destroy, io_submit, io_getevents; from the kernel's syscall tables (asm/unistd_64.h, asm-generic).
_CALLS = {"x86_64": (206, 207, 209, 208), "aarch64": (0, 1, 2, 4)}
_IOCB_CMD_PREAD = 0


class Refused(Exception):
    """The kernel, a security profile or this architecture does not let us use asynchronous I/O."""


class _Iocb(ctypes.Structure):
    """struct iocb of linux/aio_abi.h for little-endian machines."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_int32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("fd", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("eventfd", ctypes.c_uint32),
    )


class _Event(ctypes.Structure):
    """struct io_event."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("iocb", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("result2", ctypes.c_int64),
    )


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Context:
    """An asynchronous I/O context and its system calls; errors are raised as OSError."""

    def __init__(self, depth: int) -> None:
        calls = _CALLS.get(platform.machine())
        if calls is None or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise Refused(f"system call numbers are not known for {platform.machine()}")
        self._setup, self._destroy, self._submit, self._getevents = calls
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._id = ctypes.c_ulong(0)
        if self._syscall(self._setup, ctypes.c_uint(depth), ctypes.byref(self._id)) != 0:
            raise Refused(f"io_setup: {os.strerror(ctypes.get_errno())}")
        self._events = (_Event * depth)()
        self.events = tuple(self._events)  # the elements themselves: indexing the array makes a new object each time
        self._depth = ctypes.c_long(depth)
        self._one = ctypes.c_long(1)

    def submit(self, pointer: ctypes.Array[ctypes.c_void_p]) -> None:
        if self._syscall(self._submit, self._id, self._one, pointer) != 1:
            raise _last_error("io_submit")

    def wait(self, limit: _Timespec) -> int:
        """How many reads have ended (at least one, or 0 when the limit passed); they are in `events`."""
        ended: int = self._syscall(self._getevents, self._id, self._one, self._depth, self._events, ctypes.byref(limit))
        if ended < 0 and ctypes.get_errno() != errno.EINTR:
            raise _last_error("io_getevents")
        return max(ended, 0)

    def close(self) -> None:
        """Waits for what is under way: only then may the buffers go."""
        self._syscall(self._destroy, self._id)


def _last_error(call: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{call}: {os.strerror(code)}")


def _buffer(size: int) -> mmap.mmap:
    """Memory aligned to pages, as O_DIRECT demands, and touched, so that no page fault is measured.

    Ordinary pages on purpose: in huge ones a virtual disk read three times as fast (4.3 against 1.4 GB/s) as any
    engine ever will, since the page cache is made of ordinary pages too (a cold read of the same file: 1.4 GB/s).
    """
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, size, mmap.PAGESIZE):
        memory[offset] = 1
    return memory


@contextmanager
def _requests(depth: int, size: int) -> Iterator[tuple[_Context, list[_Iocb], list[ctypes.Array[ctypes.c_void_p]]]]:
    """A context, one prepared read per slot with its own aligned buffer, and the pointer to each."""
    context = _Context(depth)
    memory = _buffer(size * depth)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    iocbs = [_Iocb(data=i, opcode=_IOCB_CMD_PREAD, buffer=base + i * size, size=size) for i in range(depth)]
    pointers = [(ctypes.c_void_p * 1)(ctypes.addressof(iocb)) for iocb in iocbs]
    try:
        yield context, iocbs, pointers
    finally:
        context.close()


def libaio(places: Sequence[Place], size: int, depth: int, seconds: float) -> float:
    """Reads per second with `depth` reads of `size` bytes always under way.

    Each read is submitted again by itself, as soon as the one before it has ended: like fio's default, and unlike a
    batch it leaves no dip in the queue. The first to end count even when they are late: storage that takes longer than
    `seconds` for one read is slow, not unknown, and the buffers may not go before anyway.

    Raises:
        Refused: asynchronous I/O is not to be had here.
        OSError: a read failed.
    """
    coming = itertools.cycle(places)
    limit = _Timespec(int(seconds), int(seconds % 1 * 1e9))
    with _requests(depth, size) as (context, iocbs, pointers):
        started = last = time.perf_counter()
        for iocb, pointer in zip(iocbs, pointers, strict=True):
            iocb.fd, iocb.offset = next(coming)
            context.submit(pointer)
        done = 0
        while not done or last - started <= seconds:
            ended, now = context.wait(limit), time.perf_counter()
            if done and (not ended or now - started > seconds):
                break
            done, last = done + ended, now
            for event in context.events[:ended]:
                _check(event.result)
                slot = event.data
                iocbs[slot].fd, iocbs[slot].offset = next(coming)
                context.submit(pointers[slot])
    return done / (last - started)


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    if result == 0:
        raise OSError(errno.EIO, "the file became shorter while it was read")


def one_by_one(places: Sequence[Place], size: int, seconds: float) -> float | None:
    """Reads per second of one thread that waits for each read; its inverse is the latency. The first always counts.

    Raises:
        OSError: a read failed.
    """
    buffer = [_buffer(size)]
    started = last = time.perf_counter()
    done = 0
    for fd, offset in itertools.cycle(places):
        _check(os.preadv(fd, buffer, offset))
        now = time.perf_counter()
        if done and now - started > seconds:
            break
        done, last = done + 1, now
    return done / (last - started) if done else None


def threads(places: Sequence[Place], size: int, depth: int, seconds: float) -> float | None:
    """The same as `libaio` from `depth` threads; lower on fast disks, where the interpreter's lock is the limit.

    Raises:
        Refused: not all threads could be started.
        OSError: a read failed.
    """
    rates: list[float] = []
    faults: list[OSError] = []

    def work(share: Sequence[Place]) -> None:
        try:
            rates.append(one_by_one(share, size, seconds) or 0.0)
        except OSError as error:
            faults.append(error)

    workers = [threading.Thread(target=work, args=(places[i::depth] or places,), daemon=True) for i in range(depth)]
    _run_all(workers)
    if faults:
        raise faults[0]
    return sum(rates) or None


def _run_all(workers: Sequence[threading.Thread]) -> None:
    started = []
    try:
        for worker in workers:
            worker.start()
            started.append(worker)
    except RuntimeError as error:
        raise Refused(f"threads: {error}") from error
    finally:
        for worker in started:
            worker.join()
