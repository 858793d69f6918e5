"""CFG004: what a screenshot takes against what vLLM sets aside for one picture.

The numbers in this file were measured: by the real processor of transformers, and by vLLM 0.32's own code with it.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_doctor.checks.vision import screenshot_fits
from autoglm_doctor.domain.capacity.rescue import launch_that_fits
from autoglm_doctor.domain.memory.fits import Card
from autoglm_doctor.domain.memory.image_budget import SCREEN, image_budget, real_limit
from autoglm_doctor.domain.shape.vision_tokens import GLM4V, IMAGE_MOST
from autoglm_doctor.facts import ModelFiles, Packages, Reading
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import SMOKE, Intent, Launch
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.checks.vram_cases import gpu, h100, vllm

SIZE = {"size": {"shortest_edge": 12_544, "longest_edge": 5_000_000}}
PIXELS = {"max_pixels": 5_000_000}
NO_VIDEO = {"image": 10, "video": 0}
NEW, OLD = "0.33.0", "0.12.0"


def autoglm(**values: Any) -> Intent:
    """Open-AutoGLM's documented line with other flags, typed into it."""
    readme = default_intent()
    words = list(readme.command)
    for name, value in values.items():
        flag = "--" + name.replace("_", "-")
        typed = json.dumps(value) if isinstance(value, dict) else str(value)
        spelt = "--mm_processor_kwargs" if flag == "--mm-processor-kwargs" else flag
        if spelt in words:
            words[words.index(spelt) + 1] = typed
        else:
            words += [flag, typed]
    return parse_command(words)


def one(intent: Intent, version: str | None = NEW, card: Any = None, **given: Any) -> Finding:
    facts: dict[str, Any] = {"gpus": (card or gpu(40.0, name="NVIDIA A100-PCIE-40GB", capability="8.0"),)}
    facts["packages"] = vllm(version) if version else Packages()
    [finding] = judge(screenshot_fits, intent=intent, **{**facts, **given})
    assert "{" not in render(finding.text)
    return finding


@pytest.mark.parametrize(
    ("intent", "version", "status"),
    [
        pytest.param(autoglm(), NEW, "warn", id="documented line: only the video saves it"),
        pytest.param(autoglm(limit_mm_per_prompt=NO_VIDEO), NEW, "fail", id="documented line without videos"),
        pytest.param(autoglm(max_model_len=4096), NEW, "fail", id="short context: no room for a video in the plan"),
        pytest.param(autoglm(mm_processor_kwargs=SIZE), NEW, "pass", id="size in place of max_pixels"),
        pytest.param(
            autoglm(mm_processor_kwargs=SIZE, limit_mm_per_prompt=NO_VIDEO), NEW, "pass", id="size and no videos"
        ),
        pytest.param(autoglm(max_num_batched_tokens=8192), NEW, "pass", id="a large batch"),
        pytest.param(
            autoglm(max_num_batched_tokens=8192, limit_mm_per_prompt=NO_VIDEO),
            NEW,
            "pass",
            id="a large batch, no video",
        ),
        pytest.param(autoglm(mm_processor_kwargs={}), NEW, "pass", id="no max_pixels"),
        pytest.param(autoglm(mm_processor_kwargs={}, limit_mm_per_prompt=NO_VIDEO), NEW, "pass", id="neither"),
        pytest.param(
            autoglm(mm_processor_kwargs={**SIZE, **PIXELS}, limit_mm_per_prompt=NO_VIDEO), NEW, "pass", id="both words"
        ),
        pytest.param(
            autoglm(mm_processor_kwargs={"max_pixels": 20_000_000}, limit_mm_per_prompt=NO_VIDEO),
            NEW,
            "pass",
            id="max_pixels above the processor's own limit",
        ),
        pytest.param(autoglm(), OLD, "pass", id="before 0.17 the plan did not read max_pixels"),
        pytest.param(autoglm(limit_mm_per_prompt=NO_VIDEO), OLD, "pass", id="before 0.17 without videos"),
        pytest.param(autoglm(), None, "warn", id="unknown version"),
        pytest.param(autoglm(limit_mm_per_prompt=NO_VIDEO), None, "warn", id="unknown version without videos"),
        pytest.param(autoglm(mm_processor_kwargs=SIZE), None, "pass", id="size suits every version"),
        pytest.param(autoglm(limit_mm_per_prompt={"image": 0}), NEW, "not_applicable", id="no pictures"),
        pytest.param(autoglm(max_model_len=3354), NEW, "fail", id="the context is as long as the picture"),
        pytest.param(autoglm(max_model_len=6000, mm_processor_kwargs=SIZE), NEW, "warn", id="no room for the answer"),
        pytest.param(autoglm(max_model_len=8192, mm_processor_kwargs=SIZE), NEW, "pass", id="room for the answer"),
    ],
)
def test_screenshot(intent: Intent, version: str | None, status: str) -> None:
    finding = one(intent, version)
    assert finding.status == status
    assert bool(finding.fixes) == (status in ("warn", "fail"))


@pytest.mark.parametrize("version", [NEW, OLD, None])
@pytest.mark.parametrize(
    "intent",
    [
        pytest.param(autoglm(), id="documented line"),
        pytest.param(autoglm(limit_mm_per_prompt=NO_VIDEO), id="no videos"),
        pytest.param(autoglm(max_model_len=4096), id="4096 tokens"),
        pytest.param(autoglm(max_model_len=3000), id="3000 tokens"),
        pytest.param(autoglm(max_model_len=6000, mm_processor_kwargs=SIZE), id="no room for the answer"),
    ],
)
def test_the_first_fix_passes_when_pasted(intent: Intent, version: str | None) -> None:
    finding = one(intent, version)
    for fix in finding.fixes[:1]:
        pasted = parse_command(shlex.split(fix.commands[0]))
        assert pasted.launch.mm_processor_kwargs == SIZE
        assert one(pasted, version).status == "pass"


def test_a_larger_batch_is_the_second_way() -> None:
    finding = one(autoglm(limit_mm_per_prompt=NO_VIDEO))
    pasted = parse_command(shlex.split(finding.fixes[1].commands[0]))
    assert pasted.launch.mm_processor_kwargs == PIXELS
    assert one(pasted).status == "pass"


def test_other_arguments_of_the_processor_stay() -> None:
    finding = one(autoglm(mm_processor_kwargs={**PIXELS, "do_convert_rgb": True}))
    pasted = parse_command(shlex.split(finding.fixes[0].commands[0]))
    assert pasted.launch.mm_processor_kwargs == {"do_convert_rgb": True, **SIZE}


@pytest.mark.parametrize(
    ("version", "words"),
    [
        pytest.param("0.32.0", "image item with 3354 embedding tokens, which exceeds", id="0.32"),
        pytest.param("0.17.0", "image item with length 3354, which exceeds", id="0.17"),
    ],
)
def test_it_quotes_the_server(version: str, words: str) -> None:
    finding = one(autoglm(limit_mm_per_prompt=NO_VIDEO), version)
    said = str(finding.evidence["what_vllm_says"])
    assert words in said
    assert "pre-allocated encoder cache size 3136" in said
    assert "1080x2400" in render(finding.text)
    assert (finding.observed, finding.expected) == (3354, 3136)
    assert finding.cause == "IMAGE_EXCEEDS_ENCODER_BUDGET"


def test_a_short_context_is_a_cause_of_its_own() -> None:
    finding = one(autoglm(max_model_len=3000))
    assert finding.cause == "CONTEXT_TOO_SHORT_FOR_IMAGE"
    assert "longer than the maximum model length of 3000" in str(finding.evidence["what_vllm_says"])


def test_the_answer_of_the_client_only_counts_for_autoglm() -> None:
    words = ["vllm", "serve", "zai-org/GLM-4.1V-9B-Thinking", "--max-model-len", "6000"]
    assert one(parse_command(words)).status == "pass"


@pytest.mark.parametrize(
    ("context", "cause"),
    [
        pytest.param(3354, "CONTEXT_TOO_SHORT_FOR_IMAGE", id="the picture alone fills it"),
        pytest.param(3355, "", id="one token more"),
    ],
)
def test_the_context_holds_the_picture_and_a_word(context: int, cause: str) -> None:
    words = ["vllm", "serve", "zai-org/GLM-4.1V-9B-Thinking", "--max-model-len", str(context)]
    assert one(parse_command(words)).cause == cause


@pytest.mark.parametrize("total", [23.99, 40.0, 80.0], ids=["24 GB", "40 GB", "80 GB"])
@pytest.mark.parametrize("version", [NEW, OLD, None])
def test_what_is_offered_for_memory_takes_screenshots(total: float, version: str | None) -> None:
    card = Card(name="NVIDIA GeForce RTX 4090", total_bytes=int(total * 0.98 * 2**30))
    for intent in (default_intent(), autoglm(limit_mm_per_prompt=NO_VIDEO)):
        for offered in launch_that_fits(intent, None, card, version, capability="8.9", most=9):
            if {"max_model_len", "mm_processor_kwargs", "limit_mm_per_prompt"} & set(offered.changes):
                assert one(offered.intent, version, gpu(total)).status == "pass", offered.line


def test_a_card_with_large_default_batches_is_safe() -> None:
    intent = autoglm(limit_mm_per_prompt=NO_VIDEO)
    assert one(intent, card=h100()).status == "pass"
    assert one(intent, gpus=Reading(outcome="failed", why="NVML")).status == "warn"


def test_a_larger_screen_is_named_and_not_judged() -> None:
    finding = one(autoglm(limit_mm_per_prompt=NO_VIDEO), OLD)
    assert finding.status == "pass"
    assert "1440x3200 (5,814) would be refused" in render(finding.text)


QWEN = {"model_type": "qwen2", "num_attention_heads": 16}


@pytest.mark.parametrize(
    ("intent", "config", "status"),
    [
        pytest.param(Intent(model=SMOKE), None, "not_applicable", id="smoke model"),
        pytest.param(Intent(model="/m", engine="sglang"), None, "not_applicable", id="SGLang"),
        pytest.param(Intent(model="/m"), QWEN, "not_applicable", id="a text model"),
        pytest.param(
            Intent(model="/m"), {"model_type": "new_vl", "vision_config": {}}, "not_applicable", id="an empty tower"
        ),
        pytest.param(
            Intent(model="/m"), {"model_type": "new", "vision_config": {"depth": 1}}, "not_applicable", id="a new tower"
        ),
        pytest.param(Intent(model="somebody/something"), None, "unknown", id="a model of which nothing is known"),
    ],
)
def test_not_asked(intent: Intent, config: dict[str, Any] | None, status: str) -> None:
    files: Any = ModelFiles(path="/m", config=config) if config else Reading(outcome="absent")
    assert one(intent, model_files=files).status == status


@pytest.mark.parametrize(
    ("version", "launch", "context", "image", "tokens"),
    [
        pytest.param("0.32.0", Launch(mm_processor_kwargs=PIXELS), 25_480, 3136, 6272, id="documented flags"),
        pytest.param("0.32.0", Launch(), 25_480, 6084, 18_252, id="no flags"),
        pytest.param("0.32.0", Launch(limit_mm_per_prompt=NO_VIDEO), 25_480, 6084, 6084, id="no videos"),
        pytest.param(
            "0.32.0", Launch(mm_processor_kwargs=PIXELS, limit_mm_per_prompt=NO_VIDEO), 25_480, 3136, 3136, id="both"
        ),
        pytest.param("0.32.0", Launch(mm_processor_kwargs=PIXELS), 4096, 3136, 3136, id="short context"),
        pytest.param("0.16.0", Launch(limit_mm_per_prompt=NO_VIDEO), 25_480, 3721, 3721, id="0.16, GLM-OCR issue 67"),
    ],
)
def test_the_budget_is_the_one_that_vllm_made(
    version: str, launch: Launch, context: int, image: int, tokens: int
) -> None:
    budget = image_budget(GLM4V, launch, {}, context, 2048, version)
    assert budget is not None
    assert (budget.image, budget.tokens) == (image, tokens)


def test_max_pixels_does_not_reach_the_processor() -> None:
    assert real_limit({}, PIXELS) == IMAGE_MOST
    assert real_limit({}, {**PIXELS, **SIZE}) == 5_000_000
    assert real_limit({"size": {"longest_edge": 4_000_000}}, PIXELS) == 4_000_000
    assert SCREEN == (1080, 2400)


ORDER = {"fail": 0, "warn": 1, "pass": 2}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([NEW, OLD]),
    st.integers(2000, 30_000),
    st.integers(0, 10_000),
    st.integers(3400, 60_000),
    st.sampled_from([PIXELS, SIZE, {}]),
)
def test_a_larger_batch_never_makes_it_worse(
    version: str, batch: int, more: int, context: int, kwargs: dict[str, Any]
) -> None:
    base = default_intent()
    answers = []
    for tokens in (batch, batch + more):
        launch = dataclasses.replace(
            base.launch,
            max_num_batched_tokens=tokens,
            max_model_len=context,
            mm_processor_kwargs=kwargs,
            limit_mm_per_prompt=NO_VIDEO,
        )
        answers.append(ORDER[one(dataclasses.replace(base, launch=launch), version).status])
    assert answers[0] <= answers[1]
