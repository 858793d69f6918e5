"""What only a real GPU can show; run by `make gpu`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU on this machine"),
]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    words = ["check", "--model", "smoke", "--device", "cuda", "--force", "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "autoglm_doctor", *words], capture_output=True, text=True, timeout=600, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("code", ["DRV001", "DRV002", "DRV003", "CUD001", "CUD002", "TOR005", "INF001", "INF002"])
def test_a_working_gpu_is_green(report: dict[str, Any], code: str) -> None:
    found = [r for r in report["results"] if r["code"] == code]
    assert found
    assert {r["status"] for r in found} == {"pass"}, found


def test_products_stay_far_below_their_threshold(report: dict[str, Any]) -> None:
    """A right product must not come near the limit, or a healthy GPU turns red one day."""
    products = [p for d in report["facts"]["torch_run"]["value"]["devices"] for p in d["products"]]
    assert products
    assert all(p["relative_error"] < 0.02 for p in products)


def test_the_model_ran_on_the_gpu(report: dict[str, Any]) -> None:
    run = report["facts"]["inference"]["value"]
    assert run["device"].startswith("cuda")
    assert run["peak_bytes"] > 0
