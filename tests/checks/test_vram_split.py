"""Loose facts that leave open how many GPUs share the model, what is free of them, and what the model's config says."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.kv_cache import kv_cache_fits
from autoglm_doctor.checks.vram import gpu_memory_free, weights_fit
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

A48 = {"name": "NVIDIA GeForce RTX 4090", "memory_gb": 48}
A24 = {"name": "RTX 3090", "memory_gb": 24}
A80 = {"name": "NVIDIA A100", "memory_gb": 80}
A8 = {"name": "RTX 3070", "memory_gb": 8}
TP1 = {"tensor_parallel_size": 1}


def found(check: Any, **stated: Any) -> Any:
    facts, intent = read_facts(stated, load_matrix())
    given = {name: getattr(facts, name).value for name in ("gpus", "model_files", "packages", "environment")}
    return judge(check, intent=intent, **{name: value for name, value in given.items() if value is not None})[0]


WEIGHTS = [
    pytest.param([A48], {}, "fail", id="one GPU"),
    pytest.param([A48, A48], TP1, "fail", id="two, and one of them is to do"),
    pytest.param([A48, A48], {}, "unknown", id="two, and nobody says how many share it"),
    pytest.param([A48, A48], {"max_model_len": 4096}, "unknown", id="flags that say nothing of it"),
    pytest.param([A48, A48], {"tensor_parallel_size": 2}, "pass", id="two share it"),
    pytest.param([A24, A24], {}, "fail", id="not even both together"),
    pytest.param([A24, A24, A24, A24], {}, "unknown", id="four together"),
    pytest.param([A24, A24, A24, A24, A8], {}, "unknown", id="the smallest need not take part"),
    pytest.param([A8] * 4, {}, "fail", id="four that are too small"),
    pytest.param([A48, {"name": "RTX 4090"}], {}, "unknown", id="one whose memory is not stated"),
    pytest.param([{"name": "H100", "memory_gb": 80}] * 2, {}, "pass", id="it fits on one of them"),
]


@pytest.mark.parametrize("engine", ["vllm 0.11.0", "sglang 0.4.8"])
@pytest.mark.parametrize(("gpus", "flags", "status"), WEIGHTS)
def test_weights_on_several_gpus(gpus: Any, flags: Any, status: str, engine: str) -> None:
    one = found(weights_fit, gpus=gpus, engine=engine, engine_args=flags, model="Qwen/Qwen3-32B")
    assert one.status == status, render(one.text)


def test_transformers_fills_one_gpu_after_the_other() -> None:
    assert found(weights_fit, gpus=[A24] * 4, model="Qwen/Qwen3-32B").status == "unknown"
    assert found(weights_fit, gpus=[A24] * 2, model="Qwen/Qwen3-32B").status == "fail"
    line = "transformers serve Qwen/Qwen3-32B --device cuda:0"
    assert found(weights_fit, gpus=[A24] * 4, command=line).status == "fail"


def test_a_whole_command_says_that_one_gpu_is_to_do() -> None:
    assert found(weights_fit, gpus=[A48, A48], command="vllm serve Qwen/Qwen3-32B").status == "fail"


def test_hidden_gpus_do_not_help() -> None:
    env = {"CUDA_VISIBLE_DEVICES": "0"}
    given = {"gpus": [A48, A48], "engine": "vllm", "model": "Qwen/Qwen3-32B"}
    assert found(weights_fit, **given, env=env).status == "fail"
    assert found(weights_fit, **given, env={"CUDA_VISIBLE_DEVICES": "1,0"}).status == "unknown"


def test_the_line_that_is_offered_where_all_are_too_small_is_for_all() -> None:
    one = found(weights_fit, gpus=[A24, A24], engine="vllm 0.11.0", model="Qwen/Qwen2.5-72B-Instruct")
    assert one.status == "fail"
    assert one.fixes


@pytest.mark.parametrize(
    ("gpus", "flags", "status"),
    [
        pytest.param([A24], {}, "fail", id="one GPU"),
        pytest.param([A24, A24], TP1, "fail", id="one of two"),
        pytest.param([A24, A24], {}, "unknown", id="nobody says how many"),
    ],
)
def test_the_cache_on_several_gpus(gpus: Any, flags: Any, status: str) -> None:
    given = {"engine": "vllm 0.11.0", "engine_args": {"max_model_len": 32768, **flags}, "gpus": gpus}
    one = found(kv_cache_fits, model="Qwen/Qwen1.5-7B-Chat", **given)
    assert one.status == status, render(one.text)


@pytest.mark.parametrize(
    ("gpu", "engine", "status"),
    [
        pytest.param(A24, "vllm", "unknown", id="nothing is said"),
        pytest.param({**A24, "free_gib": 3}, "vllm", "fail", id="most is taken"),
        pytest.param({**A24, "memory_used_mib": 20000}, "vllm", "fail", id="what is in use is stated"),
        pytest.param({**A24, "memory_free_mib": 24000}, "vllm", "pass", id="all is free"),
        pytest.param(A24, "sglang", "unknown", id="nothing is said, under SGLang"),
    ],
)
@pytest.mark.parametrize("share", [0.9, 0.99])
def test_free_memory_is_what_is_stated(gpu: Any, engine: str, status: str, share: float) -> None:
    given = {"engine": engine, "engine_args": {"gpu_memory_utilization": share}, "model": "Qwen/Qwen2.5-7B-Instruct"}
    one = found(gpu_memory_free, gpus=[gpu], **given)
    expected = status if share == 0.9 or status != "pass" else "warn"
    assert one.status == expected, render(one.text)


def test_half_of_a_model_may_fit_into_what_is_free() -> None:
    given = {"engine": "sglang", "model": "Qwen/Qwen2.5-14B-Instruct"}
    assert found(gpu_memory_free, gpus=[{**A48, "free_gib": 20}], **given).status == "fail"
    assert found(gpu_memory_free, gpus=[{**A48, "free_gib": 20}] * 2, **given).status == "unknown"


NAMED = [
    pytest.param("google/gemma-3-12b-it", {"name": "x", "memory_mib": 15954}, {}, "fail", id="16 bits on 16 GB"),
    pytest.param("google/gemma-3-12b-it", A24, {}, "unknown", id="close to the card"),
    pytest.param("mistralai/Mixtral-8x22B-v0.1", {"name": "H100", "memory_gb": 80}, {}, "fail", id="a mixture"),
    pytest.param("Qwen/Qwen3-VL-30B-A3B-Instruct", A24, {}, "fail", id="all experts, not the active ones"),
    pytest.param("unsloth/gpt-oss-20b", {"name": "x", "memory_mib": 15954}, {}, "unknown", id="a family of 4 bits"),
    pytest.param("google/gemma-3-27b-it-int4-awq", A24, {}, "unknown", id="4 bits by its name"),
    pytest.param("google/gemma-3-27b-it", A24, {"quantization": "fp8"}, "unknown", id="8 bits by a flag"),
    pytest.param("google/gemma-3-27b-it", A24, {"cpu_offload_gb": 40}, "unknown", id="in main memory"),
    pytest.param("google/gemma-3-27b-it", A24, {"tensor_parallel_size": 4}, "unknown", id="on four GPUs"),
    pytest.param("google/gemma-3-27b-it", {"name": "x"}, {}, "unknown", id="no memory stated"),
    pytest.param("/models/gemma-3-27b-it", A24, {}, "unknown", id="a folder"),
    pytest.param("me/gemma-3-27b-lora", A24, {}, "unknown", id="an adapter"),
    pytest.param("tiiuae/falcon-40b", A80, {}, "fail", id="40B, of which more is published, on 80 GB"),
    pytest.param("tiiuae/falcon-40b", A80, {"tensor_parallel_size": 2}, "unknown", id="shared by two"),
    pytest.param("codellama/CodeLlama-34b-Instruct-hf", A80, {}, "unknown", id="34B on 80 GB"),
    pytest.param("codellama/CodeLlama-34b-Instruct-hf", {**A80, "memory_gb": 64}, {}, "fail", id="34B on 64 GB"),
    pytest.param("somebody/new-40b", A80, {}, "unknown", id="a family that may be of fewer bits"),
    pytest.param("tiiuae/falcon-40b-awq", A80, {}, "unknown", id="40B in 4 bits"),
    pytest.param("x/llama-30b", {**A80, "memory_gb": 64}, {"gpu_memory_utilization": 0.95}, "unknown", id="borderline"),
    pytest.param("x/llama-30b", {**A80, "memory_gb": 64}, {"gpu_memory_utilization": 0.8}, "fail", id="a small share"),
    pytest.param("google/gemma-3-12b-it", A24, {"gpu_memory_utilization": 0.5}, "fail", id="half of the card"),
]


def test_other_engines_may_fill_the_card() -> None:
    given = {"gpus": [{**A80, "memory_gb": 64}], "model": "codellama/CodeLlama-34b-hf"}
    assert found(weights_fit, engine="sglang 0.4.8", **given).status == "unknown"
    assert found(weights_fit, engine="vllm 0.11.0", **given).status == "fail"


@pytest.mark.parametrize(("model", "gpu", "flags", "status"), NAMED)
def test_weights_by_the_name(model: str, gpu: Any, flags: Any, status: str) -> None:
    one = found(weights_fit, gpus=[gpu], engine="vllm 0.11.0", engine_args=flags, model=model)
    assert one.status == status, render(one.text)
    assert bool(one.fixes) == (status == "fail")


STAGES = [
    pytest.param({"VLLM_PP_LAYER_PARTITION": "16,48"}, 2, "unknown", id="a stage of sixteen and one of forty-eight"),
    pytest.param({"VLLM_PP_LAYER_PARTITION": "32,32"}, 2, "fail", id="two equal stages"),
    pytest.param({"SGLANG_PP_LAYER_PARTITION": "16,48"}, 2, "fail", id="another engine's variable"),
    pytest.param({"VLLM_PP_LAYER_PARTITION": "16,48"}, 1, "fail", id="no stages"),
    pytest.param({"VLLM_PP_LAYER_PARTITION": ""}, 2, "fail", id="an empty variable"),
]


@pytest.mark.parametrize("check", [weights_fit, kv_cache_fits])
@pytest.mark.parametrize(("variables", "stages", "status"), STAGES)
def test_stages_of_unequal_size_are_not_judged(variables: Any, stages: int, status: str, check: Any) -> None:
    flags = {"tensor_parallel_size": 1, "pipeline_parallel_size": stages, "max_model_len": 40960}
    stated = {"gpus": [A24, A48], "engine": "vllm 0.11.0", "engine_args": flags, "env": variables}
    one = found(check, **stated, model="Qwen/Qwen3-32B")
    assert one.status == status, render(one.text)
