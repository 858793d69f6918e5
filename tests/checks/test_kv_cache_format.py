"""CFG008: a KV cache in FP8 on GPUs of all ages, by vLLM's releases."""

from __future__ import annotations

import pytest

from autoglm_doctor.checks.kv_cache_format import kv_cache_format_runs
from autoglm_doctor.facts import Distribution, Environment, Gpu, ModelFiles, Packages
from autoglm_doctor.finding import Finding
from autoglm_doctor.launch import parse_command
from autoglm_doctor.testing import judge

FP8 = "--kv-cache-dtype fp8"


def ask(
    flags: str,
    gpu: str,
    version: str | None,
    *,
    start: str = "vllm serve",
    model: str = "Qwen/Qwen2.5-7B-Instruct",
    files: ModelFiles | None = None,
    **variables: str,
) -> Finding:
    cards = tuple(
        Gpu(index=i, name="card", compute_capability=one, total_bytes=1 << 34, free_bytes=1 << 34)
        for i, one in enumerate(gpu.split())
    )
    engine = "sglang" if "sglang" in start else "vllm"
    (finding,) = judge(
        kv_cache_format_runs,
        gpus=cards,
        packages=Packages(distributions=(Distribution(name=engine, version=version),) if version else ()),
        environment=Environment(variables=variables),
        model_files=files,
        intent=parse_command([*start.split(), model, *flags.split()]),
    )
    return finding


ILL = [
    pytest.param(FP8, "8.6", "0.11.0", id="an RTX 3090"),
    pytest.param("--kv-cache-dtype fp8_e5m2", "8.0", "0.11.0", id="the other FP8 is kept in the same format"),
    pytest.param("--kv-cache-dtype=fp8_e4m3", "8.7", "0.11.0", id="in one word"),
    pytest.param(FP8, "7.5", "0.11.0", id="a T4, for which there is FlexAttention"),
    pytest.param(FP8, "7.0", "0.12.0", id="a V100, for which there is no FlashInfer"),
    pytest.param(FP8, "7.5", "0.33.0", id="a T4, from which FlashInfer is kept"),
    pytest.param(FP8 + " --attention-backend TRITON_ATTN", "8.6", "0.20.0", id="Triton by name"),
    pytest.param(FP8 + " -tp 2", "8.9 8.6", "0.11.0", id="the older of two"),
]


@pytest.mark.parametrize(("flags", "gpu", "version"), ILL)
def test_a_cache_that_the_gpu_cannot_convert(flags: str, gpu: str, version: str) -> None:
    found = ask(flags, gpu, version)
    assert found.status == "fail"
    assert found.cause == "QUANT_UNSUPPORTED_GPU"
    (command,) = found.fixes[0].commands
    assert "--kv-cache-dtype auto" in command or "--kv-cache-dtype=auto" in command


HEALTHY = [
    pytest.param("", "8.6", "0.11.0", "not_applicable", id="no such flag"),
    pytest.param("--kv-cache-dtype auto", "8.6", "0.11.0", "not_applicable", id="the model's own format"),
    pytest.param(FP8, "8.9", "0.11.0", "pass", id="an RTX 4090"),
    pytest.param(FP8, "9.0", "0.11.0", "pass", id="an H100"),
    pytest.param(FP8, "12.0", "0.33.0", "pass", id="an RTX 5090"),
    pytest.param(FP8, "8.6", "0.10.2", "unknown", id="a release that goes back to V0"),
    pytest.param(FP8, "8.6", "0.6.6", "unknown", id="a release of V0"),
    pytest.param(FP8, "8.6", "0.11.1", "unknown", id="a release with FlashInfer"),
    pytest.param(FP8, "8.6", "0.33.0", "unknown", id="the newest one"),
    pytest.param(FP8, "7.5", "0.20.0", "unknown", id="a T4 with FlashInfer"),
    pytest.param(FP8, "8.6", None, "unknown", id="no release known"),
    pytest.param(FP8, "8.6", "0.11.1rc1.dev20+g1a2b3c4", "unknown", id="a build on the way to one"),
    pytest.param(FP8, "8.6", "0.1.dev9752+g1a2b3c4", "unknown", id="a build that does not tell its age"),
    pytest.param(FP8 + " --attention-backend FLASHINFER", "8.6", "0.11.0", "unknown", id="FlashInfer by name"),
    pytest.param(FP8, "8.9 8.6", "0.11.0", "pass", id="the older one is not taken"),
    pytest.param(FP8, "8.6 8.9", "0.11.0", "unknown", id="CUDA counts the newer one first, NVML the older"),
    pytest.param(FP8, "?", "0.11.0", "unknown", id="a GPU of which nothing is known"),
]


@pytest.mark.parametrize(("flags", "gpu", "version", "status"), HEALTHY)
def test_a_cache_that_is_converted(flags: str, gpu: str, version: str | None, status: str) -> None:
    found = ask(flags, gpu, version)
    assert found.status == status
    assert not found.fixes


def test_the_variable_names_the_back_end() -> None:
    assert ask(FP8, "8.6", "0.11.0", VLLM_ATTENTION_BACKEND="FLASHINFER").status == "unknown"
    assert ask(FP8, "8.6", "0.11.2", VLLM_ATTENTION_BACKEND="TRITON_ATTN").status == "fail"


def test_sglang_is_not_judged() -> None:
    start = "python3 -m sglang.launch_server --model-path"
    assert ask("--kv-cache-dtype fp8_e5m2", "8.6", "0.5.9", start=start).status == "not_applicable"


@pytest.mark.parametrize(
    ("model", "files"),
    [
        pytest.param("deepseek-ai/DeepSeek-V2-Lite-Chat", None, id="by name"),
        pytest.param("/models/m", ModelFiles(path="/models/m", config={"kv_lora_rank": 512}), id="by its config"),
    ],
)
def test_latent_attention_has_other_back_ends(model: str, files: ModelFiles | None) -> None:
    assert ask(FP8, "8.6", "0.11.0", model=model, files=files).status == "not_applicable"


def test_a_distill_has_none() -> None:
    assert ask(FP8, "8.6", "0.11.0", model="deepseek-ai/DeepSeek-R1-Distill-Qwen-7B").status == "fail"
