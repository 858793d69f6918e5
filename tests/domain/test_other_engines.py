"""transformers and llama.cpp: no profile run, no share of the card."""

import dataclasses

import pytest

from autoglm_doctor.domain.memory import llamacpp as llamacpp_memory
from autoglm_doctor.domain.memory import transformers as transformers_memory
from autoglm_doctor.domain.memory.explain import explain
from autoglm_doctor.domain.memory.fits import Card, estimates, verdict
from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.facts import ModelFiles, WeightFile
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.launch import default_intent
from autoglm_doctor.profiles import PROFILES
from tests.domain.test_shape import LLAMA

AUTOGLM = read_shape(PROFILES["autoglm-phone-9b"].config)


def gguf(size, **launch):
    weights = (WeightFile(name="m.gguf", size_bytes=size, tensor_bytes=size),)
    files = ModelFiles(path="/m.gguf", found_by="gguf", config=LLAMA, weights=weights, dtype_bytes={"F32": size})
    return Intent(model="/m.gguf", launch=Launch(**launch)), files


@pytest.mark.parametrize(
    ("context", "cache", "expected"),
    [
        pytest.param(8192, "f16", 131_072 * 8192, id="16 bits"),
        pytest.param(8192, "q8_0", 131_072 * 8192 * 34 // 64, id="8 bits with scales"),
        pytest.param(8000, "f16", 131_072 * 8192, id="in steps of 256"),
        pytest.param(8192, "auto", 131_072 * 8192, id="another word counts as 16 bits"),
    ],
)
def test_cache_of_llama_cpp(context, cache, expected):
    assert llamacpp_memory.kv_bytes(read_shape(LLAMA), context, cache) == expected


def test_a_gguf_file_weighs_what_its_tensors_do():
    intent, files = gguf(5 * GIB, max_model_len=8192, dtype="half")
    [shown] = estimates(intent, files, Card(name="x", total_bytes=24 * GIB), "0.33.0")
    assert shown.weights.low == shown.weights.high == 5 * GIB
    assert shown.kv_needed == GIB
    assert shown.activation.low < shown.activation.likely < shown.activation.high


@pytest.mark.parametrize(
    ("gib", "fits"),
    [pytest.param(6, "no", id="too small"), pytest.param(7, "unknown", id="near"), pytest.param(9, "yes", id="enough")],
)
def test_verdicts_for_a_gguf_file(gib, fits):
    intent, files = gguf(5 * GIB, max_model_len=8192)
    assert verdict(estimates(intent, files, Card(name="x", total_bytes=gib * GIB), None)) == fits


def test_a_gguf_file_is_explained():
    intent, files = gguf(5 * GIB, max_model_len=8192)
    lines = {line.name: line for line in explain(intent, files, Card(name="x", total_bytes=24 * GIB), None)}
    assert lines["weights"].numbers == f"{5 * GIB:,} bytes"
    assert lines["activation"].numbers.startswith("512 tokens x (128,256 + ")
    assert lines["cuda_graphs"].numbers == "none"


def test_packed_layers_keep_one_width_more():
    llama = read_shape(LLAMA)
    assert transformers_memory.widths(AUTOGLM) == 4 * AUTOGLM.intermediate
    assert transformers_memory.widths(llama) == 3 * llama.intermediate


def test_a_picture_decides_where_the_prompt_is_short():
    short, long = (transformers_memory.activation(AUTOGLM, tokens, 2).likely for tokens in (100, 100_000))
    assert short == 6084 * 4 * 53_264
    assert long == 100_000 * (4 * 13_696 + 3 * 4096) * 2


def test_weights_of_transformers_are_the_tensors():
    intent = dataclasses.replace(default_intent(), engine="transformers", command=())
    [shown] = estimates(intent, None, Card(name="x", total_bytes=80 * GIB), "5.23.0")
    assert shown.weights.likely == 20_585_554_944
