"""Which check explains which: no circle, and no name of a check that is not there."""

from __future__ import annotations

import graphlib

from autoglm_doctor.registry import load_checks


def test_explanations_name_checks_and_form_no_circle() -> None:
    by_code = {check.code: set(check.explained_by) for check in load_checks().checks}
    assert by_code
    assert set().union(*by_code.values()) <= set(by_code)
    graphlib.TopologicalSorter(by_code).prepare()  # CycleError names the circle
