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
#: Words that tell cards of one chip from another, or nothing at all, and never one capability from another.
_FORM = (
    frozenset({"laptop", "mobile", "notebook", "with", "max", "q", "design", "workstation", "server", "active", "sff"})
    | frozenset({"sxm", "pcie", "nvl", "ac", "fhhl", "dgxs", "cnx", "ts", "lhr", "lite", "hash", "rate", "founders"})
    | frozenset({"ti", "super", "d", "v2", "grid", "corporation", "developer", "kit", "devkit", "nvgpu", "dc"})
)
#: Chips that have no number.
_NAMED_BY_A_WORD = frozenset({"orin", "xavier", "thor", "spark", "titan", "nano"})
#: What a hypervisor or MIG adds: T4-16Q, A100D-2-20C, "A100-SXM4-40GB MIG 1g.5gb".
_VGPU = re.compile(r"-(?:\d-)?\d{1,3}(?:[abcq]|cme)$")
_MIG = re.compile(r"\s*\bmig\b.*$")
#: A board's number in place of a form: A100-PG509-200.
_BOARD = re.compile(r"-pg\d{3}-\d{3}\b")
#: How the hypervisor's names tell forms of one chip apart: A100DX, H100XM, V100L.
_VGPU_FORM = re.compile(r"\b([vah]\d{3}|h20)[dlxms]{1,2}\b")
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
    if "quadro" in name.lower():  # none of these bears that name: a Quadro RTX 5000 is no RTX 5000 Ada
        others = {row: extra for row, extra in others.items() if not _card_words(row) & {"ada", "blackwell"}}
    if not any(character.isdigit() for word in wanted for character in word):
        others = {row: extra for row, extra in others.items() if not extra}  # "PRO" and "RTX" mean no card
    size = named_size(name)
    sized = {row: extra for row, extra in others.items() if round(rows[row].memory_gib) == size}
    others = sized or others
    best = [row for row, extra in others.items() if extra == min(others.values(), default=0)]
    if len({rows[row].capability for row in best}) != 1:
        return None
    return min(best, key=lambda row: (rows[row].memory_gib, row))


def cores(name: str) -> tuple[frozenset[str], ...]:
    """What a name says of the chip, for its capability alone: without its maker, form, size, vGPU profile and laptop.

    Several readings, the strictest first: a bare "5070" or "A6000" is an RTX or a GTX as well. () where nothing of the
    name tells one chip from another.
    """
    words = _chip_words(name)
    if not any(character.isdigit() for word in words for character in word) and not words & _NAMED_BY_A_WORD:
        return ()
    readings = [words]
    if not words & {"rtx", "gtx"} and any(re.fullmatch(r"\d{4}|a\d{3,4}", word) for word in words):
        readings += [words | {"rtx"}, words | {"gtx"}]
    return tuple(frozenset(one) for one in readings)


def is_in_laptop(name: str) -> bool:
    """The name is that of a laptop's chip, which before Pascal could be of another generation than its namesake."""
    return bool(set(re.split(r"[^a-z]+", name.lower())) & {"laptop", "mobile", "notebook", "design"})


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


def _chip_words(name: str) -> set[str]:
    text = name.lower().strip()
    listed = re.search(r"\[([^\]]+)\]", text)  # lspci: "GP106M [GeForce GTX 1060 Mobile]"
    text = _BOARD.sub("", _MIG.sub("", re.sub(r"\((?:r|tm)\)|[\u00ae\u2122]", " ", listed[1] if listed else text)))
    plain = _VGPU.sub("", text)
    if plain != text:
        plain = _VGPU_FORM.sub(r"\1", plain)
        plain = re.sub(r"\b(rtx\s?[68]000)$", r"quadro \1", plain)  # RTX6000-24Q; Ada's is RTX6000-Ada-24Q
    plain = re.sub(r"\bmx\s+(\d{3})\b", r"mx\1", re.sub(r"\brtx(a\d{3,4})\b", r"rtx \1", plain))
    words = _card_words(plain)
    is_workstation = any(re.fullmatch(r"\d000", word) for word in words)
    words -= _FORM - {"d"} if is_workstation else _FORM  # an RTX 6000D is of another generation
    # "Quadro RTX 6000" is of another generation than "RTX 6000 Ada"; "Quadro P1000" and "P1000" are the same.
    if "quadro" in plain and "rtx" in words and any(word.isdigit() for word in words):
        words |= {"quadro"}
    return words - {"blackwell"} if "pro" in words else words


def _words(name: str) -> set[str]:
    """`NVIDIA A100-SXM4-80GB` is {a100, sxm, 80gb}; `RTX4070Ti` is {rtx, 4070, ti}."""
    text = re.sub(r"(\d)\s+(gib|gb)\b", r"\1\2", name.lower())
    text = re.sub(r"\b(rtx|gtx)(\d)", r"\1 \2", text)
    text = re.sub(r"\b(\d{3,4})(ti|super|d|ada)", r"\1 \2 ", text)
    text = re.sub(r"\b(k\d{2})[a-z]{1,2}\b", r"\1", text)  # K40c, K40m: one card, cooled in two ways
    words = (re.sub(r"^sxm\d$", "sxm", word) for word in re.split(r"[^a-z0-9.]+", text))
    return {word for word in words if word and word not in _NOISE}
