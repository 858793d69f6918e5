"""Whether the NVLink switches of a board are set up, by the state of the fabric and by its manager."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.loose.values import as_list, first, number, table, text, version

#: NVML's states that are not "completed" (nvml.h, NVML_GPU_FABRIC_STATE_*), and words for them.
_UNREADY = re.compile(
    r"in.?progress|\bnot(?: yet)?.?(?:started|ready|complete|initiali[sz]ed|configured|set up|up\b)|\bnever\b|fail"
    r"|inactive|error|degraded|\bdown\b|stuck|pending|waiting|\binitiali[sz]ing|unhealthy",
    re.IGNORECASE,
)
_NO_FAULT = re.compile(
    r"\b(?:no|without|0|not|never|zero) (?:any )?(?:errors?|fail\w*|degraded|unhealthy|down|stuck|pending)\b"
    r"|\b(?:errors?|failures?|degraded)[:= ]{1,3}(?:0|none|no|false)\b",
    re.IGNORECASE,
)
#: It is reached, whatever was before it; not where something is told of the rest, or that it ended badly.
_REACHED = re.compile(
    r"(?<!in)(?<!un)completed?\b(?!\W{1,3}(?:no|false|0)\b)"
    r"(?!\W+(?:with |but |status\W+)?(?:an? )?(?:fail|error|unsucc))"
    r"|\bsuccess(?:ful(?:ly)?)?\b(?!\W{1,3}(?:no|false)\b)",
    re.IGNORECASE,
)
_NOT_REACHED = re.compile(
    r"(?:\b(?:not|never|no|without|cannot|before|until|to|should|must)|n't)\W+(?:\w+\W+){0,2}$", re.IGNORECASE
)
_IN_PART = re.compile(r"\b\d+ (?:of|/) \d+|\d+/\d+|\bothers?\b|\bsome\b|\bhalf\b|\bthe rest\b", re.IGNORECASE)
_MANAGER_DOWN = re.compile(
    r"(?:nvidia-fabricmanager(?:\.service)?\W+|(?:service|active|state|status)\b\W+)*"
    r"(?:inactive.*|dead|failed.*|stopped|not (?:running|installed|active|started).*|missing|disabled|masked|crash.*)",
    re.IGNORECASE,
)
#: GPUs that come on boards with NVLink switches alone, eight of them or more, by the names that NVML gives them.
_ON_BOARD = re.compile(
    r"\bV100-SXM3|\b(?:A100|A800|H100|H800)\b(?=.*(?:SXM|HBM3|HGX|DGX))|\b(?:H200|H20|B100|B200|B300)\b", re.IGNORECASE
)
#: Names that leave it open: cards for a slot are often called so as well.
_PERHAPS = re.compile(r"\b(?:A100|A800|H100|H800)\b", re.IGNORECASE)
_FOR_A_SLOT = re.compile(r"pcie|\bnvl\b", re.IGNORECASE)
_BOARD_OF = 8

#: A board that is named, with its chip; machines of AWS that have one (github.com/rghosh08/nvidia-nvswitch-setup,
#: v0.1.0); 18 links from each H100 to each, which bridges give to pairs alone.
_BOARD = re.compile(
    r"\b(?:HGX|DGX)[ -]?(?:A100|A800|H100|H800|H200|H20|B200|B300|2\b)|\bNVSwitch(?:es)?\b|\b(?:HGX|DGX)\b(?!-)"
    r"|\bp(?:4de?|5)\b|\bNV18\b(?!.*(?:pair|bridge))",
    re.IGNORECASE,
)
_WITH_CHIP = re.compile(r"\b(?:HGX|DGX)[ -]?(?:A100|A800|H100|H800|H200|H20|B200|B300|2\b)", re.IGNORECASE)
#: The name of a system that also runs on a DGX Spark, and words that say that there are none.
_NO_BOARD = re.compile(
    r"\bDGX[ -]?OS\b|\b(?:no|not|without)(?: an?| any)? (?:HGX|DGX|NVSwitch(?:es)?)\b", re.IGNORECASE
)
#: Four GPUs or one have no switches; those of an NVL72 are in machines of their own; a part of a board may be lent out.
_NOT_SWITCHED = re.compile(
    r"\b(?:station|spark|workstation|GB\d+\w*|NVL\d+|DGX-1|VMs?|virtual|tray"
    r"|(?:[1-7]|one|single|two|four)(?: ?x)?[ -]?(?:GPUs?|[AH][12]00|[AH]800|H20|B[23]00))\b",
    re.IGNORECASE,
)


def fabric_is_down(facts: Mapping[str, Any]) -> bool:
    """Its state is another one than "completed", or its manager does not run, or is of another version."""
    stated = facts.get("fabric_state")
    several = stated if isinstance(stated, list) else [stated]
    if isinstance(stated, dict) and "state" not in stated:  # one for each GPU
        several = list(stated.values())
    return any(_is_unready(_words(one)) for one in several) or (_manager_is_down(facts) and _has_switches(facts))


def _is_unready(said: str) -> bool:
    state = _NO_FAULT.sub("", said)
    reached = any(not _NOT_REACHED.search(state[: one.start()]) for one in _REACHED.finditer(state))
    return _UNREADY.search(state) is not None and (not reached or _IN_PART.search(state) is not None)


def _manager_is_down(facts: Mapping[str, Any]) -> bool:
    stated = first(facts, "fabric_manager", "fabricmanager", "nvidia_fabricmanager")
    words = text(table(stated).get("state") or stated)
    of = version(first(facts, "fabric_manager_version", "fabricmanager_version")) or version(words)
    driver = version(first(facts, "driver_version", "driver"))
    return stated is False or _MANAGER_DOWN.fullmatch(words) is not None or _differ(of, driver)


def _differ(one: str, other: str) -> bool:
    """ "550.127.05-1" is 550.127.05, and 550.127 for who leaves the end out."""
    both = [[part.lstrip("0") for part in re.split(r"[-+~]", said)[0].split(".")] for said in (one, other)]
    return min(map(len, both)) > 1 and any(a != b for a, b in zip(*both, strict=False))


def _has_switches(facts: Mapping[str, Any]) -> bool:
    switches = number(first(facts, "nvswitches", "nvswitch", "nvswitch_count"))
    if switches is not None:
        return switches > 0
    stated = as_list(first(facts, "gpus", "gpu"))
    names = [text(table(one).get("name") or one) for one in stated]
    counts = [number(table(one).get("count")) or _count(text(one)) for one in stated]
    total = max(sum(counts), number(facts.get("gpu_count")) or 0)
    said = " ".join([*names, *(_words(facts.get(key)) for key in ("server", "topology", "cloud", "os"))])
    said = _NO_BOARD.sub(" ", said)
    if not names:
        enough = not total or total >= _BOARD_OF
        return enough and bool(_WITH_CHIP.search(said)) and not _NOT_SWITCHED.search(said)
    if total < _BOARD_OF or any(_FOR_A_SLOT.search(name) for name in names):
        return False
    known = bool(_BOARD.search(said)) and not _NOT_SWITCHED.search(said)
    return all(_ON_BOARD.search(name) or (known and _PERHAPS.search(name)) for name in names)


def _count(name: str) -> float:
    match = re.match(r"(\d{1,2})\s*[x*\u00d7]\s*", name, re.IGNORECASE)
    match = match or re.search(r"\b[x\u00d7]\s?(\d{1,2})\)?$", name, re.IGNORECASE)
    return float(match[1]) if match else 1.0


def _words(value: Any) -> str:
    """A sentence; of an object or a list, all that it says."""
    stated = value if isinstance(value, str) else [*table(value).values(), *as_list(value)]
    return text(stated) if isinstance(stated, str) else " ".join(text(one) for one in stated)
