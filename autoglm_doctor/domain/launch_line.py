"""The user's own command line with some flags changed: complete, so that it can be pasted."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from autoglm_doctor.intent import Intent

#: Flags by field of Launch; the first spelling is the one we write.
_FLAGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "vllm": {
        "gpu_memory_utilization": ("gpu-memory-utilization",),
        "max_model_len": ("max-model-len",),
        "max_num_seqs": ("max-num-seqs",),
        "limit_mm_per_prompt": ("limit-mm-per-prompt",),
        "mm_processor_kwargs": ("mm-processor-kwargs",),
        "quantization": ("quantization", "q"),
        "tensor_parallel": ("tensor-parallel-size", "tp"),
    },
    "sglang": {
        "gpu_memory_utilization": ("mem-fraction-static",),
        "max_model_len": ("context-length",),
        "max_num_seqs": ("max-running-requests",),
        "quantization": ("quantization",),
        "tensor_parallel": ("tp-size", "tensor-parallel-size", "tp"),
    },
    "transformers": {},
}

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def can_change(intent: Intent, field: str) -> bool:
    """Whether the engine has a flag for this field."""
    return field in _FLAGS[intent.engine]


def changed(intent: Intent, changes: Mapping[str, Any]) -> Intent:
    """The intent with other launch values, in its fields and in its command."""
    words = list(intent.command) or plain_words(intent)
    for field, value in changes.items():
        words = _set(words, _FLAGS[intent.engine][field], value)
    return dataclasses.replace(intent, launch=dataclasses.replace(intent.launch, **changes), command=tuple(words))


def line(intent: Intent) -> str:
    """The command as it is typed into a shell, with its assignments in front."""
    words = list(intent.command) or plain_words(intent)
    written = []
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        leading = _ASSIGNMENT.match(word) and all(_ASSIGNMENT.match(w) or w == "env" for w in words[:i])
        written.append(f"{name}{equals}{shlex.quote(value)}" if leading and value else shlex.quote(word))
    return " ".join(written)


def plain_words(intent: Intent) -> list[str]:
    """A line for an intent that was not given as one: the model, the port and every launch value we can write."""
    start = {
        "vllm": ["vllm", "serve", intent.model],
        "sglang": ["python3", "-m", "sglang.launch_server", "--model-path", intent.model],
        "transformers": ["transformers", "serve", intent.model],
    }[intent.engine]
    words = [*start, "--port", str(intent.port)]
    for field, names in _FLAGS[intent.engine].items():
        value = getattr(intent.launch, field)
        if value and not (field == "tensor_parallel" and value == 1):
            words += [f"--{names[0]}", _word(value)]
    return words


def _set(words: Sequence[str], names: Sequence[str], value: object) -> list[str]:
    """Replace a flag in its place, whatever its spelling; put it at the end where there was none."""
    kept: list[str] = []
    place = -1
    rest = list(words)
    while rest:
        word = rest.pop(0)
        bare = word.split("=", 1)[0].lstrip("-").replace("_", "-").partition(".")[0]
        if not word.startswith("-") or bare not in names:
            kept.append(word)
            continue
        place = len(kept) if place < 0 else place
        if "=" not in word and rest and not rest[0].startswith("-"):
            rest.pop(0)
    if value is None:
        return kept
    new = [f"--{names[0]}", _word(value)]
    return [*kept, *new] if place < 0 else [*kept[:place], *new, *kept[place:]]


def _word(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, Mapping) else str(value)
