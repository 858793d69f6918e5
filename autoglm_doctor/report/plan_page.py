"""Lines of text for the terminal: wrapped, indented, coloured. Light, so that a plan is there at once."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from autoglm_doctor.finding import Text
from autoglm_doctor.redact import Redactor
from autoglm_doctor.wording import render as words

_CODES = {"bold": "1", "dim": "2", "red": "1;31", "green": "1;32", "yellow": "1;33", "cyan": "36", "": ""}


class Page:
    """Collects lines; nothing that comes from outside reaches it unredacted or with control characters."""

    def __init__(self, *, redactor: Redactor | None, width: int, color: bool) -> None:
        """Start empty; below 40 columns lines are as for 40."""
        self.width = max(40, width)
        self._color = color
        self._redactor = redactor
        self._lines: list[str] = []

    def text(self) -> str:
        """The page so far."""
        return "\n".join(self._lines) + "\n"

    def clean(self, text: str) -> str:
        """Redacted, and printable."""
        return words(Text("{text}", {"text": self._redactor.text(text) if self._redactor else text}))

    def paint(self, text: str, style: str) -> str:
        """Coloured, where colours are wanted."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._color and style else text

    def line(self, text: str = "", style: str = "") -> None:
        """One line as it is: never wrapped, so that a command can be copied in one piece."""
        self._lines.append(self.paint(text, style) if text else "")

    def hanging(self, head: str, body: str, *, head_style: str = "", style: str = "") -> None:
        """A head, and a body whose further lines are indented below its first."""
        room = max(20, self.width - len(head))
        wrapped = textwrap.wrap(self.clean(body), room, break_on_hyphens=False) or [""]
        self._lines.append(self.paint(head, head_style) + self.paint(wrapped[0], style))
        self._lines += [" " * len(head) + self.paint(part, style) for part in wrapped[1:]]

    def packed(self, entries: Sequence[str], style: str) -> None:
        """As many entries in a line as there is room for, none of them broken."""
        lines = [""]
        for entry in entries:
            if lines[-1] and len(lines[-1]) + len(entry) + 2 > self.width:
                lines.append("")
            lines[-1] += f"  {entry}" if lines[-1] else f" {entry}"
        self._lines += [self.paint(line, style) for line in lines]
