"""What a plan looks like: golden texts, the bar, narrow and plain terminals."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.capacity.cards import all_cards, find_card
from autoglm_doctor.cli.app import run
from autoglm_doctor.domain.capacity.answer import make_plan
from autoglm_doctor.domain.capacity.grid import make_grid
from autoglm_doctor.domain.capacity.place import Place
from autoglm_doctor.domain.memory.explain import explain
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report import plan_bar, plan_grid, plan_text
from tests.plan_cases import SMALL, place, vllm

FOLDER = Path(__file__).parent / "plans"
MATRIX = load_matrix()
GRID = ("RTX 3090", "RTX 4090", "L40S", "A100-80GB", "H200", "T4")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def text(where: Place, *, width: int = 100, color: bool = False, blocks: bool = True, formulas: bool = False) -> str:
    made = make_plan(where, all_cards(MATRIX))
    lines = explain(where.intent, where.files, where.card, where.version) if formulas and where.card else ()
    return plan_text.render(made, lines, redactor=Redactor({}, salt=""), width=width, color=color, blocks=blocks)


def grid(where: Place, *, width: int = 100, color: bool = False) -> str:
    rows = make_grid(where, [find_card(name, MATRIX) for name in GRID])
    return plan_grid.render(where, rows, redactor=None, width=width, color=color)


H100 = place(79.18, name="NVIDIA H100 80GB HBM3", capability="9.0")
SMALL_PLACE = place(9.7, name="NVIDIA GeForce RTX 3080", intent=vllm("--max-model-len 8192"), config=SMALL)
SHEETS = {
    "autoglm-24gb": lambda: text(place()),
    "autoglm-24gb-40-columns": lambda: text(place(), width=40, blocks=False),
    "autoglm-24gb-any-version": lambda: text(place(version=None)),
    "autoglm-80gb-explained": lambda: text(H100, formulas=True),
    "autoglm-8x80gb": lambda: text(place(79.18, count=8, name="NVIDIA H100 80GB HBM3", capability="9.0")),
    "small-model": lambda: text(SMALL_PLACE),
    "grid": lambda: grid(place()),
    "grid-60-columns": lambda: grid(place(), width=60),
}


@pytest.mark.parametrize("name", SHEETS)
def test_the_plan_is_the_golden_one(name: str) -> None:
    said = SHEETS[name]()
    golden = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("where", "says"),
    [
        pytest.param(place(), "of KV cache, ", id="too little for the cache"),
        pytest.param(place(16.0), "before any KV cache", id="too little for the peak"),
        pytest.param(
            place(
                19.0,
                version="0.12.0",
                intent=vllm("--quantization fp8 --max-num-seqs 8 --max-model-len 8192", "zai-org/AutoGLM-Phone-9B"),
            ),
            "while it loads",
            id="too little to load",
        ),
        pytest.param(place(79.18, free=10.0), "are free, the server claims", id="taken by others"),
        pytest.param(place(config={"model_type": "nonsense"}), "does not know this architecture", id="not understood"),
        pytest.param(place(intent=vllm()), "give its folder", id="not known"),
        pytest.param(dataclasses.replace(place(), card=None), "there is no GPU here", id="no GPU"),
    ],
)
def test_the_answer_names_the_reason(where: Place, says: str) -> None:
    said = text(where, width=400)
    assert says in said
    assert ("DOES NOT FIT" in said) is (
        says not in ("does not know this architecture", "give its folder", "there is no GPU here")
    )


@pytest.mark.parametrize("width", [40, 60, 100])
def test_only_commands_are_wider_than_the_terminal(width: int) -> None:
    for said in (text(place(), width=width, formulas=True), grid(place(), width=width)):
        lines = [line for line in said.splitlines() if not line.startswith("    python3 ")]
        assert max(map(len, lines)) <= width


def test_colours_change_no_letter() -> None:
    for draw in (text, grid):
        painted = draw(place(), color=True)
        assert "\x1b[" in painted
        assert COLOUR.sub("", painted) == draw(place())


def test_a_command_is_one_line_that_can_be_pasted() -> None:
    made = make_plan(place(), ())
    said = text(place(), width=40)
    for one in made.lines:
        assert f"\n    {one.line}\n" in said


def test_what_comes_from_outside_cannot_paint() -> None:
    said = text(place(intent=vllm("", "evil\x1b[31m/model"), config=SMALL))
    assert "\x1b" not in said
    assert "evil" in said


@pytest.mark.parametrize(
    ("encoding", "term", "blocks"),
    [
        pytest.param("utf-8", "xterm-256color", True, id="usual"),
        pytest.param("ascii", "xterm", False, id="ASCII"),
        pytest.param("iso-8859-1", "xterm", False, id="Latin 1"),
        pytest.param("no-such-encoding", "xterm", False, id="unknown encoding"),
        pytest.param(None, "xterm", False, id="no encoding"),
        pytest.param("utf-8", "dumb", False, id="dumb terminal"),
        pytest.param("utf-8", "", False, id="no terminal named"),
    ],
)
def test_letters_where_there_are_no_blocks(
    encoding: str | None, term: str, blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    assert plan_bar.takes_blocks(encoding) is blocks


def test_a_plain_terminal_gets_plain_letters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert run(["plan", "--gpu", "H100"]) == 0
    said = capsys.readouterr().out
    assert said.isascii()
    assert re.search(r"^\[W+A+O+K+\.+\]$", said, re.MULTILINE)


@given(st.lists(st.integers(0, 10**12), min_size=5, max_size=5), st.integers(1, 10**12))
def test_the_bar_is_as_wide_as_it_should_be(parts: list[int], total: int) -> None:
    counts = plan_bar.cells(parts, total)
    assert all(count >= 0 for count in counts)
    if any(counts):
        assert sum(counts) == plan_bar.WIDTH
    for part, count in zip(parts, counts, strict=True):
        assert part or not count


def test_the_bar_is_in_proportion() -> None:
    assert plan_bar.cells([20, 10, 0, 10, 0], 40) == [20, 10, 0, 10, 0]
    assert plan_bar.cells([1, 0, 0, 999, 0], 1000) == [1, 0, 0, 39, 0]
    assert plan_bar.cells([100, 10, 0, 0, 0], 50) == [40, 0, 0, 0, 0]
    assert plan_bar.cells([1, 1, 1, 1, 1], 0) == [0] * 5


# --- the examples of docs/plan.md are what the command says

PAGE = Path(__file__).parent.parent / "docs" / "plan.md"
EXAMPLE = re.compile(r"```console\n\$ autoglm-doctor (?P<words>plan [^\n]*)\n(?P<said>.*?)```", re.DOTALL)


def test_the_page_shows_what_is_really_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    page = PAGE.read_text(encoding="utf-8")
    examples = list(EXAMPLE.finditer(page))
    assert examples
    for example in examples:
        run(shlex.split(example["words"]))
        said = capsys.readouterr().out
        if os.environ.get("UPDATE_GOLDEN"):
            whole = f"```console\n$ autoglm-doctor {example['words']}\n{said}```"
            PAGE.write_text(PAGE.read_text(encoding="utf-8").replace(example[0], whole), encoding="utf-8")
        else:
            assert example["said"] == said
