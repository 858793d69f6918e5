"""What a console can take: its encoding, its width, whether it is one at all. Streams may be closed or missing."""

from __future__ import annotations

import os
import shutil
from typing import TextIO


def printable(text: str, stream: TextIO | None) -> str:
    """The text in the stream's own encoding: what that lacks is replaced, never an error."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        return text.encode(encoding, "replace").decode(encoding)
    except LookupError:  # an encoding that this Python does not have
        return text.encode("ascii", "replace").decode("ascii")


def is_terminal(stream: TextIO | None) -> bool:
    """Does somebody look at it? A stream that was closed before we started is None."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def takes_escapes(stream: TextIO | None) -> bool:
    """May a line be coloured, or written over?"""
    return is_terminal(stream) and os.environ.get("TERM", "") not in ("dumb", "")


def takes_colour(stream: TextIO | None) -> bool:
    """The same, and the user does not object (https://no-color.org)."""
    return takes_escapes(stream) and not os.environ.get("NO_COLOR")


def columns(stream: TextIO | None, otherwise: int) -> int:
    """Its width; `otherwise` where nobody looks at it."""
    return shutil.get_terminal_size((80, 24)).columns if is_terminal(stream) else otherwise
