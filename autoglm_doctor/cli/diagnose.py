"""`autoglm-doctor diagnose FILE...`: what is wrong where facts were only written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def diagnose(
    files: Annotated[list[Path], typer.Argument(help="JSON: loose facts, or a saved reading.", metavar="FILE...")],
    format_: Annotated[str, typer.Option("--format", help="terminal or jsonl.")] = "terminal",
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Print names, addresses and ids as they are.")] = False,
) -> int:
    """Judge facts that are written down instead of read from this machine, and name the cause, the root first.

    What a file does not state is not judged. Exit codes: 0 nothing fails, 1 something does, 2 a file cannot be read.
    """
    from autoglm_doctor.loose import diagnose_files

    return diagnose_files(files, format_=format_, redact=not no_redact)
