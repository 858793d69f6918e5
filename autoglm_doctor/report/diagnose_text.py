"""A diagnosis for people."""

from __future__ import annotations

from autoglm_doctor.finding import Cause, Fix
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report.diagnose_types import Diagnosis
from autoglm_doctor.wording import render as words

_HEAD = {
    "fail": "this will not run",
    "warn": "this may run, with a warning",
    "pass": "nothing wrong in what is stated; what is not stated was not judged",
}


def render(one: Diagnosis, *, redactor: Redactor | None) -> str:
    """The verdict, its causes with the root first, and the way out of each."""
    lines = [f"{one.input}: {_HEAD[one.status]}"]
    for number, (cause, fix) in enumerate(zip(one.causes, one.fixes, strict=True), start=1):
        lines += [_cause(number, cause), *_fix(fix)]
    text = "\n".join(lines) + "\n\n"
    return redactor.text(text) if redactor else text


def _cause(number: int, cause: Cause) -> str:
    where = "" if cause.check == "text" else f", {cause.check}"
    return f"  {number}. {cause.status.upper()} {cause.cause}{where}: {words(cause.text)}"


def _fix(fix: Fix | None) -> list[str]:
    if fix is None:
        return []
    return [f"     Fix: {words(fix.text)}", *(f"       {command}" for command in fix.commands)]
