"""Ctrl-C, SIGTERM and a closed terminal: asked for, not thrown, so that what was read by then is still reported.

The first signal only leaves a note, which the walk over the probes looks at; the report of what ran is written and the
exit code is 130. Whoever insists (a second Ctrl-C) or whatever does not end within the grace time is cut off by a
KeyboardInterrupt, which still passes through every `finally`.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar, cast

from autoglm_doctor.limits import GRACE_SECONDS

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_seen: list[int] = []

T = TypeVar("T")


def requested() -> bool:
    """Has the user, or whoever supervises us, asked us to stop?"""
    return bool(_seen)


def watch() -> None:
    """Note signals from now on. A signal that is ignored (nohup, a shell's background job) stays so."""
    for number in [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _note)


def too_late() -> None:
    """All is said and the exit code stands: no signal changes it while this process is taken down."""
    for number in [getattr(signal, name) for name in (*_SIGNALS, "SIGALRM") if hasattr(signal, name)]:
        signal.signal(number, signal.SIG_IGN)


def _note(number: int, _frame: FrameType | None) -> None:
    """A second Ctrl-C insists. A second SIGHUP or SIGTERM does not: shell and kernel both tell of a closed terminal."""
    _seen.append(number)
    if number == signal.SIGINT and _seen.count(number) > 1:
        raise KeyboardInterrupt
    if len(_seen) > 1:
        return
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def within(seconds: float, call: Callable[[], T]) -> T:
    """The answer of a call that may hang, as on a file system without its server.

    It runs beside us, in a thread that nobody waits for at the end.

    Raises:
        TimeoutError: no answer in time, or an interruption; else what the call itself raises.
    """
    answer: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put((call(), None))
        except BaseException as error:
            answer.put((None, error))

    try:
        threading.Thread(target=ask, daemon=True).start()
    except RuntimeError:  # no more threads may be started: better unguarded than not at all
        return call()
    deadline = time.monotonic() + seconds
    while True:
        try:
            value, error = answer.get(timeout=0.1)
        except queue.Empty:
            if time.monotonic() > deadline or requested():
                raise TimeoutError from None
            continue
        if error is not None:
            raise error
        return cast(T, value)


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """A TimeoutError in the block once this process has computed for so long: the end of an endless loop."""
    try:
        before = signal.signal(signal.SIGVTALRM, _looping)
    except (AttributeError, ValueError):  # Windows, or not the main thread
        yield
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _looping(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError("it computes and computes, and was stopped")
