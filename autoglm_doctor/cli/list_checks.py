"""`autoglm-doctor list`: every check in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def list_checks(
    checks_dir: Annotated[Path | None, typer.Option("--checks-dir", help="Also the checks of this folder.")] = None,
) -> None:
    """List all checks."""
    from autoglm_doctor.registry import load_checks

    registry = load_checks(checks_dir)
    for check in registry.checks:
        typer.echo(f"{check.code}  {check.name:<28}  {check.title}{' (required)' if check.required else ''}")
    for trouble in registry.troubles:
        typer.echo(f"note: {trouble}", err=True)
