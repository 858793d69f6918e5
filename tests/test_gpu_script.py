"""`make gpu` without a GPU: every line of the script on a tiny config, and its judgement on made-up rows."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.profiles import PROFILES
from benchmarks.gpu_figures import judged, predicted, table, too_far

ROOT = Path(__file__).resolve().parents[1]
FILES = ModelFiles(path="", config=PROFILES["autoglm-phone-9b"].config)
MADE = {"dtype": "bfloat16", "device": "NVIDIA H200"}
ROW: dict[str, Any] = {
    "picture": "1080x2400",
    "context": 8192,
    "prompt_tokens": 8128,
    "image_tokens": 3354,
    "first_token_seconds": 0.5,
    "decode_tokens_per_s": 40.0,
    "reserved_bytes": None,
    "device_used_bytes": None,
}


@pytest.mark.parametrize(
    ("share", "far"),
    [
        pytest.param(1.0, False, id="as predicted"),
        pytest.param(1.02, False, id="2 % more"),
        pytest.param(1.04, True, id="4 % more"),
        pytest.param(0.96, True, id="4 % less"),
        pytest.param(None, False, id="not measured"),
    ],
)
def test_a_peak_beside_its_prediction(share: float | None, far: bool) -> None:
    peak = None if share is None else int(predicted(ROW, FILES, "bfloat16") * share)
    row = judged({**ROW, "peak_bytes": peak}, FILES, MADE)
    assert bool(too_far([row])) == far
    assert ("not measured | 20.50" in "\n".join(table([row]))) == (share is None)
    # 17.56 GB of weights and 0.33 of cache for each token, of 4,800 GB/s
    assert row["roofline_share"] == pytest.approx(40 * (17.56 + 0.335) / 4800, rel=0.01)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs torch and transformers")
def test_every_line_runs_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--config", "tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    (page,) = tmp_path.glob("*-gpu-script-on-cpu.md")
    assert "nothing here is a measurement" in page.read_text()
    rows = json.loads(page.with_suffix(".json").read_text())["rows"]
    assert len(rows) == 6
    assert all(row["finite"] and row["repeatable"] and row["off"] is None for row in rows)
