"""`xid`, `ecc_errors`, `ecc_uncorrectable` -> what a GPU reported of itself. A number counts with its words alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from autoglm_doctor.loose.values import as_list, number, table, text

#: "Xid (PCI:0000:01:00): 79, pid=1"; "Xid 79 under load".
_XID = re.compile(
    r"\bxids?\b(?: *\(PCI:[^)]*\))?[\s:#=]{0,3}(?:errors? |code )?(\d{1,3})\b(?! *(?:times|hours|days|h\b|in total))",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\d{1,3}(?: *(?:,|and) *\d{1,3})*")
#: "79, GPU has fallen off the bus".
_LEADS = re.compile(r"(\d{1,3}) *[,(:]")
_NONE = re.compile(r"\b(?:no|none|never|without|zero|0)\b", re.IGNORECASE)

_BAD = r"(?:uncorrect(?:able|ed)|double[- ]?bit|DBEs?\b)"
_COUNTED = re.compile(
    rf"(?<![\d.,])[1-9][\d,]*(?: (?:volatile|aggregate|new|total|dram|sram|ecc))* {_BAD}"
    rf"|{_BAD}(?: (?:ecc|errors?|memory|count|volatile|aggregate|dram|sram))*(?: *[:=] *| is | are | )"
    r"[1-9][\d,]*\b(?! *(?:gpus?|rows?|days?|hours?)\b)",
    re.IGNORECASE,
)
#: The same where the key says already what is counted.
_COUNTED_THERE = re.compile(
    r"[1-9][\d,]*(?=\W*$| *(?:errors?|volatile|aggregate|[,(;]))(?! *errors? corrected)|.*?\b[1-9]\d* *\(?[sd]ram\b",
    re.IGNORECASE,
)


def xids(facts: Mapping[str, Any]) -> list[str]:
    """The Xids that are stated."""
    return [one for stated in as_list(facts.get("xid")) for one in _of(stated) if int(one)]


def _of(stated: Any) -> Iterator[str]:
    if isinstance(stated, dict):
        yield from (str(name) for name, count in stated.items() if str(name).isdecimal() and (number(count) or 0) > 0)
        return
    plain, said = number(stated), text(stated)
    if plain is not None and not isinstance(stated, str):
        yield str(int(plain))
    elif _LISTED.fullmatch(said):
        yield from re.findall(r"\d+", said)
    else:
        for sentence in re.split(r"[;\n]", said):
            leads = _LEADS.match(sentence.strip())
            if leads:
                yield leads[1]
            yield from (one[1] for one in _XID.finditer(sentence) if not _NONE.search(sentence[: one.start(1)]))


def memory_errors(facts: Mapping[str, Any]) -> list[str]:
    """A line, where one that could not be corrected is stated."""
    bad = any(_is_bad(one) for one in as_list(facts.get("ecc_errors")))
    bad = bad or any(_is_bad(one, counts=True) for one in as_list(facts.get("ecc_uncorrectable")))
    return ["uncorrectable ECC errors"] if bad else []


def _is_bad(stated: Any, *, counts: bool = False) -> bool:
    """`counts`: the key itself says that these are the ones that could not be corrected."""
    if isinstance(stated, dict):
        of = [value for name, value in table(stated).items() if counts or re.search(_BAD, str(name), re.IGNORECASE)]
        return any((number(one) or 0) > 0 for one in of)
    plain, said = number(stated), text(stated)
    if plain is not None:
        return plain > 0
    return bool(_COUNTED.search(said) or (counts and _COUNTED_THERE.match(said)))
