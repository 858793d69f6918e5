"""How fast one request at a time is answered. Definitions are those of `vllm bench serve`; see `stream` and `ask`.

Every prompt is salted, so that no prefix cache helps, and what does not fit into the time is left None.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from autoglm_doctor.facts import Ask, Speed
from autoglm_doctor.probes.serving.ask import Asker, Reply
from autoglm_doctor.probes.serving.questions import Question, new_picture, story

#: Enough for a median that one outlier does not move; llama-bench takes as many.
REPETITIONS = 5
#: An answer of the agent has one to two hundred tokens. Fewer on a slow server, so that five of them fit.
ANSWER_TOKENS = 128
FEWEST_TOKENS = 16
PROMPT_WORDS = 60
#: Words and tokens of a request, each for when the one before does not fit into the server's context.
SIZES = ((PROMPT_WORDS, ANSWER_TOKENS), (16, 32), (4, FEWEST_TOKENS))
#: Near what Open-AutoGLM's screenshot and system prompt take together.
LONG_TOKENS = 4000
PREFILLS = 3
PICTURES = 5
PICTURE_TOKENS = 4


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that `share` (0 to 1) of the others do not exceed, between neighbours on a straight line, as numpy."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(slots=True)
class Bench:
    """What the parts of the measurement share: whom to ask, until when, and the salt."""

    asker: Asker
    until: float  # of time.perf_counter
    salt: int
    failed: Reply | None = None
    words: int = PROMPT_WORDS  # of a prompt, as many as fit

    def left(self) -> float:
        """Seconds."""
        return self.until - time.perf_counter()

    def next_salt(self) -> int:
        """Never the same twice."""
        self.salt += 1
        return (self.salt * 0x9E3779B97F4A7C15) % 2**63

    def ask(self, question: Question) -> Reply | None:
        """One question; None when it failed, which ends the measurement (`failed`), or was not done in time."""
        reply = self.asker.ask(question, max(0.1, self.left()))
        if not reply.kind:
            return reply
        if reply.kind not in ("slow", "no_answer") or self.left() > 1:
            self.failed = reply
        return None

    def repeat(self, make: Callable[[], Question], most: int, until: float) -> Iterator[Reply]:
        """Ask new questions one after the other; the next one only if one as long as the last still fits."""
        taken = 0.0
        for _ in range(most):
            started = time.perf_counter()
            if self.failed or started + taken > min(until, self.until):
                return
            reply = self.ask(make())
            if reply is None:
                return
            taken = time.perf_counter() - started
            yield reply


def measure_speed(
    bench: Bench, seconds: float, size: tuple[int, int] | None, context: int | None, asks: Sequence[Ask]
) -> Speed | None:
    """All of `Speed` within so many seconds; `size`: of the pictures, None for a server without them.

    None when not one request was answered to its end.
    """
    started = time.perf_counter()
    warm = _warm_up(bench, answer_tokens(asks, seconds, context))
    if warm is None:
        return None
    short, tokens = warm
    half = started + seconds * (0.5 if size else 0.65)

    def question() -> Question:
        return story(bench.next_salt(), bench.words, tokens)

    replies = list(bench.repeat(question, REPETITIONS, half))
    if not replies:
        return None
    speed = _speed(replies, asks)
    long = list(_prefills(bench, short, context, started + seconds * 0.75))
    rates = [r.ask.prompt_tokens / r.ask.first_token_seconds for r in long if _has_rate(r)]  # type: ignore[operator]
    length = next((r.ask.prompt_tokens for r in long if _has_rate(r)), None)
    speed = replace(speed, prefill_tokens_per_s=percentile(rates, 0.5), prefill_tokens=length)
    return replace(speed, first_token_picture_seconds=_pictures(bench, size, started + seconds))


def _warm_up(bench: Bench, tokens: int) -> tuple[Reply, int] | None:
    """The first request, which counts for nothing but shows what fits: it, and the tokens it asked for."""
    for bench.words, most in SIZES:
        fewer = min(tokens, most)
        reply = bench.asker.ask(story(bench.next_salt(), bench.words, fewer), max(0.1, bench.left()))
        if not reply.kind:
            return reply, fewer
        if reply.ask.status not in (400, 413, 422):
            break
    bench.failed = None if reply.kind == "slow" else reply
    return None


def answer_tokens(asks: Sequence[Ask], seconds: float, context: int | None) -> int:
    """Tokens a measured answer has, so that five answers take a third of the time, by what the first ones took."""
    most = ANSWER_TOKENS if context is None else max(FEWEST_TOKENS, min(ANSWER_TOKENS, context // 4))
    rates = [(ask.seconds or 0.0) / (ask.completion_tokens or ask.chunks) for ask in asks if ask.seconds and ask.chunks]
    if not rates or min(rates) <= 0:
        return most
    return max(FEWEST_TOKENS, min(most, int(seconds / 3 / REPETITIONS / min(rates))))


def _has_rate(reply: Reply) -> bool:
    return bool(reply.ask.prompt_tokens and reply.ask.first_token_seconds)


def _prefills(bench: Bench, short: Reply, context: int | None, until: float) -> Iterator[Reply]:
    """Long prompts, their words counted out by what the short one's took; none where the server counts no tokens."""
    tokens = short.ask.prompt_tokens
    if not tokens or bench.failed:
        return
    room = LONG_TOKENS if context is None else min(LONG_TOKENS, context // 2)
    words = int(room / (tokens / bench.words))
    expected = (short.ask.first_token_seconds or 0.0) * room / tokens
    if words <= bench.words or time.perf_counter() + expected > until:
        return
    # A prompt that does not fit is no fault: the server's limit need not be known here.
    first = bench.asker.ask(story(bench.next_salt(), words, 1), max(0.1, bench.left()))
    if first.kind not in ("", "slow") and first.ask.status not in (400, 413, 422):
        bench.failed = first
    if not first.kind:
        yield first
        yield from bench.repeat(lambda: story(bench.next_salt(), words, 1), PREFILLS - 1, until)


def _pictures(bench: Bench, size: tuple[int, int] | None, until: float) -> float | None:
    if size is None or bench.failed:
        return None
    shown = size

    def question() -> Question:
        return new_picture(bench.next_salt(), shown, PICTURE_TOKENS)

    seconds = [reply.ask.first_token_seconds for reply in bench.repeat(question, PICTURES, until)]
    return percentile([second for second in seconds if second is not None], 0.5)


def _speed(replies: Sequence[Reply], asks: Sequence[Ask]) -> Speed:
    firsts = [r.ask.first_token_seconds for r in replies if r.ask.first_token_seconds is not None]
    each = [rate for reply in replies if (rate := reply.per_token) is not None]
    per_token = percentile(each, 0.5)
    middle = sorted(replies, key=lambda reply: reply.ask.completion_tokens or 0)[len(replies) // 2].ask
    cold = {ask.name: ask.first_token_seconds for ask in asks if not ask.error}
    return Speed(
        requests=len(replies),
        prompt_tokens=middle.prompt_tokens,
        completion_tokens=middle.completion_tokens,
        first_token_cold_seconds=cold.get("cold"),
        first_token_p50_seconds=percentile(firsts, 0.5),
        first_token_max_seconds=max(firsts, default=None),
        first_token_picture_cold_seconds=cold.get("picture"),
        per_token_p50_seconds=per_token,
        per_token_p95_seconds=percentile(each, 0.95),
        decode_tokens_per_s=1 / per_token if per_token else None,
    )
