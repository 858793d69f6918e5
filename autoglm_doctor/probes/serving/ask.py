"""One question to the server, and what came back of it.

What a server does not take (`stream_options`, `ignore_eos`: answered with 400 or 422) is left out from then on. Where a
stream tells no usage, the same question is asked again without streaming, and its count of answered tokens counts only
if the words are the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from autoglm_doctor.facts import Ask
from autoglm_doctor.probes.serving.http import Call, Endpoint
from autoglm_doctor.probes.serving.questions import Question
from autoglm_doctor.probes.serving.stream import Stream, error_words

#: After the reason to finish: a client that waits for the end of the stream would hang.
END_SECONDS = 10.0
#: Without a piece in the middle of an answer.
STALL_SECONDS = 60.0
#: For a dying process to be gone after its connections.
DEATH_SECONDS = 1.0
CHAT = "/v1/chat/completions"
#: Pieces beyond the tokens asked for: some servers cut tokens into characters.
_PIECES_PER_TOKEN = 16


#: Characters that are kept of an answer, where it is more than 600: an action stands after a long thought.
KEPT = {"agent": 4_000}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, with times relative to the sending of the request; `kind` is "" or one of ServingFailure or "slow"."""

    kind: str
    ask: Ask
    last_token_seconds: float | None = None

    @property
    def per_token(self) -> float | None:
        """Seconds: (last token - first token) / (completion tokens - 1), as `vllm bench serve` has it.

        None where all words came in one piece, as from a proxy that buffers: it was no stream to measure.
        """
        tokens, first = self.ask.completion_tokens, self.ask.first_token_seconds
        last = self.last_token_seconds
        if tokens is None or tokens < 2 or first is None or last is None or last <= first or self.ask.chunks == 1:
            return None
        return (last - first) / (tokens - 1)


@dataclass(slots=True)
class Asker:
    """Asks one server, and remembers what it takes. Several threads may use it."""

    endpoint: Endpoint
    alive: Callable[[], bool] = lambda: True
    stream_options: bool = True
    ignore_eos: bool = True
    usage_in_stream: bool | None = None  # None: no stream was seen yet
    _taken: set[str] = field(default_factory=set)

    def ask(self, question: Question, seconds: float) -> Reply:
        """Ask, at most so many seconds, second tries and the count of tokens included."""
        until = time.perf_counter() + seconds
        reply, seen = self._adapted(question, until)
        if reply.kind or reply.ask.status != 200:
            return reply
        if self.usage_in_stream is None and reply.ask.first_token_seconds is not None:
            self.usage_in_stream = reply.ask.prompt_tokens is not None
        if reply.ask.prompt_tokens is None or reply.ask.completion_tokens is None:
            return self._counted(question, reply, seen, until)
        return reply

    def once(self, question: Question, seconds: float, *, stream: bool = True) -> tuple[Reply, Stream]:
        """Ask with what is now believed to be understood, and nothing else."""
        seen = Stream()
        most = _PIECES_PER_TOKEN * question.max_tokens + 64

        def take(data: bytes, at: float) -> bool:
            seen.feed(data, at)
            return not seen.done and seen.chunks <= most

        call = Call(self.endpoint, CHAT, self._body(question, stream), take)

        def goes_on() -> bool:
            now = time.perf_counter()
            ended = seen.finished_at is not None and now - seen.finished_at > END_SECONDS
            stalled = seen.first_at is not None and now - (call.heard_at or now) > STALL_SECONDS
            return self.alive() and not ended and not stalled

        is_over = call.wait(seconds, goes_on)
        seen.finish(call.ended_at or time.perf_counter())
        kind, error = _verdict(call, seen, question, is_over, is_alive=self._is_alive(call.kind))
        return _reply(call, seen, question, kind, error), seen

    def _is_alive(self, kind: str) -> bool:
        """A process that ends closes its sockets first: its end is told a moment after theirs."""
        until = time.perf_counter() + (DEATH_SECONDS if kind in ("no_answer", "cut_off") else 0.0)
        while self.alive():
            if time.perf_counter() >= until:
                return True
            time.sleep(0.02)
        return False

    def _body(self, question: Question, stream: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "messages": list(question.messages),
            "max_tokens": question.max_tokens,
            "temperature": 0,
            "stream": stream,
        }
        if stream and self.stream_options:
            body["stream_options"] = {"include_usage": True}
        if question.fixed and self.ignore_eos:
            body["ignore_eos"] = True
        return body

    def _adapted(self, question: Question, until: float) -> tuple[Reply, Stream]:
        """Ask; if that is refused, without the extras that were never taken. If nothing helps, the first one counts."""
        before = (self.stream_options, self.ignore_eos)
        first, seen = self.once(question, until - time.perf_counter())
        reply, heard = first, seen
        for name in self._doubtful(question):
            if reply.ask.status not in (400, 422):
                break
            setattr(self, name, False)
            reply, heard = self.once(question, max(0.1, until - time.perf_counter()))
        if reply.ask.status == 200:
            self._taken.update(self._used(question))
            return reply, heard
        self.stream_options, self.ignore_eos = before  # they were not the reason
        return first, seen

    def _used(self, question: Question) -> list[str]:
        used = {"ignore_eos": self.ignore_eos and question.fixed, "stream_options": self.stream_options}
        return [name for name, is_used in used.items() if is_used]

    def _doubtful(self, question: Question) -> list[str]:
        return [name for name in self._used(question) if name not in self._taken]

    def _counted(self, question: Question, reply: Reply, seen: Stream, until: float) -> Reply:
        again, plain = self.once(question, max(0.1, until - time.perf_counter()), stream=False)
        if again.ask.status != 200 or again.kind:
            return reply
        is_same = (plain.text, plain.reasoning) == (seen.text, seen.reasoning)
        tokens = plain.completion_tokens if is_same else None
        ask = replace(reply.ask, prompt_tokens=plain.prompt_tokens, completion_tokens=tokens)
        return replace(reply, ask=ask)


def _verdict(call: Call, seen: Stream, question: Question, is_over: bool, is_alive: bool) -> tuple[str, str]:
    """The kind of a failure and its words; ("", "") for an answer, ("refused", ...) for an error status."""
    if call.status is not None and call.status != 200:
        return "refused", error_words(seen.head) or f"HTTP status {call.status} without a word"
    if seen.done and not seen.error and seen.events and not seen.broken:
        return "", ""
    if not is_alive and (not is_over or call.kind):
        return "died", "the server ended while it was asked"
    if not is_over:
        return _time_is_up(call, seen, question)
    if call.kind == "no_answer" and call.status is None:
        return call.kind, call.trouble
    if seen.error:
        return "refused", seen.error
    if call.kind:
        return call.kind, call.trouble
    return _ended(seen, question)


def _time_is_up(call: Call, seen: Stream, question: Question) -> tuple[str, str]:
    now = call.ended_at or time.perf_counter()
    taken = now - (call.sent_at or now)
    silence = now - (call.heard_at or now)
    if seen.finished_at is not None:
        return "endless", f"the answer was finished, but its stream did not end within {now - seen.finished_at:.3g} s"
    if not seen.chunks and call.received > 2**20:
        return "endless", f"{call.received // 2**20} MiB came within {taken:.3g} s, and no word in them"
    if not seen.chunks:
        return "no_answer", f"no word within {taken:.3g} s"
    if seen.chunks > question.max_tokens:
        return "endless", f"{seen.chunks} pieces came where {question.max_tokens} tokens were asked for"
    if silence >= min(STALL_SECONDS, max(1.0, taken / 2)):
        return "cut_off", f"the answer stopped in its middle for {silence:.3g} s"
    return "slow", f"not finished after {taken:.3g} s"


def _ended(seen: Stream, question: Question) -> tuple[str, str]:
    """The body came to its end by itself, or we had enough of it."""
    if seen.chunks > _PIECES_PER_TOKEN * question.max_tokens:
        return "endless", f"more than {seen.chunks - 1} pieces came where {question.max_tokens} tokens were asked for"
    if seen.broken:
        return "not_openai", f"{seen.broken} of {seen.broken + seen.events} events of the stream are no JSON objects"
    if not seen.events:
        head = seen.head[:200].decode("utf-8", "replace").strip()
        return "not_openai", f"the answer is no chat completion: {head}" if head else "the answer is empty"
    if seen.first_at is not None and seen.finish_reason is None:
        return "cut_off", "the stream ended without [DONE] or a reason to finish"
    return "", ""


def _reply(call: Call, seen: Stream, question: Question, kind: str, error: str) -> Reply:
    start = call.sent_at

    def since(at: float | None) -> float | None:
        return None if at is None or start is None else at - start

    ask = Ask(
        name=question.name,
        status=call.status,
        error=_printable(error[:500]),
        text=_printable(seen.text[: KEPT.get(question.name, 600)]),
        reasoning=_printable(seen.reasoning[:300]),
        finish_reason=seen.finish_reason and _printable(seen.finish_reason[:50]),
        prompt_tokens=seen.prompt_tokens,
        completion_tokens=seen.completion_tokens,
        chunks=seen.chunks,
        first_token_seconds=since(seen.first_at),
        seconds=since(call.heard_at) if not kind else None,
        picture=question.picture,
    )
    return Reply(kind, ask, since(seen.last_at))


def _printable(words: str) -> str:
    """JSON may hold half a character (a lone surrogate), which no report could be written with."""
    return words.encode("utf-8", "replace").decode()
