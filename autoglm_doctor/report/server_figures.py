"""What a server said and how fast it was, in words: shared by the formats for people."""

from __future__ import annotations

from collections.abc import Iterator

from autoglm_doctor.facts import Burst, EngineFigures, Facts, Serving, Speed
from autoglm_doctor.finding import Text
from autoglm_doctor.wording import render

Line = tuple[str, str]


def measured_server(facts: Facts) -> Iterator[Line]:
    """Start, memory, first token and rates of the server that was tried."""
    server = facts.serving.value
    if server is None:
        return
    version = f" {server.figures.version}" if server.figures.version else ""
    weights = ", random weights" if server.random_weights else ""
    where = "" if server.command else f" at {server.url}"
    yield "server", f"{server.engine}{version}, {server.model or 'model without a name'}{weights}{where}"
    if server.start_seconds is not None:
        yield "start", _start(server)
    yield from _memory(server.figures)
    if server.speed is not None:
        yield from _speed(server.speed)
    yield from (("together", _burst(burst)) for burst in server.bursts)
    for gpu in server.gpus:
        if gpu.used_peak_bytes is not None:
            clock = f", {gpu.sm_clock_median_mhz} MHz" if gpu.sm_clock_median_mhz else ""
            power = f", {gpu.power_median_w:.0f} W" if gpu.power_median_w else ""
            yield f"GPU {gpu.index}", _say("{n:GiB} in use at most", n=gpu.used_peak_bytes) + clock + power


def _start(server: Serving) -> str:
    # What took a moment only explains nothing.
    long = [p for p in server.phases if p.seconds >= 0.05 * (server.start_seconds or 0)]
    parts = ", ".join(f"{p.name} {_say('{n:s}', n=p.seconds)}" for p in long) if len(server.phases) > 1 else ""
    return _say("{n:s}", n=server.start_seconds) + (f": {parts}" if parts else "")


def _memory(figures: EngineFigures) -> Iterator[Line]:
    parts = []
    if figures.weights_bytes is not None:
        parts.append(_say("weights {n:GiB}", n=figures.weights_bytes))
    if figures.kv_cache_tokens is not None:
        size = _say(" ({n:GiB})", n=figures.kv_cache_bytes) if figures.kv_cache_bytes is not None else ""
        parts.append(_say("KV cache for {n:count} tokens", n=figures.kv_cache_tokens) + size)
    if figures.graph_bytes:
        parts.append(_say("graphs {n:GiB}", n=figures.graph_bytes))
    if parts:
        yield "memory", ", ".join(parts)


def _speed(speed: Speed) -> Iterator[Line]:
    parts = []
    if speed.first_token_p50_seconds is not None:
        parts.append(_say("{n:ms} warm", n=speed.first_token_p50_seconds))
    if speed.first_token_cold_seconds is not None:
        parts.append(_say("{n:ms} cold", n=speed.first_token_cold_seconds))
    if speed.first_token_picture_seconds is not None:
        parts.append(_say("{n:ms} with a new picture", n=speed.first_token_picture_seconds))
    if parts:
        yield "first token", ", ".join(parts)
    rates = []
    if speed.prefill_tokens_per_s is not None:
        rates.append(_say("{n:count} tokens/s read", n=speed.prefill_tokens_per_s))
    if speed.decode_tokens_per_s is not None:
        late = _say(", {n:ms} per token at p95", n=speed.per_token_p95_seconds) if speed.per_token_p95_seconds else ""
        rates.append(_say("{n:count} tokens/s written", n=speed.decode_tokens_per_s) + late)
    if rates:
        yield "tokens", ", ".join(rates)


def _burst(burst: Burst) -> str:
    rate = _say(": {n:count} tokens/s", n=burst.output_tokens_per_s) if burst.output_tokens_per_s else ""
    late = _say(", first token {n:ms} at p95", n=burst.first_token_p95_seconds) if burst.first_token_p95_seconds else ""
    failed = f", {burst.failed} of {burst.requests} failed" if burst.failed else ""
    return f"{burst.concurrency} at once{rate}{late}{failed}"


def _say(template: str, **params: object) -> str:
    return render(Text(template, params))
