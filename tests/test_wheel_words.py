"""A wheel that a text names, against the driver beside it."""

from __future__ import annotations

import pytest

from autoglm_doctor.facts import Driver
from autoglm_doctor.loose.wheel_words import symptoms_of_wheels
from autoglm_doctor.matrix import load_matrix

OLD, NEW = Driver(version="535.161.08"), Driver(version="580.95.05")
ROWS = {
    "a wheel that cannot be loaded": ("a cu130 wheel cannot be loaded on this machine", OLD, True),
    "a file": ("torch-2.9.0+cu130-cp312-cp312-linux_x86_64.whl fails to import", OLD, True),
    "on the second line": ("hello\nthe cu132 build does not start here", OLD, True),
    "a driver that runs it": ("a cu130 wheel cannot be loaded", NEW, False),
    "a wheel of the driver's major": ("the cu128 wheel cannot be loaded", OLD, False),
    "no driver": ("a cu130 wheel cannot be loaded", None, False),
    "a driver of unknown version": ("a cu130 wheel cannot be loaded", Driver(version=None), False),
    "a wheel that does not fail": ("we took the cu130 wheel", OLD, False),
    "the failure of something else": ("it cannot start; then we took the cu130 wheel", OLD, False),
    "no wheel": ("cu130 cannot be loaded", OLD, False),
}


@pytest.mark.parametrize(("text", "driver", "found"), [pytest.param(*row, id=name) for name, row in ROWS.items()])
def test_wheel(text: str, driver: Driver | None, found: bool) -> None:
    causes = [one.signature.cause for one in symptoms_of_wheels(text, driver, load_matrix())]
    assert causes == (["DRIVER_TOO_OLD"] if found else [])
