"""`engine_source`, `engine_build` ... -> whether the engine is a build of somebody else than its project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.loose.container import is_of_others, without_other_patches
from autoglm_doctor.loose.values import text, words

_KEYS = ("engine_source", "engine_build", "engine_built", "vllm_build", "vllm_source", "sglang_build", "build")
_BUILT = re.compile(
    r"\b(?:re-?|self-?)?(?:built|compiled)\b|\bsources?\b|\bfork|\bpatch|\bcommunity\b|\beditable\b|\bown build\b"
    r"|\bgit (?:main|master|head|clone|checkout)\b|\bmain branch\b",
    re.IGNORECASE,
)
#: An engine that is told in one sentence: "vllm 0.9.2 (compiled for P40)".
_BUILT_FOR = re.compile(
    r"\b(?:re-?|self-?)?(?:built|compiled) (?:here |locally |by \w+ )?(?:for|with) (?:an? |our |my |the )?"
    r"(?:tesla |quadro )?(?:[pvmk]\d{1,4}\b|pascal|volta|maxwell|kepler|sm_?\d+)",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    r"\bfor (?:this|the|its|my|our|these) (?:gpu|card|chip)|\bfork|\bpatch|\bcommunity\b|\bre-?built\b", re.IGNORECASE
)
_NOT = re.compile(r"\b(?:official|published|pypi|not|never)\b|\bpre-?built\b", re.IGNORECASE)
#: Who says that it is not the published one says that it is another.
_NOT_PUBLISHED = re.compile(
    r"\b(?:not|no|un)[ -]?(?:the |an? |from |via )*(?:official|published|pypi|pre-?built|stock)"
    r"(?: (?:pypi|wheels?|build|image))*",
    re.IGNORECASE,
)


def own_mark(facts: Mapping[str, Any]) -> str:
    """The local part that such a build's version gets: "fork" of other sources or for other GPUs, "source"; "" if none.

    A package such as vllm-pascal beside it says so as well.
    """
    packages = facts.get("packages")
    beside = " ".join(words(list(packages) if isinstance(packages, (dict, list)) else []))
    if any(is_of_others(one) for one in (facts.get("engine"), facts.get("container"), beside)):
        return "fork"
    if _BUILT_FOR.search(text(facts.get("engine"))):
        return "fork"
    how = _NOT_PUBLISHED.sub("built", without_other_patches(" ".join(text(facts.get(key)) for key in _KEYS)))
    if not _BUILT.search(how) or _NOT.search(how):
        return ""
    return "fork" if _CHANGED.search(how) else "source"
