"""ENG008: flash-attn for the pictures of an older vLLM."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.vision_attention import vision_attention
from autoglm_doctor.facts import (
    Distribution,
    Environment,
    Gpu,
    Interpreter,
    KernelLibrary,
    ModelFiles,
    Packages,
    Reading,
)
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge

PICTURES = ModelFiles(path="/m", config={"model_type": "glm4v", "vision_config": {"depth": 24}})
GEMMA = ModelFiles(path="/m", config={"model_type": "gemma3", "vision_config": {"hidden_size": 1152}})
TEXT = ModelFiles(path="/m", config={"model_type": "glm4"})
CHOSEN = Environment(variables={"VLLM_ATTENTION_BACKEND": "XFORMERS"})


def flash(common: str, others: tuple[str, ...] = ()) -> tuple[KernelLibrary, ...]:
    name = "flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so"
    return (KernelLibrary(package="flash-attn", name=name, common=tuple(common.split()), others=others),)


OLD = flash("sm_80 sm_90")


def of(capability: str, version: str, kernels: Any, files: ModelFiles | None = PICTURES, **more: Any) -> Finding:
    gpu = Gpu(index=0, name=f"GPU {capability}", compute_capability=capability, total_bytes=1, free_bytes=1)
    packages = Packages(
        distributions=(Distribution(name="vllm", version=version), Distribution(name="flash-attn", version="2.7.3"))
    )
    given = {
        "intent": Intent(model="/m"),
        "interpreter": Interpreter(executable="/v/bin/python", version="3.12"),
        **more,
    }
    (found,) = judge(vision_attention, gpus=(gpu,), packages=packages, kernels=kernels, model_files=files, **given)
    return found


@pytest.mark.parametrize(
    ("capability", "version", "kernels", "more", "status"),
    [
        pytest.param("12.0", "0.10.2", OLD, {}, "fail", id="an RTX 5090 and a flash-attn from before it"),
        pytest.param("12.0", "0.11.2", OLD, {}, "fail", id="the last vLLM that takes it"),
        pytest.param("9.0", "0.11.2", flash("sm_80"), {}, "not_applicable", id="0.11 takes its own on Hopper"),
        pytest.param("12.0", "0.10.2", OLD, {"files": GEMMA}, "not_applicable", id="a tower that asks for nothing"),
        pytest.param("12.0", "0.11.2", OLD, {"files": GEMMA}, "fail", id="every tower in 0.11"),
        pytest.param("12.0", "0.12.0", OLD, {}, "not_applicable", id="vLLM's own attention"),
        pytest.param("12.0", "0.10.2", flash("sm_80 sm_120"), {}, "pass", id="a flash-attn for it"),
        pytest.param("12.0", "0.10.2", flash("sm_80 compute_90"), {}, "pass", id="PTX"),
        pytest.param("8.9", "0.10.2", OLD, {}, "pass", id="an RTX 4090"),
        pytest.param("7.5", "0.10.2", OLD, {}, "not_applicable", id="a T4, where vLLM leaves it alone"),
        pytest.param("12.0", "0.10.2", (), {}, "not_applicable", id="not installed"),
        pytest.param("12.0", "0.10.2", OLD, {"files": TEXT}, "not_applicable", id="a model for text"),
        pytest.param("12.0", "0.10.2", OLD, {"environment": CHOSEN}, "unknown", id="another backend was asked for"),
        pytest.param("12.0", "0.10.2", flash("sm_80", ("sm_120",)), {}, "unknown", id="some kernels run"),
        pytest.param("", "0.10.2", OLD, {}, "unknown", id="a capability that is not known"),
        pytest.param(
            "12.0", "0.10.2", OLD, {"intent": Intent(model="/m", engine="sglang")}, "not_applicable", id="SGLang"
        ),
        pytest.param(
            "12.0", "0.10.2", OLD, {"intent": Intent(model="/m", device="cpu")}, "not_applicable", id="on the CPU"
        ),
        pytest.param(
            "12.0", "0.10.2", Reading(outcome="timeout", why="20 s"), {}, "unknown", id="the files were not read"
        ),
    ],
)
def test_vision_attention(capability: str, version: str, kernels: Any, more: dict[str, Any], status: str) -> None:
    found = of(capability, version, kernels, **more)
    assert found.status == status
    if status == "fail":
        assert found.cause == "GPU_ARCH_NOT_IN_WHEEL"
        assert found.fixes[0].commands == ("uv pip uninstall --python /v/bin/python flash-attn",)
