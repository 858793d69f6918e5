"""For tests of checks, ours and those of plug-ins: judge a few facts, get findings."""

from __future__ import annotations

from typing import Any

from autoglm_doctor.api import Check
from autoglm_doctor.facts import Facts, Reading, known, with_readings
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import Matrix, load_matrix
from autoglm_doctor.runner import run_checks


def judge(
    check: Check,
    *,
    facts: Facts | None = None,
    intent: Intent | None = None,
    matrix: Matrix | None = None,
    **given: Any,
) -> list[Finding]:
    """Run one check on some facts.

    Keyword arguments name facts; a plain value counts as known, a `Reading` is taken as it is. Everything else is
    "not run". The default intent is Open-AutoGLM's documented deployment.
    """
    from autoglm_doctor.launch import default_intent

    readings = {name: v if isinstance(v, Reading) else known(v) for name, v in given.items()}
    return list(
        run_checks(
            [check],
            with_readings(facts or Facts(), readings),
            intent or default_intent(),
            matrix or load_matrix(),
        )
    )
