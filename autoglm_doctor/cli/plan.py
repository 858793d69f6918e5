"""`autoglm-doctor plan`: how much GPU memory a deployment takes, what fits beside it, and the line to launch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class SplitAtDashes(TyperCommand):
    """Keeps the words behind `--` apart from the arguments before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What stands behind the first `--` goes into `ctx.obj`."""
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])


def plan(
    context: typer.Context,
    cards: Annotated[
        list[str] | None,
        typer.Argument(help="With --compare: names of GPUs.", metavar="[GPU]... [-- COMMAND|FLAGS]"),
    ] = None,
    # what for
    model: Annotated[str | None, typer.Option(help="Hub name or folder of the model.")] = None,
    config: Annotated[Path | None, typer.Option(help="A config.json alone.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="vllm, sglang, transformers or llamacpp; vllm==0.19.0 for a version.")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="A known deployment, when neither a model nor a command is given.")
    ] = "autoglm-phone-9b",
    max_model_len: Annotated[int | None, typer.Option(help="Context length in tokens.")] = None,
    max_num_seqs: Annotated[int | None, typer.Option(help="Sequences at the same time.")] = None,
    gpu_memory_utilization: Annotated[
        float | None, typer.Option(help="Share of a GPU that the engine may take.")
    ] = None,
    tensor_parallel_size: Annotated[int | None, typer.Option(help="GPUs that share one copy of the model.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, bfloat16, half.")] = None,
    quantization: Annotated[str | None, typer.Option(help="fp8, awq, gptq, bitsandbytes.")] = None,
    # where
    gpu: Annotated[str | None, typer.Option(help='A GPU that need not be here: "RTX 4090", A100-80GB.')] = None,
    vram: Annotated[str | None, typer.Option(help="Its memory as CUDA counts it: 22.5GiB.")] = None,
    gpus: Annotated[int | None, typer.Option(help="How many of them.")] = None,
    facts: Annotated[Path | None, typer.Option(help="The GPUs of a saved reading instead of this machine's.")] = None,
    python: Annotated[str | None, typer.Option(help="Interpreter (or environment) of the deployment.")] = None,
    timeout: Annotated[float, typer.Option(help="Factor for all time limits.")] = 1.0,
    # how to say it
    compare: Annotated[bool, typer.Option("--compare", help="A grid of the named GPUs and number formats.")] = False,
    tokens: Annotated[int | None, typer.Option(help="Length of one request, for how many fit at a time.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Each formula with its numbers.")] = False,
    format_: Annotated[str, typer.Option("--format", help="terminal or json.")] = "terminal",
    out: Annotated[Path | None, typer.Option(help="Write the plan to this file.")] = None,
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Print names, addresses and ids as they are.")] = False,
) -> int:
    """Work out what a deployment takes of a GPU, what else fits, and the lines that start.

    Behind `--`: the line that will start the server, or flags of it alone. Exit codes: 0 it fits, 1 it does not, 2
    wrong usage, 4 that cannot be told.
    """
    from autoglm_doctor.capacity import plan as make
    from autoglm_doctor.capacity.request import Request

    return make(
        Request(
            command=tuple(context.obj or ()),
            cards=tuple(cards or ()),
            compare=compare,
            model=model,
            config=config,
            engine=engine,
            profile=profile,
            overrides={
                "max_model_len": max_model_len,
                "max_num_seqs": max_num_seqs,
                "gpu_memory_utilization": gpu_memory_utilization,
                "tensor_parallel": tensor_parallel_size,
                "dtype": dtype,
                "quantization": quantization,
            },
            gpu=gpu,
            vram=vram,
            gpus=gpus,
            facts=facts,
            python=python,
            tokens=tokens,
            explain=explain,
            timeout=timeout,
            format=format_,
            out=out,
            redact=not no_redact,
        )
    )
