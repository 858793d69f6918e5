"""A wheel for a CUDA release that a text names, held against the driver that is stated beside it."""

from __future__ import annotations

import re

from autoglm_doctor.domain.driver.fixes import new_enough
from autoglm_doctor.domain.signatures import Symptom
from autoglm_doctor.domain.signatures.row import NVIDIA, Signature
from autoglm_doctor.facts import Driver
from autoglm_doctor.matrix import Matrix

#: "a cu130 wheel cannot be loaded", "torch-2.9.0+cu130-cp312-...whl fails". No text that only speaks of such a wheel.
_WHEEL = re.compile(r"\bcu(1\d)(\d)\b.{0,60}?\b(?:wheels?|whl|builds?|packages?)\b", re.IGNORECASE)
_FAILS = re.compile(
    r"\b(?:cannot|can't|could not|couldn't|fails?|failed|not loadable|does(?: not|n't))\b", re.IGNORECASE
)

_ROW = Signature(
    "DRIVER_TOO_OLD",
    _WHEEL.pattern,
    "a wheel for a CUDA major that the driver does not run",
    "Take the wheel for the driver's CUDA, or install a newer driver.",
    ("nvidia-smi", "python3 -m pip list | grep -i -E 'torch|kernel|vllm|sglang'"),
    "install",
    NVIDIA,
    sure="likely",
)


def symptoms_of_wheels(text: str, driver: Driver | None, matrix: Matrix) -> tuple[Symptom, ...]:
    """The line that names a wheel which fails, where the driver does not run its CUDA; () without a driver."""
    for line in text.split("\n") if driver is not None else ():
        named = _WHEEL.search(line[:2000])
        if driver is None or named is None or not _FAILS.search(line, named.start()):
            continue
        cuda = f"{named[1]}.{named[2]}"
        row = matrix.minimum_driver(cuda)
        if row is not None and new_enough(driver, cuda, row.minimum_driver) is False:
            return (Symptom(_ROW, line.strip()[:500]),)
    return ()
