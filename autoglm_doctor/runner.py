"""Facts + intent + matrix -> findings. Pure: the same reading gives the same findings anywhere."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
import traceback
import types
import typing
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

from autoglm_doctor.api import Check
from autoglm_doctor.domain import native
from autoglm_doctor.domain.managed import into_environment
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import Facts, Reading, fact_names
from autoglm_doctor.finding import Finding, Judgement, Text
from autoglm_doctor.intent import Intent
from autoglm_doctor.interruption import cpu_limit
from autoglm_doctor.limits import CHECK_CPU_SECONDS
from autoglm_doctor.matrix import Matrix
from autoglm_doctor.wording import render

#: Of one check: a GPU, a shard or a package each, and far from what a report can hold.
MOST_JUDGEMENTS = 10_000

#: Parameters that are no facts and always there.
CONTEXT = ("intent", "matrix")

#: Codes that may explain one finding; None: those of its check.
_Roots = tuple[str, ...] | None

Kind = Literal["value", "optional", "reading", "context"]


@dataclass(frozen=True, slots=True)
class Need:
    """One parameter of a check."""

    name: str
    kind: Kind


@functools.cache
def needs(check: Check) -> tuple[Need, ...]:
    """What a check asks for, from its signature alone.

    Raises:
        DoctorError: a parameter is neither a fact nor part of the context.
    """
    hints = typing.get_type_hints(check.function)
    hints.pop("return", None)
    names = check.function.__code__.co_varnames[: check.function.__code__.co_argcount]
    found = []
    for name in names:
        if name in CONTEXT:
            found.append(Need(name, "context"))
        elif name in fact_names():
            found.append(Need(name, _kind(hints.get(name))))
        else:
            raise DoctorError(f"check {check.code}: there is no fact {name!r}; facts: {', '.join(fact_names())}")
    return tuple(found)


def _kind(hint: Any) -> Kind:
    if typing.get_origin(hint) is Reading:
        return "reading"
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return "optional" if is_union and type(None) in typing.get_args(hint) else "value"


def facts_needed(checks: Iterable[Check]) -> frozenset[str]:
    """The facts that these checks look at: only their probes have to run."""
    return frozenset(need.name for check in checks for need in needs(check) if need.kind != "context")


def run_checks(checks: Sequence[Check], facts: Facts, intent: Intent, matrix: Matrix) -> tuple[Finding, ...]:
    """Judge. Checks run in the order of their explanations; findings come back in the order of `checks`."""
    found: dict[str, tuple[Finding, ...]] = {}
    would_be_red: set[str] = set()
    for check in _roots_first(checks):
        judged = _run_one(check, facts, intent, matrix)
        if any(finding.status == "fail" for finding, _ in judged):
            would_be_red.add(check.code)
        found[check.code] = tuple(_explained(one, check, roots, found, would_be_red) for one, roots in judged)
    return tuple(finding for check in checks for finding in found[check.code])


def _roots_first(checks: Sequence[Check]) -> list[Check]:
    """Topological order over `explained_by`; a circle is a mistake of the checks and only loses the order."""
    by_code = {check.code: check for check in checks}
    ordered: dict[str, Check] = {}
    under_way: set[str] = set()

    def visit(check: Check) -> None:
        if check.code in ordered or check.code in under_way:
            return
        under_way.add(check.code)
        for code in (*check.explained_by, *check.left_open_by):
            if code in by_code:
                visit(by_code[code])
        ordered[check.code] = check

    for check in checks:
        visit(check)
    return list(ordered.values())


def _run_one(check: Check, facts: Facts, intent: Intent, matrix: Matrix) -> tuple[tuple[Finding, _Roots], ...]:
    """The findings, each with what may explain it where that is less than the check says."""
    started = time.perf_counter()
    gap = native.gap(check.code, intent)
    if gap is not None:
        return ((_finding(check, Judgement(status="not_applicable", text=gap), 0.0), None),)
    try:
        arguments, obstacle = _bind(check, facts, {"intent": intent, "matrix": matrix})
        if obstacle is not None:
            return ((obstacle, None),)
        with cpu_limit(CHECK_CPU_SECONDS):
            judgements = list(itertools.islice(check.function(**arguments), MOST_JUDGEMENTS + 1))
            if not 0 < len(judgements) <= MOST_JUDGEMENTS:
                raise ValueError(
                    "the check said nothing" if not judgements else f"more than {MOST_JUDGEMENTS} findings"
                )
            judgements = [_for_its_python(judgement, facts, intent) for judgement in judgements]
            for judgement in judgements:
                _speak(judgement)
    # A broken check, ours or a plug-in's, costs one line and never the report; sys.exit() is one more way to break.
    except (Exception, SystemExit) as error:
        return ((_broken(check, error), None),)
    seconds = time.perf_counter() - started
    return tuple((_finding(check, judgement, seconds), judgement.explained_by) for judgement in judgements)


def _for_its_python(judgement: Judgement, facts: Facts, intent: Intent) -> Judgement:
    """Install lines as the deployment's Python takes them: a distribution's own takes none (PEP 668)."""
    python = facts.interpreter.value
    if not judgement.fixes or python is None or not python.externally_managed:
        return judgement
    fixes = tuple(into_environment(fix, intent.engine, python) for fix in judgement.fixes)
    return dataclasses.replace(judgement, fixes=fixes)


def _speak(judgement: Judgement) -> None:
    """Render everything once: a template that cannot be rendered is the check's fault, and must not cost the report."""
    render(judgement.text)
    for fix in judgement.fixes:
        render(fix.text)


def _bind(check: Check, facts: Facts, context: Mapping[str, Any]) -> tuple[dict[str, Any], Finding | None]:
    arguments: dict[str, Any] = {}
    for need in needs(check):
        if need.kind == "context":
            arguments[need.name] = context[need.name]
            continue
        reading: Reading[Any] = getattr(facts, need.name)
        if need.kind == "value" and reading.outcome != "known":
            return {}, _obstacle(check, need.name, reading)
        arguments[need.name] = reading if need.kind == "reading" else reading.value
    return arguments, None


def _obstacle(check: Check, fact: str, reading: Reading[Any]) -> Finding:
    """No value: what is absent skips its dependants, what we could not read makes them unknown."""
    absent = reading.outcome == "absent"
    why = reading.why or ("not there" if absent else f"reading it ended as {reading.outcome}")
    template = "{fact}: {why}" if absent else "could not be judged, {fact} is not known: {why}"
    return _finding(
        check,
        Judgement(status="skipped" if absent else "unknown", text=Text(template, {"fact": words(fact), "why": why})),
        0.0,
        because=fact,
    )


def words(fact: str) -> str:
    """A fact as a reader calls it."""
    special = {"gpus": "GPUs", "cuda": "CUDA", "pci_gpus": "PCI devices", "torch_run": "torch at work"}
    return special.get(fact, fact.replace("_", " "))


def _broken(check: Check, error: BaseException) -> Finding:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return _finding(
        check,
        Judgement(
            status="error",
            text=Text(
                "the check itself failed ({error}); please report it",
                {"error": f"{type(error).__name__}: {error}"},
            ),
            evidence={"file": where.filename.rsplit("/", 1)[-1], "line": where.lineno},
        ),
        0.0,
    )


def _finding(check: Check, judgement: Judgement, seconds: float, because: str = "") -> Finding:
    bad = judgement.status in ("warn", "fail")
    return Finding(
        code=check.code,
        name=check.name,
        title=check.title,
        status=judgement.status,
        required=check.required,
        text=judgement.text,
        subject=judgement.subject,
        cause=(judgement.cause or check.cause) if bad else "",
        observed=judgement.observed,
        expected=judgement.expected,
        threshold=judgement.threshold,
        evidence=judgement.evidence,
        fixes=judgement.fixes,
        because=because,
        seconds=round(seconds, 6),
    )


def _explained(
    finding: Finding, check: Check, roots: _Roots, found: Mapping[str, tuple[Finding, ...]], would_be_red: Set[str]
) -> Finding:
    """One root cause, one red: a red or open finding that another red explains is only skipped.

    An explanation is passed on by a check that was skipped itself. To silence a red it must have been red on its own:
    a question that merely could not be asked (no GPU, so no engine for it) explains no fault that was found.
    """
    if finding.status not in ("fail", "unknown", "warn", "skipped"):
        return finding
    explained_by = check.explained_by if roots is None else roots
    for code in (*explained_by, *(check.left_open_by if finding.status == "unknown" else ())):
        for root in found.get(code, ()):
            same = not root.subject or not finding.subject or root.subject == finding.subject
            if root.status == "fail" and same:
                return _skip(finding, root.code)
            passed_on = finding.status != "fail" or code in would_be_red
            if root.status == "skipped" and root.because in found and same and passed_on:
                return _skip(finding, root.because)
    return finding


def _skip(finding: Finding, root: str) -> Finding:
    return dataclasses.replace(
        finding,
        status="skipped",
        cause="",
        fixes=(),
        because=root,
        text=Text("not judged: {root} explains it", {"root": root}),
    )
