"""INF008: Open-AutoGLM's client can use the answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.api import Serving
from autoglm_doctor.checks.serving_agent import agent_answer
from autoglm_doctor.launch import parse_command
from tests.checks.serving_cases import (
    HEALTHY,
    QWEN,
    README,
    THOUGHT,
    answering,
    died,
    one,
    render,
    without,
)

ACTION = 'do(action="Launch", app="设置")'


def agent(text: str, **rest: Any) -> Serving:
    return answering(agent={"text": text, **rest})


@pytest.mark.parametrize(
    ("value", "status", "cause"),
    [
        pytest.param(HEALTHY, "pass", "", id="thought and action"),
        pytest.param(agent(f'{THOUGHT}\nfinish(message="done")'), "pass", "", id="the task is done"),
        pytest.param(agent("The screen shows Settings."), "fail", "AGENT_ANSWER_UNUSABLE", id="prose"),
        pytest.param(agent(f"{THOUGHT}do(action="), "fail", "AGENT_ANSWER_UNUSABLE", id="ends early"),
        pytest.param(agent(ACTION), "fail", "AGENT_ANSWER_UNUSABLE", id="no thought"),
        pytest.param(agent(f"好{ACTION}"), "fail", "AGENT_ANSWER_UNUSABLE", id="hardly a thought"),
        pytest.param(agent(f"{'的' * 40}{ACTION}"), "fail", "AGENT_ANSWER_UNUSABLE", id="garbled thought"),
        pytest.param(agent(f'{THOUGHT}do(action="Fly")'), "fail", "AGENT_ANSWER_UNUSABLE", id="unknown action"),
        pytest.param(
            agent(ACTION, reasoning=THOUGHT), "warn", "REASONING_PARSER_HIDES_THOUGHT", id="the thought is taken away"
        ),
        pytest.param(
            agent("", reasoning=f"{THOUGHT}{ACTION}"), "fail", "AGENT_ANSWER_UNUSABLE", id="all is taken away"
        ),
        pytest.param(agent("啊哦" + "我需要打开设置。" * 600), "unknown", "", id="longer than what is kept"),
        pytest.param(
            agent(THOUGHT, error="not finished after 60 s"), "unknown", "", id="too slow to be read to its end"
        ),
        pytest.param(
            agent("", status=400, error="This model does not support multimodal input"),
            "fail",
            None,
            id="refused",
        ),
        pytest.param(without("agent"), "unknown", "", id="not asked"),
        pytest.param(died("no"), "unknown", "", id="no server"),
        pytest.param(dataclasses.replace(agent("zz"), random_weights=True), "not_applicable", "", id="random weights"),
    ],
)
def test_agent(value: Serving, status: str, cause: str | None) -> None:
    finding = one(agent_answer, value)
    assert finding.status == status, render(finding.text)
    assert cause is None or finding.cause == cause


def test_other_models_are_not_asked() -> None:
    assert one(agent_answer, HEALTHY, intent=QWEN).status == "not_applicable"


def test_the_line_without_the_parser_is_offered() -> None:
    words = ["vllm", "serve", "zai-org/AutoGLM-Phone-9B", "--reasoning-parser", "glm45", "--max-model-len", "25480"]
    finding = one(agent_answer, agent(ACTION, reasoning=THOUGHT), intent=parse_command(words))
    assert finding.fixes[0].commands == ("vllm serve zai-org/AutoGLM-Phone-9B --max-model-len 25480",)


def test_it_says_that_the_tokens_were_used_up() -> None:
    assert "used up" in render(one(agent_answer, agent(THOUGHT, finish_reason="length")).text)


def test_the_documented_checkpoint_is_offered() -> None:
    commands = [c for fix in one(agent_answer, agent("Hello")).fixes for c in fix.commands]
    assert any("AutoGLM-Phone-9B" in c for c in commands)
    assert README.profile == "autoglm-phone-9b"
