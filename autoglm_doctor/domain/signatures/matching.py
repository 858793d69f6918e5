"""Which rows of the table a text holds, and which of them is the root."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from autoglm_doctor.domain.signatures.details import details
from autoglm_doctor.domain.signatures.lines import (
    clean,
    goes_on,
    is_no_fault,
    is_progress,
    is_source,
    may_be_a_warning,
    split,
)
from autoglm_doctor.domain.signatures.prefilter import may_match, words_needed
from autoglm_doctor.domain.signatures.row import Signature
from autoglm_doctor.domain.signatures.table import TABLE
from autoglm_doctor.facts import Failure

_RANK = {"certain": 0, "likely": 1, "hint": 2}
#: Of lines around the one that a row means.
_AROUND = tuple({text: None for row in TABLE for text in (row.after, row.unless) if text})
_QUIET = ("DEBUG", "INFO", "WARNING")
#: No message is read further than this: patterns with gaps take their time on a line of a megabyte.
_LONGEST = 2000


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """At its first use: a run that reads no log compiles none of some hundreds."""
    return re.compile(pattern, re.IGNORECASE)


_words = functools.cache(words_needed)


@dataclass(frozen=True, slots=True)
class Symptom:
    """A line of a log and what it means."""

    signature: Signature
    line: str  # without the prefix of the log, 500 characters

    @property
    def details(self) -> dict[str, str]:
        """Its figures and names: how much memory, on which GPU, which symbol ..."""
        return details(self.line)


@dataclass(slots=True)
class Matcher:
    """Reads a log line by line; what earlier lines said decides between rows."""

    engine: str = ""
    _seen: set[str] = field(default_factory=set)  # patterns of `after` and `unless` that were found

    def notice(self, line: str) -> None:
        """Take a line for context only."""
        line = line[:_LONGEST]
        small = line.lower()
        for text in _AROUND:
            if text not in self._seen and may_match(small, _words(text)) and _compiled(text).search(line):
                self._seen.add(text)

    def rules_out(self, row: Signature) -> bool:
        """Whether a line so far tells that it is something else."""
        return row.unless in self._seen

    def read(self, line: str) -> Signature | None:
        """The row that this line means; None: none. A line that says it is no error is none."""
        line = line[:_LONGEST]
        self.notice(line)
        level, message = split(line)
        if level in ("DEBUG", "INFO") or is_progress(line) or is_no_fault(message) or is_source(message):
            return None
        if level != "ERROR" and goes_on(message):
            return None
        return self._first(message, warning=level in _QUIET)

    def _first(self, message: str, *, warning: bool) -> Signature | None:
        small = message.lower()
        for row in TABLE:
            if not may_match(small, _words(row.pattern)):
                continue
            if warning and not row.in_warnings:
                continue
            if row.engines and (self.engine or row.engine_known) and self.engine not in row.engines:
                continue
            if (row.after and row.after not in self._seen) or self.rules_out(row):
                continue
            if _compiled(row.pattern).search(message) and (row.when is None or row.when(message)):
                return row
        return None


def symptoms_of(lines: Iterable[str], engine: str = "") -> tuple[Symptom, ...]:
    """What a log or an error text says is wrong, each cause once, the root first.

    What only follows from something else comes last, and before it what may have been a mere warning; among the others
    certain rows come before likely ones and hints, and earlier lines before later ones. A warning of a start that goes
    on is no symptom.
    """
    matcher = Matcher(engine)
    found: list[tuple[int, int, int, int, Symptom]] = []
    for number, line in enumerate(part for text in lines for part in text.split("\n")):
        text = clean(line)
        row = matcher.read(text)
        if row is not None:
            symptom = Symptom(row, split(text)[1].strip()[:500])
            doubtful = int(may_be_a_warning(text))
            found.append((int(row.consequence), doubtful, _RANK[row.sure], number, symptom))
    causes: dict[str, Symptom] = {}
    for *_, symptom in sorted(found, key=lambda entry: entry[:4]):
        if not matcher.rules_out(symptom.signature):
            causes.setdefault(symptom.signature.cause, symptom)
    return tuple(causes.values())


def recognise(failure: Failure) -> Signature | None:
    """The first row whose pattern is found in the exception's name and message; None: not in the table."""
    said = f"{failure.exception}: {failure.message}"
    rows = (r for r in TABLE if not r.engines and not r.consequence and not r.after)
    found = (r for r in rows if re.search(r.pattern, said, re.IGNORECASE | re.DOTALL))
    fitting = (r for r in found if not (r.unless and re.search(r.unless, said, re.IGNORECASE)))
    return next((r for r in fitting if r.when is None or r.when(said)), None)
