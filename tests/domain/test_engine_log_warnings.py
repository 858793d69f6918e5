"""What engines and libraries say on starts that go well: each line alone is no symptom and ends no start."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoglm_doctor.domain.engine_log import Follower
from autoglm_doctor.domain.signatures import symptoms_of

FILES = sorted((Path(__file__).parents[1] / "logs" / "warnings").glob("*.log"))
LINES = [(path.stem, line) for path in FILES for line in path.read_text().splitlines()]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
@pytest.mark.parametrize("known", [True, False], ids=["engine known", "engine not known"])
def test_a_warning_is_no_symptom(path: Path, known: bool) -> None:
    engine = path.stem if known else ""
    found = {line: symptoms_of([line], engine) for line in path.read_text().splitlines()}
    assert [(line, found[line][0].signature.cause) for line in found if found[line]] == []


@pytest.mark.parametrize(
    "before", ["", "Model loading took 19.26 GiB and 5 seconds"], ids=["at once", "weights are in"]
)
def test_a_warning_ends_no_start(before: str) -> None:
    for engine, line in LINES:
        follower = Follower(engine)
        follower.feed(before, 0.0)
        follower.feed(line, 1.0)
        assert follower.doomed == "", line


def test_there_are_warnings_of_every_engine() -> None:
    assert {path.stem for path in FILES} == {"vllm", "sglang", "transformers", "llamacpp"}
    assert len(LINES) > 150


@pytest.mark.parametrize(
    ("line", "doomed"),
    [
        pytest.param("[2025-11-20 12:00:00 TP0] Setup Custom allreduce failed with x", False, id="level not told"),
        pytest.param("[2025-11-20 12:00:00] ERROR x.py:1: RuntimeError: NCCL error", True, id="told to be an error"),
        pytest.param(
            "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.", True, id="raised"
        ),
        pytest.param("[2025-11-20 12:00:00] Received sigquit from a child process.", True, id="a part is dead"),
    ],
)
def test_sglangs_logger_tells_no_level(line: str, doomed: bool) -> None:
    follower = Follower("sglang")
    follower.feed(line, 0.0)
    assert bool(follower.doomed) == doomed


def test_what_was_raised_counts_more_than_what_may_be_a_warning() -> None:
    warned = "[2025-11-20 12:00:00 TP0] Parameter x: undefined symbol: foo"
    raised = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.93 GiB."
    root, *_ = symptoms_of([warned, raised], "sglang")
    assert root.signature.cause == "VRAM_TOO_SMALL_FOR_WEIGHTS"


def test_the_line_of_the_source_that_raises_is_not_quoted() -> None:
    lines = [
        '    raise JSONDecodeError("Expecting value", s, err.value) from None',
        "json.decoder.JSONDecodeError: Expecting",
    ]
    (symptom,) = symptoms_of(lines, "transformers")
    assert symptom.line == lines[1]


def test_a_torch_that_warns_of_the_gpu_does_not_end_the_start() -> None:
    line = "NVIDIA Graphics Device with CUDA capability sm_121 is not compatible with the current PyTorch installation."
    follower = Follower("vllm")
    follower.feed(line, 0.0)
    assert follower.doomed == ""
    assert symptoms_of([line])[0].signature.sure == "likely"
