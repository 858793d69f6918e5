"""Bytes of weights: from headers, from configs, under dtypes and quantization."""

import dataclasses

import pytest

from autoglm_doctor.domain.model import checkpoint_bytes, element_bytes, folder_complete, model_shape, weight_bytes
from autoglm_doctor.facts import ModelFiles, WeightFile
from autoglm_doctor.intent import Intent, Launch

AUTOGLM = Intent(model="zai-org/AutoGLM-Phone-9B", profile="autoglm-phone-9b")
BYTES = 20_585_554_944


def with_launch(**values):
    return dataclasses.replace(AUTOGLM, launch=Launch(**values))


def folder(*, fault=None, index_error=None, config=None, dtype="BF16", amount=1000):
    return ModelFiles(
        path="/models/x",
        config=config,
        weights=(WeightFile(name="model.safetensors", size_bytes=amount + 100, tensor_bytes=amount, fault=fault),),
        index_error=index_error,
        dtype_bytes={dtype: amount},
    )


def test_a_known_model_without_files():
    assert weight_bytes(AUTOGLM, None) == BYTES
    assert checkpoint_bytes(AUTOGLM, None) == BYTES


def test_headers_win_over_the_profile():
    assert weight_bytes(AUTOGLM, folder()) == 1000


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(folder(fault="truncated"), id="a file is truncated"),
        pytest.param(folder(index_error="no index"), id="the index is broken"),
        pytest.param(ModelFiles(path="/models/x"), id="no weights yet"),
    ],
)
def test_an_incomplete_folder_counts_for_nothing(files):
    assert not folder_complete(files)
    assert weight_bytes(AUTOGLM, files) == BYTES


def test_an_unknown_model_without_files():
    unknown = Intent(model="somebody/something")
    assert weight_bytes(unknown, None) is None
    assert checkpoint_bytes(unknown, None) is None
    assert model_shape(unknown, None) is None


def test_an_unknown_architecture_still_has_its_headers():
    unknown = Intent(model="somebody/something")
    files = folder(config={"model_type": "brand_new"})
    assert weight_bytes(unknown, files) == 1000
    assert model_shape(unknown, files) is None


@pytest.mark.parametrize(
    ("quantization", "gib"),
    [
        pytest.param("fp8", 11.57, id="8 bits"),
        pytest.param("awq", 7.92, id="4 bits with groups"),
        pytest.param("bitsandbytes", 8.25, id="4 bits made while loading"),
    ],
)
def test_quantization_spares_embedding_output_and_vision(quantization, gib):
    assert weight_bytes(with_launch(quantization=quantization), None) / 2**30 == pytest.approx(gib, abs=0.01)


def test_a_quantization_that_we_cannot_size():
    assert weight_bytes(with_launch(quantization="brand_new"), None) is None


def test_a_quantized_checkpoint_is_what_its_headers_say():
    files = folder(config={"model_type": "glm4v", "quantization_config": {"quant_method": "gptq"}}, dtype="I32")
    assert weight_bytes(with_launch(quantization="gptq"), files) == 1000


@pytest.mark.parametrize(
    ("dtype", "stored", "expected"),
    [
        pytest.param(None, "BF16", 1000, id="as stored"),
        pytest.param("float32", "BF16", 2000, id="32 bits asked for"),
        pytest.param("half", "F32", 500, id="16 bits asked for"),
        pytest.param(None, "F32", 500, id="vLLM makes 16 bits of 32 by itself"),
    ],
)
def test_dtypes(dtype, stored, expected):
    files = folder(
        dtype=stored, config={"model_type": "llama", "torch_dtype": "float32" if stored == "F32" else "bfloat16"}
    )
    assert weight_bytes(with_launch(dtype=dtype), files) == expected


def test_transformers_keeps_32_bits():
    intent = dataclasses.replace(AUTOGLM, engine="transformers")
    assert element_bytes(intent, folder(config={"model_type": "llama", "torch_dtype": "float32"})) == 4
