"""The judgement of the real runner over all checks, in this process."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from autoglm_doctor.api import Check
from autoglm_doctor.facts import Facts
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks
from autoglm_doctor.report.diagnose_types import Diagnosis
from autoglm_doctor.runner import run_checks
from autoglm_doctor.wording import render


@functools.cache
def checks() -> Sequence[Check]:
    return load_checks().checks


def judged(facts: dict[str, Any], name: str = "report.json") -> Diagnosis:
    """Loose facts."""
    return diagnose(name, {"facts": facts}, checks(), load_matrix())


def findings(facts: Facts, intent: Intent) -> tuple[Finding, ...]:
    """A full reading."""
    return run_checks(checks(), facts, intent, load_matrix())


def told(found: Sequence[Finding], *statuses: str) -> list[str]:
    """Those of a status, in words."""
    return [f"{one.code} {one.subject}: {render(one.text)}" for one in found if one.status in statuses]
