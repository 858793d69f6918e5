"""`engine_source`, `engine_build` ... -> whether the engine is a build of somebody else than its project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.loose.container import is_of_others
from autoglm_doctor.loose.values import text, words

_KEYS = ("engine_source", "engine_build", "engine_built", "vllm_build", "vllm_source", "sglang_build", "build")
_BUILT = re.compile(
    r"\b(?:re-?)?(?:built|compiled)\b|\bsources?\b|\bfork|\bpatch|\bcommunity\b|\beditable\b", re.IGNORECASE
)
_CHANGED = re.compile(
    r"\bfor (?:this|the|its|my|our|these) (?:gpu|card|chip)|\bfork|\bpatch|\bcommunity\b|\bre-?built\b", re.IGNORECASE
)
_NOT = re.compile(r"\b(?:official|published|pypi|not|never)\b|\bpre-?built\b", re.IGNORECASE)


def own_mark(facts: Mapping[str, Any]) -> str:
    """The local part that such a build's version gets: "fork" of other sources or for other GPUs, "source"; "" if none.

    A package such as vllm-pascal beside it says so as well.
    """
    packages = facts.get("packages")
    beside = " ".join(words(list(packages) if isinstance(packages, (dict, list)) else []))
    if any(is_of_others(one) for one in (facts.get("engine"), facts.get("container"), beside)):
        return "fork"
    how = " ".join(text(facts.get(key)) for key in _KEYS)
    if not _BUILT.search(how) or _NOT.search(how):
        return ""
    return "fork" if _CHANGED.search(how) else "source"
