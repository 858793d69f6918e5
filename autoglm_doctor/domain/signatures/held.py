"""Who holds the GPU's memory, by what torch lists when it runs out (reportProcessMemoryInfo in its allocator)."""

from __future__ import annotations

import re

_UNITS = {"MiB": 1 / 1024, "GiB": 1.0}
_SIZE = r"(?P<size>[\d.]+) (?P<unit>[MG]iB)"
_PROCESS = re.compile(rf"Process \d+ has {_SIZE} memory in use")
_OWN = re.compile(rf"this process has {_SIZE} memory in use")
_TOTAL = re.compile(rf"total capaci?ty of {_SIZE}")
_FREE = re.compile(rf"of which {_SIZE} is free")
_WANTED = re.compile(rf"Tried to allocate {_SIZE}")

#: What others must hold of the GPU: less is a desktop, or the contexts of this server's own processes.
_NOTICED = 0.1
#: The same where torch does not know itself among the processes, and the largest is taken for it.
_MUCH = 0.25


def held_by_others(text: str) -> bool:
    """Whether other processes hold so much of the GPU that the memory asked for would be there without them.

    In a container torch knows its own number only inside of it, and lists itself as "Process 2167142" as well: then the
    largest of them counts as its own.
    """
    listed = [_gib(found) for found in _PROCESS.finditer(text)]
    total = _first(_TOTAL, text)
    if not listed or not total:
        return False
    if _OWN.search(text) is None:
        return sum(listed) - max(listed) >= _MUCH * total
    others = sum(listed)
    return others >= _NOTICED * total and others + _first(_FREE, text) >= _first(_WANTED, text)


def _first(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.search(text)
    return _gib(found) if found else 0.0


def _gib(found: re.Match[str]) -> float:
    return float(found["size"].rstrip(".")) * _UNITS[found["unit"]]
