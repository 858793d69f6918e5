"""The final stage: the memory that a model really took beside what was predicted for it. INF"""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from autoglm_doctor.api import (
    SMOKE,
    Findings,
    Fix,
    Inference,
    Intent,
    Judgement,
    Launch,
    ModelFiles,
    Reading,
    Text,
    Threshold,
    check,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.inference import without_run
from autoglm_doctor.domain.launch_line import line
from autoglm_doctor.domain.memory.fits import Card, Estimate, estimates
from autoglm_doctor.domain.memory.terms import gib_of
from autoglm_doctor.domain.model import checkpoint_bytes
from autoglm_doctor.domain.spans import GIB, Span, exactly, total

#: Further apart than this, one of the two is wrong. The prediction is held within 3 % in benchmarks/memory_accuracy.py.
APART = 0.05

#: The prediction does not depend on the card, only its verdict does.
_ANY_CARD = Card(name="", total_bytes=1024 * GIB)


@check(
    "INF004",
    "memory-as-predicted",
    cause="MEMORY_NOT_AS_PREDICTED",
    explained_by=("INF001", "INF002", "CUD001", "TOR001", "MDL001"),
)
def memory_as_predicted(inference: Reading[Inference], model_files: ModelFiles | None, intent: Intent) -> Findings:
    """The model takes as much GPU memory as predicted.

    What this report says about GPU memory is worked out from config.json. Where the real model was run on the GPU, the
    same arithmetic is held against the measurement: the bytes of its weight files against the parameters of the config,
    and torch's peak (max_memory_allocated) against weights, activations and KV cache of the very prompt that was run.
    With random weights there are no files: then it is the bytes of the parameters that were made.

    Yellow when one of them is more than 5 % apart, and outside of the limits that the prediction gave itself. Then the
    verdicts of VRM002 and VRM003 deserve the same doubt. Predicted and run is transformers, which the final stage uses;
    a server's own start-up log is the measure for vLLM. Not judged on a CPU, for the smoke model and for architectures
    whose memory is not predicted.

    ## Fix

    Nothing on this machine is broken: the prediction is. Please report it, with the JSON report attached:

        autoglm-doctor check --format json --out autoglm-doctor-report.json
    """
    run = inference.value
    if run is None:
        yield without_run(inference)
        return
    reason = _not_asked(run)
    if reason:
        yield not_applicable(Text(reason))
        return
    if run.random_weights:
        model_files = _config_alone(model_files)
    predicted = _predicted(run, model_files, intent)
    if predicted is None:
        yield unknown(Text("the memory of this architecture is not predicted, so there is nothing to compare"))
        return
    weights = predicted.weights.likely if run.random_weights else _weights(model_files, intent)
    if weights is not None and run.weight_bytes:
        yield _judge("weights", run.weight_bytes, exactly(weights), predicted, intent)
    if run.peak_bytes is not None:
        yield _judge("peak", run.peak_bytes, _peak(predicted), predicted, intent)


def _not_asked(run: Inference) -> str:
    if run.model == SMOKE:
        return "the smoke model takes a few MiB"
    if not run.device.startswith("cuda"):
        return "the model ran on the CPU: no GPU memory was measured"
    if run.failure is not None or run.peak_bytes is None or not run.prompt_tokens:
        return "no whole run was measured"
    return ""


def _predicted(run: Inference, files: ModelFiles | None, intent: Intent) -> Estimate | None:
    """The prediction for what was run: one prompt with its picture, in the dtype that it ran in."""
    pictures = 1 if run.image_tokens else 0
    launch = Launch(
        dtype=run.dtype or None,
        max_model_len=run.prompt_tokens + max(1, run.new_tokens),
        limit_mm_per_prompt={"image": pictures, "video": 0},
        max_num_seqs=1,
    )
    ran = dataclasses.replace(intent, engine="transformers", launch=launch, command=())
    found = estimates(ran, files, _ANY_CARD, run.transformers_version or None)
    return found[-1] if found else None


def _weights(files: ModelFiles | None, intent: Intent) -> int | None:
    """Bytes of the checkpoint by its config alone, as they would be told before a download."""
    return checkpoint_bytes(intent, _config_alone(files))


def _config_alone(files: ModelFiles | None) -> ModelFiles | None:
    return None if files is None else dataclasses.replace(files, weights=(), dtype_bytes={})


def _peak(predicted: Estimate) -> Span:
    """What torch's allocator holds at the peak; CUDA's own memory is no part of it."""
    return total((predicted.weights, predicted.activation)).plus(predicted.kv_needed)


def _judge(subject: str, measured: int, predicted: Span, shown: Estimate, intent: Intent) -> Judgement:
    apart = measured / max(1, predicted.likely) - 1
    said: dict[str, Any] = {
        "measured": measured,
        "predicted": predicted.likely,
        "apart": abs(apart),
        "more": "more" if apart > 0 else "less",
        "what": "the weights take" if subject == "weights" else "at its peak the model takes",
    }
    rest: dict[str, Any] = {
        "subject": subject,
        "observed": f"{gib_of(measured)} GiB",
        "expected": f"{gib_of(predicted.likely)} GiB",
        "threshold": Threshold(value=APART, unit="of the prediction", source="our own number"),
        "evidence": {
            "predicted_from_gib": gib_of(predicted.low),
            "predicted_to_gib": gib_of(predicted.high),
            "weights_gib": gib_of(shown.weights.likely),
            "peak_activation_gib": gib_of(shown.activation.likely),
            "kv_cache_gib": gib_of(shown.kv_needed),
            "tokens": shown.tokens,
        },
    }
    if abs(apart) <= APART or predicted.low <= measured <= predicted.high:
        words = "{what} {measured:GiB}, {predicted:GiB} were predicted"
        return ok(Text(words, said), **rest)
    words = "{what} {measured:GiB}, {apart:percent} {more} than the {predicted:GiB} that were predicted"
    return warn(Text(words, said), fix=report_fix(intent), **rest)


def report_fix(intent: Intent) -> Fix:
    """The way to tell us that a prediction was wrong."""
    deployment = (
        f"-- {line(intent)}" if intent.command else f"--engine {intent.engine} --model {shlex.quote(intent.model)}"
    )
    command = f"autoglm-doctor check --format json --out autoglm-doctor-report.json {deployment}"
    text = Text("the prediction is wrong, not this machine: please report it with this file attached")
    return Fix(text=text, commands=(command,), effort="setting")
