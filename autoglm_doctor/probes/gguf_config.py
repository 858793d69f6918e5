"""The metadata of a GGUF file in the words of config.json, as far as memory depends on it.

Keys: the public list of llama.cpp (gguf-py, constants.py). What a config.json of the same model would say is said with
its names, so that one reader of shapes serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_doctor.probes.gguf_header import Counted

Shapes = Mapping[str, tuple[int, ...]]

#: general.architecture -> model_type, where they differ. "llama" is also the architecture of Mistral and Mixtral.
_MODEL_TYPES: Mapping[str, str] = {
    "qwen2moe": "qwen2_moe",
    "qwen2vl": "qwen2_vl",
    "qwen3moe": "qwen3_moe",
    "qwen3vl": "qwen3_vl",
    "gemma3": "gemma3_text",
    "deepseek2": "deepseek_v2",
    "gpt-oss": "gpt_oss",
    "glm4moe": "glm4_moe",
}

#: What config.json says, by the key behind the architecture's name.
_KEYS: Mapping[str, str] = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
    "sliding_window": "attention.sliding_window",
    "num_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
    "n_shared_experts": "expert_shared_count",
    "first_k_dense_replace": "leading_dense_block_count",
    "kv_lora_rank": "attention.kv_lora_rank",
    "q_lora_rank": "attention.q_lora_rank",
}

#: Architectures of files that are a part of a model.
_PARTS = ("clip", "adapter")


def config_of(
    metadata: Mapping[str, Any], shapes: Shapes, *, complete: bool
) -> tuple[dict[str, Any] | None, str | None]:
    """(config, None), or (None, why there is none). `complete`: `shapes` holds all tensors of the model."""
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        return None, "its general.architecture is no word"
    if architecture in _PARTS:
        return None, f"it holds a part of a model ({architecture}), not a model"
    said = {name: _number(metadata.get(f"{architecture}.{key}")) for name, key in _KEYS.items()}
    config: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    config |= _vocabulary(metadata, architecture, shapes)
    config |= _heads(metadata, architecture, config)
    config |= _experts(config)
    if complete:
        config["tie_word_embeddings"] = "output.weight" not in shapes
        config["attention_bias"] = "blk.0.attn_q.bias" in shapes or "blk.0.attn_qkv.bias" in shapes
    config["model_type"] = _model_type(architecture, config)
    config["quantization_config"] = {"quant_method": "gguf", "file_type": _number(metadata.get("general.file_type"))}
    return config, None


def _model_type(architecture: str, config: Mapping[str, Any]) -> str:
    if architecture == "llama" and config.get("num_experts"):
        return "mixtral"
    return _MODEL_TYPES.get(architecture, architecture)


def _vocabulary(metadata: Mapping[str, Any], architecture: str, shapes: Shapes) -> dict[str, int]:
    """Rows of the embedding that is there; else the tokens of the tokenizer, which may be fewer."""
    rows = shapes.get("token_embd.weight", ())
    if len(rows) == 2:
        return {"vocab_size": rows[1]}
    tokens = metadata.get("tokenizer.ggml.tokens")
    said = tokens.count if isinstance(tokens, Counted) else _number(metadata.get(f"{architecture}.vocab_size"))
    return {} if said is None else {"vocab_size": said}


def _heads(metadata: Mapping[str, Any], architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The size of a head, and of a latent one (DeepSeek) its parts."""

    def said(key: str) -> int | None:
        return _number(metadata.get(f"{architecture}.{key}"))

    size, rotary = said("attention.key_length"), said("rope.dimension_count")
    if config.get("kv_lora_rank"):
        size, value = said("attention.key_length_mla") or size, said("attention.value_length_mla")
        value = value or said("attention.value_length")
        if size is None or rotary is None or value is None:
            return {}
        return {"qk_rope_head_dim": rotary, "qk_nope_head_dim": size - rotary, "v_head_dim": value}
    if size is None and config.get("num_attention_heads"):
        size = int(config.get("hidden_size", 0)) // int(config["num_attention_heads"])
    if not size:
        return {}
    return {"head_dim": size} | ({"partial_rotary_factor": rotary / size} if rotary and rotary < size else {})


def _experts(config: Mapping[str, Any]) -> dict[str, Any]:
    """The names that DeepSeek, Mixtral and gpt-oss have for their number."""
    count = config.get("num_experts")
    return {"num_local_experts": count, "n_routed_experts": count} if count else {}


def _number(value: Any) -> int | None:
    """A whole number above 0; of a list by layers the largest, which is what most layers have."""
    if isinstance(value, tuple) and value:
        value = max(value)
    return value if type(value) is int and value > 0 else None
