"""Ask the server, then measure it: first whether its answers are right, then how fast they come.

`measure` never raises for what a server does. Correctness has all the time it needs; speed gets what is left.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autoglm_doctor.facts import Ask, Burst, GpuUnderLoad, ServingFailure, Speed
from autoglm_doctor.probes.serving import questions
from autoglm_doctor.probes.serving.ask import Asker, Reply
from autoglm_doctor.probes.serving.burst import measure_burst
from autoglm_doctor.probes.serving.gpus import Sampler
from autoglm_doctor.probes.serving.http import Endpoint as Endpoint
from autoglm_doctor.probes.serving.http import is_ready as is_ready
from autoglm_doctor.probes.serving.names import model_name as model_name
from autoglm_doctor.probes.serving.questions import Question
from autoglm_doctor.probes.serving.speed import Bench, answer_tokens, measure_speed

#: Of the time that is left: a first question that takes more leaves none for the others.
_SHARE = 0.6
#: A server that has just opened its port may say 503 for a moment.
_PATIENCE_SECONDS = 10.0
_NOT_YET = (429, 503)
#: A server that has answered before and is silent for less than this may only be slow.
_HANG_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is to be measured, and in how many seconds."""

    pictures: bool
    agent: bool
    concurrency: int
    seconds: float
    seed: int
    picture_size: tuple[int, int] = (1080, 2400)
    context: int | None = None  # tokens that fit into a request
    gpus: tuple[int, ...] = ()  # NVML indices


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came out; what did not fit into the time is not there."""

    asks: tuple[Ask, ...] = ()
    speed: Speed | None = None
    bursts: tuple[Burst, ...] = ()
    gpus: tuple[GpuUnderLoad, ...] = ()
    failure: ServingFailure | None = None


def measure(
    endpoint: Endpoint, wishes: Wishes, alive: Callable[[], bool], say: Callable[[str], None] = lambda _: None
) -> Measured:
    """Ask and measure. `alive` says whether the server's process still runs, `say` is told what is being done."""
    until = time.perf_counter() + wishes.seconds
    sampler = Sampler(wishes.gpus)
    try:
        asker = Asker(endpoint, alive)
        asks, failure = _asks(asker, wishes, until, say)
        # Not from the seed alone: with --endpoint a cache may still know what a run before this one asked.
        bench = Bench(asker, until, salt=wishes.seed ^ secrets.randbits(48))
        speed, bursts = (None, ()) if failure else _speed(bench, wishes, asks, say)
        failure = failure or _failed(bench, alive)
    finally:
        gpus = sampler.stop()
    return Measured(asks=asks, speed=speed, bursts=bursts, gpus=gpus, failure=failure)


def _questions(wishes: Wishes) -> Iterator[Question]:
    yield questions.cold()
    yield questions.text()
    yield questions.text("text again")
    if wishes.pictures:
        yield questions.look("picture", "light", wishes.picture_size)
        yield questions.look("other picture", "dark", wishes.picture_size)
        yield questions.no_look()
    if wishes.agent:
        yield questions.agent(wishes.picture_size, wishes.context)


def _asks(
    asker: Asker, wishes: Wishes, until: float, say: Callable[[str], None]
) -> tuple[tuple[Ask, ...], ServingFailure | None]:
    asks: list[Ask] = []
    refuses_pictures = False
    for question in _questions(wishes):
        if refuses_pictures and question.picture:
            continue
        left = until - time.perf_counter()
        if left <= 0.1:
            break
        say(f"asking: {question.name}")
        reply = _patient(asker, question, left * _SHARE)
        if (
            asks
            and reply.kind == "no_answer"
            and left * _SHARE < _HANG_SECONDS
            and reply.ask.error.startswith("no word")
        ):
            break  # our time is up, not the server's fault
        asks.append(reply.ask)
        refuses_pictures |= bool(question.picture) and reply.kind == "refused"
        if not _may_go_on(reply, question):
            return tuple(asks), ServingFailure(stage="ask", kind=reply.kind, message=reply.ask.error)
    return tuple(asks), None


def _may_go_on(reply: Reply, question: Question) -> bool:
    """A picture that is refused leaves the text; an answer that was only too slow leaves what it said."""
    return not reply.kind or reply.kind == "slow" or (reply.kind == "refused" and question.picture is not None)


def _patient(asker: Asker, question: Question, seconds: float) -> Reply:
    """Ask again for a while where the server says that it is not ready yet."""
    until = time.perf_counter() + seconds
    patience = time.perf_counter() + min(_PATIENCE_SECONDS, seconds)
    reply = asker.ask(question, seconds)
    while reply.ask.status in _NOT_YET and time.perf_counter() < patience:
        time.sleep(0.5)
        reply = asker.ask(question, max(0.1, until - time.perf_counter()))
    return reply


def _speed(
    bench: Bench, wishes: Wishes, asks: tuple[Ask, ...], say: Callable[[str], None]
) -> tuple[Speed | None, tuple[Burst, ...]]:
    if bench.left() <= 0.5:
        return None, ()
    seen = wishes.pictures and any(ask.picture and not ask.error for ask in asks)
    say("measuring: one request at a time")
    share = bench.left() * (0.7 if wishes.concurrency > 1 else 1.0)
    speed = measure_speed(bench, share, wishes.picture_size if seen else None, wishes.context, asks)
    if speed is None or bench.failed or wishes.concurrency < 2:
        return speed, ()
    say(f"measuring: {wishes.concurrency} requests at once")
    tokens = speed.completion_tokens or answer_tokens(asks, share, wishes.context)
    per_token, first = speed.per_token_p50_seconds, speed.first_token_p50_seconds
    burst = measure_burst(bench, wishes.concurrency, tokens, (first or 0.0) + tokens * (per_token or 0.0))
    return speed, () if burst is None else (burst,)


def _failed(bench: Bench, alive: Callable[[], bool]) -> ServingFailure | None:
    if not alive():
        return ServingFailure(stage="measure", kind="died", message="the server ended while it was measured")
    if bench.failed is None:
        return None
    return ServingFailure(stage="measure", kind=bench.failed.kind, message=bench.failed.ask.error)
