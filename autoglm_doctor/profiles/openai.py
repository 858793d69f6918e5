"""Models of OpenAI."""

from __future__ import annotations

from typing import Any

from autoglm_doctor.profiles.profile import Profile


def _gpt_oss(layers: int, experts: int) -> dict[str, Any]:
    """The two sizes differ in their layers, every second of which looks back over a window, and in their experts."""
    return {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "dtype": "bfloat16",
        "attention_bias": True,
        "head_dim": 64,
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_hidden_layers": layers,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "num_local_experts": experts,
        "num_experts_per_tok": 4,
        "max_position_embeddings": 131072,
        "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * (layers // 2),
        "tie_word_embeddings": False,
        "vocab_size": 201088,
        "quantization_config": {
            "quant_method": "mxfp4",
            "modules_to_not_convert": [
                "model.layers.*.self_attn",
                "model.layers.*.mlp.router",
                "model.embed_tokens",
                "lm_head",
            ],
        },
    }


PROFILES = (
    Profile(
        name="gpt-oss-120b",
        hub_names=("openai/gpt-oss-120b",),
        config=_gpt_oss(36, 128),
        source="the published config.json, as its model card tells: 36 layers, 128 experts, 116.83 billion weights",
        parameters=116_829_156_672,
    ),
    Profile(
        name="gpt-oss-20b",
        hub_names=("openai/gpt-oss-20b",),
        config=_gpt_oss(24, 32),
        source="the published config.json (a copy and a description of it); number of parameters as vLLM counts them",
        parameters=20_914_757_184,
    ),
)
