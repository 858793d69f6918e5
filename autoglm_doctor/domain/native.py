"""Engines that are a program of their own (llama.cpp) instead of a Python package, and what is not asked of them."""

from __future__ import annotations

from collections.abc import Mapping

from autoglm_doctor.finding import Text
from autoglm_doctor.intent import Intent

#: Codes, or their first three letters, of the checks that are about Python, its packages and torch.
_GAPS: Mapping[str, str] = {
    "PYT": "{engine} is a program: no Python takes part",
    "ENG": "{engine} is a program, not a package",
    "TOR": "{engine} does without torch",
    "PKG": "{engine} needs no Python packages",
    **dict.fromkeys(("INF001", "INF002", "INF003", "INF004"), "{engine} is not run through transformers"),
    "DRV003": "{engine} does without torch; its own CUDA is not read",
    "CUD002": "{engine} does without torch, with which the GPUs are tried",
    "HST002": "{engine} does without torch, whose C library is asked for here",
    "CFG002": "{engine} multiplies the file's own numbers, on every GPU",
    "MEM001": "{engine} maps the file into memory and can do with less of it than the file has bytes",
}

#: Checks among these that stay.
_KEPT = ("ENG005",)


def is_native(intent: Intent) -> bool:
    """Whether the engine is a program that needs neither Python nor torch."""
    return intent.engine == "llamacpp"


def gap(code: str, intent: Intent) -> Text | None:
    """Why a check does not apply to this deployment; None: it does."""
    if not is_native(intent) or code in _KEPT:
        return None
    words = _GAPS.get(code) or _GAPS.get(code[:3])
    return Text(words, {"engine": "llama.cpp"}) if words else None
