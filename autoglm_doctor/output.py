"""Where reports go, and what the user sees while it runs. Only the report goes to stdout."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from types import TracebackType

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.finding import Report
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report import renderer


def deliver(report: Report, format_name: str, out: Path | None, *, redact: bool) -> None:
    """Render a report and write it to stdout or a file.

    Raises:
        DoctorError: the file cannot be written (the report is then printed, so that it is not lost).
    """
    render = renderer(format_name)
    stream = sys.stdout
    color = out is None and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((80, 24)).columns if out is None and stream.isatty() else 100
    text = render(report, redactor=_redactor(report) if redact else None, width=width, color=color)
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
            return
        except OSError as error:
            _write(text)
            raise DoctorError(f"--out: {error}; the report was printed instead") from error
    _write(text)


def _redactor(report: Report) -> Redactor:
    redactor = Redactor()
    redactor.learn(report.intent.command, report.intent.host)
    return redactor


def _write(text: str) -> None:
    """Print in the console's own encoding: what it lacks is replaced, never an error."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


_DOING = {
    "machine": "reading the machine",
    "nvml": "asking the driver",
    "storage": "looking at the storage",
    "model": "reading the model's headers",
    "interpreter": "asking the target interpreter",
    "packages": "reading the installed packages",
    "cuda": "importing torch, starting CUDA",
    "disk": "measuring the disk",
    "load": "running a model",
}


class Progress:
    """One line on stderr while the probes run; nothing at all when stderr is no terminal."""

    def __init__(self) -> None:
        """Start the clock."""
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._started = time.monotonic()

    def update(self, probe: str, text: str) -> None:
        """Say what is going on now."""
        if self._shown:
            doing = _DOING.get(probe, probe) + (f": {text}" if text else "")
            columns = shutil.get_terminal_size((80, 24)).columns
            line = f"[{time.monotonic() - self._started:5.1f} s] {doing}"[: columns - 1]
            sys.stderr.write("\r\x1b[2K" + line)
            sys.stderr.flush()

    def __enter__(self) -> Progress:
        """Nothing to set up."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wipe the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
