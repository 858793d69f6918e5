"""The parser of streams: whatever the pieces, the words, the counts and the times are right."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_doctor.probes.serving.stream import Stream, error_words


def event(delta: dict[str, Any] | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}]
    return b"data: " + json.dumps({"choices": choices, **more}, ensure_ascii=False).encode() + b"\n\n"


def read(*pieces: bytes) -> Stream:
    """Piece number i comes at i seconds."""
    stream = Stream()
    for at, piece in enumerate(pieces):
        stream.feed(piece, float(at))
    stream.finish(float(len(pieces)))
    return stream


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
END = event({}, finish="stop")


@pytest.mark.parametrize(
    ("pieces", "first", "last", "chunks"),
    [
        pytest.param([event({"content": "a"}), event({"content": "b"}), END], 0, 2, 2, id="the first piece is the first token"),
        pytest.param([event({"role": "assistant", "content": ""}), event({"content": "a"}), END], 1, 2, 1, id="a role alone is no token"),
        pytest.param([event({"role": "assistant", "content": None}), event({"content": "a"}), END], 1, 2, 1, id="a role with null"),
        pytest.param([event({"role": "assistant", "content": "a"}), END], 0, 1, 1, id="a role with words is a token"),
        pytest.param([event({"role": "assistant"}), event({"reasoning_content": "hm"}), event({"content": "a"}), END], 1, 3, 2, id="reasoning is a token"),
        pytest.param([event({"reasoning": "hm"}), END], 0, 1, 1, id="reasoning by its new name"),
        pytest.param([event({"role": "assistant"}), event({"content": ""}), event({"content": "a"}), END], 1, 3, 1, id="a token without words"),
        pytest.param([event({"role": "assistant"}), event({"tool_calls": [{}]}), END], 1, 2, 0, id="a tool call is a token"),
        pytest.param([event({"content": "a"}), END, event(None, usage=USAGE)], 0, 1, 1, id="the usage alone is no token"),
        pytest.param([b": ping\n\n", b"event: x\n", event({"content": "a"}), b": ping\n\n", END], 2, 4, 1, id="comments are no tokens"),
        pytest.param([b": ping\n\n"], None, None, 0, id="nothing but comments"),
    ],
)  # fmt: skip
def test_which_event_is_a_token(pieces: list[bytes], first: float | None, last: float | None, chunks: int) -> None:
    stream = read(*pieces)
    assert (stream.first_at, stream.last_at, stream.chunks) == (first, last, chunks)


WHOLE = b"".join(
    [
        b": hello\n\n",
        event({"role": "assistant", "content": ""}),
        event({"reasoning_content": "想"}),
        event({"content": "日本 "}),
        event({"content": 'a"b\\n'}),
        event({}, finish="length", usage=USAGE),
        b"data: [DONE]\n\n",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(WHOLE)), max_size=40),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_pieces_may_be_cut_at_any_byte(cuts: list[int], line_end: bytes) -> None:
    whole = WHOLE.replace(b"\n", line_end)
    edges = [0, *sorted(cuts), len(whole)]
    stream = read(*[whole[a:b] for a, b in pairwise(edges)])
    assert (stream.reasoning, stream.text) == ("想", '日本 a"b\\n')
    assert (stream.prompt_tokens, stream.completion_tokens) == (7, 3)
    assert (stream.done, stream.finish_reason, stream.broken, stream.chunks) == (True, "length", 0, 3)


@settings(max_examples=150, deadline=None)
@given(tokens=st.integers(2, 40), each=st.integers(1, 5), role=st.booleans(), thought=st.integers(0, 5))
def test_times_and_counts(tokens: int, each: int, role: bool, thought: int) -> None:
    """Tokens at 10, 11, 12, ... seconds in chunks of `each`, a chunk at the time of its first token."""
    stream = Stream()
    if role:
        stream.feed(event({"role": "assistant", "content": ""}), 1.0)
    for start in range(0, tokens, each):
        name = "reasoning_content" if start < thought else "content"
        stream.feed(event({name: "x" * min(each, tokens - start)}), 10.0 + start)
    stream.feed(
        event({}, finish="length") + event(None, usage={"prompt_tokens": 1, "completion_tokens": tokens}), 9.0 + tokens
    )
    stream.finish(99.0)
    assert stream.first_at == 10.0
    assert stream.last_at == 9.0 + tokens
    assert stream.completion_tokens == tokens
    assert len(stream.text + stream.reasoning) == tokens


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from([b"data: ", b"\n", b"{}", b"[DONE]", END[:20]])), max_size=20
    )
)
def test_garbage_never_raises(pieces: list[bytes]) -> None:
    read(*pieces)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
anything = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["choices", "delta", "content", "role", "usage", "prompt_tokens", "error", "message", "finish_reason"]), inner, max_size=5)), max_leaves=12)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(value=anything)
def test_json_of_any_shape_never_raises(value: Any) -> None:
    read(b"data: " + json.dumps(value).encode() + b"\n\n")
    read(json.dumps(value).encode())
    error_words(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"error": {"message": "no", "code": 400}}, "no", id="OpenAI"),
        pytest.param({"object": "error", "message": "no", "code": 400}, "no", id="old vLLM"),
        pytest.param({"detail": "no"}, "no", id="FastAPI"),
        pytest.param({"error": "no"}, "no", id="a bare string"),
    ],
)
def test_words_of_an_error(body: dict[str, Any], words: str) -> None:
    assert error_words(json.dumps(body).encode()) == words
    assert read(b"data: " + json.dumps(body).encode() + b"\n\n").error == words


def test_an_error_line_of_llama_cpp() -> None:
    assert read(b'error: {"code":500,"message":"failed to decode"}\n\n').error == "failed to decode"


def test_an_answer_that_was_not_streamed() -> None:
    body = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "usage": USAGE}
    stream = read(json.dumps(body).encode())
    assert (stream.text, stream.completion_tokens, stream.first_at, stream.finish_reason) == ("hi", 3, None, "stop")


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    stream = read(*[b"x" * 2**20] * 8)
    assert len(stream._rest) <= 2**20
    assert len(stream.head) <= 2**18


@pytest.mark.parametrize("count", [-1, 2**60, True, 1.5, "7", None])
def test_counts_that_are_none(count: Any) -> None:
    assert read(event(None, usage={"completion_tokens": count})).completion_tokens is None
