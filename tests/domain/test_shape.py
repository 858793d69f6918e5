"""Numbers that are derived from a config, against those that are known."""

import dataclasses

import pytest

from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.profiles import PROFILES, find_profile

AUTOGLM = PROFILES["autoglm-phone-9b"].config

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
QWEN2 = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}
QWEN3 = {
    "model_type": "qwen3",
    "hidden_size": 2560,
    "head_dim": 128,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 9728,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
}
MISTRAL = {
    "model_type": "mistral",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 32000,
    "max_position_embeddings": 32768,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
}
GEMMA2 = {
    "model_type": "gemma2",
    "hidden_size": 2304,
    "head_dim": 256,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 9216,
    "vocab_size": 256000,
    "max_position_embeddings": 8192,
    "sliding_window": 4096,
}
GEMMA = {**GEMMA2, "model_type": "gemma", "sliding_window": None}
GLM4 = {**LLAMA, "model_type": "glm4", "attention_bias": True, "head_dim": 128, "num_key_value_heads": 2}


def test_autoglm_has_ten_billion_parameters_and_a_small_cache():
    shape = read_shape(AUTOGLM)
    assert shape is not None
    assert shape.parameters is not None
    assert shape.parameters.total == 10_292_777_472
    assert shape.parameters.total * 2 == 20_585_554_944
    assert shape.kv_bytes_per_token() == 40_960
    assert shape.kv_bytes_per_token(1) == 20_480
    assert shape.rotary_dim == 64


@pytest.mark.parametrize(
    ("config", "parameters", "kv"),
    [
        pytest.param(LLAMA, 8_030_261_248, 131_072, id="Llama-3.1-8B"),
        pytest.param(QWEN2, 7_615_616_512, 57_344, id="Qwen2.5-7B"),
        pytest.param(QWEN3, 4_022_468_096, 147_456, id="Qwen3-4B, tied"),
        pytest.param(MISTRAL, 7_241_732_096, 131_072, id="Mistral-7B"),
        pytest.param(GEMMA2, 2_614_341_888, 106_496, id="gemma-2-2b, tied without saying so"),
    ],
)
def test_published_parameter_counts(config, parameters, kv):
    shape = read_shape(config)
    assert shape.parameters.total == parameters
    assert shape.kv_bytes_per_token() == kv


@pytest.mark.parametrize(
    ("tensor_parallel", "expected"),
    [
        pytest.param(2, 20_480, id="one head each"),
        pytest.param(4, 20_480, id="never less than one head"),
        pytest.param(8, 20_480, id="eight GPUs copy heads"),
    ],
)
def test_heads_are_split_but_never_below_one(tensor_parallel, expected):
    assert read_shape(AUTOGLM).kv_bytes_per_token(2, tensor_parallel) == expected


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="empty"),
        pytest.param({"model_type": "mamba"}, id="no attention"),
        pytest.param({**LLAMA, "model_type": "brand_new"}, id="family not known"),
        pytest.param({k: v for k, v in LLAMA.items() if k != "hidden_size"}, id="a number is missing"),
        pytest.param({**LLAMA, "num_attention_heads": 0}, id="no heads"),
        pytest.param({**LLAMA, "hidden_size": "wide"}, id="no number"),
        pytest.param({**AUTOGLM, "vision_config": {"depth": 2}}, id="half a vision tower"),
    ],
)
def test_what_is_not_understood_has_no_shape(config):
    assert read_shape(config) is None


def test_a_tower_of_another_kind_leaves_the_parameters_open():
    config = {"model_type": "qwen2_5_vl", "text_config": {**QWEN2, "model_type": "x"}, "vision_config": {"depth": 32}}
    shape = read_shape(config)
    assert shape.vision_unknown
    assert shape.parameters is None
    assert shape.layers == 28


def test_sliding_layers():
    assert read_shape(MISTRAL).sliding_layers == 32
    assert read_shape(GEMMA2).sliding_layers == 13
    assert read_shape(GEMMA).sliding_layers == 0
    kinds = ["sliding_attention"] * 20 + ["full_attention"] * 6
    assert read_shape({**GEMMA2, "layer_types": kinds}).sliding_layers == 20


@pytest.mark.parametrize("name", ["zai-org/AutoGLM-Phone-9B", "ZHIPUAI/autoglm-phone-9b", "AutoGLM-Phone-9B"])
def test_profiles_are_found_whatever_the_capitals(name):
    assert find_profile(name).name == "autoglm-phone-9b"


@pytest.mark.parametrize("name", ["", "zai-org/AutoGLM", "/models/AutoGLM-Phone-9B", "autoglm-phone-9b-extra"])
def test_other_names_are_no_profile(name):
    assert find_profile(name) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(AUTOGLM, id="glm4v"),
        pytest.param(LLAMA, id="llama"),
        pytest.param({**LLAMA, "attention_bias": True, "mlp_bias": True}, id="llama with biases"),
        pytest.param(QWEN2, id="qwen2"),
        pytest.param(QWEN3, id="qwen3"),
        pytest.param({**QWEN3, "attention_bias": True}, id="qwen3 with biases"),
        pytest.param(MISTRAL, id="mistral"),
        pytest.param(GEMMA, id="gemma"),
        pytest.param(GEMMA2, id="gemma2"),
        pytest.param({**GEMMA2, "model_type": "gemma3_text"}, id="gemma3"),
        pytest.param({**LLAMA, "model_type": "phi3", "pad_token_id": 0}, id="phi3"),
        pytest.param({**GLM4, "model_type": "glm", "pad_token_id": 0}, id="glm"),
        pytest.param({**GLM4, "pad_token_id": 0}, id="glm4"),
        pytest.param({**GLM4, "attention_bias": False, "pad_token_id": 0}, id="glm4 without biases"),
    ],
)
def test_as_many_parameters_as_transformers_builds(config):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    values = {k: v for k, v in dict(config).items() if k not in ("model_type", "architectures")}
    made = transformers.AutoConfig.for_model(config["model_type"], **values)
    kind = transformers.AutoModelForImageTextToText if "vision_config" in config else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(made)
    assert read_shape(config).parameters.total == sum(p.numel() for p in model.parameters())


def test_a_shape_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_shape(LLAMA).layers = 1


def test_experts_that_begin_before_the_first_layer_fill_no_memory() -> None:
    """A number out of a damaged config once made a list of so many entries."""
    config = {
        "model_type": "deepseek_v2",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 100,
        "kv_lora_rank": 16,
        "v_head_dim": 16,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "max_position_embeddings": 512,
        "first_k_dense_replace": -(10**14),
    }
    shape = read_shape(config)
    assert shape is not None
    assert shape.layers == 4
