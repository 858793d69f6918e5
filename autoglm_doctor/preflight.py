"""One preflight from request to exit code: intent, target, facts, findings, verdict, report."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from autoglm_doctor import __version__, interruption
from autoglm_doctor.endpoint import check_url, served_intent
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import Facts, Reading, fact_names, with_readings
from autoglm_doctor.finding import Finding, Notice, Report, Text
from autoglm_doctor.intent import Device, Engine, Intent, Launch
from autoglm_doctor.interruption import within
from autoglm_doctor.launch import intent_from_options, parse_command, stated_device
from autoglm_doctor.limits import SEARCH_SECONDS
from autoglm_doctor.matrix import Matrix, load_matrix
from autoglm_doctor.options import FinalStage, Options, Weights
from autoglm_doctor.output import Progress, deliver, write_file
from autoglm_doctor.plan import gather, session
from autoglm_doctor.reading import TARGET_FACTS, Saved, assume, load_reading, saved_reading
from autoglm_doctor.registry import Registry, choose, load_checks, matches, validate
from autoglm_doctor.report import NAMES
from autoglm_doctor.runner import facts_needed, run_checks
from autoglm_doctor.target import Choice, choose_interpreter, working_folder
from autoglm_doctor.verdict import decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `check`, as typed by the user."""

    command: tuple[str, ...] = ()
    model: str | None = None
    engine: str | None = None
    profile: str = "autoglm-phone-9b"
    device: str | None = None  # None: what the command says, else cuda
    overrides: Mapping[str, object] = field(default_factory=dict)
    require_model: bool = False
    select: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    checks_dir: Path | None = None
    python: str | None = None
    final_stage: str = "auto"
    endpoint: str | None = None
    weights: str = "checkpoint"
    disk_write: bool = True
    offline: bool = False
    allow_remote_code: bool = False
    allow_download: bool = False
    force: bool = False
    timeout: float = 1.0
    facts: Path | None = None
    assume: str | None = None
    format: str = "terminal"
    out: Path | None = None
    save_facts: Path | None = None
    fail_on: str = "fail"
    redact: bool = True


def preflight(request: Request) -> int:
    """Run a preflight and return its exit code.

    Raises:
        DoctorError: anything that the user has to mend first.
    """
    with _only_the_report_on_stdout():
        report, trouble = _examine(request)
    try:
        deliver(report, request.format, request.out, redact=request.redact)
    except DoctorError as error:
        raise DoctorError(f"{error}; {trouble}" if trouble else str(error)) from error
    if trouble:
        raise DoctorError(trouble)
    return report.verdict.exit_code


@contextlib.contextmanager
def _only_the_report_on_stdout() -> Iterator[None]:
    """A check or a plug-in that prints must not spoil the JSON."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(sys.stderr or nowhere):
        yield


def _examine(request: Request) -> tuple[Report, str]:
    """The report, and what could not be saved beside it ("" when all is well)."""
    started_at, started = datetime.datetime.now(datetime.timezone.utc), time.monotonic()
    _validate(request)
    if request.endpoint and not request.select:
        request = dataclasses.replace(request, select=("INF",))
    saved = load_reading(request.facts) if request.facts else None
    intent = _intent(request, saved)
    facts, interrupted = _read(request, saved, intent, _wanted(request))
    matrix, registry = load_matrix(), load_checks(request.checks_dir)
    if request.assume:
        facts = assume(facts, request.assume, matrix)
        intent = dataclasses.replace(intent, assumed=(request.assume,))
    trouble = _save(request.save_facts, facts, intent, matrix)
    findings = _judge(request, registry, facts, intent, matrix)
    report = Report(
        version=__version__,
        started_at=started_at.isoformat(timespec="seconds"),
        seconds=time.monotonic() - started,
        intent=intent,
        facts=facts,
        matrix_date=matrix.generated,
        findings=findings,
        verdict=decide(
            findings,
            intent,
            facts,
            fail_on_warning=request.fail_on == "warn",
            interrupted=interrupted or interruption.requested(),
            selected=bool(request.select or request.skip),
        ),
        notices=tuple(_notices(registry, intent, saved, matrix)),
    )
    return report, trouble


def _save(path: Path | None, facts: Facts, intent: Intent, matrix: Matrix) -> str:
    """Why the reading could not be saved: told after the report, which must not be lost for it."""
    if path is None:
        return ""
    try:
        write_file(path, saved_reading(facts, intent, matrix))
    except OSError as error:
        return f"--save-facts: {error}"
    return ""


def _wanted(request: Request) -> frozenset[str]:
    """The facts to read. With nothing chosen it is all of them, and the checks can be loaded while probes run."""
    if request.select or request.skip or request.ignore or request.checks_dir:
        registry = load_checks(request.checks_dir)
        validate(registry.checks, request.ignore)
        wanted = facts_needed(choose(registry.checks, request.select, request.skip))
    else:
        wanted = frozenset(fact_names())
    # Which interpreter is judged stands in every report.
    return (wanted | {"interpreter"}) - ({"inference", "serving"} if request.final_stage == "none" else set())


def _judge(request: Request, registry: Registry, facts: Facts, intent: Intent, matrix: Matrix) -> tuple[Finding, ...]:
    checks = choose(registry.checks, request.select, request.skip)
    if facts.inference.outcome == "not_run" and request.final_stage == "none":
        checks = tuple(c for c in checks if not c.code.startswith("INF"))
    findings = run_checks(checks, facts, intent, matrix)
    ignored = {c.code for c in checks if any(matches(c, p) for p in request.ignore)}
    return tuple(dataclasses.replace(f, ignored=f.code in ignored) for f in findings)


def _validate(request: Request) -> None:
    allowed: tuple[tuple[str, str | None, Sequence[str]], ...] = (
        ("--engine", request.engine, get_args(Engine)),
        ("--device", request.device, get_args(Device)),
        ("--final-stage", request.final_stage, get_args(FinalStage)),
        ("--weights", request.weights, get_args(Weights)),
        ("--format", request.format, tuple(NAMES)),
        ("--fail-on", request.fail_on, ("fail", "warn")),
    )
    for option, value, choices in allowed:
        if value is not None and value not in choices:
            raise DoctorError(f"{option}: one of {', '.join(choices)} expected, got {value!r}")
    if request.endpoint is not None:
        _validate_endpoint(request)
    if not 0 < request.timeout < math.inf:
        raise DoctorError("--timeout: a positive factor expected")
    for option, path in (("--out", request.out), ("--save-facts", request.save_facts)):
        if path is not None and not path.parent.is_dir():
            raise DoctorError(f"{option}: there is no folder {path.parent}")  # before the work, not after it
    said = [name for name, value in request.overrides.items() if value is not None]
    if request.command and (said or request.model or request.engine):
        raise DoctorError("a command after `--` says it all; put model and flags there, not before it")


def _validate_endpoint(request: Request) -> None:
    check_url(request.endpoint or "")
    if request.final_stage not in ("auto", "command") or request.facts or request.weights == "random":
        raise DoctorError("--endpoint asks a running server: not with --final-stage, --weights random or --facts")


def _intent(request: Request, saved: Saved | None) -> Intent:
    said = request.model or request.engine or any(v is not None for v in request.overrides.values())
    if request.endpoint:
        return _of_endpoint(request, request.endpoint)
    if request.command:
        intent = parse_command(request.command)
    elif saved and saved.intent and not said:
        intent = saved.intent
    else:
        # The engines' wheels are built for CUDA: on a CPU it is transformers, unless somebody says otherwise.
        gguf = (request.model or "").lower().endswith(".gguf")
        engine: Any = request.engine or ("transformers" if request.device == "cpu" and not gguf else None)
        intent = intent_from_options(
            model=request.model, engine=engine, overrides=request.overrides, profile=request.profile
        )
    device: Any = request.device or stated_device(intent)
    if request.device is None and saved and saved.intent:
        device = saved.intent.device
    return dataclasses.replace(intent, device=device, require_model=request.require_model or intent.require_model)


def _of_endpoint(request: Request, url: str) -> Intent:
    engine: Any = request.engine
    flags: Any = {name: value for name, value in request.overrides.items() if value is not None}
    if {"host", "port"} & set(flags) or request.command:
        raise DoctorError("--endpoint says where the server is: no command, --host or --port beside it")
    return served_intent(url, request.model, engine, Launch(**flags))


def _read(request: Request, saved: Saved | None, intent: Intent, wanted: frozenset[str]) -> tuple[Facts, bool]:
    """The facts: from this machine, from a saved reading, or the machine from there and the packages from here."""
    if saved and not request.python:
        return saved.facts, False
    environ = {**os.environ, **intent.environment}
    choice = _choice(request.python, request.command if not saved else (), environ)
    if request.python and choice.executable is None:
        raise DoctorError(choice.why_not)
    final_stage: Any = request.final_stage
    weights: Any = request.weights
    options = Options(
        interpreter=choice.executable,
        interpreter_why=_why(choice),
        missing_program=None if saved else choice.missing_program,
        programs=os.path.dirname(choice.executable) if request.python and choice.executable else None,
        final_stage=final_stage,
        endpoint=request.endpoint,
        weights=weights,
        disk_write=request.disk_write,
        force=request.force,
        allow_remote_code=request.allow_remote_code,
        allow_download=request.allow_download and not request.offline,
        timeout_scale=request.timeout,
    )
    start, only = Facts(), _ENDPOINT_FACTS if request.endpoint else None

    def warm() -> None:
        """Both are remembered: what the judgement needs is loaded while the probes run."""
        with contextlib.suppress(OSError):  # too few descriptors while probes start: later, then
            load_matrix()
            load_checks(request.checks_dir)

    if saved:
        start, only = _without_target(saved.facts), frozenset({"interpreter", "packages", "torch"})
    with Progress() as progress, session(options, intent, progress.update) as one:
        gathered = gather(wanted, start, intent, options, one, only=only, meanwhile=warm)
    return gathered.facts, gathered.interrupted


def _why(choice: Choice) -> str:
    """Why this one; and what came first in the order but could not be used."""
    if choice.executable is None:
        return choice.why_not
    return f"{choice.chosen_by} ({choice.why_not})" if choice.why_not else choice.chosen_by


#: All that is read for a server that is there already, perhaps on another machine: this one is not judged for it.
_ENDPOINT_FACTS = frozenset({"interpreter", "model_files", "serving"})


def _choice(python: str | None, command: Sequence[str], environ: Mapping[str, str]) -> Choice:
    """The deployment's Python; none when even looking for it gets no answer."""
    try:
        return within(SEARCH_SECONDS, lambda: choose_interpreter(python, command, environ, working_folder()))
    except TimeoutError:
        why = (
            f"looking for the deployment's Python got no answer within {SEARCH_SECONDS:g} s: "
            "PATH or the command leads to a file system that hangs, as a network mount without its server"
        )
        return Choice(executable=None, why_not=why)


def _without_target(facts: Facts) -> Facts:
    """What was read from the old target does not speak for another one."""
    reading: Reading[Any] = Reading(outcome="not_run", why="the machine comes from a saved reading")
    return with_readings(facts, dict.fromkeys(TARGET_FACTS, reading))


def _notices(registry: Registry, intent: Intent, saved: Saved | None, matrix: Matrix) -> list[Notice]:
    notices = [Notice(text=Text("{what}", {"what": trouble})) for trouble in registry.troubles]
    if intent.unknown_flags:
        notices.append(
            Notice(
                text=Text(
                    "flags that this version does not know, not judged: {flags}",
                    {"flags": ", ".join(intent.unknown_flags)},
                )
            )
        )
    if intent.assumed:
        notices.append(Notice(text=Text("assumed, not read: {what}", {"what": ", ".join(intent.assumed)})))
    today = datetime.datetime.now(datetime.timezone.utc).date()
    if matrix.is_old(today):
        old = {"days": matrix.age_days(today)}
        words = "the compatibility matrix is {days} days old: releases since then are not in it; update autoglm-doctor"
        notices.append(Notice(text=Text(words, old)))
    if saved:
        notices.append(Notice(text=Text("judged from a saved reading, not from this machine")))
        if saved.matrix_date and saved.matrix_date != matrix.generated:
            notices.append(
                Notice(
                    text=Text(
                        "the reading was saved with the matrix of {then}, judged with that of {now}",
                        {"then": saved.matrix_date, "now": matrix.generated},
                    )
                )
            )
    return notices
