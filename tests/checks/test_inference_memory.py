"""INF004: what was measured beside what was predicted."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest

from autoglm_doctor.api import SMOKE, Failure, Inference, Intent, ModelFiles, Reading
from autoglm_doctor.checks import inference_memory
from autoglm_doctor.checks.inference_memory import memory_as_predicted
from autoglm_doctor.finding import Finding
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.profiles import PROFILES
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.checks.vram_cases import files_of

README = default_intent()
README_CONFIG = PROFILES[README.profile].config
ABSENT: Reading[Any] = Reading(outcome="absent")
RUN = Inference(
    model="/models/AutoGLM-Phone-9B",
    device="cuda:0",
    dtype="bfloat16",
    prompt_tokens=3400,
    image_tokens=3354,
    new_tokens=32,
)


def as_predicted(run: Inference = RUN, intent: Intent = README) -> Inference:
    """The run, with the very figures that are predicted for it."""
    predicted = inference_memory._predicted(run, None, intent)
    weights = inference_memory._weights(None, intent)
    assert predicted is not None
    assert weights is not None
    return dataclasses.replace(run, weight_bytes=weights, peak_bytes=inference_memory._peak(predicted).likely)


def scaled(weights: float = 1.0, peak: float = 1.0, **changes: Any) -> Inference:
    run = as_predicted()
    assert run.peak_bytes is not None
    return dataclasses.replace(
        run, weight_bytes=int(run.weight_bytes * weights), peak_bytes=int(run.peak_bytes * peak), **changes
    )


def found(run: Inference, intent: Intent = README, files: Any = ABSENT) -> dict[str, Finding]:
    return {f.subject: f for f in judge(memory_as_predicted, inference=run, model_files=files, intent=intent)}


@pytest.mark.parametrize(
    ("run", "weights", "peak"),
    [
        pytest.param(scaled(), "pass", "pass", id="as predicted"),
        pytest.param(scaled(1.049, 1.0), "pass", "pass", id="just within 5 %"),
        pytest.param(scaled(1.06, 1.0), "warn", "pass", id="heavier files"),
        pytest.param(scaled(0.94, 1.0), "warn", "pass", id="lighter files"),
        pytest.param(scaled(1.0, 1.5), "pass", "warn", id="a peak half as high again"),
        pytest.param(scaled(1.0, 0.7), "pass", "warn", id="a peak far below"),
    ],
)
def test_apart(run: Inference, weights: str, peak: str) -> None:
    seen = found(run)
    assert (seen["weights"].status, seen["peak"].status) == (weights, peak)
    for finding in seen.values():
        assert "{" not in render(finding.text)
        assert finding.cause == ("MEMORY_NOT_AS_PREDICTED" if finding.status == "warn" else "")


def test_the_files_are_held_against_the_config_and_not_against_themselves() -> None:
    files = files_of(25.0, **README_CONFIG)
    run = dataclasses.replace(as_predicted(), weight_bytes=files.weights[0].size_bytes)
    assert found(run, README, files)["weights"].status == "warn"


def test_it_says_which_way() -> None:
    assert "more than" in render(found(scaled(1.2))["weights"].text)
    assert "less than" in render(found(scaled(0.8))["weights"].text)


def test_the_fix_writes_the_report_of_the_same_deployment() -> None:
    words = shlex.split(found(scaled(1.2))["weights"].fixes[0].commands[0])
    assert words[:2] == ["autoglm-doctor", "check"]
    assert words[words.index("--format") + 1] == "json"
    assert parse_command(words[words.index("--") + 1 :]).launch == README.launch
    plain = dataclasses.replace(README, command=())
    assert "--model zai-org/AutoGLM-Phone-9B" in found(scaled(1.2), plain)["weights"].fixes[0].commands[0]


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(dataclasses.replace(RUN, model=SMOKE, peak_bytes=1 << 20), id="smoke model"),
        pytest.param(dataclasses.replace(RUN, device="cpu", peak_bytes=1 << 30), id="on the CPU"),
        pytest.param(RUN, id="no peak"),
        pytest.param(dataclasses.replace(RUN, peak_bytes=1 << 30, prompt_tokens=0), id="no prompt"),
        pytest.param(
            scaled(1.5, failure=Failure(stage="generate", exception="OutOfMemoryError", message="")), id="it failed"
        ),
    ],
)
def test_not_asked(run: Inference) -> None:
    assert [f.status for f in found(run).values()] == ["not_applicable"]


def test_an_architecture_without_a_prediction_is_not_green() -> None:
    files = ModelFiles(path="/m", config={"model_type": "brand_new"})
    intent = Intent(model="/m")
    assert [f.status for f in found(scaled(), intent, files).values()] == ["unknown"]


def test_the_flags_of_the_server_do_not_count_for_what_transformers_ran() -> None:
    flags = dataclasses.replace(README.launch, quantization="fp8", tensor_parallel=4, max_model_len=65_536)
    intent = dataclasses.replace(README, launch=flags)
    assert as_predicted(intent=intent) == as_predicted()


@pytest.mark.parametrize("outcome", ["absent", "failed", "timeout", "not_run"])
def test_what_was_not_run_is_never_green(outcome: Any) -> None:
    unread: Reading[Inference] = Reading(outcome=outcome, why="no transformers")
    [finding] = judge(memory_as_predicted, inference=unread, intent=README)
    assert finding.status in ("skipped", "unknown")
