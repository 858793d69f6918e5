"""load.py run for real, on the CPU: the smoke model, and damaged copies of a tiny text model."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.checks.inference import model_loads
from autoglm_doctor.checks.inference_output import answers_make_sense
from autoglm_doctor.checks.inference_speed import inference_speed
from autoglm_doctor.facts import Inference, Reading
from autoglm_doctor.jsonio import decode
from autoglm_doctor.testing import judge

TARGET = Path(__file__).parents[2] / "autoglm_doctor" / "probes" / "target"
SCRIPT = TARGET / "load.py"
HAS_LIBRARIES = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))

with_libraries = pytest.mark.skipif(not HAS_LIBRARIES, reason="needs torch and transformers")

Run = tuple[list[str], Reading[Inference]]


def run_load(folder: Path, environ: dict[str, str] | None = None, **arguments: Any) -> Run:
    """The script as the collector runs it: progress lines and the reading."""
    result, scratch = folder / "result.jsonl", folder / "scratch"
    scratch.mkdir()
    given = {"model": "smoke", "device": "cpu", "scratch": str(scratch), "seconds": 240, **arguments}
    command = [sys.executable, "-B", str(SCRIPT), str(result), json.dumps(given)]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in result.read_text().splitlines()]
    facts = [line for line in lines if "fact" in line]
    assert len(facts) == 1
    return [line["progress"] for line in lines if "progress" in line], decode(Reading[Inference], facts[0])


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_load(tmp_path_factory.mktemp("smoke"), dtype="bfloat16")


@pytest.fixture(scope="session")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Inference]:
    """All damaged folders in one child: importing transformers is what takes long."""
    folder = tmp_path_factory.mktemp("damaged")
    driver = Path(__file__).with_name("load_cases.py")
    command = [sys.executable, "-B", str(driver), str(TARGET), str(folder), str(folder / "readings.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    readings = json.loads((folder / "readings.json").read_text())

    def of(case: str) -> Inference:
        value = decode(Reading[Inference], readings[case]).value
        assert value is not None
        return value

    return of


@with_libraries
class TestSmoke:
    def test_is_measured_from_load_to_answer(self, smoke: Run) -> None:
        _progress, reading = smoke
        value = reading.value
        assert reading.outcome == "known"
        assert value is not None
        assert value.failure is None
        assert value.device == "cpu"
        assert value.dtype == "bfloat16"
        assert value.parameters == 2_097_024
        assert value.weight_bytes > 4 * value.parameters  # written in float32, with a header
        assert (value.prompt_tokens, value.image_tokens, value.new_tokens) == (66, 32, 32)
        times = (value.load_seconds, value.first_token_cold_seconds, value.first_token_seconds)
        assert all(seconds is not None and 0 < seconds < 120 for seconds in times)
        assert value.load_bytes_per_s == pytest.approx(value.weight_bytes / (value.load_seconds or 0))
        assert value.prefill_tokens_per_s == pytest.approx(66 / (value.first_token_seconds or 0))
        assert value.decode_tokens_per_s is not None
        assert 1 < value.decode_tokens_per_s < 1e5
        assert 100e6 < (value.peak_bytes or 0) == value.peak_host_bytes < 4e9

    def test_computes_soundly(self, smoke: Run) -> None:
        value = smoke[1].value
        assert value is not None
        assert value.missing_tensors == 0
        assert value.logits_finite is True
        assert value.repeatable is True
        # The same in transformers 4.53, 4.57, 5.0 and 5.23.
        assert value.logits_std == pytest.approx(0.746, abs=0.01)
        assert value.image_logit_change is not None
        assert value.image_logit_change > 0.5
        assert value.reference_error is not None
        assert 0 < value.reference_error < 0.05

    def test_says_what_it_is_doing(self, smoke: Run) -> None:
        assert smoke[0] == [
            "importing torch and transformers",
            "making a small random model",
            "loading the weights",
            "preparing a prompt with a picture",
            "running the model for the first time",
            "measuring the warm model",
        ]

    def test_is_judged_sound_and_no_proof_of_the_real_weights(self, smoke: Run) -> None:
        for check in (model_loads, answers_make_sense):
            (finding,) = judge(check, inference=smoke[1])
            assert finding.status == "pass"
            assert "were not tested" in finding.text.template
        assert judge(inference_speed, inference=smoke[1])[0].status == "not_applicable"


@with_libraries
class TestRealFolder:
    def test_a_sound_one_answers(self, tried: Callable[[str], Inference]) -> None:
        value = tried("sound")
        assert value.failure is None
        assert (value.missing_tensors, value.image_tokens, value.new_tokens) == (0, 0, 12)
        assert 200 < value.prompt_tokens < 1000  # a prefill of a few tokens would be no measurement
        assert value.logits_finite is True
        assert value.repeatable is True
        assert value.image_logit_change is None
        assert value.answer
        assert judge(model_loads, inference=value)[0].status == "pass"
        assert judge(answers_make_sense, inference=value)[0].status == "pass"

    @pytest.mark.parametrize(
        ("case", "cause"),
        [
            ("shard cut in half", "MODEL_FILE_TRUNCATED"),
            ("shard is an lfs pointer", "MODEL_FILES_LFS_POINTER"),
            ("shard deleted", "MODEL_SHARD_MISSING"),
            ("other vocabulary", "MODEL_CONFIG_WRONG"),
            ("unknown architecture", "TRANSFORMERS_TOO_OLD_FOR_MODEL"),
            ("unknown dtype", "MODEL_CONFIG_WRONG"),
        ],
    )
    def test_that_cannot_load_names_the_cause(self, tried: Callable[[str], Inference], case: str, cause: str) -> None:
        value = tried(case)
        assert value.failure is not None
        assert value.failure.stage == "load"
        assert value.torch_version  # what was known before the failure is kept
        (finding,) = judge(model_loads, inference=value)
        assert (finding.status, finding.cause) == ("fail", cause), value.failure
        assert finding.fixes[0].commands

    @pytest.mark.parametrize(
        ("case", "cause"),
        [
            ("nan weight", "MODEL_OUTPUT_WRONG"),
            ("zero output", "MODEL_OUTPUT_WRONG"),
            ("tensor left out", "MODEL_TENSORS_MISSING"),
            ("tokenizer cut in half", "MODEL_FILES_INCOMPLETE"),
        ],
    )
    def test_that_loads_and_is_broken_is_found(self, tried: Callable[[str], Inference], case: str, cause: str) -> None:
        value = tried(case)
        assert judge(model_loads, inference=value)[0].status == "pass"
        (finding,) = judge(answers_make_sense, inference=value)
        assert (finding.status, finding.cause) == ("fail", cause), value

    def test_a_tensor_that_the_index_promises_is_missed(self, tried: Callable[[str], Inference]) -> None:
        """transformers 5 fills it at random, transformers 4 cannot move it to the device: one red either way."""
        findings = [
            judge(check, inference=tried("tensor promised by the index"))[0]
            for check in (model_loads, answers_make_sense)
        ]
        assert [f.cause for f in findings if f.status == "fail"] == ["MODEL_TENSORS_MISSING"]

    def test_nan_is_noted_as_nan(self, tried: Callable[[str], Inference]) -> None:
        value = tried("nan weight")
        assert value.logits_finite is False
        assert math.isnan(value.logits_std or 0)

    def test_own_code_of_a_repository_does_not_run(self, tried: Callable[[str], Inference]) -> None:
        value = tried("own code")
        assert value.failure is not None
        assert "trust_remote_code" in value.failure.message


class TestWithoutLibraries:
    def test_no_torch_is_absent(self, tmp_path: Path) -> None:
        # -S: no site-packages, so neither torch nor transformers is there.
        result = tmp_path / "result"
        command = [sys.executable, "-S", "-E", str(SCRIPT), str(result), json.dumps({"model": "smoke"})]
        subprocess.run(command, check=True, timeout=60, cwd=tmp_path)
        (line,) = result.read_text().splitlines()
        reading = decode(Reading[Inference], json.loads(line))
        assert (reading.outcome, reading.why) == ("absent", "torch is not installed")

    def test_a_torch_that_raises_is_a_failure_of_the_import(self, tmp_path: Path) -> None:
        for name, code in (("torch", "raise ImportError('libx.so: undefined symbol: _Z1')"), ("transformers", "")):
            (tmp_path / "stubs" / name).mkdir(parents=True)
            (tmp_path / "stubs" / name / "__init__.py").write_text(code)
        _progress, reading = run_load(tmp_path, {"PYTHONPATH": str(tmp_path / "stubs")})
        assert reading.value is not None
        assert reading.value.failure is not None
        assert reading.value.failure.stage == "import"
        (finding,) = judge(model_loads, inference=reading)
        assert (finding.status, finding.cause) == ("fail", "EXTENSION_ABI_MISMATCH")


@with_libraries
@pytest.mark.slow
class TestSlow:
    def test_a_gpu_that_is_not_there_is_a_failure(self, tmp_path: Path) -> None:
        import os

        _progress, reading = run_load(tmp_path, {**os.environ, "CUDA_VISIBLE_DEVICES": ""}, device="cuda")
        assert reading.value is not None
        assert reading.value.failure is not None
        assert reading.value.failure.stage == "import"
        (finding,) = judge(model_loads, inference=reading)
        assert finding.cause in ("CPU_ONLY_TORCH", "CUDA_VISIBLE_DEVICES_HIDES_GPUS")

    def test_the_budget_bounds_the_trial(self, tmp_path: Path) -> None:
        """Time for the first run only: what was not compared stays open."""
        _progress, reading = run_load(tmp_path, seconds=0, new_tokens=16)
        assert reading.value is not None
        assert reading.value.failure is None
        assert reading.value.repeatable is None
        assert judge(answers_make_sense, inference=reading)[0].status == "unknown"
        assert judge(inference_speed, inference=reading)[0].status == "unknown"
