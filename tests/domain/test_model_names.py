"""The kind of a model by its name, and the configurations that engines bring themselves."""

from __future__ import annotations

import re

import pytest

from autoglm_doctor.domain.engine_configs import _FOR_A_WHILE, _LAST_WITHOUT, has_own_config
from autoglm_doctor.domain.model_names import ARCHITECTURES, FAMILIES, type_of_name
from autoglm_doctor.matrix import load_matrix

#: Types that come with code of their own, which no transformers lists; other checks want to know them.
OWN_CODE = ("chatglm", "internvl_chat")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("Qwen/Qwen3-8B", "qwen3", id="Qwen3"),
        pytest.param("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3_moe", id="its mixture of experts, quantised"),
        pytest.param("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_moe", id="Qwen3-Coder"),
        pytest.param("Qwen/Qwen3-Next-80B-A3B-Instruct", "qwen3_next", id="Qwen3-Next, no mixture of Qwen3"),
        pytest.param("Qwen/Qwen3-Coder-Next", "qwen3_next", id="a coder of it"),
        pytest.param("Qwen/Qwen3-VL-8B-Instruct", "qwen3_vl", id="Qwen3-VL"),
        pytest.param("Qwen/Qwen3-VL-30B-A3B-Instruct", "qwen3_vl_moe", id="Qwen3-VL with experts"),
        pytest.param("Qwen/Qwen3-Omni-30B-A3B-Instruct", "qwen3_omni_moe", id="Qwen3-Omni"),
        pytest.param("Qwen/Qwen3.5-35B-A3B", "qwen3_5_moe", id="Qwen3.5 with experts"),
        pytest.param("Qwen/Qwen2.5-Coder-7B-Instruct-AWQ", "qwen2", id="Qwen2.5-Coder"),
        pytest.param("Qwen/Qwen2.5-Omni-7B", "qwen2_5_omni", id="Qwen2.5-Omni"),
        pytest.param("unsloth/Qwen2.5-VL-7B-Instruct-bnb-4bit", "qwen2_5_vl", id="another publisher, quantised"),
        pytest.param("/models/Qwen2-VL-7B-Instruct/", "qwen2_vl", id="a folder"),
        pytest.param("me/my-qwen2-vl-tuned", "qwen2_vl", id="trained on from it"),
        pytest.param("Qwen2-VL-2B (converted)", "qwen2_vl", id="a remark behind it"),
        pytest.param("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwen2", id="a distillate in Qwen"),
        pytest.param("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "llama", id="one in Llama"),
        pytest.param("zai-org/GLM-4.5V-FP8", "glm4v_moe", id="GLM-4.5V"),
        pytest.param("zai-org/GLM-4.6", "glm4_moe", id="GLM-4.6"),
        pytest.param("zai-org/GLM-4.7-Flash", "glm4_moe_lite", id="GLM-4.7-Flash"),
        pytest.param("zai-org/GLM-4.6V-Flash", "glm4v", id="GLM-4.6V-Flash"),
        pytest.param("THUDM/GLM-4-9B-0414", "glm4", id="GLM-4 of April 2025"),
        pytest.param("THUDM/glm-4-9b-chat", "chatglm", id="the first GLM-4"),
        pytest.param("zai-org/glm-4-9b-chat-hf", "glm", id="its conversion"),
        pytest.param("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4", id="Llama 4"),
        pytest.param("meta-llama/Llama-3.2-11B-Vision-Instruct", "mllama", id="Llama with pictures"),
        pytest.param("meta-llama/Llama-3.2-1B", "llama", id="Llama without"),
        pytest.param("google/gemma-3-1b-it", "gemma3_text", id="the Gemma 3 that reads no pictures"),
        pytest.param("google/gemma-3-12b-it", "gemma3", id="Gemma 3"),
        pytest.param("google/gemma-3n-E4B-it", "gemma3n", id="Gemma 3n"),
        pytest.param("google/gemma-4-12B-it", "gemma4_unified", id="Gemma 4 Unified"),
        pytest.param("mistralai/Mistral-Small-3.1-24B-Instruct-2503", "mistral3", id="Mistral Small 3.1"),
        pytest.param("mistralai/Mistral-Small-24B-Instruct-2501", "mistral", id="Mistral Small 3"),
        pytest.param("microsoft/phi-4", "phi3", id="Phi-4"),
        pytest.param("microsoft/Phi-4-reasoning-plus", "phi3", id="Phi-4 that reasons"),
        pytest.param("microsoft/bitnet-b1.58-2B-4T", "bitnet", id="BitNet"),
        pytest.param("tencent/Hunyuan-7B-Instruct", "hunyuan_v1_dense", id="Hunyuan"),
        pytest.param("google/gemma-2b-it", "gemma", id="Gemma"),
        pytest.param("google/gemma-2b-aps-it", "gemma2", id="a Gemma 2 that is not called so"),
        pytest.param("google/medgemma-27b-text-it", "gemma3_text", id="MedGemma that reads no pictures"),
        pytest.param("google/medgemma-27b-it", "gemma3", id="MedGemma that does"),
        pytest.param("google/gemma-4-31B-it-assistant", "gemma4_assistant", id="the assistant of Gemma 4"),
        pytest.param("google/gemma-4-12B-it-assistant", "gemma4_unified_assistant", id="that of Gemma 4 Unified"),
        pytest.param("openai/gpt-oss-20b", "gpt_oss", id="gpt-oss"),
        pytest.param("ibm-granite/granite-4.0-h-small", "granitemoehybrid", id="Granite 4"),
        pytest.param("OpenGVLab/InternVL3-1B-hf", "internvl", id="InternVL, converted"),
        pytest.param("OpenGVLab/InternVL3-8B", "internvl_chat", id="InternVL by its own code"),
        pytest.param("HuggingFaceTB/SmolVLM2-2.2B-Instruct", "smolvlm", id="SmolVLM2"),
        pytest.param("HuggingFaceTB/SmolVLM-256M-Instruct", "idefics3", id="the first SmolVLM"),
        pytest.param("allenai/Olmo-3-7B-Instruct", "olmo3", id="OLMo 3"),
        pytest.param("ByteDance-Seed/Seed-OSS-36B-Instruct", "seed_oss", id="Seed-OSS"),
    ],
)
def test_families(name: str, kind: str) -> None:
    assert type_of_name(name) == kind


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("unsloth/Qwen3-8B-GGUF", id="another format"),
        pytest.param("me/my-Qwen3-8B-thing", id="a family in the middle of a name"),
        pytest.param("AngelSlim/Qwen3-8B_eagle3", id="a draft for it"),
        pytest.param("me/Qwen3-8B-lora", id="an adapter for it"),
        pytest.param("RedHatAI/Qwen3-8B-speculator.eagle3", id="a draft behind a dot"),
        pytest.param("RedHatAI/gpt-oss-20b-speculator.eagle3", id="another"),
        pytest.param("lmstudio-community/Qwen3-8B-MLX-4bit", id="weights of MLX"),
        pytest.param("mlx-community/Qwen3-8B-4bit", id="the same by their publisher"),
        pytest.param("turboderp/Qwen3-8B-exl2", id="weights of ExLlama"),
        pytest.param("microsoft/Phi-4-reasoning-vision-15B", id="Phi-4 with eyes"),
        pytest.param("unsloth/phi-4-bnb-4bit", id="Phi-4, written down as a Llama"),
        pytest.param("tencent/Hunyuan-7B-Instruct-0124", id="Hunyuan with code of its own"),
        pytest.param("tencent/Hunyuan-7B-Pretrain-0124", id="its base"),
        pytest.param("1bitLLM/bitnet-b1.58-3B", id="a BitNet that is a Llama"),
        pytest.param("deepseek-ai/DeepSeek-V3", id="a model with code of its own"),
        pytest.param("deepseek-ai/DeepSeek-R1", id="no distillate"),
        pytest.param("moonshotai/Kimi-K2-Instruct", id="another with code of its own"),
        pytest.param("microsoft/Phi-4-mini-instruct", id="Phi-4-mini, which brings code"),
        pytest.param("microsoft/Phi-4-multimodal-instruct", id="Phi-4-multimodal, of two types"),
        pytest.param("nvidia/Llama-3.1-Nemotron-Nano-VL-8B-V1", id="a Llama of another kind"),
        pytest.param("nvidia/Llama-3_3-Nemotron-Super-49B-v1", id="another"),
        pytest.param("Qwen/Qwen2.5-Math-PRM-7B", id="a reward model with code"),
        pytest.param("Qwen/Qwen-7B-Chat", id="Qwen of 2023"),
        pytest.param("mistralai/Ministral-3-8B-Instruct-2512", id="a type whose part is newer"),
        pytest.param("", id="no name"),
        pytest.param("a model of ours", id="words"),
    ],
)
def test_names_that_tell_nothing(name: str) -> None:
    assert type_of_name(name) == ""


def test_the_tables_name_what_exists() -> None:
    matrix = load_matrix()
    listed = {*matrix.model_types, *OWN_CODE}
    assert {kind for _, kind in FAMILIES} <= listed
    assert all(re.compile(pattern) for pattern, _ in FAMILIES)
    assert set(ARCHITECTURES) <= {kind for _, kind in FAMILIES}
    assert all(matrix.first_engine("vllm", name) for name in ARCHITECTURES.values())
    for table in (_LAST_WITHOUT, _FOR_A_WHILE):
        assert all(kind in matrix.model_types for types in table.values() for kind in types)


@pytest.mark.parametrize(
    ("engine", "version", "kind", "own"),
    [
        pytest.param("vllm", "0.10.2", "qwen3_next", True, id="the first with it"),
        pytest.param("vllm", "0.10.1", "qwen3_next", False, id="the last without"),
        pytest.param("vllm", "0.8.0", "cohere2", True, id="always"),
        pytest.param("sglang", "0.5.3", "qwen3_vl", True, id="SGLang"),
        pytest.param("vllm", "0.11.0", "qwen3_vl", False, id="vLLM takes that of transformers"),
        pytest.param("vllm", "0.3.3", "starcoder2", True, id="for a while"),
        pytest.param("vllm", "0.3.2", "starcoder2", False, id="before that"),
        pytest.param("vllm", "0.4.0.post1", "starcoder2", False, id="after it"),
        pytest.param("vllm", "0.2.0", "mistral", True, id="in one release"),
        pytest.param("vllm", "0.6.2", "granite", True, id="until transformers had it"),
        pytest.param("sglang", "0.4.3.post2", "qwen2_5_vl", True, id="in posts of SGLang"),
        pytest.param("sglang", "0.4.4.post1", "qwen2_5_vl", True, id="the last of them"),
        pytest.param("sglang", "0.4.5", "qwen2_5_vl", False, id="no more"),
        pytest.param("vllm", None, "qwen3_next", False, id="no version"),
        pytest.param("llamacpp", "1.0", "qwen3_next", False, id="another engine"),
    ],
)
def test_own_configurations(engine: str, version: str | None, kind: str, own: bool) -> None:
    assert has_own_config(engine, version, kind) is own
