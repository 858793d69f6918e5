"""Loosely written values as numbers, bytes, versions and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_BYTES = {"": 1, "b": 1, "byte": 1, "bytes": 1}
_PREFIX = {"k": 10, "m": 20, "g": 30, "t": 40}
_SIZE = re.compile(r"(?P<number>\d[\d,]{0,17}(?:\.\d{1,9})?)\s*(?P<unit>bytes?|[kmgt]i?b?|b)?", re.IGNORECASE)
_VERSION = re.compile(r"\d+(?:\.\d+)+(?:[.\w+-]*\w)?")
_NO = re.compile(r"(?:no|none|false|off|unset|missing|absent|disabled|never|not\b.*|0)", re.IGNORECASE)
_YES = re.compile(r"(?:yes|true|on|enabled|set|present|installed|1)", re.IGNORECASE)
#: No quantity of a machine is larger.
_MOST = 1e18


#: Nobody states more in one value, and some patterns take quadratic time.
_LONGEST = 4000


def text(value: Any) -> str:
    """A word or sentence without the spaces around it; "" for anything else."""
    return value[:_LONGEST].strip() if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """A number of 0 or more, also as "7,344"; None when it is none."""
    if isinstance(value, str) and re.fullmatch(r"\d[\d,]{0,17}(?:\.\d{1,9})?", value.strip()):
        value = float(value.replace(",", ""))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < _MOST else None


def size(value: Any, unit: int = 1) -> int | None:
    """Bytes of a number of `unit`, or of a text that names its own ("9.2G", "135 bytes"); None when it is none.

    K, M and G are powers of 1024, as `ls -h` and `df -h` write them.
    """
    plain = number(value)
    if plain is not None:
        return int(plain * unit)
    match = _SIZE.fullmatch(text(value))
    if match is None:
        return None
    name = (match["unit"] or "").lower()
    factor = _BYTES.get(name) or 1 << _PREFIX[name[0]]
    return int(float(match["number"].replace(",", "")) * factor)


def version(value: Any) -> str:
    """The first version in it: 2.35 of "glibc-2.35"; "" when there is none."""
    if isinstance(value, float):
        value = str(value)
    match = _VERSION.search(text(value))
    return match[0] if match else ""


def answer(value: Any) -> bool | None:
    """Yes or no, also in words; None when it says neither."""
    if isinstance(value, bool):
        return value
    said = text(value)
    if _NO.fullmatch(said):
        return False
    return True if _YES.fullmatch(said) else None


def first(facts: Mapping[str, Any], *names: str) -> Any:
    """The first of these keys that is stated; None when none is."""
    return next((facts[name] for name in names if facts.get(name) is not None), None)


def words(values: Iterable[Any]) -> tuple[str, ...]:
    """The texts among them."""
    return tuple(value.strip() for value in values if isinstance(value, str) and value.strip())


def table(value: Any) -> Mapping[str, Any]:
    """An object; {} for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """A list; one of a single value; [] of nothing."""
    return value if isinstance(value, list) else [] if value is None else [value]
