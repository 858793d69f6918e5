"""What a check concludes and what the report is made of: plain frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from autoglm_doctor.facts import Facts
from autoglm_doctor.intent import Intent

Status = Literal["pass", "warn", "fail", "unknown", "not_applicable", "skipped", "error"]

#: Red first: the order of the report.
STATUS_ORDER: tuple[Status, ...] = ("fail", "error", "unknown", "warn", "pass", "skipped", "not_applicable")

Effort = Literal["flag", "setting", "install", "restart", "reboot", "hardware"]
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Text:
    """A template and its parameters, rendered by a report.

    Fields are `{name}` or `{name:UNIT}` with UNIT one of GiB, MiB, GB, MB/s, percent, count, s, ms
    (see wording.py). Keeping the two apart lets a translation be a catalogue that never touches a check.
    """

    template: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A way out that can be pasted. `commands` are complete lines; no prose in them."""

    text: Text
    commands: tuple[str, ...] = ()
    effort: Effort = "setting"
    needs_root: bool = False
    reboot: bool = False
    reversible: bool = True
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The number that decided, and who says so."""

    value: Scalar
    unit: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a check yields. Made by the functions of `api`, which demand a fix for what is red or yellow."""

    status: Status
    text: Text
    subject: str = ""  # "gpu:0", a package, a path; "" when there is only one
    cause: str = ""  # overrides the check's default cause code
    observed: Scalar = None
    expected: Scalar = None
    threshold: Threshold | None = None
    evidence: Mapping[str, Scalar] = field(default_factory=dict)
    fixes: tuple[Fix, ...] = ()  # best first
    explained_by: tuple[str, ...] | None = None  # those of the check's that can be the root of this; None: all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A judgement with the check that made it."""

    code: str
    name: str
    title: str
    status: Status
    required: bool
    text: Text
    subject: str = ""
    cause: str = ""
    observed: Scalar = None
    expected: Scalar = None
    threshold: Threshold | None = None
    evidence: Mapping[str, Scalar] = field(default_factory=dict)
    fixes: tuple[Fix, ...] = ()
    because: str = ""  # code of the check, or name of the fact, that explains a skipped or unknown one
    ignored: bool = False  # shown, but the user asked not to count it
    seconds: float = 0.0


VerdictStatus = Literal["ready", "not_ready", "incomplete", "warnings", "nothing_ran", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A cause in the ranking of the verdict; the first one is the root."""

    cause: str
    status: Status
    check: str
    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One answer for people, programs and the shell."""

    status: VerdictStatus
    exit_code: int
    text: Text
    causes: tuple[Cause, ...] = ()
    first_fix: Fix | None = None
    not_covered: tuple[Text, ...] = ()  # what a "ready" does not say: weights not here, model not run


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the user should know about this run itself: a plug-in that does not load, an assumed fact."""

    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a format needs; every format prints the same facts, findings and verdict."""

    version: str
    started_at: str  # ISO 8601, UTC
    seconds: float
    intent: Intent
    facts: Facts
    matrix_date: str
    findings: tuple[Finding, ...]
    verdict: Verdict
    notices: tuple[Notice, ...] = ()
