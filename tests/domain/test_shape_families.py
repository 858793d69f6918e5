"""Parameters and caches of many families: against published counts, and against transformers' own classes."""

import pytest

from autoglm_doctor.domain.shape.read import read_shape
from tests.domain.model_configs import BASE, FAMILIES, text

MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 32000,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 32768,
}
QWEN3_30B = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
}
DEEPSEEK_LITE = {
    "model_type": "deepseek_v2",
    "hidden_size": 2048,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "intermediate_size": 10944,
    "moe_intermediate_size": 1408,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_experts_per_tok": 6,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "q_lora_rank": None,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 102400,
    "max_position_embeddings": 163840,
    "tie_word_embeddings": False,
}
GPT_OSS = {
    "model_type": "gpt_oss",
    "hidden_size": 2880,
    "num_hidden_layers": 24,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "intermediate_size": 2880,
    "num_local_experts": 32,
    "num_experts_per_tok": 4,
    "vocab_size": 201088,
    "sliding_window": 128,
    "max_position_embeddings": 131072,
}
QWEN25_VL = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
    "vocab_size": 152064,
    "max_position_embeddings": 128000,
    "tie_word_embeddings": False,
    "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584},
}


@pytest.mark.parametrize(
    ("config", "parameters", "kv"),
    [
        pytest.param(MIXTRAL, 46_702_792_704, 131_072, id="Mixtral-8x7B"),
        pytest.param(QWEN3_30B, 30_532_122_624, 98_304, id="Qwen3-30B-A3B"),
        pytest.param(DEEPSEEK_LITE, 15_706_484_224, 31_104, id="DeepSeek-V2-Lite, latent attention"),
        pytest.param(GPT_OSS, 20_914_757_184, 49_152, id="gpt-oss-20b"),
        pytest.param(QWEN25_VL, 8_292_166_656, 57_344, id="Qwen2.5-VL-7B with its tower"),
    ],
)
def test_published_counts(config, parameters, kv):
    shape = read_shape(config)
    assert shape.parameters.total == parameters
    assert shape.kv_bytes_per_token() == kv


def test_a_latent_is_not_split_between_gpus():
    shape = read_shape(DEEPSEEK_LITE)
    assert shape.kv_bytes_per_token(2, 8) == shape.kv_bytes_per_token(2, 1)


def test_half_of_gpt_oss_looks_back_over_a_window():
    assert read_shape(GPT_OSS).sliding_layers == 12


@pytest.mark.parametrize(
    ("name", "layers"), [pytest.param("qwen3_next", 2, id="two of eight"), pytest.param("jamba", 2, id="jamba")]
)
def test_state_layers_keep_no_keys(name, layers):
    shape = read_shape(FAMILIES[name])
    assert shape.hybrid
    assert shape.attention_layers == layers
    assert shape.state_numbers > 0


@pytest.mark.parametrize("name", FAMILIES, ids=str)
def test_every_family_is_understood_whole(name):
    shape = read_shape(FAMILIES[name])
    assert shape.parameters.total == sum(piece.total for piece in shape.pieces) > 0


def test_a_tower_of_an_unknown_kind_leaves_the_parameters_open():
    config = {"model_type": "llava", "text_config": text("llama"), "vision_config": {"model_type": "siglip_new"}}
    shape = read_shape(config)
    assert shape.parameters is None
    assert shape.vision_unknown


def test_absurd_numbers_of_layers_are_refused():
    assert read_shape({**FAMILIES["qwen2_moe"], "num_hidden_layers": 10**12}) is None


def test_text_configs_of_unknown_decoders_have_no_shape():
    assert (
        read_shape({"model_type": "llava", "text_config": {**BASE, "model_type": "new"}, "vision_config": {}}) is None
    )


def _built(config):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    values = {name: value for name, value in config.items() if name != "model_type"}
    made = transformers.AutoConfig.for_model(config["model_type"], **values)
    kind = transformers.AutoModelForImageTextToText if "vision_config" in config else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(made)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES, ids=str)
def test_as_many_parameters_as_transformers_builds(name):
    assert read_shape(FAMILIES[name]).parameters.total == _built(FAMILIES[name])
