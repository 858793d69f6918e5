"""Part of load.py: a model answers, and the clock runs. Standard library only at the top."""

from __future__ import annotations

import time
from typing import Any

from load_inputs import to_device  # type: ignore[import-not-found]

STARTED = time.perf_counter()
WARM_RUNS = 3  # at most; the median counts
WARM_SHARE = 0.5  # of the whole budget, after which no further warm run starts


class Clock:
    """A streamer that only notes when each token came; the first call brings the prompt."""

    def __init__(self) -> None:
        """No call yet."""
        self.times: list[float] = []

    def put(self, _value: Any) -> None:
        """Note the time: `generate` has just copied the token off the device, so the work is done."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is held back."""


def answer(torch: Any, model: Any, inputs: Any, new_tokens: int, limit_seconds: float) -> Any:
    """One greedy answer: its tokens, its times and its raw logits."""
    clock = Clock()
    started = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(
            **inputs,
            max_new_tokens=new_tokens,
            max_time=max(1.0, limit_seconds),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            return_dict_in_generate=True,
            output_logits=True,
            streamer=clock,
        )
        logits = torch.cat(out.logits).float()
        finite = bool(torch.isfinite(logits).all())
        spread = float(logits.std(dim=-1).min()) if finite else float("nan")
    times = clock.times[1:]
    return {
        "tokens": out.sequences[0, inputs["input_ids"].shape[1] :].tolist(),
        "first": times[0] - started,
        "rate": (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None,
        "seconds": time.perf_counter() - started,
        "logits": logits[0].cpu(),
        "finite": finite,
        "std": spread,
    }


def run_model(torch: Any, model: Any, prompts: Any, arguments: Any, value: Any, enter: Any) -> Any:
    """The cold run, the warm ones, the other picture; fills `value` as it goes and returns the cold run."""
    budget, new_tokens = arguments.get("seconds", 300), arguments.get("new_tokens", 32)

    def left() -> float:
        return float(budget - (time.perf_counter() - STARTED))

    enter("warm-up", "running the model for the first time")
    first = to_device(prompts[0], model)
    cold = answer(torch, model, first, new_tokens, left() / 3)
    tokens = cold["tokens"]
    value.update(first_token_cold_seconds=cold["first"], logits_finite=cold["finite"], logits_std=cold["std"])
    value.update(new_tokens=len(tokens), distinct_tokens=len(set(tokens)))
    enter("generate", "measuring the warm model")
    if len(prompts) > 1 and left() > cold["seconds"]:
        other = answer(torch, model, to_device(prompts[1], model), 1, left() / 2)
        value["image_logit_change"] = float((cold["logits"] - other["logits"]).abs().max())
    warm: list[Any] = []
    while len(warm) < WARM_RUNS and left() > max(2 * cold["seconds"], budget * (1 - WARM_SHARE) if warm else 0):
        warm.append(answer(torch, model, first, new_tokens, left() / 2))
    if warm:
        note_warm(value, cold, warm)
    return cold


def note_warm(value: Any, cold: Any, warm: Any) -> None:
    """Speeds of the median warm run, and whether every run said the same (as far as the shortest got)."""
    middle = sorted(warm, key=lambda run: run["first"])[len(warm) // 2]
    rates = sorted(run["rate"] for run in warm if run["rate"])
    value["first_token_seconds"] = middle["first"]
    value["prefill_tokens_per_s"] = value["prompt_tokens"] / middle["first"]
    value["decode_tokens_per_s"] = rates[len(rates) // 2] if rates else None
    length = min(len(run["tokens"]) for run in (cold, *warm))
    value["repeatable"] = all(run["tokens"][:length] == cold["tokens"][:length] for run in warm)
