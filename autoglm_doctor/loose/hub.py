"""`network` -> that the hub cannot be reached, where the model has to come from there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Download, ModelFiles, Reading, known
from autoglm_doctor.intent import UNNAMED
from autoglm_doctor.loose.model import model_name
from autoglm_doctor.loose.model_place import download_folder, is_a_folder, is_here
from autoglm_doctor.loose.values import answer, first, table, text

_CUT_OFF = (
    r"not? (?:reachable|accessible|available|internet|access)|unreachable|blocked|offline|air-?gapped|timed? ?out"
)
_HUB = re.compile(r"hugging ?face|\bhf\b|\bhub\b", re.IGNORECASE)
_INTERNET = re.compile(r"\binternet\b", re.IGNORECASE)
#: Other places: no weights come from there, nor from their mirrors.
_OTHERS = re.compile(
    r"\b(?:docker(?: ?hub)?|github(?:\.com)?|pypi(?:\.org)?|pip|conda|apt|npm|nvcr\.io|registry|package)\b",
    re.IGNORECASE,
)
#: The hub, or the weights, are within reach.
_OPEN = re.compile(
    r"(?:hugging ?face\S*|\bhf\b|\bhub\b)(?: access)? (?:is |are )?"
    r"(?:fine|ok\b|works?\b|reachable|available|accessible)"
    r"|\b(?:model|weights|files|checkpoint)s? (?:is |are |was |were )?"
    r"(?:local|cached|downloaded|copied|baked|there|mounted|present)",
    re.IGNORECASE,
)
#: Ways to the weights: elsewhere, and to the hub itself.
_MIRROR = re.compile(r"mirror|modelscope", re.IGNORECASE)
_PROXY = re.compile(r"\b(?:proxy|proxies|vpn)\b", re.IGNORECASE)
_WORKS = re.compile(r"\b(?:works?|fine|ok|reachable|loads?|helps?)\b", re.IGNORECASE)
_TAKEN = re.compile(
    r"\b(?:is|are) (?:used|set)\b|\b(?:via|through|using|uses?|over|behind|except|only|unless)\b", re.IGNORECASE
)
_DENIED = re.compile(
    r"\b(?:not?|never|fails?|broken|as well|too|also|even|either)\b|n't\b|\btim(?:ed|es) ?out", re.IGNORECASE
)
_NO_DIRECT = re.compile(r"\b(?:direct|except|only|unless|without)", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;:.]\s+|\n|\bbut\b", re.IGNORECASE)
_MODELSCOPE = ("VLLM_USE_MODELSCOPE", "SGLANG_USE_MODELSCOPE")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_NOT_HERE = re.compile(
    r"(?:not|never) (?:yet )?(?:downloaded|cached|in (?:the )?cache|on (?:this|the) machine|present|fetched)"
    r"|(?:empty|no) (?:cache|files)|none|missing|nothing",
    re.IGNORECASE,
)


def read_download(facts: Mapping[str, Any]) -> Reading[Download] | None:
    """That the hub cannot be reached; None when nothing is said of it, or nothing has to come from there."""
    said = text(facts.get("network"))
    if not _is_cut_off(said) or is_here(facts) or _is_asked_elsewhere(facts):
        return None
    name = model_name(facts)
    return known(Download(repository="MODEL" if name == UNNAMED else name, error=said), source="stated")


def _is_cut_off(said: str) -> bool:
    """Whether it is closed, and no way round is told. Judged clause by clause: each has a subject of its own."""
    clauses = _clauses(said)
    closed = [at for at, one in enumerate(clauses) if _is_closed(one)]
    if not closed:
        return False
    named = any(_HUB.search(clauses[at]) for at in closed)
    return not any(_is_open(one, at, closed[0], named=named) for at, one in enumerate(clauses))


def _clauses(said: str) -> list[str]:
    """Without the names of the other places. What has no subject goes with the clause beside it."""
    found: list[str] = []
    is_told = True
    for one in _CLAUSE.split(said):
        rest = _OTHERS.sub("", one)
        is_others = rest != one and not any(each.search(rest) for each in (_HUB, _INTERNET, _OPEN))
        has_subject = is_others or any(each.search(one) for each in (_HUB, _INTERNET, _MIRROR, _PROXY))
        kept = "" if is_others else rest
        if found and not (is_told and has_subject):
            found[-1] += f", {kept}"
        else:
            found.append(kept)
            is_told = False
        is_told = is_told or has_subject
    return found


def _is_closed(clause: str) -> bool:
    about = _HUB.search(clause) or _INTERNET.search(clause)
    return about is not None and re.search(_CUT_OFF, clause, re.IGNORECASE) is not None


def _is_open(clause: str, at: int, closed: int, *, named: bool) -> bool:
    """Whether the clause tells a way to the weights.

    `closed` is where the first closed one stands, `named` whether that is the hub by its name: a proxy or a VPN that is
    told before it is then the one through which the hub was tried.
    """
    if _OPEN.search(clause):
        return True
    is_mirror = _MIRROR.search(clause) is not None
    if not is_mirror and not _PROXY.search(clause):
        return False
    if _is_closed(clause):
        return (_TAKEN if is_mirror else _NO_DIRECT).search(clause) is not None
    if _DENIED.search(clause):
        return False
    is_tried = named and at < closed and not is_mirror
    return _WORKS.search(clause) is not None or (_TAKEN.search(clause) is not None and not is_tried)


def _is_asked_elsewhere(facts: Mapping[str, Any]) -> bool:
    """ModelScope, or a mirror of the hub."""
    variables = table(first(facts, "env", "environment"))
    endpoint = text(variables.get("HF_ENDPOINT"))
    mirror = endpoint.startswith("http") and "//huggingface.co" not in endpoint
    return mirror or any(_is_on(variables.get(name)) for name in _MODELSCOPE)


def _is_on(value: Any) -> bool:
    return bool(answer(value)) or value == 1


def read_offline(facts: Mapping[str, Any]) -> Reading[ModelFiles] | None:
    """That a model's files are not here, where variables keep the hub from being asked; None elsewhere.

    Nor where it is said in which folder the model lies or is looked for: what a cache lacks, that may hold.
    """
    variables = table(first(facts, "env", "environment"))
    if not any(_is_on(variables.get(name)) for name in _OFFLINE) or is_a_folder(facts) or download_folder(facts):
        return None
    files = text(first(facts, "model_files", "model_cache", "hf_cache", "weights"))
    cached = answer(first(facts, "model_downloaded", "model_cached"))
    if cached is False or (cached is None and _NOT_HERE.fullmatch(files)):
        return Reading(outcome="absent", why="it is stated not to be on this machine", source="stated")
    return None
