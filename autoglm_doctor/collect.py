"""Running probes: each in a process of its own, with a time limit, its whole process group killed at the end.

A child that cannot be killed (uninterruptible sleep on a wedged GPU) is abandoned after a bounded wait: the doctor
goes on and says so. `subprocess.run(timeout=)` would wait for it for ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_type_hints

from autoglm_doctor.errors import DecodeError
from autoglm_doctor.facts import Facts, Outcome, Reading
from autoglm_doctor.interruption import within
from autoglm_doctor.jsonio import decode
from autoglm_doctor.limits import FORK_SECONDS, REAP_SECONDS
from autoglm_doctor.nursery import Fostered, Nursery, NurseryLostError, TooLongError, own_command, own_environ

Child: TypeAlias = "subprocess.Popen[bytes] | Fostered"
ChildT = TypeVar("ChildT", "subprocess.Popen[bytes]", Fostered)

#: Output of a child that is kept for a message; the rest is read and thrown away.
TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One row of the table of probes."""

    name: str
    gives: tuple[str, ...]  # names of facts
    module: str = ""  # "autoglm_doctor.probes.NAME": run by the doctor's interpreter
    script: str = ""  # file under probes/target: run by the target's interpreter
    limit_seconds: float  # from the table in limits.py
    hang_means: str = ""  # the likely cause when the limit is reached, for the report
    farewell_seconds: float = 0.0  # between SIGTERM and SIGKILL, for a probe that has something of its own to end


@dataclass(slots=True)
class Session:
    """What the probes of one run share: a scratch folder, the environment, the stop button."""

    scratch: Path
    environ: Mapping[str, str]
    timeout_scale: float = 1.0
    on_progress: Callable[[str, str], None] = lambda _probe, _text: None
    nursery: Nursery | None = None
    _running: dict[int, float] = field(default_factory=dict)  # process group -> its farewell in seconds
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    @property
    def stopped(self) -> bool:
        """Has `stop` been called?"""
        return self._stopped

    def stop(self) -> None:
        """Kill everything that runs and start nothing more. Who has a farewell to make is asked first."""
        with self._lock:
            self._stopped = True
            for group, farewell in self._running.items():
                if farewell:
                    _ask_to_end(group)
                else:
                    _kill_group(group)
            longest = max(self._running.values(), default=0.0)
        deadline = time.monotonic() + longest
        while any(self._running.values()) and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            for group in self._running:
                _kill_group(group)
        if self.nursery:
            self.nursery.close()

    def start(
        self, command: list[str], cwd: Path, environ: Mapping[str, str], farewell: float = 0.0
    ) -> subprocess.Popen[bytes]:
        """Start a child in a session of its own.

        Raises:
            OSError: the program cannot be run; InterruptedError after `stop`.
        """
        if self._stopped:
            raise InterruptedError("interrupted")
        # Without the lock: it returns when the program runs, which it never does on a file system that hangs.
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self._runs(child, farewell)

    def _runs(self, child: ChildT, farewell: float) -> ChildT:
        """Remember it for `stop`, unless that has been called meanwhile."""
        with self._lock:
            if not self._stopped:
                self._running[child.pid] = farewell
                return child
        _kill_group(child.pid)
        _reap(child)
        if child.stdout:
            child.stdout.close()
        raise InterruptedError("interrupted")

    def fork(self, nursery: Nursery, order: Mapping[str, Any], cwd: Path, farewell: float = 0.0) -> Fostered:
        """Have the nursery start a probe in a session of its own.

        Raises:
            NurseryLostError: it cannot; InterruptedError after `stop`.
        """
        child = nursery.start(order, cwd)  # may wait for the nursery
        return self._runs(child, farewell)

    def ended(self, child: Child) -> None:
        """Kill what the child left in its group, and forget it."""
        _kill_group(child.pid)
        with self._lock:
            self._running.pop(child.pid, None)


def _ask_to_end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def run_probe(
    probe: Probe, arguments: Mapping[str, Any], session: Session, interpreter: str | None = None
) -> dict[str, Reading[Any]]:
    """Run one probe and decode what it wrote. Every fact that it gives gets a reading, whatever happens.

    `interpreter` runs a target script; a module runs under the doctor's own.
    """
    folder = session.scratch / probe.name
    folder.mkdir()
    result = folder.parent / f"{probe.name}.jsonl"
    started = time.monotonic()
    words = str(result), json.dumps(arguments)
    try:
        command = None if probe.module else _command(probe, folder, words, interpreter)
        end = _fostered(probe, command, folder, words, session) or _plain(probe, command, folder, words, session)
    except OSError as error:
        end = _End("failed", str(error))
    seconds = round(time.monotonic() - started, 3)
    found = _decode_lines(result)
    if session.stopped:
        end = _End("not_run", "interrupted")
    source = interpreter if probe.script and interpreter else probe.name
    missing: Reading[Any] = Reading(outcome=end.outcome, why=end.why, source=source, seconds=seconds)
    return {name: found.get(name, missing) for name in probe.gives}


@dataclass(frozen=True, slots=True)
class _End:
    outcome: Outcome
    why: str


Words: TypeAlias = tuple[str, str]


def _command(probe: Probe, folder: Path, words: Words, interpreter: str | None) -> list[str]:
    """A script under the interpreter of the target. Nothing else lies in its folder: nothing shadows what it imports.

    A script in several files has the others beside it: those of NAME.py are called NAME_*.py.
    """
    script = folder / probe.script
    source = Path(__file__).resolve().parent / "probes" / "target" / probe.script
    for path in (source, *source.parent.glob(f"{source.stem}_*.py")):
        shutil.copyfile(path, folder / path.name)
    return [interpreter or "python3", str(script), *words]


def _fostered(probe: Probe, command: list[str] | None, folder: Path, words: Words, session: Session) -> _End | None:
    """Run it from the nursery; None when that cannot be done, or was cut short by the nursery's own end."""
    nursery = session.nursery
    if nursery is None:
        return None
    order: dict[str, Any] = {"command": command, "pythonpath": session.environ.get("PYTHONPATH")}
    if command is None:
        order = {"module": probe.module, "words": words}
    try:
        child = session.fork(nursery, order, folder, probe.farewell_seconds)
        return _watch(probe, child, Path(words[0]), session)
    except TooLongError:
        return None
    except NurseryLostError:
        session.nursery = None
        nursery.close()
        Path(words[0]).unlink(missing_ok=True)  # may end in half a line, which would spoil what is added to it
        return None


def _plain(probe: Probe, command: list[str] | None, folder: Path, words: Words, session: Session) -> _End:
    """Run it as a process started from scratch."""
    environ: Mapping[str, str]
    if command is None:
        command, environ = own_command(probe.module, *words), own_environ(session.environ)
    else:  # read-only towards the target: not even compiled files
        environ = {**session.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        child = within(FORK_SECONDS, lambda: session.start(command, folder, environ, probe.farewell_seconds))
    except TimeoutError:
        return _End("timeout", f"{command[0]} does not even begin to run: its file system does not answer")
    return _watch(probe, child, Path(words[0]), session)


def _watch(probe: Probe, child: Child, result: Path, session: Session) -> _End:
    """Drain the child's output until it ends or its time is up; then the whole group goes."""
    limit = probe.limit_seconds * session.timeout_scale
    tail = _Tail(child)
    progress = _Progress(probe.name, result, session)
    try:
        timed_out = not _over(child, limit, tail, progress)
        if timed_out and probe.farewell_seconds:
            _ask_to_end(child.pid)
            _over(child, probe.farewell_seconds, tail, progress)
    finally:
        session.ended(child)
        abandoned = not _reap(child)
        tail.close()
    if timed_out:
        stuck = "; it cannot even be killed (uninterruptible sleep) and was abandoned" if abandoned else ""
        means = f": {probe.hang_means}" if probe.hang_means else ""
        doing = f", while {progress.last}" if progress.last else ""
        return _End("timeout", f"no answer within {limit:g} s{doing}{means}{stuck}")
    return _End("failed", _death(child.returncode, tail.text()))


def _over(child: Child, seconds: float, tail: _Tail, progress: _Progress) -> bool:
    """Whether it ended within so many seconds, draining its output meanwhile."""
    deadline = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < deadline:
        tail.read(min(0.05, max(0.0, deadline - time.monotonic())))
        progress.report()
    return child.poll() is not None


def _reap(child: Child) -> bool:
    with contextlib.suppress(NurseryLostError):  # then it is init's to reap
        try:
            child.wait(timeout=REAP_SECONDS)
        except subprocess.TimeoutExpired:
            return False
    return True


def _death(code: int | None, tail: str) -> str:
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    # Under Python's own last words stands only where it was.
    last = next((line for line in lines if line.startswith("Fatal Python error")), lines[-1] if lines else "")
    said = f": {last[:300]}" if last else ""
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}{said}"
    return f"ended with exit code {code} and no answer{said}"


class _Tail:
    """The end of a child's output, read as it comes so that a flood neither blocks nor fills anything."""

    def __init__(self, child: Child) -> None:
        assert child.stdout is not None  # noqa: S101  Popen was given PIPE
        self._stream = child.stdout
        os.set_blocking(self._stream.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stream, selectors.EVENT_READ)
        self._open = True
        self._kept = b""
        self._pause = 0.0005

    def read(self, wait: float) -> None:
        """Wait at most `wait` seconds for output and keep its end."""
        if not self._open:
            # Most children are gone a moment after they closed their output.
            time.sleep(min(wait, self._pause))
            self._pause = min(2 * self._pause, 0.01)
            return
        if self._selector.select(wait):
            data = self._stream.read(1 << 20)
            if data == b"":
                self._open = False
                self._selector.unregister(self._stream)
            self._kept = (self._kept + (data or b""))[-TAIL_BYTES:]

    def close(self) -> None:
        """Take what is there without waiting, and let go."""
        if self._open:
            self.read(0)
        self._selector.close()
        self._stream.close()

    def text(self) -> str:
        """The kept end, decoded as well as it goes."""
        return self._kept.decode("utf-8", "replace")


class _Progress:
    """Progress lines of the result file, passed on as they come."""

    def __init__(self, name: str, result: Path, session: Session) -> None:
        self._name, self._result, self._session, self._at = name, result, session, 0
        self.last = ""  # what it was doing when its time was up

    def report(self) -> None:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if self._result.stat().st_size <= self._at:
                return
            with self._result.open("rb") as stream:
                stream.seek(self._at)
                data = stream.read()
            lines = data[: data.rfind(b"\n") + 1]
            self._at += len(lines)
            for line in lines.splitlines():
                entry = json.loads(line)
                if isinstance(entry, dict) and "progress" in entry:
                    self.last = str(entry["progress"])[:100]
                    self._session.on_progress(self._name, self.last)


def _decode_lines(result: Path) -> dict[str, Reading[Any]]:
    """The readings in a result file; a damaged line costs its own fact only."""
    hints = get_type_hints(Facts)
    found: dict[str, Reading[Any]] = {}
    try:
        lines = result.read_bytes().splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):  # half a line of a probe that died while writing, or anybody's garbage
            continue
        name = str(entry.pop("fact", "")) if isinstance(entry, dict) else ""
        if name not in hints:
            continue
        try:
            found[name] = decode(hints[name], entry, f"$.{name}")
        except DecodeError as error:
            found[name] = Reading(outcome="failed", why=f"the probe's answer has the wrong form ({error})")
    return found
