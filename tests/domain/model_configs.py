"""Small configs of many families, for builds on the meta device and for random tests."""

from typing import Any

BASE: dict[str, Any] = {
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 512,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LATENT = {
    "q_lora_rank": 96,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 24,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "num_key_value_heads": 8,
}
FOUR = {"num_experts": 4, "num_experts_per_tok": 2}
QWEN_MOE = {**FOUR, "moe_intermediate_size": 128, "shared_expert_intermediate_size": 320}
NEXT = {
    **QWEN_MOE,
    "head_dim": 64,
    "num_hidden_layers": 8,
    "linear_num_key_heads": 4,
    "linear_num_value_heads": 8,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
    "decoder_sparse_step": 1,
}
JAMBA = {
    **FOUR,
    "num_hidden_layers": 8,
    "attn_layer_period": 4,
    "attn_layer_offset": 2,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "mamba_d_state": 16,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_dt_rank": 32,
}
SCOUT = {"num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 640, "head_dim": 32}
GLM_MOE = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "use_qk_norm": True,
    "attention_bias": True,
    "head_dim": 64,
}
QWEN3_TOWER = {
    "depth": 3,
    "hidden_size": 64,
    "out_hidden_size": 256,
    "num_heads": 4,
    "intermediate_size": 160,
    "patch_size": 16,
    "deepstack_visual_indexes": [0, 1],
}
CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
}
INTERN = {**CLIP, "model_type": "internvl_vision", "image_size": [56, 56], "patch_size": [14, 14]}


def text(kind: str, **values: Any) -> dict[str, Any]:
    """The config of a decoder."""
    return {**BASE, "model_type": kind, **values}


def with_tower(kind: str, decoder: dict[str, Any], tower: dict[str, Any]) -> dict[str, Any]:
    """The config of a model with a vision tower."""
    return {"model_type": kind, "text_config": decoder, "vision_config": tower, "tie_word_embeddings": False}


FAMILIES: dict[str, dict[str, Any]] = {
    "mixtral": text("mixtral", num_local_experts=4, num_experts_per_tok=2),
    "qwen2_moe": text("qwen2_moe", **QWEN_MOE, decoder_sparse_step=1),
    "qwen2_moe, some layers dense": text("qwen2_moe", **QWEN_MOE, decoder_sparse_step=2, mlp_only_layers=[3]),
    "qwen3_moe": text("qwen3_moe", **FOUR, moe_intermediate_size=128, head_dim=64),
    "glm4_moe": text("glm4_moe", **GLM_MOE),
    "granite": text("granite"),
    "granite with biases": text("granite", attention_bias=True, mlp_bias=True),
    "smollm3": text("smollm3"),
    "seed_oss": text("seed_oss", attention_bias=True, attention_out_bias=True, head_dim=32),
    "olmo2": text("olmo2"),
    "olmo3": text("olmo3"),
    "olmoe": text("olmoe", **FOUR),
    "cohere": text("cohere"),
    "cohere with norms of heads": text("cohere", use_qk_norm=True, attention_bias=True),
    "cohere2": text("cohere2"),
    "starcoder2": text("starcoder2", use_bias=True),
    "falcon, one key-value head": text("falcon", tie_word_embeddings=True),
    "falcon, newer": text("falcon", new_decoder_architecture=True, num_kv_heads=4, bias=True, tie_word_embeddings=True),
    "ministral": text("ministral", head_dim=32),
    "deepseek_v2": text("deepseek_v2", **LATENT),
    "deepseek_v2, queries not compressed": text("deepseek_v2", **{**LATENT, "q_lora_rank": None}),
    "deepseek_v3": text("deepseek_v3", **LATENT),
    "deepseek_v3 with biases": text("deepseek_v3", **LATENT, attention_bias=True),
    "gpt_oss": text("gpt_oss", num_local_experts=4, num_experts_per_tok=2, head_dim=32),
    "llama4": text("llama4_text", **SCOUT, interleave_moe_layer_step=2),
    "qwen3_next": text("qwen3_next", **NEXT),
    "jamba": text("jamba", **JAMBA),
    "qwen2_vl": with_tower(
        "qwen2_vl", text("qwen2_vl_text"), {"depth": 3, "embed_dim": 64, "hidden_size": 256, "num_heads": 4}
    ),
    "qwen2_5_vl": with_tower(
        "qwen2_5_vl",
        text("qwen2_5_vl_text"),
        {"depth": 3, "hidden_size": 64, "out_hidden_size": 256, "num_heads": 4, "intermediate_size": 160},
    ),
    "qwen3_vl": with_tower("qwen3_vl", text("qwen3_vl_text", head_dim=64), QWEN3_TOWER),
    "qwen3_vl_moe": with_tower(
        "qwen3_vl_moe", text("qwen3_vl_moe_text", **FOUR, moe_intermediate_size=128, head_dim=64), QWEN3_TOWER
    ),
    "llava": with_tower("llava", text("llama"), CLIP),
    "llava_next": with_tower("llava_next", text("mistral"), CLIP),
    "internvl": with_tower("internvl", text("qwen2"), INTERN),
}
