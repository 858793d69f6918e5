"""Findings on the facts and what an error text means -> causes, the root first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from autoglm_doctor.domain.signatures import Signature, Symptom, fix_for
from autoglm_doctor.finding import Cause, Finding, Fix, Status, Text
from autoglm_doctor.intent import Intent
from autoglm_doctor.verdict import rank

#: Stands in for a check where the words of an error tell the cause.
BY_TEXT = "text"

#: Causes that slow a deployment down or only may stop it, unless the engine itself says that it stopped.
YELLOW = frozenset(
    {"SLOW_MODEL_STORAGE", "CHAT_TEMPLATE_MISSING", "MEMLOCK_LIMIT_LOW", "WSL_LIBCUDA_STUB"}
    | {"P2P_BROKEN_ACS_IOMMU", "P2P_UNRELIABLE_GPU_OR_DRIVER", "ENV_VAR_OVERRIDE_WRONG"}
)

#: What words alone leave likely, and is certain where the facts warn of that very cause: a gateway's answer from this
#: machine beside a proxy that localhost is not spared from.
CONFIRMED = frozenset({"PROXY_INTERCEPTS_LOCALHOST"})

#: One code for faults of many things: facts and words mean the same only where the words name the thing.
_OF_MANY = frozenset({"ENV_VAR_OVERRIDE_WRONG"})

#: How sure each source of a cause is; the lower wins, and at the same height the facts do.
_SURE = {"certain": 0, "likely": 1, "hint": 2}


@dataclass(frozen=True, slots=True)
class Ranked:
    """A cause with the first way out."""

    cause: Cause
    fix: Fix | None


def merge(findings: Sequence[Finding], symptoms: Sequence[Symptom], intent: Intent, folder: str) -> tuple[Ranked, ...]:
    """One line a cause.

    Where the facts only warn and the engine's own words say that it died of that very cause, it is red. A red of the
    facts is certain, a yellow likely. A cause of which both speak leads those of its certainty, then come the facts in
    the order of `verdict.rank`, then the text; what only follows from something else comes last.
    """
    by_facts = rank(findings)
    others = [one for one in symptoms if _is_of_another_thing(one, by_facts, findings)]
    alone, symptoms = others, [one for one in symptoms if one not in others]
    told = {one.signature.cause for one in symptoms}
    died = {s.signature.cause for s in symptoms if s.signature.sure == "certain" and _is_red(s.signature)}
    died |= {s.signature.cause for s in symptoms if s.signature.cause in CONFIRMED and s.signature.sure != "hint"}
    entries: list[tuple[tuple[int, int, int, int], Ranked]] = []
    for place, cause in enumerate(by_facts):
        sure = 0 if cause.status == "fail" else 1
        sure = min(sure, *(_SURE[s.signature.sure] for s in symptoms if s.signature.cause == cause.cause), 2)
        key = (0, sure, 0 if cause.cause in told else 1, place)
        entries.append((key, _of_facts(findings, cause, red=cause.cause in died)))
    known = {cause.cause for cause in by_facts}
    alone += [one for one in symptoms if one.signature.cause not in known]
    for place, one in enumerate(alone):
        key = (int(one.signature.consequence), _SURE[one.signature.sure], 2, place)
        entries.append((key, _by_text(one, intent, folder)))
    return tuple(ranked for _, ranked in sorted(entries, key=lambda entry: entry[0]))


def _is_of_another_thing(symptom: Symptom, causes: Sequence[Cause], findings: Sequence[Finding]) -> bool:
    """The facts blame one variable, and the words speak of another one."""
    row = symptom.signature
    blamed = next((one for one in causes if one.cause == row.cause), None)
    if row.cause not in _OF_MANY or blamed is None:
        return False
    subjects = (f.subject for f in findings if (f.code, f.cause, f.text) == (blamed.check, blamed.cause, blamed.text))
    return not any(subject and subject in f"{symptom.line} {row.meaning}" for subject in subjects)


def _of_facts(findings: Sequence[Finding], cause: Cause, *, red: bool) -> Ranked:
    """With its way out; "it fell off the bus" is told with the GPU that it is about."""
    same = [f for f in findings if (f.code, f.cause, f.status) == (cause.check, cause.cause, cause.status)]
    subject = same[0].subject
    if subject.startswith("gpu:"):
        said = Text("{subject}: " + cause.text.template, {**cause.text.params, "subject": subject})
        cause = dataclasses.replace(cause, text=said)
    status: Status = "fail" if red else cause.status
    return Ranked(dataclasses.replace(cause, status=status), next((f.fixes[0] for f in same if f.fixes), None))


def _is_red(row: Signature) -> bool:
    """A yellow cause is red by its words where they are those of a start that failed or of a refused request."""
    if row.warns:
        return False
    return row.cause not in YELLOW or (row.sure == "certain" and (row.ends_start or row.refuses))


def _by_text(symptom: Symptom, intent: Intent, folder: str) -> Ranked:
    row = symptom.signature
    said = Text("{meaning}: {line}", {"meaning": row.meaning, "line": symptom.line[:200]})
    cause = Cause(cause=row.cause, status="fail" if _is_red(row) else "warn", check=BY_TEXT, text=said)
    return Ranked(cause, fix_for(row, intent, folder, symptom.line))
