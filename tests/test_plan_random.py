"""Random configs, broken ones among them, and random flags: a verdict or a clear error, never a traceback."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_doctor.cli.app import run
from autoglm_doctor.profiles import PROFILES
from tests.plan_cases import SMALL

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(10**9, 10**30),
    st.floats(),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
BASES = [SMALL, *(profile.config for profile in PROFILES.values())]


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """A real config with some of its values replaced or taken away, on both of its levels."""
    found: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(BASES))))
    parts = [found, *(value for value in found.values() if isinstance(value, dict))]
    for _ in range(draw(st.integers(0, 3))):
        part = draw(st.sampled_from(parts))
        name = draw(st.sampled_from([*sorted(part), "quantization_config", "sliding_window", "rope_scaling"]))
        if draw(st.booleans()):
            part[name] = draw(STRANGE)
        else:
            part.pop(name, None)
    return found


WORDS = st.sampled_from(
    ["1", "0", "-1", "8192", "4k", "1e3", "", "auto", "fp8", "awq", "nan", "half", "{}", '{"image":3}', "[1]"]
)
FLAGS = st.sampled_from(
    [
        *("--max-model-len", "--max-num-seqs", "--max-num-batched-tokens", "--gpu-memory-utilization"),
        *("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size", "--quantization", "--dtype"),
        *("--kv-cache-dtype", "--limit-mm-per-prompt", "--mm-processor-kwargs", "--cpu-offload-gb", "--enforce-eager"),
        *("--mem-fraction-static", "--context-length", "--nonsense", "--port"),
    ]
)
LINES = st.lists(st.tuples(FLAGS, WORDS), max_size=4)
ENGINES = st.sampled_from(["vllm==0.33.0", "vllm==0.8.5", "vllm", "sglang", "transformers"])
MEMORY = st.sampled_from(["1MiB", "8GiB", "23.5GiB", "80GiB", "100000GiB"])


def ends_well(config: dict[str, Any], line: list[tuple[str, str]], engine: str, vram: str, form: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config))
        words = ["plan", "--config", str(path), "--engine", engine, "--vram", vram, "--format", form, "--explain"]
        out = Path(folder) / "plan"
        code = run([*words, "--out", str(out), "--", *(word for pair in line for word in pair)])
        assert code in (0, 1, 2, 4)
        assert out.exists() is (code != 2)
        if code != 2 and form == "json":
            fits = json.loads(out.read_text(), parse_constant=pytest.fail)["fits"]
            assert {"yes": 0, "no": 1, "unknown": 4}[fits] == code


ARGUMENTS: dict[str, Any] = {
    "config": configs(),
    "line": LINES,
    "engine": ENGINES,
    "vram": MEMORY,
    "form": st.sampled_from(["json", "terminal"]),
}


@settings(max_examples=60, deadline=None)
@given(**ARGUMENTS)
def test_a_sample_ends_well(**arguments: Any) -> None:
    ends_well(**arguments)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None)
@given(**ARGUMENTS)
def test_ten_thousand_end_well(**arguments: Any) -> None:
    ends_well(**arguments)
