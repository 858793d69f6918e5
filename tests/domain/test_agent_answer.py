"""The rules of Open-AutoGLM's client, by answers as they come from servers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.domain.agent_answer import ACTIONS, parse_action, read_answer, repeated_unit

THOUGHT = "当前屏幕显示了系统桌面，我需要启动京东应用来搜索商品。"


@pytest.mark.parametrize(
    ("content", "action"),
    [
        pytest.param(
            f'<think>{THOUGHT}</think>\n<answer>do(action="Launch", app="京东")</answer>',
            {"_metadata": "do", "action": "Launch", "app": "京东"},
            id="all tags",
        ),
        pytest.param(
            f'<think>{THOUGHT}</think><answer>do(action="Launch", app="京东")',
            {"_metadata": "do", "action": "Launch", "app": "京东"},
            id="the last tag is missing, as in the README",
        ),
        pytest.param(
            f'{THOUGHT}\ndo(action="Tap", element=[120, 873])',
            {"_metadata": "do", "action": "Tap", "element": [120, 873]},
            id="no tags at all",
        ),
        pytest.param(
            f'{THOUGHT}do(action="Type", text="he said "hi" to (me)")',
            {"_metadata": "do", "action": "Type", "text": 'he said "hi" to (me)'},
            id="text to type with quotes and brackets in it",
        ),
        pytest.param(
            f'{THOUGHT}<answer>do(action="Note", message="two\nlines")</answer>',
            {"_metadata": "do", "action": "Note", "message": "two\nlines"},
            id="a line break inside of a string",
        ),
        pytest.param(
            f'<think>{THOUGHT}</think><answer>finish(message="已完成")</answer>',
            {"_metadata": "finish", "message": "已完成"},
            id="the task is done",
        ),
    ],
)
def test_what_the_client_goes_on_with(content: str, action: dict[str, Any]) -> None:
    answer = read_answer(content)
    assert (answer.trouble, answer.detail) == ("", "")
    assert answer.action == action
    assert answer.thought == THOUGHT


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        pytest.param("", "no_action", id="nothing"),
        pytest.param("!!!!!!!!!!!!!!!!", "no_action", id="NaN"),
        pytest.param(f"<think>{THOUGHT}</think><answer>", "no_action", id="ends before the action"),
        pytest.param("The capital of France is Paris.", "no_action", id="another model's prose"),
        pytest.param(f'{THOUGHT}{{"action": "Launch"}}', "no_action", id="JSON, as of another agent"),
        pytest.param(f'{THOUGHT}do(action="Launch", app="京', "unparsable", id="cut in the middle"),
        pytest.param(
            f'{THOUGHT}<answer>I will do(action="Tap", element=[1, 2])</answer>', "unparsable", id="words before it"
        ),
        pytest.param(f'{THOUGHT}do(action="Launch", app="x")</answer>', "unparsable", id="a closing tag alone"),
        pytest.param(f'{THOUGHT}do(action="Launch", app=open("x"))', "unparsable", id="code instead of a literal"),
        pytest.param(f'{THOUGHT}do(action="Type")', "unparsable", id="nothing to type"),
        pytest.param(f'{THOUGHT}do(action="Fly", app="x")', "unknown_action", id="an action that is not there"),
        pytest.param(f'{THOUGHT}do(action=["Tap"])', "unknown_action", id="an action that is no word"),
        pytest.param(f'{THOUGHT}do(action="Launch")', "argument_missing", id="which app?"),
        pytest.param(f'{THOUGHT}do(action="Swipe", start=[1, 2])', "argument_missing", id="swipe to where?"),
        pytest.param('do(action="Back")', "no_thought", id="no thought"),
        pytest.param('<think></think><answer>do(action="Back")</answer>', "no_thought", id="an empty thought"),
        pytest.param('<think>好</think><answer>do(action="Back")</answer>', "short", id="a thought of one character"),
        pytest.param('的的的的的的的的的的do(action="Back")', "garbled", id="a thought that repeats itself"),
        pytest.param('a\ufffd\ufffdb\ufffd c\ufffdd do(action="Back")', "garbled", id="a thought of damaged bytes"),
    ],
)
def test_what_ends_a_task(content: str, trouble: str) -> None:
    assert read_answer(content).trouble == trouble


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_action_of_the_client(name: str) -> None:
    arguments = "".join(f", {argument}=[1, 2]" for argument in ACTIONS[name]) or ', text="x"'
    assert read_answer(f'{THOUGHT}do(action="{name}"{arguments})').trouble == ""


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        pytest.param("!" * 16, "!", id="NaN in vLLM"),
        pytest.param(" the" * 9, "the ", id="one word"),
        pytest.param("<|endoftext|>" * 3, "", id="too few to tell"),
        pytest.param("Paris", "", id="a short answer"),
        pytest.param("hahaha", "", id="three are no loop"),
        pytest.param("I am a model. I am a model. I am a model. I am a model.", "", id="a weak model in a loop"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_one_piece_over_and_over(text: str, unit: str) -> None:
    assert repeated_unit(text) == unit


@given(st.text())
def test_any_text_is_judged_without_an_exception(text: str) -> None:
    for content in (text, f"{text}do(action={text}", f"<answer>finish(message={text})"):
        answer = read_answer(content)
        assert answer.trouble or answer.action


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    with pytest.raises(ValueError, match=r"no Python call|parse"):
        parse_action("do(x=" + "[" * 5000 + "]" * 5000 + ")")
