"""The whole measurement, against servers of every kind: what is told, what is left out, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.probes.serving.ask import Asker, Reply
from autoglm_doctor.probes.serving.http import Endpoint, is_ready
from autoglm_doctor.probes.serving.measure import Measured, Wishes, measure
from autoglm_doctor.probes.serving.questions import Question
from autoglm_doctor.probes.serving.speed import percentile
from autoglm_doctor.probes.serving.stream import Stream
from tests.probes.serving.fake_server import MODES, Server, serve

NAMES = ("cold", "text", "text again", "picture", "other picture", "no picture", "agent")


def wishes(**changes: Any) -> Wishes:
    usual = {"pictures": True, "agent": True, "concurrency": 3, "seconds": 3.0, "seed": 1, "picture_size": (112, 224)}
    return Wishes(**{**usual, **changes})


def measured(server: Server, **changes: Any) -> Measured:
    return measure(Endpoint(server.url, "autoglm-phone-9b"), wishes(**changes), lambda: True)


def test_all_of_a_healthy_server() -> None:
    said: list[str] = []
    with serve(image_tokens=64) as server:
        result = measure(Endpoint(server.url, "autoglm-phone-9b"), wishes(seconds=20), lambda: True, said.append)
    assert result.failure is None
    assert tuple(ask.name for ask in result.asks) == NAMES
    asks = {ask.name: ask for ask in result.asks}
    assert all((ask.status, ask.error) == (200, "") for ask in result.asks)
    assert asks["text"].text == asks["text again"].text != ""
    assert asks["picture"].text != asks["other picture"].text
    with_picture, without = asks["picture"].prompt_tokens, asks["no picture"].prompt_tokens
    assert with_picture is not None
    assert without is not None
    assert with_picture - without == 64
    assert asks["picture"].picture == (112, 224)
    assert "do(action=" in asks["agent"].text
    assert result.speed is not None
    assert result.speed.requests == 5
    assert None not in (result.speed.prefill_tokens_per_s, result.speed.first_token_picture_seconds)
    assert [(burst.concurrency, burst.requests, burst.failed) for burst in result.bursts] == [(3, 6, 0)]
    assert said[0] == "asking: cold"
    assert "measuring: one request at a time" in said


#: (mode, the name of the last ask, the failure's kind or None)
ENDS = [
    ("healthy", "agent", None),
    ("bangs", "agent", None),
    ("constant", "agent", None),
    ("http500", "cold", "refused"),
    ("hang", "cold", "no_answer"),
    ("drip", "cold", "no_answer"),
    ("ignores-pictures", "agent", None),
    ("drops-pictures", "agent", None),
    ("refuses-pictures", "no picture", None),
    ("no-template", "cold", "refused"),
    ("endless", "cold", "endless"),
    ("no-end", "cold", "endless"),
    ("stall", "cold", "cut_off"),
    ("cut-off", "cold", "cut_off"),
    ("no-usage", "agent", None),
    ("no-usage-at-all", "agent", None),
    ("no-done", "agent", None),
    ("no-stream-options", "agent", None),
    ("no-extras", "agent", None),
    ("no-stream", "agent", None),
    ("html", "cold", "not_openai"),
    ("empty", "cold", "not_openai"),
    ("broken-json", "cold", "not_openai"),
    ("bad-utf8", "agent", None),
    ("huge", "cold", "endless"),
    ("error-in-stream", "cold", "refused"),
    ("not-http", "cold", "not_openai"),
    ("no-names", "agent", None),
    ("random", "agent", None),
]


@pytest.mark.parametrize(("mode", "last", "kind"), [pytest.param(*end, id=end[0]) for end in ENDS])
def test_how_it_ends(mode: str, last: str, kind: str | None) -> None:
    with serve(mode=mode, token_ms=0.2) as server:
        started = time.monotonic()
        result = measured(server, seconds=2.0 if mode == "stall" else 1.2, concurrency=1)
        assert time.monotonic() - started < 5
    assert result.asks[-1].name == last
    assert (result.failure.kind if result.failure else None) == kind
    if result.failure:
        assert (result.failure.stage, result.failure.message) == ("ask", result.asks[-1].error)
        assert result.speed is None
    else:
        assert result.speed is not None


def test_every_mode_has_its_end() -> None:
    assert {end[0] for end in ENDS} | {"slow-start", "die-after"} == set(MODES)


def test_a_refused_picture_leaves_the_text() -> None:
    with serve(mode="refuses-pictures") as server:
        result = measured(server)
    [refused] = [ask for ask in result.asks if ask.picture]
    assert (refused.name, refused.status) == ("picture", 400)
    assert "is not a multimodal model" in refused.error
    assert result.speed is not None
    assert result.speed.per_token_p50_seconds is not None
    assert result.speed.first_token_picture_seconds is None


@pytest.mark.parametrize("mode", ["no-usage", "no-stream-options"])
def test_without_usage_in_the_stream_it_is_asked_for_again(mode: str) -> None:
    with serve(mode=mode) as server:
        result = measured(server, seconds=8)
    assert [ask.completion_tokens for ask in result.asks][:3] == [16, 13, 13]
    assert result.speed is not None
    assert result.speed.completion_tokens == 128
    assert result.bursts[0].output_tokens_per_s is None, "nobody counted them"


def test_without_any_usage_nothing_is_guessed() -> None:
    with serve(mode="no-usage-at-all") as server:
        result = measured(server)
    assert {ask.prompt_tokens for ask in result.asks} == {ask.completion_tokens for ask in result.asks} == {None}
    assert result.speed is not None
    assert (result.speed.per_token_p50_seconds, result.speed.decode_tokens_per_s) == (None, None)
    assert result.speed.prefill_tokens_per_s is None
    assert result.speed.first_token_p50_seconds is not None


class _Fickle(Asker):
    """Between the streamed question and the one for its count, the server changes its mind."""

    server: Server

    def once(self, question: Question, seconds: float, *, stream: bool = True) -> tuple[Reply, Stream]:
        if not stream:
            self.server.settings.mode = "constant"
        return super().once(question, seconds, stream=stream)


def test_a_count_is_taken_over_only_for_the_same_words() -> None:
    question = Question("q", ({"role": "user", "content": "hello"},), 8)
    with serve(mode="no-usage") as server:
        assert Asker(Endpoint(server.url, "m")).ask(question, 5).ask.completion_tokens == 8
        asker = _Fickle(Endpoint(server.url, "m"))
        asker.server = server
        told = asker.ask(question, 5).ask
    assert told.completion_tokens is None
    assert told.prompt_tokens is not None


@pytest.mark.parametrize(("mode", "left_out"), [("no-stream-options", "stream_options"), ("no-extras", "ignore_eos")])
def test_what_a_server_refuses_is_left_out_from_then_on(mode: str, left_out: str) -> None:
    with serve(mode=mode) as server:
        result = measured(server, pictures=False, agent=False, concurrency=1)
    assert result.failure is None
    assert sum(left_out in chat for chat in server.chats) == 1


def test_a_refusal_for_another_reason_leaves_the_extras() -> None:
    with serve(mode="refuses-pictures") as server:
        result = measured(server)
    assert result.failure is None
    assert all("stream_options" in chat for chat in server.chats)
    assert "ignore_eos" in server.chats[-1]


@contextmanager
def process(*words: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The fake as a process of its own, so that neither shares an interpreter with the other."""
    script = Path(__file__).with_name("fake_server.py")
    child = subprocess.Popen(
        [sys.executable, str(script), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline().decode()
        url = next(word for word in line.split() if word.startswith("http://"))
        assert is_ready(Endpoint(url), 10)
        yield url, child
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("requests", [0, 3, 8, 12], ids=["cold", "picture", "warm-up", "speed"])
def test_a_server_that_dies(requests: int) -> None:
    with process("--mode", "die-after", "--requests", str(requests)) as (url, child):
        started = time.monotonic()
        result = measure(Endpoint(url, "m"), wishes(seconds=60), lambda: child.poll() is None)
        assert time.monotonic() - started < 10
    assert result.failure is not None
    assert result.failure.kind == "died"
    assert result.failure.stage == ("ask" if requests < len(NAMES) else "measure")
    assert len(result.asks) == min(requests + 1, len(NAMES))


#: One request of 5 tokens each: (the server's words, seconds to the first token, seconds a token)
TRUTHS = [
    pytest.param([], 0.12, 0.03, id="a token a chunk"),
    pytest.param(["--tokens-per-chunk", "2"], 0.12, 0.03, id="two tokens a chunk"),
    pytest.param(["--role-ms", "0"], 0.12, 0.03, id="the role alone comes at once"),
    pytest.param(["--reasoning", "4"], 0.12, 0.03, id="reasoning first"),
    pytest.param(["--mode", "no-done"], 0.12, 0.03, id="no [DONE]"),
    pytest.param(["--mode", "no-usage"], 0.12, 0.03, id="no usage in the stream"),
    pytest.param(["--crlf", "--comments"], 0.12, 0.03, id="CRLF and comments"),
]


@pytest.mark.parametrize(("words", "first", "each"), TRUTHS)
def test_times_are_those_of_the_server(words: list[str], first: float, each: float) -> None:
    """Within 12 %, the best of five, since this machine may be busy: a wrong definition is 20 % off every time.

    How exact it is on a quiet machine is measured by benchmarks/serving.py.
    """
    question = Question("q", ({"role": "user", "content": "hello"},), 5, fixed=True)
    with process("--first-ms", "120", "--token-ms", "30", *words) as (url, _):
        asker = Asker(Endpoint(url, "m"))
        replies = [asker.ask(question, 10) for _ in range(5)]
    firsts = [reply.ask.first_token_seconds or 0.0 for reply in replies]
    rates = [reply.per_token or 0.0 for reply in replies]
    assert min(abs(value / first - 1) for value in firsts) < 0.12
    assert min(abs(value / each - 1) for value in rates) < 0.12
    assert min(firsts) >= first, "never before the server spoke"


@pytest.mark.parametrize(
    "changes", [{"mode": "no-stream"}, {"tokens_per_chunk": 100}], ids=["not streamed", "a proxy that buffers"]
)
def test_an_answer_in_one_piece_has_no_time_per_token(changes: dict[str, Any]) -> None:
    with serve(**changes) as server:
        server.settings.token_ms = 0
        reply = Asker(Endpoint(server.url, "m")).ask(Question("q", ({"role": "user", "content": "x"},), 30), 5)
    assert (reply.kind, reply.ask.completion_tokens, reply.per_token) == ("", 30, None)


def test_every_measured_prompt_is_another() -> None:
    with serve() as server:
        measured(server)
        first = [str(chat["messages"]) for chat in server.chats if chat.get("ignore_eos")]
        measured(server)
        both = [str(chat["messages"]) for chat in server.chats if chat.get("ignore_eos")]
    assert len(set(first)) == len(first) > 10
    assert len(set(both)) == len(both), "not those of a run before with the same seed either"
    texts = [prompt for prompt in both if "image_url" not in prompt]
    assert len({prompt[:60] for prompt in texts}) == len(texts), "they differ at their beginning"


def test_what_does_not_fit_into_the_time_is_left_out() -> None:
    with serve(first_ms=300, token_ms=20) as server:
        started = time.monotonic()
        result = measured(server, seconds=3.0)
        assert time.monotonic() - started < 5
    assert [ask.name for ask in result.asks][:3] == ["cold", "text", "text again"]
    assert result.failure is None, "slow is no fault"
    assert result.bursts == ()


def test_correctness_comes_first() -> None:
    """A budget that is used up by the questions leaves no figures that were not measured."""
    with serve(first_ms=150, token_ms=2) as server:
        result = measured(server, seconds=1.9, concurrency=1)
    assert result.failure is None
    assert result.speed is None or result.speed.prefill_tokens_per_s is None


def test_a_small_context_takes_smaller_prompts() -> None:
    """The context need not be known: a prompt that is refused for its length is no fault of the server."""
    with serve(context=100) as server:
        result = measured(server, pictures=False, agent=False, concurrency=2)
    assert result.failure is None
    assert result.speed is not None
    assert (result.speed.requests, result.speed.completion_tokens) == (5, 32)
    assert result.speed.per_token_p50_seconds is not None
    assert result.speed.prefill_tokens_per_s is None
    assert [burst.failed for burst in result.bursts] == [0]
    assert "ignore_eos" in server.chats[-1], "it was not the reason"


def test_the_burst_waits_in_the_queue_of_the_server() -> None:
    """A server that computes one at a time: the second waits for the first."""
    with serve(at_once=1, first_ms=20, token_ms=1) as server:
        result = measured(server, pictures=False, agent=False, concurrency=4, seconds=15)
    [burst] = result.bursts
    assert burst.failed == 0
    assert result.speed is not None
    assert burst.first_token_p95_seconds is not None
    assert burst.output_tokens_per_s is not None


def test_at_most_64_at_once() -> None:
    with serve(token_ms=0.1) as server:
        result = measured(server, pictures=False, agent=False, concurrency=500, seconds=20)
    assert [burst.concurrency for burst in result.bursts] == [64]


@pytest.mark.parametrize(
    ("values", "share", "value"),
    [([], 0.5, None), ([3.0], 0.95, 3.0), ([1.0, 2.0], 0.5, 1.5), ([4.0, 1.0, 3.0, 2.0], 0.95, 3.85)],
)  # fmt: skip
def test_percentile(values: list[float], share: float, value: float | None) -> None:
    got = percentile(values, share)
    assert got == (None if value is None else pytest.approx(value))
