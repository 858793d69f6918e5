"""Models of Alibaba's Qwen team."""

from __future__ import annotations

from typing import Any

from autoglm_doctor.profiles.profile import Profile

_SOURCE = "the published config.json; published number of parameters"


def _qwen2(name: str, parameters: int, **values: Any) -> Profile:
    """Qwen1.5-*-Chat and Qwen2.5-*-Instruct: 32,768 positions, the window is not used."""
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "dtype": "bfloat16",
        "max_position_embeddings": 32768,
        "sliding_window": 131072,
        "use_sliding_window": False,
        "tie_word_embeddings": False,
        "vocab_size": 152064,
        **values,
    }
    return Profile(name=name.lower(), hub_names=(f"Qwen/{name}",), config=config, source=_SOURCE, parameters=parameters)


def _qwen3(size: str, parameters: int, **values: Any) -> Profile:
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "dtype": "bfloat16",
        "attention_bias": False,
        "head_dim": 128,
        "num_key_value_heads": 8,
        "max_position_embeddings": 40960,
        "use_sliding_window": False,
        "tie_word_embeddings": False,
        "vocab_size": 151936,
        **values,
    }
    return Profile(
        name=f"qwen3-{size.lower()}",
        hub_names=(f"Qwen/Qwen3-{size}",),
        config=config,
        source=_SOURCE,
        parameters=parameters,
    )


_QWEN25_VL_7B: dict[str, Any] = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "dtype": "bfloat16",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128000,
    "sliding_window": 32768,
    "use_sliding_window": False,
    "tie_word_embeddings": False,
    "vocab_size": 152064,
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_config": {
        "model_type": "qwen2_5_vl",
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "in_channels": 3,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
}

_QWEN25_VL_PREPROCESSOR: dict[str, Any] = {
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}

_QWEN3_30B: dict[str, Any] = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}

#: Published as Qwen3MoeForCausalLM as well; scripts of Megatron for them name the same shapes.
_QWEN3_235B: dict[str, Any] = {
    **_QWEN3_30B,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 94,
    "num_attention_heads": 64,
    "moe_intermediate_size": 1536,
}
_QWEN3_480B: dict[str, Any] = {
    **_QWEN3_30B,
    "hidden_size": 6144,
    "intermediate_size": 8192,
    "num_hidden_layers": 62,
    "num_attention_heads": 96,
    "num_key_value_heads": 8,
    "num_experts": 160,
    "moe_intermediate_size": 2560,
}
_QWEN3_4B: dict[str, Any] = {
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "tie_word_embeddings": True,
}
_28_TIED: dict[str, Any] = {"num_hidden_layers": 28, "num_attention_heads": 16, "tie_word_embeddings": True}
_LONG: dict[str, Any] = {"max_position_embeddings": 262144}

_QWEN2_VL: dict[str, Any] = {
    **{key: value for key, value in _QWEN25_VL_7B.items() if key != "vision_config"},
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "model_type": "qwen2_vl",
    "max_position_embeddings": 32768,
    "vision_config": {
        "model_type": "qwen2_vl",
        "depth": 32,
        "embed_dim": 1280,
        "hidden_size": 3584,
        "mlp_ratio": 4,
        "num_heads": 16,
        "in_channels": 3,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
    },
}


def _qwen25_vl(size: str, parameters: int, **values: Any) -> Profile:
    """Qwen2.5-VL in another size: the tower is the same, its exit as wide as the decoder."""
    tower = {**_QWEN25_VL_7B["vision_config"], "out_hidden_size": values["hidden_size"]}
    tower |= {"intermediate_size": 3456} if size == "72B" else {}
    return Profile(
        name=f"qwen2.5-vl-{size.lower()}-instruct",
        hub_names=(f"Qwen/Qwen2.5-VL-{size}-Instruct",),
        config={**_QWEN25_VL_7B, **values, "vision_config": tower},
        preprocessor=_QWEN25_VL_PREPROCESSOR,
        source=_SOURCE,
        parameters=parameters,
    )


_28 = {"num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}
_48 = {"num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8}
_64 = {"num_hidden_layers": 64, "num_attention_heads": 40, "num_key_value_heads": 8}
_80 = {"num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8}
_32_OWN = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32}
_40_OWN = {"num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 40}

PROFILES = (
    _qwen2("Qwen2.5-7B-Instruct", 7_615_616_512, hidden_size=3584, intermediate_size=18944, **_28),
    _qwen2("Qwen2.5-14B-Instruct", 14_770_033_664, hidden_size=5120, intermediate_size=13824, **_48),
    _qwen2("Qwen2.5-32B-Instruct", 32_763_876_352, hidden_size=5120, intermediate_size=27648, **_64),
    _qwen2("Qwen2.5-72B-Instruct", 72_706_203_648, hidden_size=8192, intermediate_size=29568, **_80),
    Profile(
        name="qwen2.5-vl-7b-instruct",
        hub_names=("Qwen/Qwen2.5-VL-7B-Instruct",),
        config=_QWEN25_VL_7B,
        preprocessor=_QWEN25_VL_PREPROCESSOR,
        source="the published config.json and preprocessor_config.json; published number of parameters",
        parameters=8_292_166_656,
    ),
    _qwen25_vl(
        "3B",
        3_754_622_976,
        hidden_size=2048,
        intermediate_size=11008,
        num_hidden_layers=36,
        num_attention_heads=16,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        vocab_size=151936,
    ),
    _qwen25_vl("72B", 73_410_777_344, hidden_size=8192, intermediate_size=29568, **_80),
    Profile(
        name="qwen2-vl-7b-instruct",
        hub_names=("Qwen/Qwen2-VL-7B-Instruct",),
        config=_QWEN2_VL,
        preprocessor={**_QWEN25_VL_PREPROCESSOR, "processor_class": "Qwen2VLProcessor"},
        source=_SOURCE,
        parameters=8_291_375_616,
    ),
    # In Qwen1.5 every head has keys and values of its own, so that its cache is large.
    _qwen2("Qwen1.5-7B-Chat", 7_721_324_544, hidden_size=4096, intermediate_size=11008, vocab_size=151936, **_32_OWN),
    _qwen2("Qwen1.5-14B-Chat", 14_167_290_880, hidden_size=5120, intermediate_size=13696, **_40_OWN),
    _qwen3(
        "4B",
        4_022_468_096,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        tie_word_embeddings=True,
    ),
    _qwen3(
        "8B", 8_190_735_360, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32
    ),
    _qwen3(
        "14B", 14_768_307_200, hidden_size=5120, intermediate_size=17408, num_hidden_layers=40, num_attention_heads=40
    ),
    _qwen3(
        "32B", 32_762_123_264, hidden_size=5120, intermediate_size=25600, num_hidden_layers=64, num_attention_heads=64
    ),
    _qwen3("30B-A3B", 30_532_122_624, **_QWEN3_30B),
    *(_qwen3(f"30B-A3B-{kind}-2507", 30_532_122_624, **{**_QWEN3_30B, **_LONG}) for kind in ("Instruct", "Thinking")),
    # Of Coder the width of layers without experts differs, and it has none.
    _qwen3("Coder-30B-A3B-Instruct", 30_532_122_624, **{**_QWEN3_30B, **_LONG, "intermediate_size": 5472}),
    _qwen3("235B-A22B", 235_093_634_560, **_QWEN3_235B),
    *(
        _qwen3(f"235B-A22B-{kind}-2507", 235_093_634_560, **{**_QWEN3_235B, **_LONG})
        for kind in ("Instruct", "Thinking")
    ),
    _qwen3("Coder-480B-A35B-Instruct", 480_154_875_392, **{**_QWEN3_480B, **_LONG}),
    *(_qwen3(f"4B-{kind}-2507", 4_022_468_096, **{**_QWEN3_4B, **_LONG}) for kind in ("Instruct", "Thinking")),
    _qwen3("0.6B", 596_049_920, hidden_size=1024, intermediate_size=3072, **_28_TIED),
    _qwen3("1.7B", 1_720_574_976, hidden_size=2048, intermediate_size=6144, **_28_TIED),
)
