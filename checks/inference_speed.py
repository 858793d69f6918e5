"""INF: the speed of the final stage."""

from __future__ import annotations

import shlex

from autoglm_doctor.api import (
    SMOKE,
    Findings,
    Fix,
    Inference,
    Intent,
    Reading,
    Text,
    Threshold,
    check,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.inference import ROOTS, said, without_run

#: Slower reading of real weights than this costs minutes at every start.
LOAD_BYTES_PER_S = 0.5e9
LOAD_LEAST_BYTES = 1e9

#: PCI Express 4.0 with 16 lanes: a GPU that decodes slower than this reads its weights over the bus.
BUS_BYTES_PER_S = 32e9

#: Below this size Python's own time per token hides the memory.
DECODE_LEAST_BYTES = 8e9


@check("INF003", "inference-speed", cause="INFERENCE_SLOW", explained_by=("INF001", "INF002", *ROOTS))
def inference_speed(inference: Reading[Inference], intent: Intent) -> Findings:
    """The model loads and answers at the speed of the hardware.

    Only gross faults are judged here. Loading real weights slower than 0.5 GB/s means a network disk or a thin
    volume. A GPU that decodes so slowly that it could be reading its weights over the bus (tokens per second times
    bytes of weights below 32 GB/s, PCI Express 4.0 with 16 lanes) has them partly in main memory, or is throttled:
    every GPU's own memory is several times faster. That comparison needs 8 GB of weights, because below it Python's
    own time per token hides the memory. The figures are transformers', with one request at a time: vLLM and SGLang are
    two to four times faster. On a CPU, and with the smoke model, the figures are given and not judged: they say
    nothing about the real model.

    ## Fix
    Slow loading: move the weights to a local disk. Slow decoding: see what throttles the GPU or shares it.

        nvidia-smi -q -d PERFORMANCE,CLOCK,POWER
    """
    run = inference.value
    if run is None:
        yield without_run(inference)
        return
    unread = run.load_bytes_per_s is None and not run.random_weights  # those were made, and no disk was read
    if run.first_token_seconds is None or run.load_seconds is None or unread:
        yield unknown(said(run, intent, "{model} was not run long enough to measure its speed."))
        return
    judgements = [] if run.model == SMOKE else [*_judge_load(run, intent), *_judge_decoding(run, intent)]
    if not judgements:
        yield not_applicable(_figures(run, intent, "Not judged, there is no yardstick for it: "))
    yield from judgements


def _figures(run: Inference, intent: Intent, before: str) -> Text:
    loaded = "was made in {load:s}" if run.random_weights else "loaded in {load:s} ({disk:MB/s})"
    template = (
        "{model} " + loaded + ", first token after {cold:s} cold and {warm:s} warm "
        "({prompt} prompt tokens, {prefill} tokens/s), then {decode} tokens/s, at most {peak:GiB} of memory."
    )
    return said(
        run,
        intent,
        before + template,
        load=run.load_seconds,
        disk=run.load_bytes_per_s,
        cold=run.first_token_cold_seconds,
        warm=run.first_token_seconds,
        prompt=run.prompt_tokens,
        prefill=_short(run.prefill_tokens_per_s),
        decode=_short(run.decode_tokens_per_s),
        peak=run.peak_bytes or 0,
    )


def _short(number: float | None) -> str:
    return "?" if number is None else f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def _judge_load(run: Inference, intent: Intent) -> Findings:
    rate = run.load_bytes_per_s
    if rate is None or run.weight_bytes < LOAD_LEAST_BYTES:
        return
    limit = Threshold(value=LOAD_BYTES_PER_S, unit="bytes/s", source="a SATA disk")
    text = _figures(run, intent, "")
    if rate >= LOAD_BYTES_PER_S:
        yield ok(text, subject="loading", observed=rate, threshold=limit)
        return
    fix = Fix(
        text=Text("Put the weights on a local disk."),
        commands=(f"findmnt -T {shlex.quote(run.model)}",),
        effort="setting",
    )
    slow = said(
        run,
        intent,
        "{model} loads with only {rate:MB/s}: every start takes {load:s}.",
        rate=rate,
        load=run.load_seconds,
    )
    yield warn(slow, subject="loading", cause="SLOW_MODEL_STORAGE", observed=rate, threshold=limit, fix=fix)


def _judge_decoding(run: Inference, intent: Intent) -> Findings:
    speed = run.decode_tokens_per_s
    if speed is None or run.device == "cpu" or run.weight_bytes < DECODE_LEAST_BYTES:
        return
    rate = speed * run.weight_bytes
    limit = Threshold(value=BUS_BYTES_PER_S, unit="bytes/s", source="PCI Express 4.0, 16 lanes")
    if rate >= BUS_BYTES_PER_S:
        yield ok(_figures(run, intent, ""), subject="decoding", observed=speed, threshold=limit)
        return
    template = "{model} decodes only {speed} tokens/s on {device}: slower than its weights would come over the bus."
    fix = Fix(
        text=Text("See what slows the GPU down (heat, a power limit) and what else runs on it."),
        commands=("nvidia-smi -q -d PERFORMANCE,CLOCK,POWER", "nvidia-smi"),
        effort="setting",
    )
    yield warn(
        said(run, intent, template, speed=_short(speed)), subject="decoding", observed=speed, threshold=limit, fix=fix
    )
