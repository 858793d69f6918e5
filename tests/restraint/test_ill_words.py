"""Faults in words that a rule against false alarms once took for healthy: the first cause is still the one told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.restraint.judged import judged

_PATH = Path(__file__).with_name("ill_words.jsonl")
_ROWS = [json.loads(line) for line in _PATH.read_text(encoding="utf-8").splitlines() if line.strip()]


@pytest.mark.parametrize(("facts", "cause"), [pytest.param(row["facts"], row["cause"], id=row["id"]) for row in _ROWS])
def test_the_first_cause(facts: dict[str, Any], cause: str) -> None:
    assert [one.cause for one in judged(facts).causes][:1] == [cause]
