"""What `resolve` was asked, as typed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from autoglm_doctor.domain.resolve.shelf import ENGINES
from autoglm_doctor.errors import DoctorError

FORMATS = ("terminal", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `resolve`; None means not given: then a saved reading says it, else Open-AutoGLM's deployment."""

    model: str | None = None
    profile: str | None = None
    engine: str | None = None
    driver: str | None = None
    gpu: str | None = None
    python_version: str | None = None
    glibc: str | None = None
    facts: Path | None = None
    python: str | None = None
    timeout: float = 1.0
    format: str = "terminal"
    redact: bool = True

    @property
    def is_hypothetical(self) -> bool:
        """Somebody describes a machine: then nothing of this one is read."""
        return self.driver is not None or self.gpu is not None


def validate(request: Request) -> None:
    """Raise a DoctorError for what cannot be meant."""
    if request.engine is not None and request.engine not in ENGINES:
        raise DoctorError(f"--engine: one of {', '.join(ENGINES)} expected, got {request.engine!r}")
    if request.format not in FORMATS:
        raise DoctorError(f"--format: one of {', '.join(FORMATS)} expected, got {request.format!r}")
    for option, value, form, example in (
        ("--driver", request.driver, r"\d{3}(\.\d+){0,2}", "570.26"),
        ("--python-version", request.python_version, r"3\.\d{1,2}(\.\d+)?", "3.12"),
        ("--glibc", request.glibc, r"2\.\d{1,2}", "2.35"),
    ):
        if value is not None and not re.fullmatch(form, value):
            raise DoctorError(f"{option}: a version such as {example} expected, got {value!r}")
    if request.facts and (request.is_hypothetical or request.python):
        raise DoctorError("--facts is a machine already: not with --driver, --gpu or --python")
