"""The lines that install an answer, for pip and for uv."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from autoglm_doctor.domain.resolve.choose import Answer
from autoglm_doctor.domain.resolve.plan import Plan


def requirements(answer: Answer) -> tuple[str, ...]:
    """Exact versions of what decides; the rest follows from their own metadata."""
    if answer.release is None:
        return ()
    found = [answer.release.wheel or f"{answer.release.engine}=={answer.release.version}"]
    if answer.transformers:
        found.append(f"transformers=={answer.transformers}")
    return tuple(found)


def pip_line(plan: Plan, python: str = "python3") -> str:
    """For the environment of this interpreter; "" without an answer."""
    return _line([python, "-m", "pip", "install", *plan.options], plan.requirements)


def uv_line(plan: Plan, python: str = "") -> str:
    """The same with uv, into the active environment or that of an interpreter."""
    # uv takes a package from the first index that has it: torch's own would bring old copies of others.
    backend = ["--torch-backend", plan.options[-1].rpartition("/")[2]] if plan.options else []
    return _line(["uv", "pip", "install", *(["--python", python] if python else []), *backend], plan.requirements)


def then_lines(plan: Plan, python: str = "") -> tuple[str, ...]:
    """What comes after either line, with pip and with uv; () for nothing. pip then warns of what torch pins."""
    if not plan.then:
        return ()
    pip = [python or "python3", "-m", "pip", "install", "--no-deps"]
    uv = ["uv", "pip", "install", *(["--python", python] if python else []), "--no-deps"]
    return _line(pip, plan.then), _line(uv, plan.then)


def _line(start: Sequence[str], wanted: Sequence[str]) -> str:
    return shlex.join([*start, *wanted]) if wanted else ""
