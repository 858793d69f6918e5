"""`xid`, `ecc_errors`, `ecc_uncorrectable` -> what a GPU reported of itself. A number counts with its words alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from autoglm_doctor.loose.values import as_list, number, table, text

#: Words behind a number that make it an amount.
_UNIT = (
    r"(?: *(?:%|\u00b0)|\W*(?:times|seconds?|minutes?|min|hours?|h|days?|weeks?|months?|years?|per|c|degrees?|w|watts?"
    r"|[kmgt]i?b|bits?|percent"
    r"|gpus|cards|xids?|errors?|events?|entries|lines|messages|in (?:total|all|the (?:last|past)))\b)"
)
#: What says of a number that it is not there.
_ABSENT = r"(?:\W*(?:none|no|not|never)\b|\W*0\b(?![.x]))"
#: "Xid (PCI:0000:01:00): 79, pid=1"; "Xid 79 under load"; "Xid error code 79".
_XID = re.compile(
    r"\bxids?(?=\b|\d)(?: *\(PCI:[^)]{0,40}\))?(?:[\s:#=]{0,3}\b(?:errors?|event|code|id|number)\b(?!:))*[\s:#=(]{0,3}"
    rf"(\d{{1,3}})\b(?!{_UNIT}| *[:=] *(?:0|none|no|never)\b)",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\d{1,3}(?: *(?:,|and) *\d{1,3})*")
#: "79, GPU has fallen off the bus"; "79 x3"; "GPU 1: 79"; "error 79".
_LEADS = re.compile(
    r"(?:(?:error|code|event|gpu ?\d+)\W{1,3}){0,3}(\d{1,3})"
    rf"(?= *[,(:-]| +[x\u00d7]\d| +[a-z]|\W*$)(?!{_UNIT}|{_ABSENT}| *[,:-] *that is)",
    re.IGNORECASE,
)
#: What Xid 79 says, without its number.
_OFF_THE_BUS = re.compile(r"\b(?:fallen|fell|falls) off the bus", re.IGNORECASE)
_LOST = "79"
#: Up to three words between it and what it denies, and no end of a clause.
_NONE = re.compile(
    r"(?:\b(?:no|not|none|never|without|zero)|n't)(?: +(?!but\b|and\b|yet\b|though\b)[\w'-]+){0,3} *$", re.IGNORECASE
)

_BAD = r"(?:uncorrect(?:able|ed)|double[- _]?bit|DBEs?(?![a-z]))"
_KIND = r"(?:ecc|errors?|memory|counts?|volatile|aggregate|total|new|[sd]ram|is|are|was|were)"
_NUMBER = r"(?<![\d.,])(?:\d{1,3}(?:,\d{3})+|\d+)\b"
#: Clauses; a comma within a number is none.
_CLAUSE = re.compile(r"[;/\n]|,(?!\d{3}(?!\d))")
#: "single/double bit: 12/0" is "single 12, double bit 0".
_PAIR = re.compile(r"([a-z][a-z -]{0,40}?) ?/ ?([a-z][a-z -]{0,40}?)[\s:=]{1,3}(\d+) ?/ ?(\d+)", re.IGNORECASE)
_BEHIND = re.compile(
    rf"{_BAD}[\s:=(]*(?:{_KIND}\b[\s:=(]*)*(?:(?P<none>none|no|never|zero)\b|(?P<count>{_NUMBER})"
    r"(?! *(?:gpus?|cards?|rows?|pages?|days?|hours?|times|in total|of)\b)"
    r"(?! *(?:corrected|correctable|single|sbe)\w*(?!\W{0,3}\d)))",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    rf"(?<!gpu )(?<!gpu #)(?<!card )(?<!row )(?<!rected )(?<!rected: )(?<!rectable )(?<!sbe )(?<!since )"
    rf"(?P<count>{_NUMBER})[\s(]*(?:{_KIND}\b[\s(]*)*{_BAD}",
    re.IGNORECASE,
)
#: The same where the key says already what is counted: "volatile 4", "GPU 1: 4", "2 (DRAM)", "12 in DRAM".
_THERE = re.compile(
    rf"\W*(?:gpu ?\d+ *[:=] *)?(?:{_KIND}\b[\s:=]*)*(?P<count>{_NUMBER})"
    rf"(?=\W*$| *{_KIND}\b| *\((?![^)]*(?:correct|gpus?\b))| (?:in|of)(?: the)? [sd]ram\b| on gpu\b)"
    r"(?! *errors? corrected)",
    re.IGNORECASE,
)
#: Numbers beside the counts of an object.
_NO_COUNT = re.compile(
    r"(?:gpu|device|card|bus|pci)?[ _]?(?:id|index)?|.*(?:corrected|correctable|single|limit|thres).*"
)


def xids(facts: Mapping[str, Any]) -> list[str]:
    """The Xids that are stated, each once of a value."""
    return [one for stated in as_list(facts.get("xid")) for one in dict.fromkeys(_of(stated)) if int(one)]


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
            yield from _spoken(sentence.strip())


def _spoken(sentence: str) -> Iterator[str]:
    leads = _LEADS.match(sentence)
    if leads:
        yield leads[1]
    yield from (one[1] for one in _XID.finditer(sentence) if not _NONE.search(sentence[: one.start()]))
    if any(not _NONE.search(sentence[: one.start()]) for one in _OFF_THE_BUS.finditer(sentence)):
        yield _LOST


def memory_errors(facts: Mapping[str, Any]) -> list[str]:
    """A line, where one that could not be corrected is stated."""
    bad = any(_is_bad(one) for one in as_list(facts.get("ecc_errors")))
    bad = bad or any(_is_bad(one, counts=True) for one in as_list(facts.get("ecc_uncorrectable")))
    return ["uncorrectable ECC errors"] if bad else []


def _is_bad(stated: Any, *, counts: bool = False) -> bool:
    """`counts`: the key itself says that these are the ones that could not be corrected."""
    if isinstance(stated, dict):
        return _has_bad(stated, counts=counts)
    plain, said = number(stated), text(stated)
    if plain is not None:
        return plain > 0
    return any(_counts(one, there=counts) for one in _CLAUSE.split(_PAIR.sub(r"\1 \3, \2 \4", said)))


def _has_bad(stated: Mapping[str, Any], *, counts: bool) -> bool:
    """Of an object, and of those in it: of NVML's {"volatile": {"double_bit": 1}}. A bare number counts by its key."""
    for name, value in table(stated).items():
        key = str(name).lower()
        here = (counts and not _NO_COUNT.fullmatch(key)) or re.search(_BAD, key, re.IGNORECASE) is not None
        told = (one for one in as_list(value) if here or number(one) is None)
        if any(_is_bad(one, counts=here) for one in told):
            return True
    return False


def _counts(clause: str, *, there: bool) -> bool:
    """A number behind the word wins over one before it: "corrected 4 uncorrectable 0"."""
    found = _BEHIND.search(clause) or _BEFORE.search(clause) or (_THERE.match(clause) if there else None)
    return found is not None and bool(found["count"]) and int(found["count"].replace(",", "")) > 0
