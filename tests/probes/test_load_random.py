"""The full-size architecture with random weights: tiny configs, really made and run on the CPU, and configs that lie."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.checks.inference import model_loads
from autoglm_doctor.checks.inference_memory import memory_as_predicted
from autoglm_doctor.checks.inference_output import answers_make_sense
from autoglm_doctor.checks.inference_speed import inference_speed
from autoglm_doctor.collect import Probe, Session, run_probe
from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.domain.shape.vision_tokens import smart_resize
from autoglm_doctor.facts import Inference, ModelFiles, Reading
from autoglm_doctor.intent import Intent
from autoglm_doctor.jsonio import decode
from autoglm_doctor.profiles import PROFILES
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.probes.random_cases import CASES, GLM4V, drawn

TARGET = Path(__file__).parents[2] / "autoglm_doctor" / "probes" / "target"
HAS_LIBRARIES = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
with_libraries = pytest.mark.skipif(not HAS_LIBRARIES, reason="needs torch and transformers")
AUTOGLM = PROFILES["autoglm-phone-9b"]
SAID = "Random weights of the full-size architecture: kernels, memory and speed were run, the checkpoint was not"


def inputs_module() -> Any:
    """load_inputs.py, which imports nothing but the standard library."""
    spec = importlib.util.spec_from_file_location("load_inputs", TARGET / "load_inputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


INPUTS = inputs_module()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All cases in one child: importing transformers is what takes long."""
    folder = tmp_path_factory.mktemp("random")
    driver = Path(__file__).with_name("random_cases.py")
    command = [sys.executable, "-B", str(driver), str(TARGET), str(folder), str(folder / "readings.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "readings.json").read_text())
    return found


@pytest.fixture(scope="session")
def tried(made: dict[str, Any]) -> Callable[[str], Inference]:
    def of(case: str) -> Inference:
        value = decode(Reading[Inference], made[case]).value
        assert value is not None
        return value

    return of


@with_libraries
class TestMade:
    @pytest.mark.parametrize("case", ["glm4v", "qwen2_vl", "qwen2_5_vl"])
    def test_shows_pictures_at_the_models_own_ids(self, tried: Callable[[str], Inference], case: str) -> None:
        value = tried(case)
        assert value.failure is None
        assert (value.image_tokens, value.prompt_tokens, value.new_tokens) == (128, 162, 12)
        assert value.logits_std is not None
        assert value.image_logit_change is not None
        assert value.image_logit_change > value.logits_std  # a hundredth would pass the check

    @pytest.mark.parametrize("case", ["llama", "qwen2, tied", "experts", "float32", "stops at every word"])
    def test_asks_a_text_model(self, tried: Callable[[str], Inference], case: str) -> None:
        value = tried(case)
        assert value.failure is None
        assert (value.image_tokens, value.prompt_tokens, value.new_tokens) == (0, 300, 12)
        assert value.image_logit_change is None

    @pytest.mark.parametrize(
        "case", ["glm4v", "llama", "qwen2, tied", "qwen2_vl", "qwen2_5_vl", "experts", "float32", "stops at every word"]
    )
    def test_is_sound_and_says_what_it_is(self, tried: Callable[[str], Inference], case: str) -> None:
        value = tried(case)
        assert value.random_weights
        assert (value.logits_finite, value.repeatable, value.missing_tensors) == (True, True, 0)
        assert value.logits_std is not None
        assert value.logits_std > 0.1
        assert value.distinct_tokens is None  # one word for ever is no fault of such a model
        assert value.dtype == ("float32" if case == "float32" else "bfloat16")
        assert value.weight_bytes == value.parameters * (4 if case == "float32" else 2)
        for check in (model_loads, answers_make_sense):
            (finding,) = judge(check, inference=value)
            assert finding.status == "pass", render(finding.text)
            assert SAID in render(finding.text)

    def test_is_not_judged_as_a_disk(self, tried: Callable[[str], Inference]) -> None:
        value = tried("glm4v")
        assert value.load_seconds is not None
        assert value.load_bytes_per_s is None
        (finding,) = judge(inference_speed, inference=value)
        assert finding.status == "not_applicable"
        assert "tokens/s" in render(finding.text)
        assert "None" not in render(finding.text)

    def test_says_when_pictures_were_left_out(self, made: dict[str, Any]) -> None:
        reading = made["pictures of a kind that we cannot make"]
        assert reading["value"]["image_tokens"] == 0
        assert "text only" in reading["source"]

    def test_a_quantized_checkpoint_is_not_imitated(self, made: dict[str, Any]) -> None:
        assert made["quantized"]["outcome"] == "not_run"
        assert "quantized" in made["quantized"]["why"]

    @pytest.mark.parametrize(
        ("case", "stage", "says"),
        [
            ("unknown model_type", "make", "does not recognize this architecture"),
            ("no model_type", "make", "Unrecognized model"),
            ("own code", "make", "custom code|trust_remote_code"),
            ("unknown dtype", "make", "bfloat17"),
            ("a size in words", "make", "wide|str"),
            ("less than nothing", "make", "negative dimension"),
            ("heads that do not divide", "warm-up", "size of tensor"),
            ("a vision tower of another width", "warm-up", "Image features|shape|size"),
            ("larger than this machine", "make", r"the weights take \d+\.\d GiB, and \d+\.\d GiB are available"),
            ("larger than the limit of the process", "make", "can't allocate memory"),
        ],
    )
    def test_a_config_that_lies(self, tried: Callable[[str], Inference], case: str, stage: str, says: str) -> None:
        failure = tried(case).failure
        assert failure is not None
        assert failure.stage == stage
        assert re.search(says, failure.message), failure
        check = model_loads if stage == "make" else answers_make_sense
        (finding,) = judge(check, inference=tried(case))
        assert finding.status in ("fail", "skipped")

    @pytest.mark.parametrize("case", ["larger than this machine", "larger than the limit of the process"])
    def test_too_little_memory_is_named(self, tried: Callable[[str], Inference], case: str) -> None:
        (finding,) = judge(model_loads, inference=tried(case))
        assert (finding.status, finding.cause) == ("fail", "RAM_TOO_SMALL")


@with_libraries
def test_parameters_and_bytes_are_those_that_are_predicted(made: dict[str, Any]) -> None:
    for config, (parameters, size) in zip(drawn(), made["drawn"], strict=True):
        shape = read_shape(config)
        assert shape is not None
        assert shape.parameters is not None
        assert (parameters, size) == (shape.parameters.total, 2 * shape.parameters.total), config


@with_libraries
def test_what_nobody_initialised_gets_a_distribution_and_the_rest_is_left(made: dict[str, Any]) -> None:
    first, last, kept = made["tamed"]
    assert first == pytest.approx(0.02, rel=0.1)
    assert last == pytest.approx(0.02, rel=0.1)
    assert kept


@with_libraries
def test_through_the_collector_which_brings_all_files_of_the_script(tmp_path: Path) -> None:
    """Also where the deployment keeps Python from looking beside a script."""
    (tmp_path / "made").mkdir()
    environ = {**os.environ, "PYTHONSAFEPATH": "1"}
    probe = Probe(name="load", script="load.py", gives=("inference",), limit_seconds=200)
    arguments = {"model": "org/name", "weights": "random", "config": GLM4V, "device": "cpu", "image": [56, 56]}
    given = {**arguments, "scratch": str(tmp_path / "made"), "new_tokens": 2}
    progress: list[str] = []
    session = Session(scratch=tmp_path, environ=environ, on_progress=lambda _, text: progress.append(text))
    reading: Reading[Inference] = run_probe(probe, given, session, sys.executable)["inference"]
    assert reading.outcome == "known", reading.why
    assert reading.value is not None
    assert reading.value.failure is None
    assert reading.value.random_weights
    assert "making the full-size model with random weights" in progress
    assert sorted(path.name for path in (tmp_path / "load").glob("*.py")) == sorted(
        path.name for path in TARGET.glob("load*.py")
    )


class TestPictures:
    def test_a_phones_screen_takes_3354_tokens(self) -> None:
        config = as_config(AUTOGLM.config)
        rows, columns = INPUTS.image_grid(config, [1080, 2400], AUTOGLM.preprocessor)
        assert rows * columns // 4 == 3354

    @given(width=st.integers(1, 5000), height=st.integers(1, 5000), most=st.sampled_from([9_633_792, 200_000]))
    def test_are_cut_as_predicted(self, width: int, height: int, most: int) -> None:
        if max(width, height) / min(width, height) > 200:
            return
        tall, wide = smart_resize(2, height, width, most=most)
        size = {"size": {"shortest_edge": 12_544, "longest_edge": most}}
        assert INPUTS.image_grid(as_config(AUTOGLM.config), [width, height], size) == (tall // 14, wide // 14)

    def test_of_unknown_kinds_are_not_guessed(self) -> None:
        config = as_config({**AUTOGLM.config, "model_type": "llava"})
        assert INPUTS.image_grid(config, [1080, 2400], {}) is None


def as_config(mapping: Any) -> Any:
    return SimpleNamespace(**{**mapping, "vision_config": SimpleNamespace(**mapping["vision_config"])})


class TestMemory:
    """INF004 with random weights: the parameters that were made against the config, whatever lies in the folder."""

    RUN = Inference(
        model="zai-org/AutoGLM-Phone-9B",
        device="cuda:0",
        dtype="bfloat16",
        random_weights=True,
        weight_bytes=20_585_554_944,
        peak_bytes=21_700_000_000,
        prompt_tokens=3400,
        image_tokens=3354,
        new_tokens=32,
    )
    INTENT = Intent(model="zai-org/AutoGLM-Phone-9B", profile="autoglm-phone-9b")

    @pytest.mark.parametrize(
        ("dtype", "size", "status"),
        [
            pytest.param("bfloat16", 20_585_554_944, "pass", id="bf16"),
            pytest.param("float32", 2 * 20_585_554_944, "pass", id="twice the bytes in fp32"),
            pytest.param("bfloat16", 2 * 20_585_554_944, "warn", id="fp32 where bf16 was asked for"),
        ],
    )
    @pytest.mark.parametrize("files", [None, ModelFiles(path="/m", config=AUTOGLM.config)], ids=["hub name", "config"])
    def test_weights(self, dtype: str, size: int, status: str, files: Any) -> None:
        run = dataclasses.replace(self.RUN, dtype=dtype, weight_bytes=size)
        absent: Reading[Any] = Reading(outcome="absent")
        found = judge(memory_as_predicted, inference=run, model_files=files or absent, intent=self.INTENT)
        assert {f.subject: f.status for f in found}["weights"] == status


def test_every_case_is_looked_at() -> None:
    """A config in the table that no test asks for would prove nothing."""
    text = Path(__file__).read_text()
    assert [case for case in CASES if f'"{case}"' not in text] == []
