"""What was measured, in words: shared by the formats for people."""

from __future__ import annotations

from collections.abc import Iterator

from autoglm_doctor.facts import Facts, Inference
from autoglm_doctor.finding import Text
from autoglm_doctor.wording import render

Line = tuple[str, str]


def measured_disk(facts: Facts) -> Iterator[Line]:
    """Reads of the file system that holds, or will hold, the weights."""
    speed, storage = facts.disk_speed.value, facts.storage.value
    if speed is None or storage is None:
        return
    parts = []
    if speed.random_iops is not None:
        parts.append(_say("{n:count} random 4 KiB reads/s", n=speed.random_iops))
    if speed.random_latency_us is not None:
        parts.append(_say("{n:ms} each alone", n=speed.random_latency_us / 1e6))
    if speed.sequential_bytes_per_s is not None:
        parts.append(_say("{n:MB/s} in sequence", n=speed.sequential_bytes_per_s))
    what = "the weights themselves" if speed.sample == "weights" else "a scratch file"
    yield "disk", f"{', '.join(parts)} ({storage.fs_type}, {what}, {speed.method})"


def measured_run(facts: Facts) -> Iterator[Line]:
    """Load, first token, rates and peak of the final stage."""
    run = facts.inference.value
    if run is None or not run.parameters:
        return
    name = "smoke model" if run.model == "smoke" else run.model.rstrip("/").rsplit("/", 1)[-1]
    device = run.device_name or run.device
    yield "model", f"{name}, {run.parameters:,} parameters, {run.dtype} on {device}, torch {run.torch_version}"
    if run.load_seconds is not None:
        unit = "GiB" if (run.load_bytes_per_s or 0) >= 2**28 else "MiB"
        rate = _say(f" ({{n:{unit}}}/s)", n=run.load_bytes_per_s) if run.load_bytes_per_s else ""
        yield "load", _say("{n:s}", n=run.load_seconds) + rate
    yield from _speed(run)
    if run.peak_bytes is not None:
        kind = "resident memory of the process" if run.device == "cpu" else "memory on the GPU"
        yield "peak", _say("{n:GiB} " + kind, n=run.peak_bytes)


def _speed(run: Inference) -> Iterator[Line]:
    if run.first_token_seconds is not None:
        cold = _say(", cold {n:ms}", n=run.first_token_cold_seconds) if run.first_token_cold_seconds else ""
        picture = f", {run.image_tokens} of them the picture" if run.image_tokens else ""
        first = _say("{n:ms} warm", n=run.first_token_seconds)
        yield "first token", f"{first}{cold}, after {run.prompt_tokens} prompt tokens{picture}"
    if run.prefill_tokens_per_s and run.decode_tokens_per_s:
        yield (
            "tokens",
            _say(
                "{p:count} tokens/s read, {d:count} tokens/s written",
                p=run.prefill_tokens_per_s,
                d=run.decode_tokens_per_s,
            ),
        )


def _say(template: str, **params: object) -> str:
    return render(Text(template, params))
