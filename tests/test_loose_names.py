"""What the names of models and distributions tell."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.domain.quantized import form_of
from autoglm_doctor.loose.host import read_host
from autoglm_doctor.loose.model import config_of
from autoglm_doctor.matrix import load_matrix


@pytest.mark.parametrize(
    ("model", "form"),
    [
        pytest.param("RedHatAI/Qwen2.5-VL-72B-Instruct-quantized.w4a16", "int_weights", id="weights in 4 bits"),
        pytest.param("RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a16", "int_weights", id="weights in 8 bits"),
        pytest.param("someone/Llama-3.1-8B-W4A16-G128", "int_weights", id="with the size of its groups"),
        pytest.param("RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8", "int8", id="activations in 8 bits too"),
        pytest.param("someone/Qwen2.5-7B-FP8-W8A8", "fp8", id="floating point"),
        pytest.param("someone/Qwen2.5-7B-W8A8-FP8", "fp8", id="floating point, said last"),
        pytest.param("someone/Qwen2.5-7B-GPTQ-W4A16", "gptq", id="GPTQ says more"),
        pytest.param("someone/Qwen2.5-7B-w4a8", "", id="a form that no row is about"),
        pytest.param("someone/Qwen2.5-7B-w4a4", "", id="another one"),
        pytest.param("someone/Qwen2.5-7B-w4a160", "", id="no such form"),
        pytest.param("someone/Qwen2.5-7B", "", id="not quantized"),
        pytest.param("someone/draw4a16-7B", "", id="letters of a name"),
    ],
)
def test_the_format_of_a_model(model: str, form: str) -> None:
    assert form_of(config_of({"model": model}), None) == form


@pytest.mark.parametrize(
    ("facts", "form"),
    [
        pytest.param({"model": "meta-llama/Llama-3.1-405B-Instruct-FP8"}, "fbgemm_fp8", id="Meta's 405B"),
        pytest.param({"model": "RedHatAI/Meta-Llama-3.1-405B-Instruct-FP8"}, "fp8", id="another's"),
        pytest.param({"model": "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8"}, "fp8", id="Meta's later one"),
        pytest.param({"model": "Qwen/Qwen3-8B-FP8"}, "fp8_block", id="Qwen's"),
        pytest.param({"model": "RedHatAI/Qwen3-8B-FP8-dynamic"}, "fp8", id="another's of Qwen"),
        pytest.param({"model": "deepseek-ai/DeepSeek-R1-0528"}, "fp8_block", id="R1, whose name does not tell"),
        pytest.param({"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"}, "", id="a distill of it"),
        pytest.param({"model": "Qwen/Qwen3-8B-FP8", "engine": "lmdeploy 0.9"}, "fp8", id="another server"),
        pytest.param({"model": "deepseek-ai/DeepSeek-R1", "engine": None}, "", id="no engine"),
        pytest.param({"model": "a/b", "quantization": "AWQ"}, "awq", id="stated"),
        pytest.param({"model": "a/b", "quantization": "fbgemm-fp8"}, "fbgemm_fp8", id="stated, FBGEMM's"),
        pytest.param({"model": "a/b-GPTQ", "quantization": "awq"}, "gptq", id="the name decides"),
        pytest.param({"model": "a/b", "quantization": "none"}, "", id="stated to be none"),
        pytest.param({"model": "a/b", "quantization": "4 bits"}, "", id="words"),
        pytest.param({"model": "a/b", "quantization": "GPTQ-Int4"}, "gptq", id="stated with its bits"),
        pytest.param({"model": "a/b", "quantization": "bitsandbytes 4bit"}, "bitsandbytes", id="with a word behind"),
        pytest.param({"model": "a/b", "quantization": "fp8 KV cache"}, "", id="of the cache, not of the weights"),
        pytest.param({"model": "a/b", "quantization": "compressed-tensors"}, "", id="a container of many forms"),
    ],
)
def test_forms_that_their_makers_publish(facts: dict[str, Any], form: str) -> None:
    assert form_of(config_of({"engine": "vllm 0.11.0", **facts}), None) == form


def test_a_quantized_copy_of_a_known_model_may_have_another_dtype() -> None:
    assert "dtype" in config_of({"model": "Qwen/Qwen2.5-7B-Instruct"})
    half = config_of({"model": "Qwen/Qwen2.5-7B-Instruct", "config": {"torch_dtype": "float16"}})
    assert ("dtype" in half, half["torch_dtype"]) == (False, "float16")
    copy: dict[str, Any] = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    assert "dtype" not in config_of({"model": "Qwen/Qwen2.5-7B-Instruct", "config": copy})
    copy["quantization_config"]["quant_method"] = "fp8"  # whose other numbers are kept as they were
    assert "dtype" in config_of({"model": "Qwen/Qwen2.5-7B-Instruct", "config": copy})
    assert "dtype" not in config_of({"model": "Qwen/Qwen2.5-7B-Instruct-AWQ"})
    assert "dtype" not in config_of({"model": "Qwen/Qwen2.5-7B-Instruct", "engine_args": {"quantization": "awq"}})


def test_a_stated_config_decides() -> None:
    said: dict[str, Any] = {"quantization_config": {"quant_method": "awq"}}
    assert form_of(config_of({"model": "x/y-7B-w4a16", "config": said}), None) == "awq"


@pytest.mark.parametrize(
    ("said", "glibc"),
    [
        pytest.param("Ubuntu 20", "2.31", id="Ubuntu by its year"),
        pytest.param("ubuntu22 x86_64", "2.35", id="without a space"),
        pytest.param("Ubuntu 20.04.6 LTS", "2.31", id="in full"),
        pytest.param("Ubuntu 20.10", None, id="the release of October"),
        pytest.param("Ubuntu 23", None, id="a year without long support"),
        pytest.param("Ubuntu 2004", None, id="four digits"),
        pytest.param("Ubuntu", None, id="no release"),
        pytest.param("Linux Mint 20", None, id="another distribution"),
    ],
)
def test_the_c_library_of_a_distribution(said: str, glibc: str | None) -> None:
    host = read_host({"os": said}, load_matrix())
    assert host is not None
    assert host.value is not None
    assert host.value.glibc == glibc


@pytest.mark.parametrize(
    ("stated", "form"),
    [
        pytest.param("compressed-tensors, NVFP4 (W4A16)", "float_w4a4", id="floats in 4 bits"),
        pytest.param("compressed-tensors W4A16", "int_weights", id="whole numbers, weights alone"),
        pytest.param("compressed-tensors W8A8", "int8", id="whole numbers, activations too"),
    ],
)
def test_the_form_inside_compressed_tensors(stated: str, form: str) -> None:
    assert form_of(config_of({"model": "a/b", "quantization": stated}), None) == form
