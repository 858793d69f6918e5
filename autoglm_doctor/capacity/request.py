"""The options of `plan`, and the intent that they state."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.launch_line import with_flags
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Engine, Intent
from autoglm_doctor.interruption import within
from autoglm_doctor.launch import intent_from_options, parse_command
from autoglm_doctor.limits import SEARCH_SECONDS
from autoglm_doctor.reading import Saved

#: A config.json of more bytes than this is none.
CONFIG_BYTES = 16 << 20

FORMATS = ("terminal", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `plan`, as typed by the user."""

    command: tuple[str, ...] = ()  # after `--`: a whole command, or flags alone
    cards: tuple[str, ...] = ()  # before it, with --compare
    compare: bool = False
    model: str | None = None
    config: Path | None = None
    engine: str | None = None  # "vllm" or "vllm==0.19.0"
    profile: str = "autoglm-phone-9b"
    overrides: Mapping[str, object] = field(default_factory=dict)
    gpu: str | None = None
    vram: str | None = None
    gpus: int | None = None
    facts: Path | None = None
    python: str | None = None
    tokens: int | None = None
    explain: bool = False
    timeout: float = 1.0
    format: str = "terminal"
    out: Path | None = None
    redact: bool = True


def validate(request: Request) -> None:
    """Refuse what makes no sense before any work.

    Raises:
        DoctorError: with the option.
    """
    if request.format not in FORMATS:
        raise DoctorError(f"--format: one of {', '.join(FORMATS)} expected, got {request.format!r}")
    for option, value in (("--gpus", request.gpus), ("--tokens", request.tokens)):
        if value is not None and value < 1:
            raise DoctorError(f"{option}: 1 or more expected, got {value}")
    if request.out is not None and not request.out.parent.is_dir():
        raise DoctorError(f"--out: there is no folder {request.out.parent}")
    if request.cards and not request.compare:
        raise DoctorError(f"{request.cards[0]!r}: a command goes behind `--`, the names of GPUs behind --compare")
    if request.compare and not request.cards:
        raise DoctorError('--compare: names of GPUs expected, as in --compare "RTX 4090" L40S')
    if request.model and request.config:
        raise DoctorError("--model and --config: one of them expected")


def engine_and_version(request: Request) -> tuple[Engine | None, str | None]:
    """`vllm==0.19.0` in its parts.

    Raises:
        DoctorError: no engine that we know, or no version.
    """
    if request.engine is None:
        return None, None
    name, equals, version = request.engine.partition("==")
    if name not in get_args(Engine):
        raise DoctorError(f"--engine: one of {', '.join(get_args(Engine))} expected, got {name!r}")
    try:
        Version(version if equals else "0")
    except InvalidVersion:
        raise DoctorError(f"--engine: a version such as {name}==0.19.0 expected, got {version!r}") from None
    engine: Any = name
    return engine, version if equals else None


def state_intent(request: Request, saved: Saved | None) -> Intent:
    """What is to run: the command, or the options, a profile's line and flags on top.

    Raises:
        DoctorError: it cannot be read, or says two different things.
    """
    engine, _ = engine_and_version(request)
    words = request.command
    whole = bool(words) and not words[0].startswith("-")
    said = [name for name, value in request.overrides.items() if value is not None]
    if whole:
        if said or request.model:
            raise DoctorError("a command after `--` says it all; put model and flags there, not before it")
        intent = parse_command(words)
        if engine not in (None, intent.engine):
            raise DoctorError(f"--engine: the command starts {intent.engine}, not {engine}")
        return intent
    if saved and saved.intent and not (said or request.model or request.config or engine):
        base = saved.intent
    else:
        model = request.model or (_name_of(request.config) if request.config else None)
        base = intent_from_options(model=model, engine=engine, overrides=request.overrides, profile=request.profile)
    if not words:
        return base
    intent = parse_command(with_flags(base.command, words, base.engine))
    return dataclasses.replace(intent, stated_by="options")


def _name_of(config: Path) -> str:
    """A model is started by its folder."""
    return str(config.parent) if config.name == "config.json" else str(config)


def read_config(path: Path) -> ModelFiles:
    """A config.json alone, with the preprocessor's beside it.

    Raises:
        DoctorError: it cannot be read, or is no JSON object.
    """
    try:
        config = within(SEARCH_SECONDS, lambda: _load(path))
    except TimeoutError:
        raise DoctorError(f"--config: {path} gives no answer, as on a network mount without its server") from None
    except OSError as error:
        raise DoctorError(f"--config: {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DoctorError(f"--config: {path} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise DoctorError(f"--config: {path} is no JSON object")
    try:
        beside = within(SEARCH_SECONDS, lambda: _load(path.with_name("preprocessor_config.json")))
    except (OSError, ValueError, RecursionError):
        beside = None
    return ModelFiles(
        path=str(path), found_by="config", config=config, preprocessor=beside if isinstance(beside, dict) else None
    )


def _load(path: Path) -> Any:
    from autoglm_doctor.probes.regular import open_regular

    with open_regular(path) as stream:
        return json.loads(stream.read(CONFIG_BYTES))
