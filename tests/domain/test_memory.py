"""The memory model: cards of which the answer is known, the logs' terms, and what must never turn a yes into a no."""

import dataclasses
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_doctor.domain.capacity.rescue import HIGHEST_UTILIZATION, launch_that_fits
from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.memory.fits import Card, estimates, verdict, weights_verdict
from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.domain.spans import GIB, Span, exactly, total
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.profiles import PROFILES

README = default_intent()
VERSIONS = ("0.12.0", "0.16.0", "0.19.0", "0.21.0", "0.33.0")
RANK = {"no": 0, "unknown": 1, "yes": 2}


def card(gib, name="NVIDIA GeForce RTX 4090", count=1):
    return Card(name=name, total_bytes=int(gib * GIB), count=count)


def with_launch(intent=README, **values):
    return dataclasses.replace(intent, launch=dataclasses.replace(intent.launch, **values))


def answer(intent, gib, version="0.33.0", name="NVIDIA GeForce RTX 4090"):
    return verdict(estimates(intent, None, card(gib, name), version))


@pytest.mark.parametrize("version", [*VERSIONS, None])
@pytest.mark.parametrize(
    ("gib", "name", "expected"),
    [
        pytest.param(23.5, "NVIDIA GeForce RTX 4090", "no", id="24 GB 4090"),
        pytest.param(23.5, "NVIDIA GeForce RTX 3090", "no", id="24 GB 3090"),
        pytest.param(22.05, "NVIDIA L4", "no", id="22 GB L4"),
        pytest.param(14.6, "Tesla T4", "no", id="16 GB T4"),
        pytest.param(31.36, "NVIDIA GeForce RTX 5090", "yes", id="32 GB 5090"),
        pytest.param(39.4, "NVIDIA A100-PCIE-40GB", "yes", id="40 GB A100"),
        pytest.param(44.4, "NVIDIA L40S", "yes", id="48 GB L40S"),
        pytest.param(79.2, "NVIDIA H100 80GB HBM3", "yes", id="80 GB H100"),
        pytest.param(139.8, "NVIDIA H200", "yes", id="141 GB H200"),
    ],
)
def test_autoglm_with_the_documented_flags(gib, name, expected, version):
    assert answer(README, gib, version, name) == expected


@pytest.mark.parametrize(
    ("gib", "version", "least", "most"),
    [
        pytest.param(23.5, "0.33.0", -0.1, 0.3, id="24 GB: next to nothing"),
        pytest.param(31.36, "0.33.0", 7.0, 7.7, id="32 GB"),
        pytest.param(79.2, "0.33.0", 49.5, 51.0, id="80 GB, larger default batches"),
    ],
)
def test_what_is_left_for_the_cache(gib, version, least, most):
    name = "NVIDIA H100 80GB HBM3" if gib > 70 else "NVIDIA GeForce RTX 5090"
    left = estimates(README, None, card(gib, name), version)[-1].kv_available.likely / GIB
    assert least <= left <= most


def test_the_rescue_of_a_24_gb_card():
    rescued = with_launch(
        max_num_seqs=8,
        limit_mm_per_prompt={"image": 10, "video": 0},
        mm_processor_kwargs={"size": {"shortest_edge": 12544, "longest_edge": 5_000_000}},
    )
    shown = estimates(rescued, None, card(23.5), "0.33.0")[-1]
    assert shown.activation.likely / GIB == pytest.approx(0.62, abs=0.01)
    assert shown.kv_available.likely / GIB == pytest.approx(1.35, abs=0.1)
    assert shown.fits == "yes"


def test_max_pixels_alone_is_not_the_rescue():
    """The processor ignores it: only the plan gets smaller, and the dummy video stays."""
    assert answer(with_launch(limit_mm_per_prompt={"image": 10}, max_num_seqs=8), 23.5) != "yes"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.8.5", 0.90),
        ("0.12.0", 0.90),
        ("0.19.1", 0.90),
        ("0.20.0", 0.92),
        ("0.33.0", 0.92),
        ("0.33.1rc1+cu130", 0.92),
    ],
)
def test_default_share_by_version(version, expected):
    assert vllm_memory.default_utilization(version) == expected


@pytest.mark.parametrize(
    ("gib", "name", "tokens", "sequences"),
    [
        pytest.param(23.5, "NVIDIA GeForce RTX 4090", 2048, 256, id="small card"),
        pytest.param(79.2, "NVIDIA H100 80GB HBM3", 8192, 1024, id="H100"),
        pytest.param(79.2, "NVIDIA A100-SXM4-80GB", 2048, 256, id="A100 by name"),
        pytest.param(119.6, "NVIDIA GB10", 2048, 256, id="GB10 by name"),
        pytest.param(178.3, "NVIDIA B200", 16384, 1024, id="B200"),
    ],
)
def test_default_batches_by_card(gib, name, tokens, sequences):
    batch = vllm_memory.batch_of(Launch(), 25_480, int(gib * GIB), name)
    assert (batch.tokens, batch.sequences) == (tokens, sequences)


def test_a_short_context_limits_the_default_batch_but_not_a_given_one():
    assert vllm_memory.batch_of(Launch(max_num_seqs=1), 1000, 24 * GIB, "x").tokens == 1000
    assert vllm_memory.batch_of(Launch(max_num_seqs=1, max_num_batched_tokens=4096), 1000, 24 * GIB, "x").tokens == 4096


@pytest.mark.parametrize(("sequences", "graphs"), [(256, 51 + 35), (8, 5 + 4), (1, 2 + 1)])
def test_number_of_cuda_graphs(sequences, graphs):
    assert vllm_memory.graph_count(sequences) == graphs


LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize(
    ("version", "batch", "gib"),
    [
        pytest.param("0.19.0", (8192, 1024), 1.89, id="0.19, 1024 sequences"),
        pytest.param("0.16.0", (8192, 1024), 4.76, id="0.16, the sampler took more"),
    ],
)
def test_peaks_in_public_logs_of_llama(version, batch, gib):
    shape = read_shape(LLAMA)
    setting = vllm_memory.Setting(version=version, gpu_name="NVIDIA H100 80GB HBM3")
    peak = vllm_memory.peak_of(shape, vllm_memory.Batch(tokens=batch[0], sequences=batch[1]), setting)
    assert peak.highest / GIB == pytest.approx(gib, rel=0.02)


def test_sliding_layers_keep_less():
    gemma = read_shape({**LLAMA, "model_type": "gemma2", "sliding_window": 4096, "head_dim": 128})
    batch = vllm_memory.Batch(tokens=2048, sequences=256)
    whole = vllm_memory.kv_bytes(dataclasses.replace(gemma, sliding_layers=0), 65_536, 2, 1, 1, batch)
    assert vllm_memory.kv_bytes(gemma, 65_536, 2, 1, 1, batch) == whole * (16 + 16 * 6144 / 65_536) / 32


def test_cache_of_8_bits_is_half():
    full, half = (
        estimates(with_launch(kv_cache_dtype=dtype), None, card(40), "0.33.0")[-1].kv_needed
        for dtype in ("auto", "fp8_e4m3")
    )
    assert full == 25_488 * 40_960  # whole blocks of 16 tokens
    assert half * 2 == full


@pytest.mark.parametrize(
    ("changes", "gib", "version", "expected"),
    [
        pytest.param({"quantization": "fp8"}, 22.05, "0.33.0", "yes", id="8 bits on 22 GB"),
        pytest.param(
            {"quantization": "fp8"}, 15.6, "0.12.0", "no", id="before 0.19 all 16-bit weights are loaded first"
        ),
        pytest.param({"tensor_parallel": 2}, 23.5, "0.33.0", "yes", id="two 24 GB cards"),
        pytest.param({"pipeline_parallel": 2}, 23.5, "0.33.0", "yes", id="two stages on 24 GB cards"),
        pytest.param({"cpu_offload_gib": 8.0}, 23.5, "0.33.0", "yes", id="8 GiB left in main memory"),
        pytest.param({"enforce_eager": True, "gpu_memory_utilization": 0.95}, 23.5, "0.33.0", "yes", id="no graphs"),
        pytest.param({"max_model_len": None}, 23.5, "0.33.0", "no", id="the model's whole context"),
        pytest.param({"dtype": "float32"}, 39.4, "0.33.0", "no", id="32 bits"),
    ],
)
def test_flags(changes, gib, version, expected):
    assert answer(with_launch(**changes), gib, version) == expected


@pytest.mark.parametrize(
    ("gib", "share", "expected"),
    [
        pytest.param(23.5, None, "no", id="24 GB by default"),
        pytest.param(39.4, None, "yes", id="40 GB"),
        pytest.param(23.5, 0.95, "yes", id="24 GB, share raised"),
    ],
)
def test_sglang(gib, share, expected):
    intent = dataclasses.replace(with_launch(gpu_memory_utilization=share), engine="sglang", command=())
    assert answer(intent, gib, "0.5.23") == expected


def test_sglang_default_share_of_a_24_gb_card():
    shown = estimates(dataclasses.replace(README, engine="sglang"), None, card(23.6), "0.5.23")[-1]
    assert shown.utilization == pytest.approx(0.598, abs=0.003)


@pytest.mark.parametrize(("gib", "expected"), [(14.6, "no"), (39.4, "yes")])
def test_transformers_claims_no_share(gib, expected):
    assert answer(dataclasses.replace(README, engine="transformers"), gib, "5.0") == expected


def test_an_unknown_model_has_no_estimate():
    assert estimates(Intent(model="somebody/something"), None, card(24), "0.33.0") == ()


def test_unknown_version_is_judged_by_all():
    assert len(estimates(README, None, card(24), None)) > 1
    assert verdict(()) == "unknown"
    assert weights_verdict(()) == "unknown"


def test_an_unknown_tower_is_never_green_by_a_hair():
    from autoglm_doctor.facts import ModelFiles, WeightFile

    config = {"model_type": "qwen2_5_vl", **{k: v for k, v in LLAMA.items() if k != "model_type"}, "vision_config": {}}
    files = ModelFiles(
        path="/m",
        config=config,
        weights=(WeightFile(name="a", size_bytes=16 * GIB, tensor_bytes=16 * GIB),),
        dtype_bytes={"BF16": 16 * GIB},
    )
    intent = Intent(model="/m", launch=Launch(max_model_len=8192))
    assert verdict(estimates(intent, files, card(21.5), "0.33.0")) == "unknown"
    assert verdict(estimates(intent, files, card(44.4), "0.33.0")) == "yes"


def test_independent_errors_add_in_squares():
    assert total([Span(7, 10, 14), Span(6, 10, 13), exactly(5)]) == Span(20, 25, 30)


launches = st.fixed_dictionaries(
    {
        "max_num_seqs": st.sampled_from([1, 4, 8, 16, 32, 64, 128, 256, 512, 1024]),
        "max_model_len": st.sampled_from([4096, 8192, 16_384, 25_480, 65_536]),
        "gpu_memory_utilization": st.sampled_from([0.5, 0.7, 0.85, 0.9, 0.92, 0.95]),
        "limit_mm_per_prompt": st.sampled_from([{"image": 10}, {"image": 1, "video": 0}, {"image": 10, "video": 0}]),
        "mm_processor_kwargs": st.sampled_from(
            [{}, {"max_pixels": 5_000_000}, {"size": {"shortest_edge": 12_544, "longest_edge": 5_000_000}}]
        ),
        "max_num_batched_tokens": st.sampled_from([2048, 8192]),
    }
)
cards = st.floats(10, 60)


@settings(max_examples=150, deadline=None)
@given(launches, cards, st.floats(0, 20), st.sampled_from(VERSIONS))
def test_more_memory_never_hurts(launch, gib, more, version):
    intent = with_launch(**launch)
    assert RANK[answer(intent, gib + more, version)] >= RANK[answer(intent, gib, version)]


@settings(max_examples=150, deadline=None)
@given(launches, cards, st.sampled_from([1, 8, 64, 256]), st.sampled_from(VERSIONS))
def test_fewer_sequences_never_hurt(launch, gib, sequences, version):
    fewer = min(sequences, launch["max_num_seqs"])
    before, after = (
        answer(with_launch(**{**launch, "max_num_seqs": n}), gib, version) for n in (launch["max_num_seqs"], fewer)
    )
    assert RANK[after] >= RANK[before]


@settings(max_examples=150, deadline=None)
@given(launches, cards, st.sampled_from([2048, 8192, 25_480]), st.sampled_from(VERSIONS))
def test_a_shorter_context_never_hurts_without_video(launch, gib, tokens, version):
    """With video it may: vLLM measures with a video that fills the context, so the two are not independent."""
    launch = {**launch, "limit_mm_per_prompt": {"image": 10, "video": 0}}
    shorter = min(tokens, launch["max_model_len"])
    before, after = (
        answer(with_launch(**{**launch, "max_model_len": n}), gib, version) for n in (launch["max_model_len"], shorter)
    )
    assert RANK[after] >= RANK[before]


@settings(max_examples=100, deadline=None)
@given(launches, cards, st.sampled_from(["0.19.0", "0.33.0"]))
def test_smaller_numbers_never_hurt(launch, gib, version):
    ranks = [
        RANK[answer(with_launch(**launch, **smaller), gib, version)]
        for smaller in (
            {"dtype": "float32"},
            {},
            {"kv_cache_dtype": "fp8"},
            {"kv_cache_dtype": "fp8", "quantization": "fp8"},
        )
    ]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("gib", "capability", "kinds"),
    [
        pytest.param(23.5, "8.9", {"small_batch", "fp8"}, id="24 GB"),
        pytest.param(22.05, "8.9", {"context", "fp8"}, id="22 GB"),
        pytest.param(14.6, "7.5", {"four_bit", "hardware"}, id="16 GB T4"),
    ],
)
def test_what_is_offered(gib, capability, kinds, version):
    found = launch_that_fits(README, None, card(gib), version, capability=capability)
    assert kinds & {s.kind for s in found}
    assert "fp8" not in {s.kind for s in found} or float(capability) >= 8


def test_two_gpus_that_are_there_are_offered():
    found = launch_that_fits(README, None, card(22.05, "NVIDIA A10", count=2), "0.33.0", capability="8.6", most=5)
    assert "more_gpus" in {s.kind for s in found}


def test_nothing_is_offered_where_the_line_fits_already():
    assert all(s.changes for s in launch_that_fits(README, None, card(39.4), "0.33.0", capability="8.0"))


@settings(max_examples=150, deadline=None)
@given(
    launches,
    st.floats(8, 50),
    st.sampled_from([*VERSIONS, None]),
    st.sampled_from(["7.5", "8.6", "9.0"]),
    st.integers(1, 4),
)
def test_every_offered_line_parses_to_something_that_fits(launch, gib, version, capability, gpus):
    """The promise of the report: paste it, and it is judged green."""
    intent = with_launch(**launch)
    here = card(gib, count=gpus)
    free = int(gib * GIB * 0.97)
    for suggestion in launch_that_fits(intent, None, here, version, free_bytes=free, capability=capability, most=6):
        again = parse_command(shlex.split(suggestion.line))
        for field in suggestion.changes:
            assert getattr(again.launch, field) == getattr(suggestion.intent.launch, field)
        assert verdict(estimates(suggestion.intent, None, here, version)) == "yes"
        assert (suggestion.intent.launch.gpu_memory_utilization or 0) <= max(
            HIGHEST_UTILIZATION, launch["gpu_memory_utilization"]
        )


@settings(max_examples=60, deadline=None)
@given(st.floats(10, 34), st.sampled_from([*VERSIONS, None]), st.sampled_from(["7.5", "8.6"]))
def test_offered_lines_of_the_documented_deployment_read_back(gib, version, capability):
    here = card(gib)
    for suggestion in launch_that_fits(README, None, here, version, capability=capability, most=6):
        assert verdict(estimates(parse_command(shlex.split(suggestion.line)), None, here, version)) == "yes"


def test_a_deployment_given_by_options_gets_a_line_too():
    bare = Intent(model="zai-org/AutoGLM-Phone-9B", profile="autoglm-phone-9b", launch=Launch(max_model_len=25_480))
    found = launch_that_fits(bare, None, card(23.5), "0.33.0", capability="8.9")
    assert found[0].line.startswith("vllm serve zai-org/AutoGLM-Phone-9B --port 8000")
    assert parse_command(shlex.split(found[0].line)).launch.max_model_len == 25_480


def test_the_profile_is_the_default_intent():
    assert README.command == PROFILES["autoglm-phone-9b"].command


@pytest.mark.parametrize(
    ("version", "least", "most"),
    [
        pytest.param("0.16.0", 3.0, 4.0, id="before 0.17 the plan of the video ignored max_pixels"),
        pytest.param("0.19.0", 1.1, 1.4, id="since 0.17 it obeys"),
    ],
)
def test_the_peak_of_the_vision_tower_by_version(version, least, most):
    assert least <= estimates(README, None, card(23.5), version)[-1].activation.likely / GIB <= most
