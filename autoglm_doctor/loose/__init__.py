"""`diagnose`: facts that somebody states in loose words, judged by the checks that judge a machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autoglm_doctor.console import printable
from autoglm_doctor.errors import USAGE, DoctorError
from autoglm_doctor.interruption import requested
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.redact import Redactor
from autoglm_doctor.registry import load_checks
from autoglm_doctor.report import diagnose_jsonl, diagnose_text
from autoglm_doctor.report.diagnose_types import Diagnosis

FORMATS = ("terminal", "jsonl")

#: Longer files hold no facts that somebody wrote down.
LARGEST_BYTES = 16 << 20


def diagnose_files(paths: Sequence[Path], *, format_: str, redact: bool) -> int:
    """Judge each file and print its verdict at once; 0 none failed, 1 one did, 2 one could not be read.

    Raises:
        DoctorError: a format that we do not know, or the output cannot be written.
    """
    if format_ not in FORMATS:
        raise DoctorError(f"--format: one of {', '.join(FORMATS)} expected, got {format_!r}")
    checks, matrix = load_checks().checks, load_matrix()
    render = _renderer(format_, Redactor() if redact else None)
    code = 0
    for path in paths:
        if requested():
            break
        try:
            one = diagnose(str(path), _load(path), checks, matrix)
        except DoctorError as error:
            code = USAGE
            print(printable(f"autoglm-doctor: {path}: {error}", sys.stderr), file=sys.stderr)
            continue
        code = max(code, int(one.status == "fail"))
        if not _print(render(one)):
            break
    return code


def _renderer(format_: str, redactor: Redactor | None) -> Callable[[Diagnosis], str]:
    module = diagnose_jsonl if format_ == "jsonl" else diagnose_text
    return lambda one: module.render(one, redactor=redactor)


def _load(path: Path) -> Any:
    from autoglm_doctor.probes.regular import open_regular

    try:
        with open_regular(path) as stream:
            return json.loads(stream.read(LARGEST_BYTES))
    except OSError as error:
        raise DoctorError(error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise DoctorError(f"no JSON: {error}") from error


def _print(text: str) -> bool:
    """Whether there is still a reader."""
    try:
        sys.stdout.write(printable(text, sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:
        return False
    except OSError as error:
        raise DoctorError(f"the diagnosis cannot be printed: {error.strerror}") from error
    return True
