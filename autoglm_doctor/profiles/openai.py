"""Models of OpenAI."""

from __future__ import annotations

from autoglm_doctor.profiles.profile import Profile

PROFILES = (
    Profile(
        name="gpt-oss-20b",
        hub_names=("openai/gpt-oss-20b",),
        config={
            "architectures": ["GptOssForCausalLM"],
            "model_type": "gpt_oss",
            "dtype": "bfloat16",
            "attention_bias": True,
            "head_dim": 64,
            "hidden_size": 2880,
            "intermediate_size": 2880,
            "num_hidden_layers": 24,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "num_local_experts": 32,
            "num_experts_per_tok": 4,
            "max_position_embeddings": 131072,
            "sliding_window": 128,
            "layer_types": ["sliding_attention", "full_attention"] * 12,
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
        },
        source="the published config.json (a copy and a description of it); number of parameters as vLLM counts them",
        parameters=20_914_757_184,
    ),
)
