"""Real servers after `--`: started, asked, measured, stopped, and nothing left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.faults.machine import MARK
from tests.serving.running import (
    LLAMA_SERVER,
    TRANSFORMERS,
    Place,
    Run,
    answers,
    check,
    interrupt_at,
    why_without,
)

with_transformers = pytest.mark.skipif(bool(why_without(TRANSFORMERS)), reason=why_without(TRANSFORMERS) or "-")
with_llama = pytest.mark.skipif(bool(why_without(LLAMA_SERVER)), reason=why_without(LLAMA_SERVER) or "-")

#: What a picture of the tiny Glm4v takes: 10 patches of 28 pixels, and the two words around them.
PICTURE_TOKENS = (10, 12)


def transformers(models: Mapping[str, Path]) -> list[str]:
    return [str(TRANSFORMERS), "serve", str(models["glm4v"]), "--device", "cpu"]


def llama(models: Mapping[str, Path]) -> list[str]:
    return [str(LLAMA_SERVER), "-m", str(models["gguf"]), "-ngl", "0", "--threads", "1"]


def assert_healthy(run: Run, *, pictures: bool) -> None:
    serving = run.serving
    assert run.code == 0, run.reds
    assert run.left == ()
    assert serving["failure"] is None
    assert serving["ending"] is None
    assert serving["leftovers"] == []
    assert serving["start_seconds"] > 0
    assert serving["stop_seconds"] is not None
    assert not answers(serving["url"])
    assert_asked(serving["asks"], pictures=pictures)
    speed = serving["speed"]
    assert speed["decode_tokens_per_s"] > 0
    assert 0 < speed["first_token_p50_seconds"] < speed["first_token_max_seconds"] + 1e-9
    assert [burst["failed"] for burst in serving["bursts"]] == [0] * len(serving["bursts"])


def assert_asked(asks: list[dict[str, object]], *, pictures: bool) -> None:
    named = {ask["name"]: ask for ask in asks}
    assert all(ask["status"] == 200 for ask in asks)
    assert all(ask["prompt_tokens"] and ask["completion_tokens"] for ask in asks)
    assert named["text"]["text"] == named["text again"]["text"]
    assert ("picture" in named) == pictures
    if pictures:
        grown = int(str(named["picture"]["prompt_tokens"])) - int(str(named["no picture"]["prompt_tokens"]))
        assert PICTURE_TOKENS[0] <= grown <= PICTURE_TOKENS[1]
        assert named["picture"]["text"] != named["other picture"]["text"]


@with_transformers
def test_transformers_serve(models: Mapping[str, Path], place: Place) -> None:
    run = check(place, transformers(models))
    assert_healthy(run, pictures=True)
    assert run.finding("INF005")["status"] == "pass"
    assert run.finding("INF007")["status"] == "pass"


@with_llama
def test_llama_server(models: Mapping[str, Path], place: Place) -> None:
    run = check(place, llama(models))
    assert_healthy(run, pictures=False)
    assert run.finding("INF005")["status"] == "pass"


@pytest.mark.slow
@with_transformers
@pytest.mark.parametrize("number", range(10))
def test_transformers_serve_is_never_failed(number: int, models: Mapping[str, Path], place: Place) -> None:
    assert_healthy(check(place, transformers(models)), pictures=True)


@pytest.mark.slow
@with_llama
@pytest.mark.parametrize("number", range(10))
def test_llama_server_is_never_failed(number: int, models: Mapping[str, Path], place: Place) -> None:
    assert_healthy(check(place, llama(models)), pictures=False)


def _command_lines(place: Place) -> list[str]:
    """Of the processes of this run."""
    wanted = f"{MARK}={place.environ[MARK]}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def _server_port(place: Place) -> int:
    """Of the server, 0 before it runs."""
    for line in _command_lines(place):
        words = line.split()
        if "--port" in words and "autoglm_doctor" not in line:
            return int(words[words.index("--port") + 1])
    return 0


def is_there(place: Place) -> bool:
    """Its process runs, and has opened no port."""
    return _server_port(place) != 0


def listens(place: Place) -> bool:
    """The port is open: it is asked and measured from here on."""
    port = _server_port(place)
    return bool(port) and answers(f"http://127.0.0.1:{port}")


def listens_a_while(place: Place) -> bool:
    """In the middle of the measurements."""
    if not listens(place):
        return False
    place.environ.setdefault("_SEEN", "0")
    place.environ["_SEEN"] = str(int(place.environ["_SEEN"]) + 1)
    return int(place.environ["_SEEN"]) > 20


def no_longer_listens(place: Place) -> bool:
    """It has listened and is being stopped, or is gone."""
    if listens(place):
        place.environ["_SEEN"] = "1"
        return False
    return place.environ.get("_SEEN") == "1"


MOMENTS = (
    pytest.param(is_there, id="starting"),
    pytest.param(listens, id="ready"),
    pytest.param(listens_a_while, id="measuring", marks=pytest.mark.slow),
    pytest.param(no_longer_listens, id="stopping", marks=pytest.mark.slow),
)


@with_transformers
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_left_after_a_signal(
    moment: Callable[[Place], bool], number: int, models: Mapping[str, Path], place: Place
) -> None:
    run = interrupt_at(place, transformers(models), moment, number)
    assert run.left == ()
    assert run.code in ((130, 0) if moment is no_longer_listens else (130,)), (run.code, run.err[-500:])
    assert not [line for line in _command_lines(place) if str(os.getpid()) not in line]
