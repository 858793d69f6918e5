"""`Text` -> words, for every format alike. The units that a template may name are here, and nowhere else."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import Any

from autoglm_doctor.finding import Text


def _significant(value: float) -> str:
    """Three figures, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"


UNITS: dict[str, Callable[[Any], str]] = {
    "GiB": lambda n: f"{n / 2**30:,.2f} GiB",
    "MiB": lambda n: f"{n / 2**20:,.1f} MiB",
    "GB": lambda n: f"{n / 1e9:,.1f} GB",
    "MB/s": lambda n: f"{n / 1e6:,.0f} MB/s",
    "percent": lambda n: f"{n * 100:.0f} %",
    "count": lambda n: f"{n:,.0f}",
    "s": lambda n: f"{_significant(n)} s",
    "ms": lambda n: f"{_significant(n * 1000)} ms",
}


class _Formatter(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Text):
            return render(value)
        if format_spec in UNITS:
            return "unknown" if value is None else UNITS[format_spec](value)
        return str(super().format_field(value, format_spec))


def render(text: Text) -> str:
    """The sentence, in one line, with control characters shown instead of sent to the terminal."""
    sentence = _Formatter().vformat(text.template, (), text.params)
    return "".join(c if c.isprintable() else " " if c in "\n\t\r" else f"\\x{ord(c):02x}" for c in sentence)
