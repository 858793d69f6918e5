"""Which card a loosely written name means: "4090", "rtx4070ti super", "NVIDIA A100-SXM4-80GB", "L40S"."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Protocol

#: Words of a full name that tell no card from another.
_NOISE = frozenset(
    {"nvidia", "geforce", "tesla", "quadro", "gpu", "graphics", "card", "generation", "edition"}
    | {"hbm2", "hbm2e", "hbm3", "hbm3e", "pg506", "pg509"}
)
#: Words of a laptop's chip that, in the older generations, tell nothing of its capability.
_LAPTOP = frozenset({"laptop", "mobile", "notebook", "with", "max", "q", "design"})
_SIZE = re.compile(r"(\d+)(?:gib|gb|g)")


class Sold(Protocol):
    """What tells the variants of one name apart."""

    @property
    def capability(self) -> str: ...  # noqa: D102
    @property
    def memory_gib(self) -> float: ...  # noqa: D102


def named_size(name: str) -> int | None:
    """The memory that a name speaks of: 80 of "A100 80GB"; None when it does not."""
    return next((int(m[1]) for word in sorted(_words(name)) if (m := _SIZE.fullmatch(word))), None)


def find_row(name: str, rows: Mapping[str, Sold]) -> str | None:
    """The row that is meant; None when no row is, or when those that may be meant are of different generations.

    All words of the name stand in the row's. The row with the fewest others wins, of these the one with the least
    memory; a size in the name decides where there is a row of that size.
    """
    wanted = {word for word in _words(name) if not _SIZE.fullmatch(word)}
    others = {row: len(_card_words(row) - wanted) for row in rows if wanted and wanted <= _card_words(row)}
    if not any(character.isdigit() for word in wanted for character in word):
        others = {row: extra for row, extra in others.items() if not extra}  # "PRO" and "RTX" mean no card
    size = named_size(name)
    sized = {row: extra for row, extra in others.items() if round(rows[row].memory_gib) == size}
    others = sized or others
    best = [row for row, extra in others.items() if extra == min(others.values(), default=0)]
    if len({rows[row].capability for row in best}) != 1:
        return None
    return min(best, key=lambda row: (rows[row].memory_gib, row))


def is_called(name: str, other: str) -> bool:
    """Two names mean the same chip, whatever its memory, in a laptop or not: for its capability alone."""
    one, two = (_card_words(each) - _LAPTOP for each in (name, other))
    return bool(one) and one == two


def near_rows(name: str, rows: Iterable[str]) -> tuple[str, ...]:
    """Up to six rows that may have been meant, best first; () when nothing is near."""
    names = sorted(rows)
    wanted = _words(name)
    shared = [row for row in names if any(len(w) > 1 and w in row.lower() for w in wanted if w not in ("rtx", "gtx"))]
    plain = {" ".join(sorted(_words(row))): row for row in names}
    close = [plain[key] for key in difflib.get_close_matches(" ".join(sorted(wanted)), plain, n=4, cutoff=0.5)]
    return tuple(dict.fromkeys([*shared, *close]))[:6]


def _card_words(row: str) -> set[str]:
    return {word for word in _words(row) if not _SIZE.fullmatch(word)}


def _words(name: str) -> set[str]:
    """`NVIDIA A100-SXM4-80GB` is {a100, sxm, 80gb}; `RTX4070Ti` is {rtx, 4070, ti}."""
    text = re.sub(r"(\d)\s+(gib|gb)\b", r"\1\2", name.lower())
    text = re.sub(r"\b(rtx|gtx)(\d)", r"\1 \2", text)
    text = re.sub(r"\b(\d{3,4})(ti|super|d|ada)", r"\1 \2 ", text)
    text = re.sub(r"\b(k\d{2})[a-z]{1,2}\b", r"\1", text)  # K40c, K40m: one card, cooled in two ways
    words = (re.sub(r"^sxm\d$", "sxm", word) for word in re.split(r"[^a-z0-9.]+", text))
    return {word for word in words if word and word not in _NOISE}
