"""INF: the memory that the real server says it takes, beside what was predicted for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autoglm_doctor.api import (
    Cuda,
    Environment,
    Findings,
    Gpu,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Reading,
    Serving,
    Text,
    Threshold,
    check,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.inference_memory import APART, report_fix
from autoglm_doctor.checks.serving_causes import ROOTS, Place, read_place, without_server
from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.memory.fits import Card, Estimate, kv_element_bytes, vllm_inputs
from autoglm_doctor.domain.memory.terms import gib_of
from autoglm_doctor.domain.model import element_bytes, model_shape
from autoglm_doctor.domain.spans import Span, exactly

_WORDS = {
    "weights": "the weights take",
    "activation": "the peak of the activations takes",
    "graphs": "the CUDA graphs take",
    "kv cache": "the KV cache gets",
    "kv tokens": "the KV cache holds",
}


@check(
    "INF010",
    "server-memory-as-predicted",
    cause="MEMORY_NOT_AS_PREDICTED",
    explained_by=("INF005", "VRM001", *ROOTS),
)
def server_memory(
    serving: Reading[Serving],
    gpus: tuple[Gpu, ...] | None,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    intent: Intent,
) -> Findings:
    """The server takes as much GPU memory as predicted.

    What this report says about GPU memory is worked out for the engine, its version, the card and the flags. A server
    that was really started says in its log what it took: weights, the peak of the activations, CUDA graphs, the KV
    cache and the tokens in it. Each is held against the same arithmetic.

    Yellow when one of them is more than 5 % apart and outside of the limits that the prediction gave itself. Then the
    verdicts of VRM002 and VRM003 deserve the same doubt. Not judged on a CPU, behind `--endpoint`, and for models whose
    memory is not predicted.

    ## Fix

    Nothing on this machine is broken: the prediction is. Please report it, with the JSON report attached:

        autoglm-doctor check --format json --out autoglm-doctor-report.json
    """
    value = serving.value
    if value is None:
        yield without_server(serving)
        return
    place = read_place(value, intent, gpus, model_files, packages, environment, cuda)
    obstacle = _not_asked(place)
    card = place.case.card
    pairs = () if obstacle or card is None else tuple(_pairs(place, card))
    if not pairs:
        yield obstacle or unknown(Text("{engine} told nothing of its memory", {"engine": place.name}))
    for subject, measured, predicted in pairs:
        yield _judge(place, subject, measured, predicted)


def _not_asked(place: Place) -> Judgement | None:
    if not place.case.taken:
        why = "it runs on the CPU" if place.serving.command else "the hardware behind the URL is not known"
        return not_applicable(Text("no GPU memory was measured: {why}", {"why": why}))
    if place.intent.engine == "transformers":
        return not_applicable(Text("transformers serve does not say what memory it takes"))
    if place.case.card is None or not place.case.estimates:
        return unknown(Text("the memory of this model is not predicted, so there is nothing to compare"))
    return None


def _pairs(place: Place, card: Card) -> Iterator[tuple[str, int, Span]]:
    """What the engine said and what was predicted, both of one GPU."""
    case, said = place.case, place.serving.figures
    if said.weights_bytes:
        yield "weights", said.weights_bytes, _over(case.estimates, "weights")
    staged = place.intent.launch.pipeline_parallel > 1  # logs of pipelines show the first stage, without the sampler
    if said.activation_bytes and not staged:
        yield "activation", said.activation_bytes, _activation(place, card)
    if said.graph_bytes and place.intent.engine == "vllm":
        yield "graphs", said.graph_bytes, _over(case.estimates, "graphs_built")
    if said.kv_cache_bytes:
        yield "kv cache", said.kv_cache_bytes, _kv_cache(place)
    tokens = _kv_tokens(place)
    if said.kv_cache_tokens and tokens is not None:
        yield "kv tokens", said.kv_cache_tokens, tokens


def _over(found: tuple[Estimate, ...], term: str) -> Span:
    """A term over all versions that it may be; the newest is the likely one."""
    spans: list[Span] = [getattr(one, term) for one in found]
    return Span(min(s.low for s in spans), spans[-1].likely, max(s.high for s in spans))


def _activation(place: Place, card: Card) -> Span:
    """The peak as the log of that version counts it: from 0.27 on without buffers that stay."""
    case = place.case
    shape, whole = model_shape(case.intent, case.files), _over(case.estimates, "activation")
    if case.intent.engine != "vllm" or shape is None:
        return whole
    batch, seen, setting, _ = vllm_inputs(case.intent, case.files, card, shape, case.estimates[-1].version)
    _, elsewhere = vllm_memory.logged_activation(shape, batch, seen, setting)
    return Span(*(max(0, end - elsewhere) for end in (whole.low, whole.likely, whole.high)))


def _kv_cache(place: Place) -> Span:
    """What is left for the cache; llama.cpp allocates what -c asks for and no more."""
    found = place.case.estimates
    return exactly(found[-1].kv_needed) if place.intent.engine == "llamacpp" else _over(found, "kv_available")


def _kv_tokens(place: Place) -> Span | None:
    """Tokens in the bytes that the engine itself named; None where layers differ in what they keep."""
    intent, files = place.intent, place.case.files
    shape, room = model_shape(intent, files), place.serving.figures.kv_cache_bytes
    if shape is None or not room or shape.hybrid or shape.sliding_layers or intent.engine == "llamacpp":
        return None
    element = kv_element_bytes(intent, element_bytes(intent, files))
    each = shape.kv_bytes_per_token(element, intent.launch.tensor_parallel) / intent.launch.pipeline_parallel
    return exactly(room / each) if each else None


def _judge(place: Place, subject: str, measured: int, predicted: Span) -> Judgement:
    apart = measured / max(1, predicted.likely) - 1
    unit = ":count} tokens" if subject == "kv tokens" else ":GiB}"
    peaks = [gpu.used_peak_bytes for gpu in place.serving.gpus if gpu.used_peak_bytes]
    said: dict[str, Any] = {
        "what": _WORDS[subject],
        "measured": measured,
        "predicted": max(0, predicted.likely),
        "apart": abs(apart),
        "more": "more" if apart > 0 else "less",
    }
    rest: dict[str, Any] = {
        "subject": subject,
        "observed": measured,
        "expected": predicted.likely,
        "threshold": Threshold(value=APART, unit="of the prediction", source="our own number"),
        "evidence": {
            "predicted_from": predicted.low,
            "predicted_to": predicted.high,
            "engine_version_assumed": place.case.estimates[-1].version,
            "gpu_peak_gib": gib_of(max(peaks)) if peaks else None,
        },
    }
    if abs(apart) <= APART or predicted.low <= measured <= predicted.high:
        return ok(Text("{what} {measured" + unit + ", {predicted" + unit + " were predicted", said), **rest)
    words = "{what} {measured" + unit + ", {apart:percent} {more} than the {predicted" + unit + " that were predicted"
    return warn(Text(words, said), fix=report_fix(place.intent), **rest)
