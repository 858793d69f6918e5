"""Every start that fails is called by its cause, once, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.serving.failing import ALL, GGUFS, Start
from tests.serving.running import LLAMA_SERVER, TRANSFORMERS, Place, check, copy_of, why_without


def _needs(start: Start) -> str:
    words = start.words("/m")
    return next((why_without(p) for p in (TRANSFORMERS, LLAMA_SERVER) if str(p) in words and why_without(p)), "")


def _rows(alone: bool = False) -> Iterator[Any]:
    for start in ALL:
        why = _needs(start)
        marks = [pytest.mark.skipif(bool(why), reason=why)]
        marks += [] if start.sample and not alone else [pytest.mark.slow]
        if start.mistaken:
            marks.append(pytest.mark.xfail(reason=start.mistaken, strict=True))
        yield pytest.param(start, id=start.name, marks=marks)


def test_there_are_enough() -> None:
    assert len(ALL) >= 25
    assert len({start.name for start in ALL}) == len(ALL)
    assert {start.model for start in GGUFS} == {"gguf"}


@pytest.mark.parametrize("start", list(_rows()))
def test_is_called_by_its_cause(start: Start, models: Mapping[str, Path], place: Place) -> None:
    path = copy_of(models[start.model], place, start.damage)
    if start.prepare:
        start.prepare(place)
    run = check(place, start.words(str(path)), *start.options)
    verdict = run.report["verdict"]
    assert run.left == ()
    if start.status == "warn":
        assert run.reds == []
        assert start.cause in [result["cause"] for result in run.report["results"] if result["status"] == "warn"]
        return
    assert verdict["causes"][0]["cause"] == start.cause, run.reds
    assert len(run.reds) == 1, run.reds
    assert run.code == 1


@pytest.mark.parametrize("start", list(_rows(alone=True)))
def test_the_stage_alone_knows(start: Start, models: Mapping[str, Path], place: Place) -> None:
    """Without the checks of the folder: a start that the doctor goes through with names its cause by itself."""
    path = copy_of(models[start.model], place, start.damage)
    if start.prepare:
        start.prepare(place)
    run = check(place, start.words(str(path)), "--select", "INF", *start.options)
    reading = run.report["facts"]["serving"]
    if reading["outcome"] == "not_run":
        assert "not whole" in reading["why"] or "is not there" in reading["why"], reading["why"]
        return
    causes = [result["cause"] for result in run.report["results"] if result["status"] == start.status]
    assert causes == [start.alone or start.cause], run.reds
