"""A card as one line: what takes which part of it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

#: Columns of the bar.
WIDTH = 40

#: Blocks, and letters where the terminal has none; the last part is what the server does not claim.
BLOCKS, LETTERS = "█▓▒░·", "WAOK."

NAMES = ("weights", "activation", "other", "KV cache", "not claimed")


def takes_blocks(encoding: str | None) -> bool:
    """Whether the bar can be drawn with blocks: the encoding has them, and the terminal is not a plain one."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def cells(parts: Sequence[int], total: int, width: int = WIDTH) -> list[int]:
    """Columns of each part: in proportion, at least one for a part that is there, together the whole width.

    Parts that exceed the card are cut at its end.
    """
    if total <= 0:
        return [0 for _ in parts]
    left, sizes = total, []
    for part in parts:
        sizes.append(max(0, min(part, left)))
        left -= sizes[-1]
    counts = [max(1, int(size * width / total)) if size else 0 for size in sizes]
    rest = [size * width / total - count if size else -math.inf for size, count in zip(sizes, counts, strict=True)]
    while sum(counts) < width and any(counts):
        at = max(range(len(counts)), key=lambda i: rest[i])
        counts[at] += 1
        rest[at] -= 1
    while sum(counts) > width:
        counts[counts.index(max(counts))] -= 1
    return counts
