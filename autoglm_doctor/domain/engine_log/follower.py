"""The follower of one start."""

from __future__ import annotations

import re

from autoglm_doctor.domain.engine_log.figures import figures_in, merged, settled
from autoglm_doctor.domain.engine_log.kept import LONGEST, Kept, is_frame, looks_like_an_error
from autoglm_doctor.domain.engine_log.marks import PHASES, STARTING, marks_of, ready_mark
from autoglm_doctor.domain.signatures import Matcher, Signature
from autoglm_doctor.domain.signatures.lines import clean, is_progress, may_be_a_warning, split
from autoglm_doctor.facts_serving import EngineFigures, Phase

#: So many lines that look like errors are compared with the table; a flood of them tells nothing new.
_MOST_READ = 500
#: The rest of a longer line is not looked at.
_LONGEST_READ = 2000
_NUMBER = re.compile(r"\d+")


class Follower:
    """Understands a log while it is written. `at` are seconds of one clock, never going back."""

    def __init__(self, engine: str, began: float | None = None) -> None:
        """`began`: when the process was started; without it the first line counts as its start."""
        self._marks = marks_of(engine)
        self._ready_mark = ready_mark(engine)
        self._matcher = Matcher(engine)
        self._place = 0
        self._entered: list[tuple[str, float]] = [] if began is None else [(STARTING, began)]
        self._ready_at: float | None = None
        self._figures: dict[str, object] = {}
        self._kept = Kept()
        self._read = self._noticed = 0
        self._told: set[str] = set()
        self._rows: set[Signature] = set()
        self.doomed = ""

    def feed(self, line: str, at: float) -> None:
        """Take the next line."""
        text = clean(line[:_LONGEST_READ])
        if not text:
            return
        if not self._entered:
            self._entered.append((STARTING, at))
        landmark = self._follow(text, at) if self._ready_at is None else False
        known, error = self._judge(text)
        self._kept.add(text, known=known, error=error, landmark=landmark)

    @property
    def phase(self) -> str:
        """Where the start is: one of PHASES."""
        return PHASES[self._place]

    @property
    def ready(self) -> bool:
        """The log says that the server answers."""
        return self._ready_at is not None

    @property
    def figures(self) -> EngineFigures:
        """What the engine said of itself so far."""
        return settled(self._figures)

    @property
    def kept(self) -> tuple[str, ...]:
        """Lines that look like errors, landmarks, and the last lines, in their order."""
        return self._kept.lines

    def phases(self, until: float) -> tuple[Phase, ...]:
        """The phases so far and their seconds; the last one ends when the server was ready, or at `until`."""
        end = until if self._ready_at is None else self._ready_at
        ends = [at for _, at in self._entered[1:]] + [end]
        pairs = zip(self._entered, ends, strict=True) if self._entered else ()
        return tuple(Phase(name=name, seconds=max(0.0, leaves - enters)) for (name, enters), leaves in pairs)

    def _follow(self, text: str, at: float) -> bool:
        """Phase and figures; whether the line is a landmark."""
        landmark = False
        for name, value in figures_in(text):
            merged(self._figures, name, value)
            landmark = True
        for place, pattern in self._marks:
            if place > self._place and pattern.search(text):
                self._place, landmark = place, True
                self._entered.append((PHASES[place], at))
        if self._ready_mark.search(text):
            self._ready_at, landmark = at, True
        if landmark:
            self._notice(text)
        return landmark

    def _judge(self, text: str) -> tuple[bool, bool]:
        """Whether its meaning is known and not kept yet, and whether it looks like an error."""
        if not looks_like_an_error(text):
            return False, False
        level, message = split(text)
        if level in ("DEBUG", "INFO") or is_progress(text):
            return False, False
        if is_frame(message):
            self._notice(text)
            return False, False
        row = self._meaning(text, message)
        if row is not None and self._ends_start(row, text) and not self.doomed and self._ready_at is None:
            self.doomed = text[:LONGEST]
        new = row is not None and row not in self._rows
        if row is not None:
            self._rows.add(row)
        return new, level != "WARNING"

    @staticmethod
    def _ends_start(row: Signature, text: str) -> bool:
        return row.ends_start and (row.consequence or not may_be_a_warning(text))

    def _notice(self, text: str) -> None:
        if self._noticed < _MOST_READ:
            self._noticed += 1
            self._matcher.notice(text)

    def _meaning(self, text: str, message: str) -> Signature | None:
        if self._read >= _MOST_READ:
            return None
        shape = _NUMBER.sub("0", message[:LONGEST])
        if shape in self._told:
            return None
        self._read += 1
        self._told.add(shape)
        return self._matcher.read(text)
