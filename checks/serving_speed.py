"""INF: how fast the real server is, beside what the hardware allows. Yellow at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autoglm_doctor.api import (
    Cuda,
    Environment,
    Findings,
    Fix,
    Gpu,
    Intent,
    Judgement,
    Matrix,
    ModelFiles,
    Packages,
    Reading,
    Serving,
    Speed,
    Text,
    Threshold,
    check,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.serving import is_down
from autoglm_doctor.checks.serving_causes import ROOTS, Place, read_place, without_server
from autoglm_doctor.checks.serving_conditions import LOOK, burst, loading, steadiness, throttled
from autoglm_doctor.checks.serving_figures import figures_of, number
from autoglm_doctor.domain.launch_line import can_change, changed, line
from autoglm_doctor.domain.model import model_shape, quantization_of
from autoglm_doctor.domain.roofline import Card, Work, card_of, work_of

#: Share of the card's arithmetic below which a long prompt is read suspiciously slowly, and the time that it would take
#: at best below which the server's own overhead (some 30 ms) hides the arithmetic.
PREFILL_SHARE, PREFILL_LEAST_SECONDS = 0.15, 0.02


@dataclass(frozen=True, slots=True)
class _Yardstick:
    """Shares of the bandwidth that an engine reaches, and the ideal time per token below which overhead decides."""

    good: float
    gross: float
    least_seconds: float
    source: str


_SEEN = "vLLM 52 to 79 %, transformers 12 to 25 % on an A100 (GLM-V's README), llama.cpp 70 % on a 4060"
_GRAPHS = _Yardstick(0.45, 0.25, 0.003, _SEEN)
_EAGER = _Yardstick(0.25, 0.12, 0.006, f"{_SEEN}; without CUDA graphs Python adds its time to every token")
_PYTHON = _Yardstick(0.12, 0.06, 0.006, f"{_SEEN}; Python adds its time to every token")


@check("INF009", "server-speed", cause="SERVER_SLOW", explained_by=("INF005", "INF006", *ROOTS))
def server_speed(
    serving: Reading[Serving],
    gpus: tuple[Gpu, ...] | None,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The server is as fast as its hardware allows.

    Measured with the definitions of `vllm bench serve` (time per token = (end - first token) / (tokens - 1), tokens as
    the server counts them, a warm-up, prompts that no cache has seen), one request at a time and then several. Never
    red: a slow server serves, and the yardsticks come from few public measurements and from data sheets.

    - **loading**: below 0.5 GB/s the weights lie on a network disk or a thin volume. Not judged for random weights, and
      where they are quantized while they load.
    - **decoding**: every token reads all weights but the table of input vectors (17.56 GB for AutoGLM-Phone-9B) and the
      cache, so bandwidth / bytes is the most that is possible. Yellow below 45 % of it for engines with CUDA graphs,
      25 % without (`--enforce-eager`), 12 % for transformers; below 25, 12 and 6 % something is badly wrong. Not judged
      where a token takes less than 3 ms at best (6 without graphs): there overhead decides.
    - **prompts**: yellow below 15 % of the card's arithmetic for a long prompt, for 16-bit weights in vLLM and SGLang.
    - **steadiness**: yellow when the 95th percentile of the time per token is more than twice the median.
    - **at once**: yellow when requests failed that were sent together.
    - **the GPU** itself, when it says that heat or the power supply slows it down.

    On a CPU, behind `--endpoint` and on cards whose data sheet is not in the table figures are given and not judged.

    ## Fix
    Slow loading: a local disk. Slow answers: see what throttles the GPU or shares it.

        nvidia-smi -q -d PERFORMANCE,CLOCK,POWER,TEMPERATURE
    """
    value = serving.value
    if value is None:
        yield without_server(serving)
        return
    place = read_place(value, intent, gpus, model_files, packages, environment, cuda)
    card = _card(place, matrix)
    judged = list(_judgements(place, card)) if place.case.taken else []
    yield from judged
    if value.speed is None:
        why = "the time ran out before speed was measured" if value.failure is None else "the trial ended before"
        why = "the server was not up long enough" if is_down(value) else why
        yield unknown(Text(why), subject="answers" if judged else "")
    elif not any(one.subject == "decoding" for one in judged):
        yield not_applicable(
            _told(place, "not judged, {why}: ", why=_why_not(place, card)), subject="decoding" if judged else ""
        )


def _judgements(place: Place, card: Card | None) -> Iterator[Judgement]:
    serving = place.serving
    yield from loading(place)
    if serving.speed is not None:
        yield from _decoding(place, serving.speed, card)
        yield from _prompts(place, serving.speed, card)
        yield from steadiness(serving.speed)
    for one in serving.bursts:
        yield from burst(place, one)
    for gpu in serving.gpus:
        yield from throttled(gpu)


def _told(place: Place, before: str = "", **params: object) -> Text:
    """The figures as a sentence, with words in front."""
    template, values = figures_of(place.serving, place.name)
    return Text(before + template, {**values, **params})


def _why_not(place: Place, card: Card | None) -> str:
    if not place.serving.command:
        return "the hardware behind the URL is not known"
    if not place.case.taken:
        return "it runs on the CPU"
    if card is None:
        return "the data sheet of this GPU is not in the table"
    if place.serving.speed is not None and not place.serving.speed.decode_tokens_per_s:
        return "the server does not count its tokens"
    return "there is no yardstick for this model and this launch"


def _card(place: Place, matrix: Matrix) -> Card | None:
    """The slowest of the GPUs by its data sheet; None when one of them is not known, or only a slice."""
    gpus = [one.gpu for one in place.case.taken]
    cards = [None if gpu.mig else card_of(gpu.name, gpu.total_bytes or None, matrix) for gpu in gpus]
    known = [card for card in cards if card is not None]
    return min(known, key=lambda card: card.bandwidth) if known and len(known) == len(cards) else None


def _work(place: Place, speed: Speed) -> Work | None:
    """What a token costs; None where part of the model lies elsewhere."""
    intent, files = place.intent, place.case.files
    shape = model_shape(intent, files)
    if shape is None or (intent.engine == "llamacpp" and (intent.launch.gpu_layers or 0) <= shape.layers):
        return None
    return work_of(intent, files, (speed.prompt_tokens or 0) + (speed.completion_tokens or 0) // 2)


def _yardstick(intent: Intent) -> _Yardstick:
    if intent.engine == "transformers":
        return _PYTHON
    return _EAGER if intent.launch.enforce_eager else _GRAPHS


def _decoding(place: Place, speed: Speed, card: Card | None) -> Iterator[Judgement]:
    work, measure = _work(place, speed), _yardstick(place.intent)
    if card is None or work is None or not speed.decode_tokens_per_s:
        return
    ideal = work.bytes / card.bandwidth
    if ideal < measure.least_seconds:
        return
    share = speed.decode_tokens_per_s * ideal
    said = {
        "engine": place.name,
        "rate": number(speed.decode_tokens_per_s),
        "share": share,
        "most": number(1 / ideal),
    }
    rest = {
        "subject": "decoding",
        "observed": round(share, 3),
        "threshold": Threshold(value=measure.good, unit="of the bandwidth", source=measure.source),
        "evidence": {
            "decode_tokens_per_s": round(speed.decode_tokens_per_s, 2),
            "at_most_tokens_per_s": round(1 / ideal, 2),
            "bytes_per_token": int(work.bytes),
            "bandwidth_bytes_per_s": int(card.bandwidth),
        },
    }
    if share >= measure.good:
        words = "{engine} writes {rate} tokens/s for one request, {share:percent} of the {most} that the "
        yield ok(Text(words + "GPU's memory allows", said), **rest)  # type: ignore[arg-type]
        return
    grave = "far too slow: " if share < measure.gross else ""
    words = (
        grave + "{engine} writes {rate} tokens/s for one request, only {share:percent} of the {most} that the GPU's "
    )
    yield warn(Text(words + "memory allows", said), fix=_faster(place), **rest)  # type: ignore[arg-type]


def _faster(place: Place) -> tuple[Fix, ...]:
    """What slows the GPU down by its own word, then what the flags slow down."""
    fixes = []
    reasons = sorted({reason for gpu in place.serving.gpus for reason in gpu.throttle_reasons})
    text = Text("see what slows the GPU down (it names: {reasons})", {"reasons": ", ".join(reasons)})
    fixes.append(Fix(text=text, commands=LOOK.commands, effort="setting") if reasons else LOOK)
    if place.intent.launch.enforce_eager and can_change(place.intent, "enforce_eager"):
        text = Text("use CUDA graphs: leave --enforce-eager out")
        fixes.append(Fix(text=text, commands=(line(changed(place.intent, {"enforce_eager": None})),), effort="flag"))
    return tuple(fixes)


def _prompts(place: Place, speed: Speed, card: Card | None) -> Iterator[Judgement]:
    work, rate = _work(place, speed), speed.prefill_tokens_per_s
    intent = place.intent
    quantized = quantization_of(intent, place.case.files) or intent.launch.quantization
    if card is None or card.operations is None or work is None or not rate or quantized:
        return
    tokens = speed.prefill_tokens or 0
    if intent.engine not in ("vllm", "sglang") or tokens * work.operations / card.operations < PREFILL_LEAST_SECONDS:
        return
    share = rate * work.operations / card.operations
    said = {"share": share, "rate": number(rate)}
    words = "a long prompt is read with {rate} tokens/s, {share:percent} of what the GPU's arithmetic allows"
    limit = Threshold(value=PREFILL_SHARE, unit="of the card's 16-bit operations", source="our own number")
    if share >= PREFILL_SHARE:
        yield ok(Text(words, said), subject="prompts", observed=round(share, 3), threshold=limit)
    else:
        yield warn(Text(words, said), subject="prompts", observed=round(share, 3), threshold=limit, fix=LOOK)
