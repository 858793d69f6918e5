"""`autoglm-doctor explain CODE`: the page of a check, from its own docstring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    code: Annotated[str, typer.Argument(help="A check's code or name: VRM003, kv-cache-fits.")],
    checks_dir: Annotated[Path | None, typer.Option("--checks-dir", help="Also the checks of this folder.")] = None,
) -> None:
    """Say what a check looks at, why, its thresholds and its fix."""
    from rich.console import Console
    from rich.markdown import Markdown

    from autoglm_doctor.errors import DoctorError
    from autoglm_doctor.registry import load_checks

    found = [c for c in load_checks(checks_dir).checks if code.upper() == c.code or code == c.name]
    if not found:
        raise DoctorError(f"no check is called {code!r}; `autoglm-doctor list` shows them")
    one = found[0]
    title, _, rest = one.page.partition("\n")
    extra = f"Cause code: `{one.cause}`." + (
        " Required: without an answer there is no verdict." if one.required else ""
    )
    if one.explained_by:
        extra += f" Explained by: {', '.join(one.explained_by)}."
    Console(highlight=False).print(Markdown(f"# {one.code} {one.name}\n\n**{title}**\n\n{rest}\n\n{extra}"))
