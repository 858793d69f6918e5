"""`engine`, `engine_args`, `command`, `model` -> the intent, read by the same parser as a command line."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from autoglm_doctor.domain.launch_line import flags_of, stated_flag
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.intent import Engine, Intent
from autoglm_doctor.launch import parse_command
from autoglm_doctor.loose.container import image_engine
from autoglm_doctor.loose.device import for_the_cpu, read_device
from autoglm_doctor.loose.model import model_name
from autoglm_doctor.loose.other_engine import other_engine
from autoglm_doctor.loose.values import table, text

_ENGINES: Mapping[str, Engine] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llama.cpp": "llamacpp",
    "llamacpp": "llamacpp",
    "llama-server": "llamacpp",
    "transformers": "transformers",
}
_NAMED = re.compile(
    rf"({'|'.join(map(re.escape, _ENGINES))})\b(?:[-_](?:pascal|p40|p100|volta|v100)\b)?"
    r"(?:\s*(?:==|version)?\s*v?(\d+(?:\.\d+)+[\w.+]*))?",
    re.IGNORECASE,
)
#: "-tp" as well: vLLM and llama.cpp have short ones. A negative number is a value.
_IS_FLAG = re.compile(r"--?[A-Za-z]")
_OWN_BUILD = re.compile(r"\b(?:built|compiled|build|installed)\b.{0,12}\bsource|\bsource build|\beditable\b", re.I)
_START: Mapping[Engine, tuple[str, ...]] = {
    "vllm": ("vllm", "serve"),
    "sglang": ("python3", "-m", "sglang.launch_server", "--model-path"),
    "transformers": ("transformers", "serve"),
    "llamacpp": ("llama-server", "--model"),
}


#: Flags of a server that people state as facts of their own; where engine_args says otherwise, that counts.
_FLAGS = (
    *("trust_remote_code", "max_model_len", "max_num_seqs", "gpu_memory_utilization", "kv_cache_dtype"),
    *("tensor_parallel_size", "pipeline_parallel_size", "enforce_eager", "context_length", "mem_fraction_static"),
)


def named_engine(said: Any) -> tuple[str, str]:
    """Name and version: ("vllm", "0.9.0") of "vllm 0.9.0"; "" for what is not told.

    A build of one's own has its mark, as pip writes one: ("vllm", "0.9.0+source") of "vllm 0.9.0 (built from source)".
    """
    match = _NAMED.match(text(said))
    if match is None:
        return "", ""
    version = match[2] or ""
    own = version and "+" not in version and _OWN_BUILD.search(text(said))
    return _ENGINES[match[1].lower()], f"{version}+source" if own else version


def read_intent(facts: Mapping[str, Any]) -> Intent:
    """What is to run. Flags that cannot be read count as not given.

    Where no engine is named it is plain transformers, which demands the least of a machine, and the most of itself: so
    it is noted where another server was named.
    """
    stated = _command(facts)
    if stated is not None:
        return dataclasses.replace(stated, device="cpu") if for_the_cpu(facts, stated) else stated
    model = model_name(facts)
    words = [*_START[_engine(facts)], model_name({}) if model.startswith("-") else model]  # what begins so is a flag
    for flag in [*_flags(_beside(facts)), *_flags(facts.get("engine_args"))]:
        if _parsed([*words, *flag]) is not None:
            words += flag
    intent = parse_command(words)
    return dataclasses.replace(
        intent,
        stated_by="options",
        device=read_device(facts, intent),
        split_open=not _says_split(intent),
        other_engine=other_engine(facts) if intent.engine == "transformers" else "",
    )


def _beside(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in _FLAGS if name in facts}


def _says_split(intent: Intent) -> bool:
    """Whether the number of GPUs for one copy of the model is among the flags that are stated: they are never all."""
    return stated_flag(intent.command, *flags_of(intent.engine, "tensor_parallel")) is not None


def _command(facts: Mapping[str, Any]) -> Intent | None:
    try:
        words = shlex.split(text(facts.get("command")))
    except ValueError:
        return None
    return _parsed(words) if words else None


def _parsed(words: Sequence[str]) -> Intent | None:
    try:
        return parse_command(words)
    except DoctorError:
        return None


def _engine(facts: Mapping[str, Any]) -> Engine:
    packages = {name.lower() for name in table(facts.get("packages"))}
    # SGLang brought vLLM along until 2025: with both installed it is the one that serves.
    installed = next((name for name in ("sglang", "vllm") if name in packages), "")
    named = named_engine(facts.get("engine"))[0]
    return _ENGINES.get(named or installed or image_engine(facts.get("container"))[0], "transformers")


def _flags(stated: Any) -> list[list[str]]:
    """One list of words for each flag, of an object or of a line."""
    if isinstance(stated, dict):
        return [words for name, value in stated.items() if (words := _flag(str(name), value))]
    try:
        words = shlex.split(" ".join(map(str, stated)) if isinstance(stated, list) else text(stated))
    except ValueError:
        return []
    starts = [at for at, word in enumerate(words) if _IS_FLAG.match(word)]
    return [words[at:end] for at, end in itertools.pairwise([*starts, len(words)])]


def _flag(name: str, value: Any) -> list[str]:
    flag = "--" + name.lstrip("-").replace("_", "-")
    if value is True:
        return [flag]
    if value is None or value is False or (isinstance(value, str) and not value.strip()):
        return []
    return [flag, json.dumps(value) if isinstance(value, (dict, list)) else str(value)]
