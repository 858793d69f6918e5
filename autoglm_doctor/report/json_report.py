"""The JSON format, version 1: written by hand from `Report`, described by schema.json.

Internal types may change; what stands here is a promise to programs.
"""

from __future__ import annotations

import json
from typing import Any

from autoglm_doctor.finding import Cause, Finding, Fix, Report, Verdict
from autoglm_doctor.jsonio import encode
from autoglm_doctor.redact import Redactor
from autoglm_doctor.wording import render as words

SCHEMA_VERSION = 1


def render(report: Report, *, redactor: Redactor | None, width: int = 0, color: bool = False) -> str:  # noqa: ARG001
    """The report as one JSON object; ASCII only, so that no console's encoding can break it."""
    data = _report(report)
    if redactor is not None:
        data = redactor.data(data)
    data["redaction"] = {
        "applied": redactor is not None,
        "rules_hit": dict(sorted(redactor.hits.items())) if redactor else {},
    }
    return json.dumps(data, indent=2) + "\n"


def _report(report: Report) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for finding in report.findings:
        counts[finding.status] = counts.get(finding.status, 0) + 1
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "autoglm-doctor", "version": report.version},
        "run": {"started_at": report.started_at, "seconds": round(report.seconds, 3)},
        "intent": encode(report.intent),
        "matrix_date": report.matrix_date,
        "facts": encode(report.facts),
        "results": [_result(finding) for finding in report.findings],
        "counts": counts,
        "verdict": _verdict(report.verdict),
        "notices": [words(notice.text) for notice in report.notices],
    }


def _result(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "title": finding.title,
        "status": finding.status,
        "required": finding.required,
        "cause": finding.cause or None,
        "subject": finding.subject or None,
        "text": words(finding.text),
        "observed": encode(finding.observed),
        "expected": encode(finding.expected),
        "threshold": encode(finding.threshold),
        "evidence": encode(finding.evidence),
        "fix": [_fix(fix) for fix in finding.fixes],
        "because": finding.because or None,
        "ignored": finding.ignored,
        "seconds": finding.seconds,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "text": words(fix.text),
        "commands": list(fix.commands),
        "effort": fix.effort,
        "needs_root": fix.needs_root,
        "reboot": fix.reboot,
        "reversible": fix.reversible,
        "url": fix.url or None,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "status": verdict.status,
        "exit_code": verdict.exit_code,
        "text": words(verdict.text),
        "causes": [_cause(cause) for cause in verdict.causes],
        "first_fix": _fix(verdict.first_fix) if verdict.first_fix else None,
        "not_covered": [words(text) for text in verdict.not_covered],
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {"cause": cause.cause, "status": cause.status, "check": cause.check, "summary": words(cause.text)}
