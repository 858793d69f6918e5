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
_HUB = re.compile(r"hugging ?face|\bhf\b|\bhub\b|internet", re.IGNORECASE)
#: Other places that may be closed: no weights come from there.
_OTHERS = re.compile(
    r"\b(?:docker ?hub|github(?:\.com)?|pypi(?:\.org)?|nvcr\.io|apt mirrors?)\b"
    rf"(?:(?!\band\b)[^,;]){{0,30}}?(?:{_CUT_OFF})",
    re.IGNORECASE,
)
#: A way to the weights that is open.
_OPEN = re.compile(
    r"(?:hugging ?face\S*|\bhf\b|\bhub\b|internet)(?: access)? (?:is |are )?"
    r"(?:fine|ok\b|works?\b|reachable|available|accessible)"
    r"|(?:mirror\S*|proxy|modelscope|vpn)(?:(?! not? |n't)[^.;])*? (?:works?|is fine|ok|is reachable|is used|is set)\b"
    r"|(?:via|through|using|uses?|over|behind) (?:an? |the |our )?(?:[\w-]+ )?(?:mirror|proxy|vpn|modelscope|hf-mirror)"
    r"|\b(?:model|weights|files|checkpoint)s? (?:is |are |was |were )?"
    r"(?:local|cached|downloaded|copied|baked|there|mounted|present)",
    re.IGNORECASE,
)
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
    of_hub = _OTHERS.sub("", said)
    cut_off = _HUB.search(of_hub) and re.search(_CUT_OFF, of_hub, re.IGNORECASE) and not _OPEN.search(of_hub)
    if not cut_off or is_here(facts) or _is_asked_elsewhere(facts):
        return None
    name = model_name(facts)
    return known(Download(repository="MODEL" if name == UNNAMED else name, error=said), source="stated")


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
