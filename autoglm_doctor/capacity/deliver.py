"""Where a plan goes: stdout, or a file."""

from __future__ import annotations

import sys
from pathlib import Path

from autoglm_doctor.console import printable
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.output import write_file


def deliver_text(text: str, out: Path | None) -> None:
    """Print it, or write it to a file; a reader that goes away is the user's choice.

    Raises:
        DoctorError: it cannot be written where it should (a file's text is then printed, so that it is not lost).
    """
    if out is None:
        _print(text)
        return
    try:
        write_file(out, text)
    except OSError as error:
        _print(text)
        raise DoctorError(f"--out: {error}; the plan was printed instead") from error


def _print(text: str) -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(printable(text, sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        raise DoctorError(f"the plan cannot be printed: {error.strerror}") from error
