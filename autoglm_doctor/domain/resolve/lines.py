"""The lines that install an answer, for pip and for uv."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from autoglm_doctor.domain.resolve.choose import Answer


def requirements(answer: Answer) -> tuple[str, ...]:
    """Exact versions of what decides; the rest follows from their own metadata."""
    if answer.release is None:
        return ()
    found = [f"{answer.release.engine}=={answer.release.version}"]
    if answer.transformers:
        found.append(f"transformers=={answer.transformers}")
    return tuple(found)


def pip_line(answer: Answer, python: str = "python3") -> str:
    """For the environment of this interpreter; "" without an answer."""
    return _line([python, "-m", "pip", "install"], requirements(answer))


def uv_line(answer: Answer, python: str = "") -> str:
    """The same with uv, into the active environment or that of an interpreter."""
    return _line(["uv", "pip", "install", *(["--python", python] if python else [])], requirements(answer))


def _line(start: Sequence[str], wanted: Sequence[str]) -> str:
    return shlex.join([*start, *wanted]) if wanted else ""
