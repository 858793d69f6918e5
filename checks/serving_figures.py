"""The figures of a measured server as one sentence; what was not measured is left out."""

from __future__ import annotations

from autoglm_doctor.facts import Serving

_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("{decode} tokens/s for one request", ("decode",)),
    ("{together} tokens/s for {at_once} at once", ("together", "at_once")),
    ("first token after {first:s}", ("first",)),
    ("{picture:s} with a picture", ("picture",)),
    ("{cold:s} the very first time ({ratio} times as long)", ("cold", "ratio")),
    ("prompts with {prefill} tokens/s", ("prefill",)),
    ("{power} W and {clock} MHz in the middle", ("power", "clock")),
    ("{used:GiB} of GPU memory at the peak", ("used",)),
)


def number(value: float | None) -> str:
    """A rate for a reader."""
    return "?" if value is None else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def figures_of(serving: Serving, name: str) -> tuple[str, dict[str, object]]:
    """Template and parameters of the sentence."""
    values = {key: value for key, value in _values(serving).items() if value is not None}
    parts = [words for words, needed in _PARTS if all(key in values for key in needed)]
    values["engine"] = name
    return "{engine}: " + (", ".join(parts) or "no figures"), values


def _values(serving: Serving) -> dict[str, object]:
    speed, burst = serving.speed, serving.bursts[-1] if serving.bursts else None
    gpu = serving.gpus[0] if serving.gpus else None
    found: dict[str, object] = {}
    if speed is not None:
        cold, first = speed.first_token_cold_seconds, speed.first_token_p50_seconds
        found |= {
            "decode": number(speed.decode_tokens_per_s) if speed.decode_tokens_per_s else None,
            "first": first,
            "cold": cold,
            "ratio": number(cold / first) if cold and first else None,
            "picture": speed.first_token_picture_seconds,
            "prefill": number(speed.prefill_tokens_per_s) if speed.prefill_tokens_per_s else None,
        }
    if burst is not None and burst.output_tokens_per_s:
        found |= {"together": number(burst.output_tokens_per_s), "at_once": burst.concurrency}
    if gpu is not None:
        found |= {"power": _whole(gpu.power_median_w), "clock": gpu.sm_clock_median_mhz}
        found["used"] = max((one.used_peak_bytes for one in serving.gpus if one.used_peak_bytes), default=None)
    return found


def _whole(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f}"
