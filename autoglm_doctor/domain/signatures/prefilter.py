"""Words without which a pattern cannot match: most lines hold none of them, and need no regular expression.

The way of RE2's FilteredRE2: of the parts that every match must have, the one with the longest words is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

try:  # the parser of `re`, which has no public name; without it every pattern is tried
    from re import _parser as parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_parse as parser

#: Shorter words are in too many lines to spare anything.
LEAST = 3
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


def words_needed(pattern: str) -> tuple[str, ...]:
    """Words in small letters, one of which is in every text that the pattern matches; () where none are known."""
    try:
        return tuple(sorted(_of_sequence(parser.parse(pattern, re.IGNORECASE)) or ()))
    except (re.error, RecursionError, AttributeError, TypeError, ValueError):  # another Python's parser
        return ()


def may_match(text: str, words: tuple[str, ...]) -> bool:
    """A text in small letters has one of the words; also where none are known."""
    return not words or any(word in text for word in words)


def _of_sequence(parts: Iterable[tuple[Any, Any]]) -> frozenset[str] | None:
    found: list[frozenset[str]] = []
    run = ""
    for op, value in parts:
        if str(op) == "LITERAL":
            run += chr(value).lower()
            continue
        found += [frozenset({run})] if len(run) >= LEAST else []
        run = ""
        inner = _of_part(str(op), value)
        found += [inner] if inner else []
    found += [frozenset({run})] if len(run) >= LEAST else []
    return max(found, key=lambda words: (min(map(len, words)), -len(words)), default=None)


def _of_part(op: str, value: Any) -> frozenset[str] | None:
    if op == "SUBPATTERN":
        return _of_sequence(value[-1])
    if op in _REPEATS:
        return _of_sequence(value[2]) if value[0] else None
    if op == "ATOMIC_GROUP":
        return _of_sequence(value)
    if op == "BRANCH":
        branches = [_of_sequence(branch) for branch in value[1]]
        known = [branch for branch in branches if branch]
        return frozenset().union(*known) if len(known) == len(branches) else None
    return None
