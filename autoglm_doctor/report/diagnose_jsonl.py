"""A diagnosis for programs: one JSON object a line. What stands here is a promise."""

from __future__ import annotations

import json

from autoglm_doctor.redact import Redactor
from autoglm_doctor.report.diagnose_types import Diagnosis
from autoglm_doctor.wording import render as words


def render(one: Diagnosis, *, redactor: Redactor | None) -> str:
    """{"input", "verdict": {"status", "causes": [{"cause", "status", "check", "summary"}]}} and a line end; ASCII."""
    causes = [
        {"cause": cause.cause, "status": cause.status, "check": cause.check, "summary": words(cause.text)}
        for cause in one.causes
    ]
    shown = redactor.data(causes) if redactor else causes
    # The path is the caller's own and what he finds the line by.
    return json.dumps({"input": one.input, "verdict": {"status": one.status, "causes": shown}}) + "\n"
