"""Several requests at once, as many as the deployment is meant for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence

from autoglm_doctor.facts import Burst
from autoglm_doctor.probes.serving.ask import Reply
from autoglm_doctor.probes.serving.questions import Question, story
from autoglm_doctor.probes.serving.speed import Bench, percentile

#: More threads of Python than that measure themselves instead of the server.
MOST_AT_ONCE = 64
#: How answers end that our own time cut off, while the server was still at them.
_CUT = ("slow", "no_answer")
#: Requests a worker: the second one meets a server that is at work.
ROUNDS = 2


def measure_burst(bench: Bench, concurrency: int, tokens: int, one_seconds: float) -> Burst | None:
    """`concurrency` requests at once, twice if the time allows; None where not even the first would fit.

    `one_seconds`: what a request of as many tokens takes alone. Throughput is that of `vllm bench serve`: the tokens
    of all answers over the time from the first request to the last answer.
    """
    at_once = min(concurrency, MOST_AT_ONCE)
    if at_once < 2 or one_seconds > bench.left():
        return None
    # Requests queue up where the server takes fewer at once: then one round is all that fits.
    rounds = ROUNDS if 2 * ROUNDS * one_seconds < bench.left() else 1
    questions = [story(bench.next_salt(), bench.words, tokens) for _ in range(at_once * rounds)]
    started = time.perf_counter()
    replies = _together(bench, questions, at_once)
    return _burst(replies, at_once, time.perf_counter() - started)


def _together(bench: Bench, questions: Sequence[Question], at_once: int) -> list[Reply]:
    waiting: queue.SimpleQueue[Question] = queue.SimpleQueue()
    for question in questions:
        waiting.put(question)
    replies: list[Reply] = []

    def work() -> None:
        while True:
            try:
                question = waiting.get_nowait()
            except queue.Empty:
                return
            replies.append(bench.asker.once(question, max(0.1, bench.left()))[0])

    workers = [threading.Thread(target=work, daemon=True) for _ in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return replies


def _burst(replies: Sequence[Reply], at_once: int, seconds: float) -> Burst:
    good = [reply for reply in replies if not reply.kind]
    firsts = [r.ask.first_token_seconds for r in good if r.ask.first_token_seconds is not None]
    each = [rate for reply in good if (rate := reply.per_token) is not None]
    counts = [reply.ask.completion_tokens for reply in good]
    known = [count for count in counts if count is not None]
    cut = sum(reply.kind in _CUT for reply in replies)
    is_counted = bool(known) and len(known) == len(counts) and not cut
    return Burst(
        concurrency=at_once,
        requests=len(replies),
        failed=len(replies) - len(good) - cut,
        cut_short=cut,
        seconds=seconds,
        output_tokens=sum(known),
        output_tokens_per_s=sum(known) / seconds if is_counted and seconds > 0 else None,
        first_token_p50_seconds=percentile(firsts, 0.5),
        first_token_p95_seconds=percentile(firsts, 0.95),
        per_token_p50_seconds=percentile(each, 0.5),
        per_token_p95_seconds=percentile(each, 0.95),
    )
