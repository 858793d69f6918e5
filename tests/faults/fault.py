"""A row of the table of faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.machine import Machine
from tests.faults.proofs import Proof


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is broken, and what the report must say of it.

    `limit` is the time limit that ends it, in seconds after `--timeout`; 0 where nothing hangs. `harmless` says why the
    verdict rightly stays "ready": without it a fault that changes nothing is a hole in the doctor. `took_hold` proves
    that the fault was there, and met where that is the point: a row that expects "pass" would pass without it, too.
    """

    name: str  # in words: the id of the test
    break_it: Callable[[Machine], object]
    code: str  # of the check that must speak of it
    status: str
    exit: int
    cause: str = ""
    says: tuple[str, ...] = ()  # words that the finding, its evidence or its fix must hold
    limit: float = 0.0
    harmless: str = ""
    took_hold: Proof | None = None  # asked after the run
