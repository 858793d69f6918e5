"""Numbers that are known only within limits: the least, the likely and the most."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes between `low` and `high`, most probably `likely`. Infinite ends are not allowed: say None instead."""

    low: int
    likely: int
    high: int

    def plus(self, amount: int) -> Span:
        """The span with a known amount added."""
        return Span(self.low + amount, self.likely + amount, self.high + amount)

    def below(self, amount: int) -> Span:
        """What an amount leaves over when this is taken from it: the most taken leaves the least."""
        return Span(amount - self.high, amount - self.likely, amount - self.low)


def exactly(amount: float) -> Span:
    """A number that is known."""
    return Span(int(amount), int(amount), int(amount))


def gib(low: float, likely: float, high: float) -> Span:
    """A span from GiB."""
    return Span(int(low * GIB), int(likely * GIB), int(high * GIB))


def total(spans: Iterable[Span]) -> Span:
    """The sum of spans whose errors have nothing to do with each other: they add in squares.

    Never below the sum for a greater end of any span, so that a smaller need stays a smaller need.
    """
    known = tuple(spans)
    likely = sum(s.likely for s in known)
    below = math.sqrt(sum((s.likely - s.low) ** 2 for s in known))
    above = math.sqrt(sum((s.high - s.likely) ** 2 for s in known))
    return Span(math.floor(likely - below), likely, math.ceil(likely + above))


def largest(*spans: Span) -> Span:
    """The greatest of several needs that never exist at the same time, end by end."""
    return Span(max(s.low for s in spans), max(s.likely for s in spans), max(s.high for s in spans))
