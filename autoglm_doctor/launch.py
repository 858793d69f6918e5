"""The very line that the user means to run -> Intent. Our options are flags of such a line, so there is one path."""

from __future__ import annotations

import json
import math
import os.path
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from autoglm_doctor.domain.launch_line import flags_of, set_flag, stated_flag
from autoglm_doctor.engines import SYNTAXES, Syntax
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.intent import SMOKE, Device, Engine, Intent, Launch
from autoglm_doctor.profiles import PROFILES, find_profile

DEFAULT_PROFILE = "autoglm-phone-9b"

#: What `--dtype` takes (vLLM, SGLang and transformers alike).
DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")

#: Words for "the engine's own choice", where there are any (SGLang: -1 switches chunked prefill off).
_ENGINES_CHOICE = {
    "max-model-len": ("auto", "-1"),
    "chunked-prefill-size": ("-1",),
    **dict.fromkeys(("ctx-size", "c"), ("0",)),
    **dict.fromkeys(("parallel", "np"), ("-1",)),
    **dict.fromkeys(("n-gpu-layers", "gpu-layers", "ngl"), ("auto", "-1")),
}

#: Spellings of llama.cpp's `-fa`, which takes no value in older builds (common/arg.cpp, is_truthy and is_falsey).
_FLASH = {
    **dict.fromkeys(("", "1", "true", "enabled"), "on"),
    **dict.fromkeys(("0", "false", "disabled"), "off"),
    "-1": "auto",
}

#: `-ngl all`: more than any model has.
ALL_LAYERS = 9_999

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_FORMS = (
    "vllm serve MODEL, python -m vllm.entrypoints.openai.api_server, python -m sglang.launch_server, transformers "
    "serve, llama-server -m FILE.gguf"
)


def default_intent() -> Intent:
    """Open-AutoGLM's documented deployment."""
    import dataclasses

    intent = parse_command(PROFILES[DEFAULT_PROFILE].command)
    return dataclasses.replace(intent, stated_by="profile")


def intent_from_options(
    *, model: str | None, engine: Engine | None, overrides: Mapping[str, object], profile: str = DEFAULT_PROFILE
) -> Intent:
    """The intent of a call without a command: a profile's documented line, or a plain one, and our options on top.

    `overrides` maps fields of Launch, "host" and "port" to values; None means not given.
    """
    import dataclasses

    given = {name: value for name, value in overrides.items() if value is not None}
    engine = _engine_for(model, engine)
    if model == SMOKE:
        return Intent(model=SMOKE, engine="transformers", stated_by="options")
    known = find_profile(model or profile)
    if model is None and known is None:
        raise DoctorError(f"unknown profile {profile!r}; known: {', '.join(PROFILES)}")
    if known and known.command and engine in (None, "vllm"):
        words = list(known.command)
        if model and find_profile(model) and "/" in model:
            words = set_flag(words, "vllm", "model", model)
    else:
        words = _plain_line(engine or "vllm", model or (known.hub_names[0] if known else ""))
    for name, value in given.items():
        if not flags_of(engine or "vllm", name):
            raise DoctorError(f"{engine or 'vllm'} has no flag for {name.replace('_', ' ')}")
        words = set_flag(words, engine or "vllm", name, value)
    stated_by: Any = "profile" if model is None and engine is None and not given else "options"
    return dataclasses.replace(parse_command(words), stated_by=stated_by)


def _engine_for(model: str | None, engine: Engine | None) -> Engine | None:
    """A GGUF file is llama.cpp's, unless another engine is asked for; and llama.cpp takes nothing else.

    Raises:
        DoctorError: llama.cpp without a GGUF file.
    """
    gguf = model is not None and model.lower().endswith(".gguf")
    if engine == "llamacpp" and not gguf:
        raise DoctorError("llamacpp serves GGUF files: --model FILE.gguf expected")
    return "llamacpp" if gguf and engine is None else engine


def _plain_line(engine: Engine, model: str) -> list[str]:
    if engine == "llamacpp":
        return ["llama-server", "--model", model]
    if engine == "sglang":
        return ["python3", "-m", "sglang.launch_server", "--model-path", model]
    return [engine, "serve", model]


def parse_command(words: Sequence[str]) -> Intent:
    """Read a server's command line.

    Raises:
        DoctorError: no serving engine in it, no model, or a value that the engine would refuse.
    """
    environment, rest = _assignments(words)
    syntax, arguments = _find_engine(rest)
    values, positionals, unknown = _flags(arguments, syntax)
    model = str(values.pop("model", "") or (positionals[0] if positionals and syntax.positional_model else ""))
    if not model:
        raise DoctorError(f"the {syntax.engine} command names no model")
    host = str(values.pop("host", syntax.default_host))
    port = int(values.pop("port", syntax.default_port))
    profile = find_profile(model)
    return Intent(
        model=model,
        engine=syntax.engine,
        profile=profile.name if profile else "",
        launch=Launch(**values),
        host=host,
        port=port,
        command=tuple(words),
        environment=environment,
        stated_by="command",
        unknown_flags=tuple(unknown),
    )


def stated_device(intent: Intent) -> Device:
    """Where a command puts the model; the engines' default is a GPU, that of llama.cpp the best there is.

    llama.cpp calls its GPUs by name after `--device` ("CUDA0"), and "none" is the CPU.
    """
    said = stated_flag(intent.command, "device", "dev")
    if said in ("cpu", "none"):
        return "cpu"
    return "auto" if intent.engine == "llamacpp" and not said and not intent.launch.gpu_layers else "cuda"


def _assignments(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Leading `VAR=value` words, with or without `env`."""
    rest = list(words)
    found = {}
    while rest and (rest[0] == "env" or _ASSIGNMENT.match(rest[0])):
        word = rest.pop(0)
        if word != "env":
            name, _, value = word.partition("=")
            found[name] = value
    return found, rest


def _find_engine(words: Sequence[str]) -> tuple[Syntax, list[str]]:
    for syntax in SYNTAXES.values():
        for i, word in enumerate(words):
            following = words[i + 1] if i + 1 < len(words) else ""
            if word == "-m" and following in syntax.modules:
                start = i + 3 if words[i + 2 : i + 3] == ["serve"] else i + 2
                return syntax, list(words[start:])
            if syntax.programs.get(os.path.basename(word)) == ():
                return syntax, list(words[i + 1 :])
            if following in syntax.programs.get(os.path.basename(word), ()):
                return syntax, list(words[i + 2 :])
    raise DoctorError(f"no serving command after `--`: {' '.join(words)[:80]!r}. Understood: {_FORMS}")


def _bare(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-")


def _flags(words: Sequence[str], syntax: Syntax) -> tuple[dict[str, Any], list[str], list[str]]:
    values: dict[str, Any] = {}
    positionals: list[str] = []
    unknown: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            positionals.append(word)
            continue
        flag, equals, value = word.partition("=")
        if equals and syntax.engine == "llamacpp":  # takes values as a word of their own only
            unknown.append(flag + equals)
            continue
        name, _, key = _bare(flag).partition(".")  # vLLM: --limit-mm-per-prompt.image 10
        if name in syntax.switches:
            values |= {syntax.fields[name]: True} if name in syntax.fields else {}
            continue
        if not equals and rest and (not rest[0].startswith("-") or _is_number(rest[0])):
            value = rest.pop(0)
        if name in syntax.fields:
            _store(values, syntax.fields[name], value, flag, key)
        elif name not in syntax.known:
            unknown.append(flag)
    return values, positionals, unknown


def _is_number(word: str) -> bool:
    return bool(re.fullmatch(r"-\d+(\.\d+)?", word))


def _store(values: dict[str, Any], field: str, value: str, flag: str, key: str) -> None:
    if field in ("limit_mm_per_prompt", "mm_processor_kwargs"):
        new = {key: _json_or_word(value)} if key else _mapping(value, flag)
        if field == "limit_mm_per_prompt":
            new = {name: _count(item, flag) for name, item in new.items()}
        values[field] = {**values.get(field, {}), **new}
    elif field in ("model", "host"):
        values[field] = value
    elif value in _ENGINES_CHOICE.get(_bare(flag), ()):
        values.pop(field, None)  # the last flag wins, and this one asks for nothing
    else:
        values[field] = _sensible(field, _convert(field, value, flag), flag, value)


def _convert(field: str, value: str, flag: str) -> Any:
    if field == "gpu_layers" and value == "all":
        return ALL_LAYERS
    if field == "flash_attn":
        return _FLASH.get(value.lower(), value)
    names = "int" if field == "port" else str(get_type_hints(Launch)[field])
    if "int" in names:
        return _integer(value, flag)
    if "float" in names:
        try:
            return float(value)
        except ValueError:
            raise DoctorError(f"{flag}: a number expected, got {value!r}") from None
    return value


def _sensible(field: str, found: Any, flag: str, value: str) -> Any:
    """A value that an engine can start with; written so that nan is none.

    Raises:
        DoctorError: every engine refuses it, so judging the rest would be beside the point.
    """
    if field == "dtype":
        if found not in DTYPES:
            raise DoctorError(f"{flag}: one of {', '.join(DTYPES)} expected, got {value!r}")
    elif field == "gpu_memory_utilization":
        if not 0 < found <= 1:
            raise DoctorError(f"{flag}: a share above 0 and up to 1 expected, got {value!r}")
    elif field == "cpu_offload_gib":
        if not 0 <= found < math.inf:
            raise DoctorError(f"{flag}: 0 or more GiB expected, got {value!r}")
    elif field == "port":
        if not 1 <= found <= 65535:
            raise DoctorError(f"{flag}: a port from 1 to 65535 expected, got {value!r}")
    elif isinstance(found, int) and found < (field != "gpu_layers"):
        raise DoctorError(f"{flag}: 1 or more expected, got {value!r}")
    return found


def _integer(value: str, flag: str) -> int:
    """Whole numbers as vLLM takes them: 1k is 1,000 and 1K is 1,024 (vllm/engine/arg_utils.py, human_readable_int)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG]?)", value)
    if not match:
        raise DoctorError(f"{flag}: a whole number expected, got {value!r}")
    factor = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}[match[2]]
    return int(float(match[1]) * factor)


def _mapping(value: str, flag: str) -> dict[str, Any]:
    """A JSON object, or the older `image=10,video=0`."""
    try:
        data = json.loads(value)
    except ValueError:
        pairs = [item.partition("=") for item in value.split(",")]
        if not all(equals for _, equals, _ in pairs):
            raise DoctorError(f"{flag}: a JSON object expected, got {value!r}") from None
        return {name.strip(): _json_or_word(item) for name, _, item in pairs}
    if not isinstance(data, dict):
        raise DoctorError(f"{flag}: a JSON object expected, got {value!r}")
    return data


def _json_or_word(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _count(item: Any, flag: str) -> int:
    """Items per prompt: a number, or {"count": 10, ...} since vLLM 0.11."""
    number = item.get("count", 999) if isinstance(item, dict) else item
    if not isinstance(number, int):
        raise DoctorError(f"{flag}: a number of items expected, got {item!r}")
    return number
