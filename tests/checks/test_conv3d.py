"""TOR006: torch 2.9 and Conv3d."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.conv3d import conv3d
from autoglm_doctor.facts import ModelFiles, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed

CASES = [
    pytest.param("2.9.1", "qwen3_vl", "transformers", {}, "warn", id="the wheel's own cuDNN"),
    pytest.param("2.9.1", "glm4v", "sglang", {}, "fail", id="SGLang refuses to start"),
    pytest.param("2.9.0", "glm4v", "sglang", {}, "warn", id="and with 2.9.0 it does not"),
    pytest.param("2.9.1", "glm4v", "sglang", {"nvidia_cudnn_cu12": "9.16.0.29"}, "pass", id="a newer cuDNN"),
    pytest.param("2.9.1", "glm4v", "sglang", {"nvidia_cublas_cu12": "12.8"}, "unknown", id="a list without cuDNN"),
    pytest.param("2.9.1", "glm4v", "vllm", {}, "not_applicable", id="vLLM has a way around it"),
    pytest.param("2.9.1", "llama", "sglang", {}, "not_applicable", id="text only"),
    pytest.param("2.10.0", "glm4v", "sglang", {}, "not_applicable", id="a newer torch"),
    pytest.param("2.9.0a0+nv25.10", "glm4v", "sglang", {}, "unknown", id="a vendor's torch"),
]


@pytest.mark.parametrize(("torch", "kind", "engine", "more", "status"), CASES)
def test_conv3d(torch: str, kind: str, engine: Any, more: dict[str, str], status: str) -> None:
    files = ModelFiles(path="/m", config={"model_type": kind})
    given: dict[str, Any] = {
        "torch": Torch(version=torch, cuda="12.8"),
        "model_files": files,
        "packages": installed(**more),
    }
    (finding,) = judge(conv3d, intent=Intent(model="/m", engine=engine), **given)
    assert finding.status == status
    assert bool(finding.fixes) == (status in ("fail", "warn"))
