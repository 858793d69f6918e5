"""The failing cases with their fix applied are clean: our own first fix, done to the facts, leaves no red behind."""

from __future__ import annotations

import pytest

from autoglm_doctor.report.diagnose_types import Diagnosis
from tests.restraint.cure import cured
from tests.restraint.fixed_cases import CASES, Facts, Ill
from tests.restraint.judged import judged


def causes(one: Diagnosis, *statuses: str) -> list[str]:
    return [cause.cause for cause in one.causes if cause.status in (statuses or ("fail", "warn"))]


def after_the_cure(ill: Ill, found: Diagnosis) -> Facts:
    """By hand where the case says so, else by the commands of the first fix."""
    if ill.by_hand:
        return {name: value for name, value in {**ill.facts, **ill.by_hand}.items() if value is not None}
    assert found.fixes[0] is not None
    facts = cured(ill.facts, found.fixes[0].commands)
    assert facts is not None, f"no command of the first fix changes anything: {found.fixes[0].commands}"
    return facts


@pytest.mark.parametrize("ill", [pytest.param(one, id=one.name) for one in CASES])
def test_case(ill: Ill) -> None:
    found = judged(ill.facts)
    assert causes(found)[:1] == [ill.cause]
    facts = after_the_cure(ill, found)
    again = judged(facts)
    assert causes(again, "fail") == [], facts
    assert ill.cause not in causes(again), facts
