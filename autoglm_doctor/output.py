"""Where reports go, and what the user sees while it runs. Only the report goes to stdout."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from autoglm_doctor.console import columns, printable, takes_colour, takes_escapes
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.finding import Report
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report import renderer


def deliver(report: Report, format_name: str, out: Path | None, *, redact: bool) -> None:
    """Render a report and write it to stdout or a file.

    A reader that goes away (`| head`) or a closed stdout is the user's choice: the exit code still tells the verdict.

    Raises:
        DoctorError: it cannot be written where it should (a file's report is then printed, so that it is not lost).
    """
    screen = sys.stdout if out is None else None
    text = renderer(format_name)(
        report,
        redactor=_redactor(report) if redact else None,
        width=columns(screen, otherwise=100),
        color=takes_colour(screen),
    )
    if out is None:
        _print(text)
        return
    try:
        write_file(out, text)
    except OSError as error:
        _print(text)
        raise DoctorError(f"--out: {error}; the report was printed instead") from error


def _redactor(report: Report) -> Redactor:
    redactor = Redactor()
    redactor.learn(report.intent.command, report.intent.host)
    return redactor


def _print(text: str) -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(printable(text, sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        raise DoctorError(f"the report cannot be printed: {error.strerror}") from error


def write_file(path: Path, text: str) -> None:
    """Write a file of the user's, whole or not at all: what was there before stays until the new one is complete.

    Raises:
        OSError: it cannot be written; nothing has changed.
    """
    data = text.encode("utf-8", "replace")  # names of files need not be UTF-8
    if path.exists() and not path.is_file():  # /dev/stderr, a pipe: there is nothing to put in its place
        path.write_bytes(data)
        return
    real = Path(os.path.realpath(path))  # through a link, which stays one
    try:
        descriptor, name = tempfile.mkstemp(prefix=".autoglm-doctor-", dir=real.parent)
    except PermissionError:
        if not real.exists():
            raise
        real.write_bytes(data)  # the file is the user's and its folder is not
        return
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
        os.chmod(name, real.stat().st_mode & 0o777 if real.exists() else 0o666 & ~_umask())
        os.replace(name, real)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    """What the user takes from the rights of new files; asking for it means setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_DOING = {
    "machine": "reading the machine",
    "nvml": "asking the driver",
    "storage": "looking at the storage",
    "model": "reading the model's headers",
    "interpreter": "asking the target interpreter",
    "packages": "reading the installed packages",
    "kernels": "reading the engine's GPU code",
    "toolchain": "looking for compilers",
    "cuda": "importing torch, starting CUDA",
    "disk": "measuring the disk",
    "load": "running a model",
    "serving": "running the server",
}


class Progress:
    """One line on stderr while the probes run; nothing at all when stderr is no terminal."""

    def __init__(self) -> None:
        """Start the clock."""
        self._shown = takes_escapes(sys.stderr)
        self._started = time.monotonic()

    def update(self, probe: str, text: str) -> None:
        """Say what is going on now."""
        if self._shown:
            doing = _DOING.get(probe, probe) + (f": {text}" if text else "")
            line = f"[{time.monotonic() - self._started:5.1f} s] {doing}"[: columns(sys.stderr, 80) - 1]
            self._draw(printable(line, sys.stderr))

    def __enter__(self) -> Progress:
        """Nothing to set up."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wipe the line."""
        if self._shown:
            self._draw("")

    def _draw(self, line: str) -> None:
        try:
            sys.stderr.write("\r\x1b[2K" + line)
            sys.stderr.flush()
        except (OSError, ValueError):  # the terminal was closed: the work goes on for the file or the exit code
            self._shown = False
