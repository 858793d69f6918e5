"""Models of DeepSeek."""

from __future__ import annotations

from autoglm_doctor.profiles.profile import Profile

PROFILES = (
    Profile(
        name="deepseek-v2-lite",
        hub_names=("deepseek-ai/DeepSeek-V2-Lite-Chat", "deepseek-ai/DeepSeek-V2-Lite"),
        config={
            "architectures": ["DeepseekV2ForCausalLM"],
            "model_type": "deepseek_v2",
            "dtype": "bfloat16",
            "attention_bias": False,
            "hidden_size": 2048,
            "intermediate_size": 10944,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "kv_lora_rank": 512,
            "q_lora_rank": None,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "first_k_dense_replace": 1,
            "moe_layer_freq": 1,
            "n_routed_experts": 64,
            "n_shared_experts": 2,
            "num_experts_per_tok": 6,
            "moe_intermediate_size": 1408,
            "max_position_embeddings": 163840,
            "tie_word_embeddings": False,
            "vocab_size": 102400,
        },
        source="the published config.json; published number of parameters",
        parameters=15_706_484_224,
    ),
)
