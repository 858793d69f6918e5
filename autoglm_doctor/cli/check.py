"""`autoglm-doctor check`: read the machine, judge the reading, say it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoglm_doctor.report import NAMES


def check(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="After `--`: the very line that will start the server.", metavar="[-- COMMAND]"),
    ] = None,
    # what for
    model: Annotated[
        str | None, typer.Option(help="Hub name or folder of the model; `smoke` for the built-in one.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="vllm, sglang, transformers or llamacpp.")] = None,
    profile: Annotated[
        str, typer.Option(help="A known deployment, when neither a model nor a command is given.")
    ] = "autoglm-phone-9b",
    device: Annotated[
        str | None, typer.Option(help="cuda (the default: no GPU is a failure), cpu, or auto (the best there is).")
    ] = None,
    max_model_len: Annotated[int | None, typer.Option(help="Context length in tokens.")] = None,
    max_num_seqs: Annotated[int | None, typer.Option(help="Sequences at the same time.")] = None,
    gpu_memory_utilization: Annotated[
        float | None, typer.Option(help="Share of a GPU that the engine may take.")
    ] = None,
    tensor_parallel_size: Annotated[int | None, typer.Option(help="GPUs that share one copy of the model.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, bfloat16, half.")] = None,
    quantization: Annotated[str | None, typer.Option(help="fp8, awq, gptq, bitsandbytes.")] = None,
    host: Annotated[str | None, typer.Option(help="Address the server will listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port the server will listen on.")] = None,
    require_model: Annotated[
        bool, typer.Option("--require-model", help="Incomplete when the weights are not here.")
    ] = False,
    # which checks
    select: Annotated[list[str] | None, typer.Option(help="Only these codes, prefixes or names: VRM,DSK001.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Not these; like --select, also more than once.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Run and show these, but do not count them.")] = None,
    checks_dir: Annotated[Path | None, typer.Option("--checks-dir", help="Also the checks of this folder.")] = None,
    # how to look
    python: Annotated[str | None, typer.Option(help="Interpreter (or environment) of the deployment.")] = None,
    final_stage: Annotated[
        str, typer.Option(help="What is really run: auto, command (the server itself), transformers, smoke or none.")
    ] = "auto",
    weights: Annotated[
        str, typer.Option(help="checkpoint, or random: the full-size model before anything is downloaded.")
    ] = "checkpoint",
    endpoint: Annotated[
        str | None, typer.Option(help="Ask and measure a server that is there already, and judge nothing else.")
    ] = None,
    no_disk_write: Annotated[
        bool, typer.Option("--no-disk-write", help="Measure the disk by existing files only.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Open no network connection.")] = False,
    allow_remote_code: Annotated[
        bool, typer.Option("--allow-remote-code", help="Run code of the model's repository.")
    ] = False,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Download the model first, when it is not here.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Run the model even on a GPU that others use.")] = False,
    timeout: Annotated[float, typer.Option(help="Factor for all time limits.")] = 1.0,
    facts: Annotated[Path | None, typer.Option(help="Judge a saved reading instead of this machine.")] = None,
    assume: Annotated[
        str | None, typer.Option(help='Replace facts: gpu="RTX 4090",gpus=2,vram=22.5,driver=570.26,ram=64.')
    ] = None,
    # how to say it
    format_: Annotated[str, typer.Option("--format", help=f"One of {', '.join(NAMES)}.")] = "terminal",
    out: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    save_facts: Annotated[Path | None, typer.Option(help="Write the reading to this file, unredacted.")] = None,
    fail_on: Annotated[str, typer.Option(help="fail, or warn: exit 3 on warnings.")] = "fail",
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Print names, addresses and ids as they are.")] = False,
) -> int:
    """Judge whether a deployment will run on this machine.

    Exit codes: 0 ready, 1 a check failed, 2 wrong usage, 3 warnings with --fail-on warn, 4 incomplete, 5 nothing ran,
    130 interrupted.
    """
    from autoglm_doctor.preflight import Request, preflight

    return preflight(
        Request(
            command=tuple(command or ()),
            model=model,
            engine=engine,
            profile=profile,
            device=device,
            overrides={
                "max_model_len": max_model_len,
                "max_num_seqs": max_num_seqs,
                "gpu_memory_utilization": gpu_memory_utilization,
                "tensor_parallel": tensor_parallel_size,
                "dtype": dtype,
                "quantization": quantization,
                "host": host,
                "port": port,
            },
            require_model=require_model,
            select=_patterns(select),
            skip=_patterns(skip),
            ignore=_patterns(ignore),
            checks_dir=checks_dir,
            python=python,
            final_stage=final_stage,
            weights=weights,
            endpoint=endpoint,
            disk_write=not no_disk_write,
            offline=offline,
            allow_remote_code=allow_remote_code,
            allow_download=allow_download,
            force=force,
            timeout=timeout,
            facts=facts,
            assume=assume,
            format=format_,
            out=out,
            save_facts=save_facts,
            fail_on=fail_on,
            redact=not no_redact,
        )
    )


def _patterns(given: list[str] | None) -> tuple[str, ...]:
    """`--select VRM,DSK --select NET001` in one tuple."""
    return tuple(pattern.strip() for word in given or () for pattern in word.split(","))
