"""One input -> its causes, by the checks that judge a machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from autoglm_doctor.api import Check
from autoglm_doctor.domain.signatures import symptoms_of
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import SCHEMA, Facts
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.jsonio import decode
from autoglm_doctor.loose.image_start import without_refuted
from autoglm_doctor.loose.module_log import machine_words
from autoglm_doctor.loose.ranking import Ranked, merge
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.loose.wheel_tags import symptoms_of_tags
from autoglm_doctor.loose.wheel_words import symptoms_of_wheels
from autoglm_doctor.loose.word_facts import by_facts
from autoglm_doctor.matrix import Matrix
from autoglm_doctor.reading import Saved
from autoglm_doctor.report.diagnose_types import Diagnosis
from autoglm_doctor.runner import run_checks

#: They conclude from a thing that a list does not hold, and a list of stated packages is never the whole one.
ON_ABSENCE = frozenset({"ENG001"})

#: What such a finding observed, in checks that conclude other things as well.
NOT_THERE = "not installed"


def diagnose(name: str, data: Any, checks: Sequence[Check], matrix: Matrix) -> Diagnosis:
    """Judge loose facts, a saved reading or a report; `symptom` beside them is an error text.

    Raises:
        DoctorError: no object, or neither facts nor a symptom in it.
    """
    facts, intent, is_loose = _read(data, matrix)
    findings: Iterable[Finding] = run_checks(
        [c for c in checks if not is_loose or c.code not in ON_ABSENCE], facts, intent, matrix
    )
    if is_loose:
        findings = (f for f in findings if f.observed != NOT_THERE)
    symptom = data.get("symptom")
    text = symptom if isinstance(symptom, str) else ""
    # What the text alone does not tell comes after what it does.
    stated = _stated(data) if is_loose else {}
    said = symptoms_of([text, machine_words(stated)], _speaker(stated, intent))
    symptoms = by_facts(said, text, facts, intent, str(stated.get("container", "")))
    told = {one.signature.cause for one in symptoms}
    wheels = (*symptoms_of_tags(text, stated, facts), *symptoms_of_wheels(text, facts.driver.value, matrix))
    symptoms = (*symptoms, *(one for one in wheels if one.signature.cause not in told))
    findings = without_refuted(findings, symptoms)
    folder = facts.model_files.value.path if facts.model_files.value else intent.model
    return _diagnosis(name, merge(tuple(findings), symptoms, intent, folder))


def _speaker(stated: dict[str, Any], intent: Intent) -> str:
    """The engine whose words a text holds; "" where plain transformers is only what is assumed without one."""
    names = f"{stated.get('engine')} {stated.get('command')}".lower()
    return "" if intent.engine == "transformers" and stated and "transformers" not in names else intent.engine


def _stated(data: dict[str, Any]) -> dict[str, Any]:
    """The facts; they may stand below a key of their own, beside an error text.

    Raises:
        DoctorError: they are no object.
    """
    stated = data.get("facts", {} if "symptom" in data else data)
    if not isinstance(stated, dict):
        raise DoctorError("facts: a JSON object expected")
    return stated


def _diagnosis(name: str, ranked: Sequence[Ranked]) -> Diagnosis:
    statuses = {one.cause.status for one in ranked}
    status: Literal["fail", "warn", "pass"] = "fail" if "fail" in statuses else "warn" if statuses else "pass"
    return Diagnosis(
        input=name,
        status=status,
        causes=tuple(one.cause for one in ranked),
        fixes=tuple(one.fix for one in ranked),
    )


def _read(data: Any, matrix: Matrix) -> tuple[Facts, Intent, bool]:
    if not isinstance(data, dict):
        raise DoctorError("a JSON object expected")
    stated = _stated(data)
    if isinstance(stated.get("schema"), int):
        saved = decode(Saved, data)
        if saved.facts.schema > SCHEMA:
            raise DoctorError(f"written by a newer autoglm-doctor (schema {saved.facts.schema})")
        return saved.facts, saved.intent or read_facts({}, matrix)[1], False
    return (*read_facts(stated, matrix), True)
