"""Random configs and flags: always a verdict or nothing, never an exception; and what must never make it worse."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_doctor.domain.memory.explain import explain
from autoglm_doctor.domain.memory.fits import Card, estimates, verdict, weights_verdict
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent, Launch
from tests.domain.model_configs import FAMILIES

RANK = {"no": 0, "unknown": 1, "yes": 2}
VERSIONS = ["0.6.4", "0.7.3", "0.8.5", "0.12.0", "0.16.0", "0.19.1", "0.23.0", "0.27.0", "0.33.0", "nightly", "", None]
NUMBERS = st.one_of(st.integers(-3, 300_000), st.sampled_from([None, "many", 0.5, True, [], 10**12]))
KEYS = sorted({key for config in FAMILIES.values() for key in config} | {"sliding_window", "head_dim", "rope_scaling"})
QUANTIZED = [
    None,
    "fp8",
    {"quant_method": "fp8", "weight_block_size": [128, 128]},
    {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True},
    {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True},
    {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True},
    {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int"}}}},
    {"quant_method": "compressed-tensors", "config_groups": 7},
    {"quant_method": "modelopt", "quant_algo": "NVFP4"},
    {"quant_method": "mxfp4"},
    {"quant_method": "brand new"},
    {"bits": "four"},
]
launches = st.builds(
    Launch,
    dtype=st.sampled_from([None, "auto", "half", "float32", "odd"]),
    quantization=st.sampled_from([None, "fp8", "bitsandbytes", "awq", "odd"]),
    kv_cache_dtype=st.sampled_from([None, "auto", "fp8_e4m3", "odd"]),
    max_model_len=st.sampled_from([None, 1, 17, 8192, 131_072, 10_000_000]),
    max_num_seqs=st.sampled_from([None, 1, 7, 256, 4096]),
    max_num_batched_tokens=st.sampled_from([None, 1, 2048, 65_536]),
    gpu_memory_utilization=st.sampled_from([None, 0.01, 0.5, 0.92, 1.0]),
    tensor_parallel=st.integers(1, 16),
    pipeline_parallel=st.integers(1, 9),
    enforce_eager=st.booleans(),
    limit_mm_per_prompt=st.sampled_from([{}, {"image": 0}, {"image": 0, "video": 0}, {"image": 3, "video": 0}]),
    mm_processor_kwargs=st.sampled_from([{}, {"max_pixels": 1}, {"size": {"longest_edge": 10**9}}, {"size": 3}]),
    cpu_offload_gib=st.sampled_from([0.0, 4.0, 500.0]),
)
changes = st.dictionaries(st.sampled_from(KEYS), NUMBERS, max_size=3)
cases = st.tuples(
    st.sampled_from(sorted(FAMILIES)),
    changes,
    st.sampled_from(QUANTIZED),
    launches,
    st.sampled_from(["vllm", "sglang", "transformers"]),
    st.sampled_from(VERSIONS),
    st.floats(0.5, 300),
    st.sampled_from(["", "gguf"]),
)


def judged(case):
    family, changed, quantized, launch, engine, version, gib, found_by = case
    config = {**FAMILIES[family], **changed, "quantization_config": quantized}
    if "text_config" in config and isinstance(config["text_config"], dict):
        config["text_config"] = {**config["text_config"], **changed}
    files = ModelFiles(path="/m", config=config, found_by=found_by)
    intent = Intent(model="/m", engine=engine, launch=launch)
    card = Card(name="NVIDIA GeForce RTX 4090", total_bytes=int(gib * GIB))
    found = estimates(intent, files, card, version)
    lines = explain(intent, files, card, version)
    assert verdict(found) in RANK
    assert weights_verdict(found) in RANK
    assert bool(lines) == bool(found)
    for shown in found:
        for span in (shown.weights, shown.activation, shown.non_torch, shown.graphs):
            assert 0 <= span.low <= span.likely <= span.high
        assert shown.kv_needed >= 0


@settings(max_examples=300, deadline=None)
@given(cases)
def test_random_deployments_get_a_verdict(case):
    judged(case)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(cases)
def test_ten_thousand_random_deployments_get_a_verdict(case):
    judged(case)


def answer(family, launch, gib, version, engine="vllm", layers=30):
    config = dict(FAMILIES[family])
    big = {"vocab_size": 150_000, "hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": layers}
    if "text_config" in config:
        config["text_config"] = {**config["text_config"], **big}
    else:
        config.update(big)
    files = ModelFiles(path="/m", config=config)
    card = Card(name="NVIDIA GeForce RTX 4090", total_bytes=int(gib * GIB))
    intent = Intent(model="/m", engine=engine, launch=launch)
    return RANK[verdict(estimates(intent, files, card, version))]


settled = st.fixed_dictionaries(
    {
        "max_num_seqs": st.sampled_from([1, 4, 8, 64, 256, 1024]),
        "max_model_len": st.sampled_from([2048, 8192, 32_768, 131_072]),
        "max_num_batched_tokens": st.sampled_from([2048, 8192, 16_384]),
        "gpu_memory_utilization": st.sampled_from([0.5, 0.9, 0.95]),
    }
)
where = st.tuples(st.sampled_from(sorted(FAMILIES)), st.floats(4, 120), st.sampled_from(VERSIONS))
STEPS = [
    pytest.param({"max_num_seqs": 2}, {"max_num_seqs": 1}, id="fewer sequences"),
    pytest.param({"max_num_seqs": 512}, {"max_num_seqs": 7}, id="far fewer sequences"),
    pytest.param({"max_model_len": 40_000}, {"max_model_len": 1000}, id="shorter context"),
    pytest.param(
        {"limit_mm_per_prompt": {"image": 5, "video": 0}},
        {"limit_mm_per_prompt": {"image": 0, "video": 0}},
        id="no images",
    ),
    pytest.param({"dtype": "float32"}, {"dtype": "half"}, id="half the dtype"),
    pytest.param({"kv_cache_dtype": "auto"}, {"kv_cache_dtype": "fp8"}, id="a smaller cache"),
    pytest.param({}, {"quantization": "fp8"}, id="8-bit weights"),
    pytest.param({}, {"enforce_eager": True}, id="no graphs"),
]


@pytest.mark.parametrize(("before", "after"), STEPS)
@settings(max_examples=40, deadline=None)
@given(settled, where)
def test_a_smaller_demand_never_hurts(before, after, launch, where):
    family, gib, version = where
    worse, better = (Launch(**{**launch, **step}) for step in (before, after))
    assert answer(family, better, gib, version) >= answer(family, worse, gib, version)


@settings(max_examples=100, deadline=None)
@given(settled, where, st.floats(0, 40), st.sampled_from(["vllm", "sglang", "transformers"]))
def test_more_memory_never_hurts_with_flags_that_are_given(launch, where, more, engine):
    family, gib, version = where
    given_launch = Launch(**launch)
    assert answer(family, given_launch, gib + more, version, engine) >= answer(
        family, given_launch, gib, version, engine
    )


def test_the_terms_multiply_out():
    from autoglm_doctor.launch import default_intent

    lines = {
        line.name: line for line in explain(default_intent(), None, Card(name="x", total_bytes=24 * GIB), "0.33.0")
    }
    assert list(lines) == ["weights", "activation", "non_torch", "cuda_graphs", "kv_cache"]
    assert lines["kv_cache"].numbers == "2 x 40 layers x 2 KV heads x 128 x 2 bytes x 25,488 tokens"
    assert lines["kv_cache"].span.likely == 2 * 40 * 2 * 128 * 2 * 25_488
    assert lines["weights"].span.likely == 20_585_554_944 + 41_943_040 + 4 * 65_536 * 64 * 2
    assert lines["activation"].span.likely == 25_088 * 53_264
    for line in lines.values():
        assert line.formula
        assert line.numbers
        assert line.source


def test_an_unknown_model_is_not_explained():
    intent = dataclasses.replace(Intent(model="somebody/something"))
    assert explain(intent, None, Card(name="x", total_bytes=GIB), None) == ()
