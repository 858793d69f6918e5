"""`autoglm-doctor matrix show torch 2.9.0`: what the matrix says, for a person."""

from __future__ import annotations

from typing import Annotated

import typer

matrix = typer.Typer(help="Look into the compatibility matrix.", no_args_is_help=True, rich_markup_mode=None)


@matrix.callback()
def _group() -> None:
    """Look into the compatibility matrix."""


@matrix.command("show")
def show(
    what: Annotated[str, typer.Argument(help="driver, cuda, gpu, torch, vllm, sglang, transformers, model ...")],
    which: Annotated[str, typer.Argument(help='A version or a name: 2.9.0, 570, "RTX 4090", glm4v.')] = "",
) -> None:
    """Say what is known of a driver, a GPU, a release or a model type, with its source and date."""
    import datetime
    import sys

    from autoglm_doctor.cli.matrix_answers import answer
    from autoglm_doctor.console import printable
    from autoglm_doctor.matrix import load_matrix

    table = load_matrix()
    for line in answer(table, what, which):
        typer.echo(printable(line, sys.stdout))
    age = table.age_days(datetime.date.today())
    old = "; releases since then are missing, update autoglm-doctor" if table.is_old(datetime.date.today()) else ""
    typer.echo(printable(f"\nMatrix of {table.generated}, {age} days old{old}.", sys.stdout))
