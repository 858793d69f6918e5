"""The stream of a chat completion, read piece by piece: what was said, how much of it, and when.

Server-sent events as these servers send them: one JSON object a `data:` line. Each line counts by itself, so that
pieces may be cut anywhere, with CR, LF or both, with comments between, with and without `[DONE]`.

Times follow `vllm bench serve` (vllm/benchmarks/lib/endpoint_request_func.py): the first and the last token are the
first and last event with a choice; the usage alone is none. One exception: an event that only names the role carries no
token (`transformers serve` and llama.cpp send it before they compute anything).
"""

from __future__ import annotations

import json
import re
from typing import Any

#: A longer line is no token; it would only fill the memory.
MAX_LINE = 2**20
#: Of the text: no check needs more.
MAX_TEXT = 100_000
#: Of a body that is no stream, kept to be read as one JSON object or quoted.
MAX_HEAD = 2**18
#: Of tokens: what is more was not counted.
MAX_COUNT = 2**40
_END_OF_LINE = re.compile(rb"[\r\n]")


class Stream:
    """Feed it, then `finish`. `first_at` and `last_at` are times of whatever clock the pieces were stamped with."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self.text = ""
        self.reasoning = ""
        self.finish_reason: str | None = None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.chunks = 0  # events with text
        self.events = 0  # valid ones
        self.broken = 0  # data that is no JSON object
        self.error = ""  # what the server says instead of a token
        self.done = False  # [DONE]
        self.first_at: float | None = None
        self.last_at: float | None = None
        self.finished_at: float | None = None  # when a reason to finish came
        self.head = b""
        self._rest = b""

    def feed(self, data: bytes, at: float) -> None:
        """A piece of the body, and when it came."""
        if len(self.head) < MAX_HEAD:
            self.head += data[: MAX_HEAD - len(self.head)]
        first, *others = _END_OF_LINE.split(data)
        self._rest += first
        for line in others:
            self._line(self._rest, at)
            self._rest = line
        if len(self._rest) > MAX_LINE:
            self._rest = b""
            self.broken += 1

    def finish(self, at: float) -> None:
        """The body is over: its last line may lack an end, and one that is no stream may be an answer all the same."""
        self._line(self._rest, at)
        self._rest = b""
        if not self.events and not self.done and not self.error:
            self._whole()

    def _line(self, line: bytes, at: float) -> None:
        name, colon, value = line.partition(b":")
        if not colon or name not in (b"data", b"error"):
            return  # a comment, another field, an empty line, or no stream at all
        words = value.strip().decode("utf-8", "replace")
        if words == "[DONE]":
            self.done = True
            return
        event = _object(words)
        if event is None:
            self.broken += 1
        elif name == b"error":
            self.error = self.error or _error_words(event) or words
        else:
            self._event(event, at)

    def _event(self, event: dict[str, Any], at: float) -> None:
        self.events += 1
        self._usage(event.get("usage"))
        choices = event.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._choice(choices[0], at)
        elif words := _error_words(event):
            self.error = self.error or words

    def _usage(self, usage: object) -> None:
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage.get("prompt_tokens"), self.prompt_tokens)
            self.completion_tokens = _count(usage.get("completion_tokens"), self.completion_tokens)

    def _choice(self, choice: dict[str, Any], at: float) -> None:
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        has_text = self._words(delta)
        self.chunks += has_text
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.finish_reason, self.finished_at = reason, at
        if has_text or delta.get("tool_calls") or "role" not in delta or reason:
            self.first_at = at if self.first_at is None else self.first_at
            self.last_at = at

    def _words(self, message: dict[str, Any]) -> bool:
        """Take over what a message or a part of one says; True if it says anything."""
        text = message.get("content")
        # vLLM renamed the field from `reasoning_content` to `reasoning`, and for a while sent both.
        thought = message.get("reasoning_content") or message.get("reasoning")
        text, thought = (part if isinstance(part, str) else "" for part in (text, thought))
        self.text += text[: MAX_TEXT - len(self.text)]
        self.reasoning += thought[: MAX_TEXT - len(self.reasoning)]
        return bool(text or thought)

    def _whole(self) -> None:
        """A server that does not stream answers with one object."""
        answer = _object(self.head.decode("utf-8", "replace"))
        choices = None if answer is None else answer.get("choices")
        if answer is None or not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return
        message = choices[0].get("message")
        self.events += 1
        self.chunks += self._words(message if isinstance(message, dict) else {})
        reason = choices[0].get("finish_reason")
        self.finish_reason = reason if isinstance(reason, str) else None
        self._usage(answer.get("usage"))


def _object(words: str) -> dict[str, Any] | None:
    try:
        value = json.loads(words)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _count(value: object, otherwise: int | None) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT
    return value if is_count else otherwise  # type: ignore[return-value]


def _error_words(value: dict[str, Any]) -> str:
    """The words of an error: `detail` of FastAPI, `error.message` of OpenAI, `message` of old vLLM, a bare string."""
    inner = value.get("error") or value.get("detail")
    if isinstance(inner, dict):
        inner = inner.get("message") or inner
    inner = inner or (value.get("message") if "choices" not in value else None)
    return "" if not inner else inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)


def error_words(body: bytes) -> str:
    """What a body of an error status says: its message, or its beginning."""
    words = body.decode("utf-8", "replace")
    value = _object(words)
    return (value and _error_words(value)) or words.strip()
