"""The user's own command line with some flags changed: complete, so that it can be pasted."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence, Set
from typing import Any

from autoglm_doctor.engines import SYNTAXES
from autoglm_doctor.intent import UNNAMED, Engine, Intent, Launch

_NUMBER = re.compile(r"-\d+(\.\d+)?")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def flags_of(engine: Engine, field: str) -> tuple[str, ...]:
    """The spellings of a field of Launch, without dashes; the first is the one we write."""
    return tuple(name for name, target in SYNTAXES[engine].fields.items() if target == field)


def can_change(intent: Intent, field: str) -> bool:
    """Whether the engine has a flag for this field."""
    return bool(flags_of(intent.engine, field))


def changed(intent: Intent, changes: Mapping[str, Any]) -> Intent:
    """The intent with other launch values, in its fields and in its command."""
    words = list(intent.command) or plain_words(intent)
    for field, value in changes.items():
        words = set_flag(words, intent.engine, field, value)
    return dataclasses.replace(intent, launch=dataclasses.replace(intent.launch, **changes), command=tuple(words))


def line(intent: Intent) -> str:
    """The command as it is typed into a shell, with its assignments in front; a model that nobody named is MODEL."""
    words = ["MODEL" if word == UNNAMED else word for word in list(intent.command) or plain_words(intent)]
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
        "llamacpp": ["llama-server", "--model", intent.model],
    }[intent.engine]
    words = [*start, "--port", str(intent.port)]
    for field in (f.name for f in dataclasses.fields(Launch) if can_change(intent, f.name)):
        value = getattr(intent.launch, field)
        if value != getattr(Launch(), field):
            words += _written(flags_of(intent.engine, field)[0], value)
    return words


def set_flag(words: Sequence[str], engine: Engine, field: str, value: object) -> list[str]:
    """Set the flag of a field of Launch; None removes it."""
    return replace_flag(words, flags_of(engine, field), value, SYNTAXES[engine].switches)


def replace_flag(
    words: Sequence[str], names: Sequence[str], value: object, switches: Set[str] = frozenset()
) -> list[str]:
    """Replace a flag in its place, whatever its spelling; put it at the end where there was none. None removes it."""
    kept: list[str] = []
    place = -1
    rest = list(words)
    while rest:
        word = rest.pop(0)
        bare = bare_flag(word.split("=", 1)[0])
        if not word.startswith("-") or bare not in names:
            kept.append(word)
            continue
        place = len(kept) if place < 0 else place
        if "=" not in word and bare not in switches and rest and _is_value(rest[0]):
            rest.pop(0)
    if value is None:
        return kept
    new = _written(names[0], value)
    return [*kept, *new] if place < 0 else [*kept[:place], *new, *kept[place:]]


def _is_value(word: str) -> bool:
    """Also -1, with which several flags ask for the engine's own choice."""
    return not word.startswith("-") or bool(_NUMBER.fullmatch(word))


def stated_flag(words: Sequence[str], *names: str) -> str | None:
    """The value of the last of these flags in a command; "" for one without a value, None when none is there."""
    found = None
    for at, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if word.startswith("-") and bare_flag(flag) in names:
            following = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("-") else ""
            found = value if equals else following
    return found


def with_flags(words: Sequence[str], flags: Sequence[str], engine: Engine) -> list[str]:
    """A command with more flags at its end; what it said before of the same flags is gone."""
    kept = list(words)
    for flag in (f.split("=", 1)[0] for f in flags if f.startswith("-") and not _NUMBER.fullmatch(f)):
        field = SYNTAXES[engine].fields.get(bare_flag(flag))
        kept = replace_flag(kept, flags_of(engine, field) if field else (bare_flag(flag),), None)
    return [*kept, *flags]


def bare_flag(flag: str) -> str:
    """A flag as the engines compare it; `--hf-overrides.text_config` is one of `--hf-overrides`."""
    return flag.lstrip("-").replace("_", "-").partition(".")[0]


def _written(name: str, value: object) -> list[str]:
    if value is True:
        return [f"--{name}"]
    return [f"--{name}", json.dumps(value, separators=(",", ":")) if isinstance(value, Mapping) else str(value)]
