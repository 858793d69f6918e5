"""MDL001 on storage that works and is slow: not known, and no fault."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.model import model_complete
from autoglm_doctor.facts import Reading
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

MEANS = ": the file system of the model does not answer, as a network mount without its server"
TIMES = {
    "nothing was read": ("", "fail", "does not answer"),
    "some files were read": (", while reading weight files, 161 of 200 done", "unknown", "161 of 200 weight files"),
    "only the small files were read": (", while reading weight files, 0 of 200 done", "unknown", "0 of 200"),
}


@pytest.mark.parametrize(("progress", "status", "says"), TIMES.values(), ids=TIMES)
def test_storage_at_the_time_limit(progress: str, status: str, says: str) -> None:
    reading: Reading[Any] = Reading(outcome="timeout", why=f"no answer within 30 s{progress}{MEANS}")
    (found,) = judge(model_complete, model_files=reading)
    assert (found.status, found.cause) == (status, "MODEL_STORAGE_HANGS" if status == "fail" else "")
    assert says in render(found.text)
    assert ("--timeout 4" in render(found.text)) is (status == "unknown")
