"""Formats of a report: one file each, one function `render(report, options) -> str` or the like.

A format imports the frozen `Report` and nothing that looks at the machine. NAMES maps a name to its module, which is
imported only when that format is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the names of the formats stand in the help, which needs no more
    from autoglm_doctor.finding import Report
    from autoglm_doctor.redact import Redactor

NAMES = {"terminal": "autoglm_doctor.report.terminal", "json": "autoglm_doctor.report.json_report"}


class Render(Protocol):
    """A format."""

    def __call__(self, report: Report, *, redactor: Redactor | None, width: int, color: bool) -> str:
        """The whole report as text that ends with a newline."""


def renderer(name: str) -> Render:
    """The function of a format; KeyError for an unknown name."""
    render: Render = importlib.import_module(NAMES[name]).render
    return render
