"""`autoglm-doctor resolve`: the newest set of packages that runs on a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def resolve(
    model: Annotated[str | None, typer.Option(help="Hub name or folder of the model.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="A known deployment, without --model.", show_default="autoglm-phone-9b")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="vllm, sglang or transformers.", show_default="vllm")] = None,
    driver: Annotated[str | None, typer.Option(help="A driver that need not be here: 570.26.")] = None,
    gpu: Annotated[str | None, typer.Option(help='A GPU that need not be here: "RTX 4090".')] = None,
    python_version: Annotated[str | None, typer.Option(help="Python of the deployment: 3.12.")] = None,
    glibc: Annotated[str | None, typer.Option(help="C library of the system: 2.35.")] = None,
    facts: Annotated[Path | None, typer.Option(help="The machine of a saved reading, and its deployment.")] = None,
    python: Annotated[str | None, typer.Option(help="Interpreter (or environment) that the line is for.")] = None,
    timeout: Annotated[float, typer.Option(help="Factor for all time limits.")] = 1.0,
    format_: Annotated[str, typer.Option("--format", help="terminal or json.")] = "terminal",
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Print names, addresses and ids as they are.")] = False,
) -> int:
    """Find the newest engine and transformers that run on this machine, or on one that is described.

    With --driver or --gpu nothing of this machine is read. Exit codes: 0 there is a set, 1 there is none, 2 wrong
    usage, 4 there is one as far as the machine is known.
    """
    from autoglm_doctor.resolution import resolve as find
    from autoglm_doctor.resolution.request import Request

    return find(
        Request(
            model=model,
            profile=profile,
            engine=engine,
            driver=driver,
            gpu=gpu,
            python_version=python_version,
            glibc=glibc,
            facts=facts,
            python=python,
            timeout=timeout,
            format=format_,
            redact=not no_redact,
        )
    )
