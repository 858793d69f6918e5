"""What a model's name tells of the least that its weights take."""

from __future__ import annotations

import re

import pytest

from autoglm_doctor.domain.memory.named_size import LEAST, LEAST_OF_EXPERTS, least_weight_bytes, named_parameters
from autoglm_doctor.facts import ModelFiles, WeightFile
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import parse_command
from autoglm_doctor.profiles import PROFILES


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        pytest.param("google/gemma-3-27b-it", 27 * LEAST, id="a hub name"),
        pytest.param("Qwen-72B-Chat", 72 * LEAST, id="without an owner"),
        pytest.param("DeepSeek R1 671B", 671 * LEAST, id="in words"),
        pytest.param("lmsys/vicuna-7b-v1.5", 7 * LEAST, id="a version behind it"),
        pytest.param("Qwen/Qwen2.5-14B-Instruct-1M", 14 * LEAST, id="a context length behind it"),
        pytest.param("togethercomputer/LLaMA-2-7B-32K", 7 * LEAST, id="another way to write one"),
        pytest.param("Qwen/Qwen3-235B-A22B", 235 * LEAST, id="with its active part"),
        pytest.param("mistralai/Mixtral-8x22B-v0.1", 8 * 22 * LEAST_OF_EXPERTS, id="a mixture"),
        pytest.param("Qwen/Qwen-1_8B-Chat", 1.8 * LEAST, id="an underscore for the dot"),
        pytest.param("internlm/internlm2_5-1_8b-chat", 1.8 * LEAST, id="one in the version as well"),
        pytest.param("Qwen/Qwen2-1_5B", 1.5 * LEAST, id="one and a half"),
        pytest.param("internlm/internlm2_5-7b-chat", 7 * LEAST, id="one in the version only"),
        pytest.param("x/llama_2_70b", 70 * LEAST, id="one between version and size"),
        pytest.param("Qwen/Qwen3-Embedding-8B", 8 * LEAST, id="an embedding model"),
    ],
)
def test_the_size_in_a_name(name: str, billions: float) -> None:
    assert named_parameters(name) == int(billions * 1e9)


@pytest.mark.parametrize(
    "name",
    [
        *("", "a model without a name", "BAAI/bge-large-zh-v1.5", "Qwen2.5-VL", "gte-base", "model-1M", "chat-32k"),
        *("tencent/Hunyuan-A13B-Instruct", "google/gemma-3n-E4B-it", "bigscience/bloom-7b1", "v2b3"),
        *("Qwen/Qwen2.5-72B-Instruct-AWQ", "Qwen2-72B-GPTQ-Int4", "x/llama-70b.Q4_K_M.gguf", "Qwen3-32B-FP8"),
        *(
            "gemma-3-27b-it-qat-q4_0",
            "llama-70B-4bit",
            "llama-70b w4a16",
            "Qwen2.5-7B (4 bit)",
            "x-70b-nf4",
            "x-70b-bnb",
        ),
        *("x/Llama-3-70B-4.0bpw", "x/Llama-3-70B-4.25bpw", "x/Llama-3-70B-h6-3bpw", "x/Qwen-2x1_5B"),
        *("mlx-community/Qwen3-32B-bf16", "x-70B-exl2", "llama-70b-quantized.w8a8", "x-70B-NVFP4", "BitNet-b1.58-70B"),
        *("me/qwen-72b-lora", "yuhuili/EAGLE-LLaMA3-Instruct-70B", "vicuna-33b-delta-v1.3"),
        *("TinyLlama-1.1B-step-50K-105b", "llama-8b-draft-for-70b", "distilled-7b-from-72b"),
        *("/models/Qwen2-72B", "./Qwen2-72B", "~/Qwen2-72B", "data/llm/Qwen2-72B", "C:\\models\\Qwen2-72B"),
    ],
)
def test_names_that_tell_nothing_sure(name: str) -> None:
    assert named_parameters(name) is None


def test_the_published_numbers_lie_above_the_margin() -> None:
    """Of every profile whose name states a size: no model is smaller than what is concluded from its name."""
    seen = 0
    for profile in PROFILES.values():
        for name in profile.hub_names:
            least = named_parameters(name)
            if least is not None and profile.parameters:
                seen += 1
                assert least <= profile.parameters, name
    assert seen > 30
    assert re.search("8x7B", " ".join(PROFILES["mixtral-8x7b-v0.1"].hub_names))


def intent(line: str) -> Intent:
    return parse_command(line.split())


@pytest.mark.parametrize(
    ("line", "gigabytes"),
    [
        pytest.param("vllm serve google/gemma-3-12b-it", 21.6, id="16 bits"),
        pytest.param("vllm serve google/gemma-3-12b-it --dtype float32", 43.2, id="32 bits, as stated"),
        pytest.param("vllm serve somebody/new-100b", 45.0, id="an unknown family may be of 4 bits"),
        pytest.param("vllm serve google/gemma-4-31B-it", 13.95, id="so may a later generation"),
        pytest.param("vllm serve Qwen/Qwen-72B --tensor-parallel-size 4", 129.6, id="over all GPUs together"),
    ],
)
def test_least_bytes(line: str, gigabytes: float) -> None:
    assert least_weight_bytes(intent(line), None) == int(gigabytes * 1e9)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("vllm serve Qwen/Qwen-72B --quantization bitsandbytes", id="quantized while loading"),
        pytest.param("vllm serve Qwen/Qwen-72B --load-format bitsandbytes", id="by the load format"),
        pytest.param("vllm serve Qwen/Qwen-72B --enable-lora --lora-modules a=me/a", id="adapters"),
        pytest.param(
            "python3 -m sglang.launch_server --model-path Qwen/Qwen-72B --offload-group-size 4", id="weights elsewhere"
        ),
        pytest.param(
            "python3 -m sglang.launch_server --model-path x/y-72B --kt-weight-path /w", id="experts on the CPU"
        ),
        pytest.param("transformers serve Qwen/Qwen-72B", id="an engine that uses main memory as well"),
    ],
)
def test_what_makes_them_smaller_is_not_reckoned(line: str) -> None:
    assert least_weight_bytes(intent(line), None) is None


def test_files_know_better_than_a_name() -> None:
    said = intent("vllm serve Qwen/Qwen-72B")
    config = {"quantization_config": {"quant_method": "awq"}}
    one = WeightFile(name="model.safetensors", size_bytes=1 << 30)
    assert least_weight_bytes(said, ModelFiles(path="x", found_by="config", config={"model_type": "qwen"}))
    assert least_weight_bytes(said, ModelFiles(path="x", found_by="config", config=config)) is None
    assert least_weight_bytes(said, ModelFiles(path="x", found_by="path", config={}, weights=(one,))) is None
