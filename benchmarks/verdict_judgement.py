"""Who is right: one rule for two doctors, from what they wrote and their exit codes.

A machine that runs: right is who says nothing red and lets it pass. One that fails: right is who names the fault and
does not let it pass. Half right is who says one thing and ends with the exit code of the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from benchmarks.verdict_rows import Row

#: Lines in which env-doctor judges something; what it also says of the control machine does not count.
JUDGING = re.compile(r"❌|⚠|CONFLICT|MISMATCH|No NVIDIA|🚀|will fit|GB free", re.IGNORECASE)
RED = re.compile(r"❌|CONFLICT|MISMATCH|No NVIDIA", re.IGNORECASE)

#: Our exit code where a question that the verdict needs has no answer.
OPEN = 4

SHOWN_LINES, SHOWN_CHARACTERS = 3, 150


@dataclass(frozen=True)
class Answer:
    """What a doctor said. `gate` is the exit code that a script would go by."""

    said: tuple[str, ...]  # its own words, the weightiest first
    red: bool
    gate: int
    text: str  # all of it, to look for the name of the fault
    broke_down: str = ""  # how, where it gave no report
    causes: tuple[str, ...] = ()  # codes, of ours

    @property
    def soft(self) -> bool:
        """All that is red calls itself soft: a warning."""
        red = [line for line in self.said if RED.search(line)]
        return bool(red) and all("(Soft)" in line for line in red)


def theirs(out: str, err: str, code: int, gate: int, usual: frozenset[str]) -> Answer:
    """env-doctor's, from its text and the exit code of `check --ci`. `usual`: lines that the control machine gets."""
    told = [clean(line) for line in out.splitlines() if JUDGING.search(line)]
    new = [line for line in told if line not in usual or "🚀" in line]
    broke = ""
    if code < 0 or "Traceback (most recent call last)" in err:
        last = (err.strip().splitlines() or ["no output"])[-1]
        broke = f"killed by signal {-code}, no report" if code < 0 else f"a traceback: {last}"
    red = [line for line in new if RED.search(line)]
    ranked = (*red, *(line for line in new if line not in red))
    return Answer(said=ranked, red=bool(red), gate=gate, text="\n".join(new), broke_down=broke)


def ours(report: dict[str, Any], code: int) -> Answer:
    """Ours, from the JSON report."""
    order = ["fail", "error", "warn", "unknown"]
    bad = [r for r in report["results"] if r["status"] in order]
    bad.sort(key=lambda r: (order.index(r["status"]), r["because"] is not None))  # roots before what follows
    said = tuple(f"{r['status']} {r['code']}: {r['text']}" for r in bad)
    return Answer(
        said=said or (f"verdict: {report['verdict']['text']}",),
        red=any(r["status"] in ("fail", "error") for r in bad),
        gate=code,
        text="\n".join(said),
        causes=tuple(cause["cause"] for cause in report["verdict"]["causes"]),
    )


def clean(line: str) -> str:
    """One line as it is quoted: no runs of spaces, nothing that a table would trip over."""
    return re.sub(r"\s+", " ", line.replace("\ufe0f", "").replace("|", "/")).strip()


def usual_lines(out: str) -> frozenset[str]:
    """What is said of a machine with which nothing is wrong."""
    return frozenset(clean(line) for line in out.splitlines())


def judged(row: Row, answer: Answer) -> str:
    """ "right", "half right: why", "open: why" or "wrong: why"."""
    if answer.broke_down:
        return "wrong: breaks down"
    if row.runs:
        return _of_a_healthy(answer)
    return _of_a_sick(row, answer)


def _of_a_healthy(answer: Answer) -> str:
    if answer.red:
        return f"wrong: false {'warning' if answer.soft else 'alarm'}, exit code {answer.gate}"
    if answer.gate == OPEN:
        return f"open: says that it does not know, exit code {OPEN}"
    return "right" if answer.gate == 0 else f"half right: no red, exit code {answer.gate}"


def _of_a_sick(row: Row, answer: Answer) -> str:
    named = bool(re.search(row.named, answer.text, re.IGNORECASE))
    if named and answer.causes and answer.causes[0] not in row.causes:
        return f"half right: says so, under the cause {answer.causes[0]}"
    if named:
        return "right" if answer.gate else "half right: says so, exit code 0"
    return f"wrong: exit code {answer.gate}, for something else" if answer.gate else "wrong: lets it pass"


def quoted(answer: Answer) -> str:
    """A few of its words for a cell."""
    words = [answer.broke_down] if answer.broke_down else []
    shown = [*words, *answer.said][:SHOWN_LINES]
    cut = [f"{line[:SHOWN_CHARACTERS]}…" if len(line) > SHOWN_CHARACTERS else line for line in shown]
    return "<br>".join(f"“{line}”" for line in cut) or "nothing that it does not say of the control"
