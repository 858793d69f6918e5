"""INF007: the prompt grows by what the picture takes, and the answer changes with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.api import Serving, ServingFailure
from autoglm_doctor.checks.serving_picture import WRAPPING, picture_seen
from autoglm_doctor.domain.launch_line import changed
from autoglm_doctor.launch import parse_command
from tests.checks.serving_cases import (
    ASKS,
    HEALTHY,
    IMAGE_TOKENS,
    QWEN,
    README,
    SCREEN,
    answering,
    ask,
    died,
    files_of,
    findings,
    one,
    render,
    serving,
    without,
)

TOO_LARGE = (
    "The decoder prompt contains a(n) image item with 3354 embedding tokens, which exceeds the pre-allocated encoder "
    "cache size 3136."
)
NO_PICTURES = "At most 0 image(s) may be provided in one prompt."
SAME = "I see a phone."


def grown(tokens: int, *, alike: bool = False, random: bool = False) -> Serving:
    """The server whose prompt grows by so many tokens."""
    texts = (SAME, SAME) if alike else ("Settings", "Music")
    value = answering(
        picture={"prompt_tokens": 22 + tokens, "text": texts[0]},
        other_picture={"prompt_tokens": 22 + tokens, "text": texts[1]},
    )
    return dataclasses.replace(value, random_weights=random)


def blind(tokens: int, *, random: bool = False) -> Serving:
    """The server whose answer is the same with and without a picture."""
    value = answering(
        picture={"prompt_tokens": 22 + tokens, "text": SAME},
        other_picture={"prompt_tokens": 22 + tokens, "text": SAME},
        no_picture=SAME,
    )
    return dataclasses.replace(value, random_weights=random)


def thinking(**changes: str) -> Serving:
    """The server that is cut off with the same thoughts about both pictures."""
    same = {"reasoning": SAME, "finish_reason": "length", **changes}
    return answering(picture=same, other_picture=same)


def uncounted(alike: bool) -> Serving:
    texts = (SAME, SAME) if alike else ("Settings", "Music")
    return answering(
        picture={"prompt_tokens": None, "text": texts[0]}, other_picture={"prompt_tokens": None, "text": texts[1]}
    )


def refusing(error: str, status: int = 400) -> Serving:
    """Pictures are refused; the trial goes on without them."""
    shown = ask("picture", "", status=status, error=error, picture=SCREEN, prompt=None)
    return serving(asks=(*ASKS[:3], shown, ASKS[5]))


@pytest.mark.parametrize(
    ("value", "status", "cause"),
    [
        pytest.param(HEALTHY, "pass", "", id="as predicted, two tokens around it"),
        pytest.param(grown(IMAGE_TOKENS), "pass", "", id="nothing around it"),
        pytest.param(grown(IMAGE_TOKENS + WRAPPING), "pass", "", id="just within"),
        pytest.param(grown(IMAGE_TOKENS + WRAPPING + 1), "warn", "IMAGE_TOKENS_NOT_AS_PREDICTED", id="one too many"),
        pytest.param(grown(IMAGE_TOKENS - 1), "warn", "IMAGE_TOKENS_NOT_AS_PREDICTED", id="one too few"),
        pytest.param(grown(1089), "warn", "IMAGE_TOKENS_NOT_AS_PREDICTED", id="other pixel limits"),
        pytest.param(grown(0, alike=True), "fail", "MODEL_IGNORES_IMAGE", id="dropped"),
        pytest.param(grown(-3, alike=True), "fail", "MODEL_IGNORES_IMAGE", id="dropped, with another template"),
        pytest.param(grown(2, alike=True), "fail", "MODEL_IGNORES_IMAGE", id="only its begin and end arrive"),
        pytest.param(grown(0), "warn", "MODEL_IGNORES_IMAGE", id="not counted, yet it changes the answer"),
        pytest.param(grown(IMAGE_TOKENS, alike=True), "warn", "MODEL_IGNORES_IMAGE", id="counted, and without effect"),
        pytest.param(blind(IMAGE_TOKENS + 2), "fail", "MODEL_IGNORES_IMAGE", id="counted, and never looked at"),
        pytest.param(blind(1089), "fail", "MODEL_IGNORES_IMAGE", id="counted otherwise, and never looked at"),
        pytest.param(blind(IMAGE_TOKENS + 2, random=True), "pass", "", id="never looked at by random weights"),
        pytest.param(
            thinking(),
            "pass",
            "",
            id="thoughts alike, answers not",
        ),
        pytest.param(
            thinking(text=""),
            "unknown",
            "",
            id="cut off in equal thoughts",
        ),
        pytest.param(grown(IMAGE_TOKENS, alike=True, random=True), "pass", "", id="random weights may answer alike"),
        pytest.param(grown(0, alike=True, random=True), "fail", "MODEL_IGNORES_IMAGE", id="dropped, random weights"),
        pytest.param(grown(0, random=True), "fail", "MODEL_IGNORES_IMAGE", id="dropped, random weights, other words"),
        pytest.param(uncounted(alike=False), "unknown", "", id="no counts"),
        pytest.param(uncounted(alike=True), "warn", "MODEL_IGNORES_IMAGE", id="no counts and the same answer"),
        pytest.param(without("no picture"), "unknown", "", id="never asked without a picture"),
        pytest.param(without("other picture"), "unknown", "", id="one picture only"),
        pytest.param(without("picture", "other picture"), "unknown", "", id="shown none"),
        pytest.param(died("no"), "unknown", "", id="no server"),
        pytest.param(refusing(TOO_LARGE), "fail", "IMAGE_EXCEEDS_ENCODER_BUDGET", id="above the encoder's budget"),
        pytest.param(refusing("I'm a teapot"), "fail", "MODEL_REFUSES_PICTURES", id="refused in unknown words"),
    ],
)
def test_pictures(value: Serving, status: str, cause: str) -> None:
    finding = one(picture_seen, value)
    assert (finding.status, finding.cause) == (status, cause), render(finding.text)


def test_both_numbers_are_told() -> None:
    text = render(one(picture_seen, grown(1089)).text)
    assert "1,089" in text
    assert "3,354" in text


def test_the_processors_own_word_counts_and_max_pixels_does_not() -> None:
    size = changed(README, {"mm_processor_kwargs": {"size": {"shortest_edge": 12544, "longest_edge": 5_000_000}}})
    assert one(picture_seen, grown(3108), intent=size).status == "pass"
    other = changed(README, {"mm_processor_kwargs": {"max_pixels": 100_000}})
    assert one(picture_seen, grown(IMAGE_TOKENS), intent=other).status == "pass"


def test_a_line_is_offered_with_which_a_screenshot_is_taken() -> None:
    finding = one(picture_seen, refusing(TOO_LARGE))
    assert '"longest_edge":5000000' in finding.fixes[0].commands[0]


@pytest.mark.parametrize(
    ("intent", "files"),
    [
        pytest.param(QWEN, files_of(15.0, model_type="qwen2"), id="a model of words"),
        pytest.param(changed(README, {"limit_mm_per_prompt": {"image": 0}}), None, id="pictures switched off"),
        pytest.param(parse_command(["llama-server", "--model", "/m/x.gguf"]), None, id="llama.cpp without a projector"),
    ],
)
def test_not_asked(intent: Any, files: Any) -> None:
    given = {"model_files": files} if files else {}
    assert one(picture_seen, without("picture", "other picture"), intent=intent, **given).status == "not_applicable"


def test_a_tower_that_is_not_known_stays_open() -> None:
    files = files_of(15.0, model_type="qwen2_vl", vision_config={"depth": 32})
    assert one(picture_seen, HEALTHY, intent=QWEN, model_files=files).status == "unknown"
    assert one(picture_seen, grown(0, alike=True), intent=QWEN, model_files=files).status == "fail"


def test_a_cpu_that_is_slow_with_a_picture_is_not_called_broken() -> None:
    shown = ask("picture", "", status=None, error="no word within 108 s", picture=SCREEN, prompt=None)
    slow = serving(
        asks=(*ASKS[:3], shown), failure=ServingFailure(stage="ask", kind="no_answer", message="no word within 108 s")
    )
    on_cpu = dataclasses.replace(README, device="cpu")
    assert one(picture_seen, slow, intent=on_cpu).status == "unknown"
    assert one(picture_seen, slow).status == "fail"


def test_a_refused_picture_is_one_red_and_leaves_the_words_alone() -> None:
    from autoglm_doctor.checks.serving_answers import server_answers

    assert [f.status for f in findings(server_answers, refusing(TOO_LARGE))] == ["pass"]
