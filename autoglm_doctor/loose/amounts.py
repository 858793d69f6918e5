"""Amounts of memory and room under the names that people give them: "ram_gib", "RAM", "free-gb", "24GB (nominal)"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.loose.values import number, size, text

MIB, GIB = 1 << 20, 1 << 30

#: What a key ends with -> its unit. GB and GiB are one, as in `free -h`, `df -h` and nvidia-smi.
_ENDINGS = (
    *(("_gib", GIB), ("_gb", GIB), ("_g", GIB), ("_mib", MIB), ("_mb", MIB), ("_m", MIB)),
    *(("_tib", GIB << 10), ("_tb", GIB << 10), ("_kib", 1 << 10), ("_kb", 1 << 10), ("_bytes", 1), ("_b", 1)),
)
_SIZE = r"\d[\d,]{0,17}(?:\.\d{1,9})?\s*(?:[kmgt]i?b|[kmgt]i?|bytes?)(?![\w%])"
_IN_WORDS = re.compile(rf"(?<![\w.-]){_SIZE}(?!\s*/\s*s)", re.IGNORECASE)

#: A bare number up to here is one of GiB; above, nobody knows.
_LARGEST_BARE = 1000


def folded(stated: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its keys in one spelling: "Free-GB" and "free gb" become "free_gb"."""
    found: dict[str, Any] = {}
    for name, value in stated.items():
        found.setdefault(re.sub(r"[^a-z0-9]+", "_", str(name)[:80].lower()).strip("_"), value)
    return found


def amount(stated: Mapping[str, Any], *stems: str, bare: bool = True) -> int | None:
    """Bytes under the first of these keys, with or without a unit at its end; None where none can be read.

    `stated` has folded keys. Without a unit, at the key or in the value, a number up to 1,000 is one of GiB, unless
    `bare` says that such a number is not to be read.
    """
    for stem in stems:
        for ending, unit in _ENDINGS:
            found = sized(stated.get(stem + ending), unit)
            if found is not None:
                return found
        value = stated.get(stem)
        plain = number(value)
        found = sized(value) if plain is None else int(plain * GIB) if bare and plain <= _LARGEST_BARE else None
        if found is not None:
            return found
    return None


def sized(value: Any, unit: int = 1) -> int | None:
    """Bytes of a number, or of a text that names one size and no other: "64M (the default of docker)"."""
    found = size(value, unit)
    if found is not None:
        return found
    said = set(sizes(text(value)))
    return said.pop() if len(said) == 1 else None


def sizes(said: str) -> list[int]:
    """All the sizes in a sentence that name their unit, in bytes; rates ("200 MB/s") are none."""
    return [found for match in _IN_WORDS.findall(said) if (found := size(match)) is not None]
