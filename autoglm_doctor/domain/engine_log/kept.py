"""Which lines of a log are worth keeping: what looks like an error, a few landmarks, and the end."""

from __future__ import annotations

from collections import deque

from autoglm_doctor.domain.signatures.lines import is_progress

LAST, LONGEST = 40, 500
#: 60 in all: lines whose meaning is known, the first and the last of those that look like errors, and landmarks, which
#: say where in the start it was.
_KNOWN, _FIRST_ERRORS, _LAST_ERRORS, _LANDMARKS = 16, 16, 16, 12

_HINTS = (
    *("error", "exception", "fail", "fatal", "killed", "abort", "out of memory", "oom", "cannot", "can't", "couldn't"),
    *(
        "could not",
        "no such",
        "not found",
        "unable",
        "support",
        "undefined",
        "traceback",
        "assert",
        "critical",
        "panic",
    ),
    *(
        "panic",
        "segmentation",
        "signal",
        "sigquit",
        "timeout",
        "timed out",
        "refused",
        "in use",
        "died",
        "dead",
        "too small",
    ),
    *("larger than", "less than", "greater", "exceed", "invalid", "unrecognized", "unknown", "missing", "not enough"),
    *("no available", "denied", "corrupt", "mismatch", "not compatible", "not initialized", "no kernel", "no space"),
    *("toolchain", "nan", "must", "required", "requires", "only", "unexpected", "argument", "bus ", "quota", "offline"),
    *("gated", "xid", "divisible", "deadlock", "hang", "not a ", "not in", "no longer", "no module", "no cuda"),
)


def looks_like_an_error(line: str) -> bool:
    """Whether it may be one: cheap, and wide rather than narrow."""
    low = line.lower()
    return any(hint in low for hint in _HINTS)


def is_frame(message: str) -> bool:
    """A line of a traceback that only says where: there are dozens of them for each error."""
    bare = message.lstrip()
    return bare.startswith(('File "', "^^^", "~~~", "...<")) or (len(message) - len(bare) >= 4 and "Error" not in bare)


class Kept:
    """Lines of a log, at most 60 chosen ones and the last 40, in their order."""

    def __init__(self) -> None:
        """Nothing so far."""
        self._number = 0
        self._known: list[tuple[int, str]] = []
        self._first: list[tuple[int, str]] = []
        self._errors: deque[tuple[int, str]] = deque(maxlen=_LAST_ERRORS)
        self._landmarks: list[tuple[int, str]] = []
        self._last: deque[tuple[int, str]] = deque(maxlen=LAST)

    def add(self, line: str, *, known: bool = False, error: bool = False, landmark: bool = False) -> None:
        """Take a line into account."""
        self._number += 1
        entry = (self._number, line[:LONGEST])
        if self._last and is_progress(line) and is_progress(self._last[-1][1]):
            self._last.pop()  # of a progress bar only its last state
        self._last.append(entry)
        if known and len(self._known) < _KNOWN:
            self._known.append(entry)
        elif error and len(self._first) < _FIRST_ERRORS:
            self._first.append(entry)
        elif error:
            self._errors.append(entry)
        elif landmark and len(self._landmarks) < _LANDMARKS:
            self._landmarks.append(entry)

    @property
    def lines(self) -> tuple[str, ...]:
        """What is kept."""
        chosen = dict((*self._known, *self._first, *self._errors, *self._landmarks, *self._last))
        return tuple(chosen[number] for number in sorted(chosen))
