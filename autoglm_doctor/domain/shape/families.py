"""What a config.json leaves unsaid because the architecture implies it (source: transformers' model code).

Every row is held against a build of transformers' own class on the meta device (tests/domain/test_shape*.py); chatglm,
which has none, against the published numbers of parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One architecture of decoders."""

    tied: bool = False  # default of tie_word_embeddings
    norms: int = 2  # norms of `hidden` per layer
    norm_bias: bool = False  # LayerNorm instead of RMSNorm
    qkv_bias: bool | None = False  # None: the config's attention_bias says
    bias_key: str = "attention_bias"
    output_bias: bool = False  # the same key gives the output projection a bias as well
    head_norms: Literal["", "head", "full", "said"] = ""  # norms of queries and keys; "said": by use_qk_norm
    rotary: float = 1.0  # default of partial_rotary_factor
    gated: bool = True  # three matrices in the MLP, not two
    mlp_bias: Literal["", "mlp_bias", "use_bias", "bias"] = "mlp_bias"  # the key that gives the MLP biases
    latent: bool = False  # multi-head latent attention
    moe: bool = False
    shared_gate: bool = False  # a gate of one row for the shared expert
    moe_biases: bool = False  # experts, router and attention have biases, and heads a sink (gpt-oss)
    mrope: bool = False  # multimodal rotary positions


FAMILIES: Mapping[str, Family] = {
    "llama": Family(qkv_bias=None, output_bias=True),
    "mistral": Family(),
    "ministral": Family(),
    "mixtral": Family(moe=True),
    "qwen2": Family(qkv_bias=True),
    "qwen2_moe": Family(qkv_bias=True, moe=True, shared_gate=True),
    "qwen3": Family(qkv_bias=None, output_bias=True, head_norms="head"),
    "qwen3_moe": Family(qkv_bias=None, output_bias=True, head_norms="head", moe=True),
    "gemma": Family(tied=True, qkv_bias=None, output_bias=True),
    "gemma2": Family(tied=True, norms=4, qkv_bias=None, output_bias=True),
    "gemma3_text": Family(tied=True, norms=4, qkv_bias=None, output_bias=True, head_norms="head"),
    "phi3": Family(),
    "chatglm": Family(qkv_bias=None, bias_key="add_qkv_bias", rotary=0.5),
    "glm": Family(qkv_bias=None, rotary=0.5),
    "glm4": Family(norms=4, qkv_bias=None, rotary=0.5),
    "glm4v_text": Family(norms=4, qkv_bias=True, rotary=0.5, mrope=True),
    "glm4_moe": Family(qkv_bias=None, head_norms="said", rotary=0.5, moe=True),
    "granite": Family(qkv_bias=None, output_bias=True),
    "smollm3": Family(tied=True, qkv_bias=None, output_bias=True),
    "seed_oss": Family(qkv_bias=None),
    "olmo2": Family(qkv_bias=None, output_bias=True, head_norms="full"),
    "olmo3": Family(qkv_bias=None, output_bias=True, head_norms="full"),
    "olmoe": Family(qkv_bias=None, output_bias=True, head_norms="full", moe=True),
    "cohere": Family(tied=True, norms=1, qkv_bias=None, output_bias=True),
    "cohere2": Family(tied=True, norms=1, qkv_bias=None, output_bias=True),
    "starcoder2": Family(
        tied=True,
        norm_bias=True,
        qkv_bias=None,
        bias_key="use_bias",
        output_bias=True,
        gated=False,
        mlp_bias="use_bias",
    ),
    "falcon": Family(
        tied=True, norm_bias=True, qkv_bias=None, bias_key="bias", output_bias=True, gated=False, mlp_bias="bias"
    ),
    "deepseek_v2": Family(latent=True, qkv_bias=None, moe=True),
    "deepseek_v3": Family(latent=True, qkv_bias=None, moe=True),
    "kimi_k2": Family(latent=True, qkv_bias=None, moe=True),
    "gpt_oss": Family(qkv_bias=True, moe=True, moe_biases=True),
    "llama4_text": Family(qkv_bias=None, output_bias=True, moe=True),
    "qwen2_vl_text": Family(qkv_bias=True, mrope=True),
    "qwen2_5_vl_text": Family(qkv_bias=True, mrope=True),
    "qwen3_vl_text": Family(qkv_bias=None, output_bias=True, head_norms="head", mrope=True),
    "qwen3_vl_moe_text": Family(qkv_bias=None, output_bias=True, head_norms="head", moe=True, mrope=True),
}

#: The decoder of a model with a tower, where its text_config does not name it; "": text_config must name it.
TEXT_OF: Mapping[str, str] = {
    "glm4v": "glm4v_text",
    "qwen2_vl": "qwen2_vl_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "llama4": "llama4_text",
    "llava": "",
    "llava_next": "",
    "internvl": "",
    "mistral3": "",
    "gemma3": "gemma3_text",
}
