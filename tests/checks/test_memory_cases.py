"""Deployments that really failed for want of GPU memory, by what their reporters stated: the cause comes out first.

The facts are public; model configs are the published ones. The number is the case's in the benchmark of real failures.
Where a reporter gave the fix that worked, it is judged too.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from autoglm_doctor.checks.kv_cache import kv_cache_fits
from autoglm_doctor.checks.vram import gpu_memory_free, weights_fit
from autoglm_doctor.facts import Driver, Facts, ModelFiles, Packages, Reading, known
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from tests.checks.vram_cases import CHECKS, files_of, gpu, vllm

#: What NVML reports of 24 GB GeForce cards, in GiB, and what the driver keeps of it.
RTX_4090 = gpu(23.99, reserved=0.42)
RTX_3090 = gpu(24.0, reserved=0.3, name="NVIDIA GeForce RTX 3090", capability="8.6")

GLM4_9B = {
    "model_type": "glm",
    "hidden_size": 4096,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "intermediate_size": 13696,
    "vocab_size": 151552,
    "max_position_embeddings": 131072,
    "attention_bias": True,
    "partial_rotary_factor": 0.5,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
QWEN15_7B = {
    "model_type": "qwen2",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
QWEN15_7B_GPTQ = {**QWEN15_7B, "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}


def served(config: Mapping[str, Any], flags: str) -> dict[str, Any]:
    """A model of which the config is here and the weights are not."""
    return {
        "intent": parse_command(["vllm", "serve", "/models/x", *shlex.split(flags)]),
        "files": ModelFiles(path="/models/x", config=config),
    }


def documented(**values: Any) -> Intent:
    readme = default_intent()
    return dataclasses.replace(readme, launch=dataclasses.replace(readme.launch, **values))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One report."""

    cause: str  # of the first red; "" when it started
    intent: Intent
    card: Any = RTX_4090
    version: str | None = None  # of vLLM
    files: ModelFiles | None = None
    known_as: tuple[str, ...] = field(default=("fail",))  # statuses of the check of that cause that are right


KV, WEIGHTS, TAKEN = "KV_CACHE_TOO_SMALL", "VRAM_TOO_SMALL_FOR_WEIGHTS", "GPU_MEMORY_TAKEN_BY_OTHERS"
CODES = {KV: kv_cache_fits.code, WEIGHTS: weights_fit.code, TAKEN: gpu_memory_free.code}

CASES = {
    "Open-AutoGLM issue 2: the documented line on a 4090": Case(cause=KV, intent=default_intent()),
    "Open-AutoGLM issue 2: the documented line, vLLM of that month": Case(
        cause=KV, intent=default_intent(), version="0.12.0"
    ),
    # Inside our error for some versions: never green, and the flags that make it sure are named.
    "Open-AutoGLM issue 2: 16364 tokens": Case(
        cause=KV, intent=documented(max_model_len=16_364), known_as=("fail", "unknown")
    ),
    "Open-AutoGLM issue 2: 16364 tokens, vLLM of that month": Case(
        cause=KV, intent=documented(max_model_len=16_364), version="0.12.0"
    ),
    "047: the documented line on a 4090 in a container": Case(cause=KV, intent=default_intent(), version="0.12.0"),
    "049: GLM-4-9B with its own context on a 4090": Case(
        cause=KV, **served(GLM4_9B, "--dtype bfloat16 --enforce-eager")
    ),
    "049: the fix that worked": Case(
        cause="", **served(GLM4_9B, "--dtype bfloat16 --enforce-eager --max-model-len 16384")
    ),
    "136: a 4-bit 7B model with 32 k of context on a 3090": Case(
        cause=KV, card=RTX_3090, **served(QWEN15_7B_GPTQ, "--quantization gptq")
    ),
    "136: the fix that worked": Case(
        cause="", card=RTX_3090, **served(QWEN15_7B_GPTQ, "--quantization gptq --max-model-len 24320")
    ),
    "139: 16 GiB of 48 are taken": Case(
        cause=TAKEN,
        intent=parse_command(["vllm", "serve", "some/model", "--gpu-memory-utilization", "0.95"]),
        card=gpu(47.38, reserved=0.0, free=31.44),
        version="0.9.1",
    ),
    "224: glm-4v-9b on one 4090, by the size of its files": Case(
        cause=WEIGHTS,
        intent=parse_command(["vllm", "serve", "/models/x"]),
        files=files_of(13.9e9 * 2 / 2**30, model_type="chatglm"),
    ),
}


def judged(case: Case) -> dict[str, Finding]:
    absent: Reading[ModelFiles] = Reading(outcome="absent")
    facts = Facts(
        driver=known(Driver(version="570.26", nvml_code=0)),
        gpus=known((case.card,)),
        packages=known(vllm(case.version) if case.version else Packages()),
        model_files=known(case.files) if case.files else absent,
    )
    return {finding.code: finding for finding in run_checks(list(CHECKS), facts, case.intent, load_matrix())}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_verdict_of_a_real_failure(case: Case) -> None:
    found = judged(case)
    reds = [finding.cause for finding in found.values() if finding.status == "fail"]
    if not case.cause:
        assert [finding.status for finding in found.values()] == ["pass"] * 3
        return
    right = found[CODES[case.cause]]
    assert right.status in case.known_as
    assert reds == ([case.cause] if right.status == "fail" else [])
    if right.status == "unknown":
        assert "line_that_fits" in right.evidence


def test_the_quote_is_the_line_that_was_reported() -> None:
    said = str(judged(CASES["139: 16 GiB of 48 are taken"])["VRM001"].evidence["what_vllm_says"])
    for words in ("(31.44/47.38 GiB) on startup is less than desired GPU memory utilization", "(0.95, 45.01 GiB)"):
        assert words in said
