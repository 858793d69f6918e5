"""Helps INF009: what a server's speed depends on beside its GPU: the disk, neighbours, many requests, heat."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from autoglm_doctor.api import Burst, Fix, GpuUnderLoad, Judgement, Speed, Text, Threshold, ok, warn
from autoglm_doctor.checks.serving_causes import Place, is_untrained
from autoglm_doctor.checks.serving_figures import number
from autoglm_doctor.domain.launch_line import can_change, changed, line
from autoglm_doctor.domain.model import ONLINE

#: Slower reading of weights than this costs minutes at every start; less than so many bytes tells nothing.
LOAD_BYTES_PER_S, LOAD_LEAST_BYTES = 0.5e9, 1e9

#: The 95th percentile of the time per token over the median, seconds it must differ by, and requests for a verdict.
JITTER, JITTER_LEAST_SECONDS, JITTER_REQUESTS = 2.0, 0.005, 5

#: A hot GPU at this share of its highest clock is slowed down in earnest; the driver's own words for it otherwise.
CLOCK_SHARE = 0.8
_HARDWARE = ("hardware slowdown", "hardware thermal slowdown", "power brake")
_SOFTWARE = "software thermal slowdown"

LOOK = Fix(
    text=Text("see what slows the GPU down (heat, power, a setting) and what else runs on it"),
    commands=("nvidia-smi -q -d PERFORMANCE,CLOCK,POWER,TEMPERATURE", "nvidia-smi"),
    effort="setting",
)


def loading(place: Place) -> Iterator[Judgement]:
    """How fast the weights are read, where there are enough of them to tell."""
    serving, launch = place.serving, place.intent.launch
    one, seconds = serving.figures.weights_bytes, serving.figures.load_seconds
    if seconds is None:
        seconds = next((phase.seconds for phase in serving.phases if phase.name == "loading weights"), None)
    if not one or not seconds or is_untrained(serving, place.intent) or launch.quantization in ONLINE:
        return
    whole = one * launch.tensor_parallel * launch.pipeline_parallel
    if whole < LOAD_LEAST_BYTES:
        return
    rate = whole / seconds
    limit = Threshold(value=LOAD_BYTES_PER_S, unit="bytes/s", source="a SATA disk")
    said = {"rate": rate, "seconds": seconds, "bytes": whole}
    if rate >= LOAD_BYTES_PER_S:
        text = Text("{bytes:GB} of weights are loaded in {seconds:s} ({rate:MB/s})", said)
        yield ok(text, subject="loading", observed=rate, threshold=limit)
        return
    text = Text("the weights are loaded with only {rate:MB/s}: every start takes {seconds:s} for them", said)
    where = Fix(text=Text("put the weights on a local disk"), commands=(f"findmnt -T {shlex.quote(place.folder)}",))
    yield warn(text, subject="loading", cause="SLOW_MODEL_STORAGE", observed=rate, threshold=limit, fix=where)


def steadiness(speed: Speed) -> Iterator[Judgement]:
    """Whether a token takes about as long in every request."""
    middle, late = speed.per_token_p50_seconds, speed.per_token_p95_seconds
    if not middle or late is None or speed.requests < JITTER_REQUESTS:
        return
    said = {"middle": middle, "late": late}
    words = "a token takes {middle:ms}, in the slowest requests {late:ms}"
    limit = Threshold(value=JITTER, unit="times the median", source="our own number")
    if late <= JITTER * middle or late - middle < JITTER_LEAST_SECONDS:
        yield ok(Text(words, said), subject="steadiness", observed=round(late / middle, 2), threshold=limit)
        return
    words += ": something else takes turns with this server"
    yield warn(Text(words, said), subject="steadiness", observed=round(late / middle, 2), threshold=limit, fix=LOOK)


def burst(place: Place, one: Burst) -> Iterator[Judgement]:
    """Whether all of the requests that were sent together were answered."""
    subject = f"{one.concurrency} at once"
    said = {"n": one.concurrency, "failed": one.failed, "all": one.requests, "engine": place.name}
    if not one.failed:
        said["rate"] = number(one.output_tokens_per_s)
        yield ok(Text("{n} requests at once: {rate} tokens/s together, none failed", said), subject=subject)
        return
    words = "of {all} requests, {n} at once, {failed} got no whole answer"
    fewer = max(1, one.concurrency // 2)
    fixes = []
    if can_change(place.intent, "max_num_seqs"):
        text = Text("let {n} be served at once and the others wait", {"n": fewer})
        fixes.append(Fix(text=text, commands=(line(changed(place.intent, {"max_num_seqs": fewer})),), effort="flag"))
    read = Fix(
        text=Text("read the server's log while they run"), commands=(f"{line(place.intent)} 2>&1 | tee server.log",)
    )
    yield warn(
        Text(words, said), subject=subject, cause="SERVER_FAILS_UNDER_LOAD", fix=(read, *fixes), observed=one.failed
    )


def throttled(gpu: GpuUnderLoad) -> Iterator[Judgement]:
    """Heat and a weak power supply; a power cap is how every GPU is held under load."""
    hard = [reason for reason in gpu.throttle_reasons if reason in _HARDWARE]
    clock, most = gpu.sm_clock_median_mhz, gpu.sm_clock_max_mhz
    slow = clock is not None and most is not None and clock < CLOCK_SHARE * most
    if not hard and not (_SOFTWARE in gpu.throttle_reasons and slow):
        return
    said = {
        "gpu": gpu.index,
        "why": ", ".join(hard or [_SOFTWARE]),
        "clock": "?" if clock is None else clock,
        "most": "?" if most is None else most,
        "hot": "?" if gpu.temperature_max_c is None else gpu.temperature_max_c,
    }
    words = "GPU {gpu} was slowed down while it worked ({why}): {clock} of {most} MHz, {hot} degrees"
    fix = Fix(
        text=Text("cool it, or see to its power supply; then look again"),
        commands=LOOK.commands,
        effort="hardware",
    )
    yield warn(Text(words, said), subject=f"gpu:{gpu.index}", cause="GPU_THROTTLED", fix=fix)
