"""Decoders in which layers with a fixed state (Mamba, gated delta nets) stand beside those with attention.

Parameters are counted like all others; what the state takes in an engine's block pool is only roughly known (vLLM
makes its blocks as large as a state), so the memory estimate widens its span for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.shape.families import Family
from autoglm_doctor.domain.shape.text import attention_pieces, expert_pieces, mlp_pieces, read_experts
from autoglm_doctor.domain.shape.types import Piece, Shape

Config = Mapping[str, Any]

#: Only what the experts' reader asks for.
MOE = Family(moe=True, shared_gate=True)
HYBRIDS = ("qwen3_next", "jamba")


def attention_layers(kind: str, text: Config, layers: int) -> list[int]:
    """Numbers of the layers with attention."""
    kinds = text.get("layer_types") or text.get("layers_block_type")
    if isinstance(kinds, (list, tuple)):
        return [i for i, name in enumerate(kinds) if name in ("full_attention", "attention")]
    if kind == "qwen3_next":
        every = int(text.get("full_attention_interval") or 4)
        return [i for i in range(layers) if (i + 1) % every == 0]
    period, offset = int(text.get("attn_layer_period") or 8), int(text.get("attn_layer_offset") or 4)
    return [i for i in range(layers) if i % period == offset]


def qwen3_next(shape: Shape, text: Config, *, tied: bool) -> tuple[tuple[Piece, ...], int]:
    """Pieces, and numbers of the state of one sequence. Queries of the attention come with a gate."""
    linear = shape.layers - shape.attention_layers
    heads_k, heads_v = int(text["linear_num_key_heads"]), int(text["linear_num_value_heads"])
    dim_k, dim_v = int(text["linear_key_head_dim"]), int(text["linear_value_head_dim"])
    key, value, kernel = heads_k * dim_k, heads_v * dim_v, int(text["linear_conv_kernel_dim"])
    queries, keys = shape.heads * shape.head_dim, 2 * shape.kv_heads * shape.head_dim
    found = read_experts("qwen3_next", MOE, text, shape.layers)
    full = shape.hidden * (2 * queries + keys)
    small = linear * ((2 * key + value) * kernel + 2 * heads_v + dim_v)
    small += shape.attention_layers * 2 * shape.head_dim + found.layers * shape.hidden
    pieces = (
        Piece(name="qkv", group="linear", size=full, kv=shape.hidden * keys, count=shape.attention_layers),
        Piece(name="output", group="linear", size=queries * shape.hidden, count=shape.attention_layers),
        Piece(name="delta in", group="linear", size=shape.hidden * 2 * (key + value + heads_v), count=linear),
        Piece(name="delta out", group="linear", size=value * shape.hidden, count=linear),
        *mlp_pieces("mlp", shape.hidden, found.dense, shape.layers - found.layers),
        *mlp_pieces("shared", shape.hidden, found.shared, found.layers),
        *expert_pieces(shape.hidden, found),
        *_around(shape, tied=tied),
        Piece(name="small", group="other", size=small, split=False),
    )
    state = linear * ((2 * key + value) * (kernel - 1) + heads_v * dim_k * dim_v)
    return pieces, state


def jamba(shape: Shape, text: Config, *, tied: bool) -> tuple[tuple[Piece, ...], int]:
    """Pieces, and numbers of the state of one sequence."""
    mamba = shape.layers - shape.attention_layers
    inner = int(text.get("mamba_expand", 2)) * shape.hidden
    state, kernel = int(text.get("mamba_d_state", 16)), int(text.get("mamba_d_conv", 4))
    said = text.get("mamba_dt_rank", "auto")
    rank = -(-shape.hidden // 16) if said == "auto" else int(said)
    convolution = inner * (kernel + (1 if text.get("mamba_conv_bias", True) else 0))
    projections = shape.hidden * 2 * inner + inner * shape.hidden
    bias = 2 * inner + shape.hidden if text.get("mamba_proj_bias") else 0
    inside = inner * (rank + 2 * state) + rank * inner + inner * (2 + state) + rank + 2 * state
    period, offset = int(text.get("expert_layer_period") or 2), int(text.get("expert_layer_offset") or 1)
    number, wide = int(text.get("num_experts") or 16), shape.intermediate
    with_experts = sum(1 for i in range(shape.layers) if i % period == offset) if number > 1 else 0
    pieces = (
        *attention_pieces(shape, shape.attention_layers),
        Piece(name="mamba", group="linear", size=projections, count=mamba),
        *mlp_pieces("mlp", shape.hidden, wide, shape.layers - with_experts),
        Piece(name="experts gate_up", group="experts", size=2 * number * wide * shape.hidden, count=with_experts),
        Piece(name="experts down", group="experts", size=number * wide * shape.hidden, count=with_experts),
        *_around(shape, tied=tied),
        Piece(name="router", group="other", size=number * shape.hidden, count=with_experts, split=False),
        Piece(name="small", group="other", size=inside + convolution + bias, count=mamba, split=False),
    )
    return pieces, mamba * inner * (kernel - 1 + state)


def _around(shape: Shape, *, tied: bool) -> tuple[Piece, ...]:
    table = shape.vocab * shape.hidden
    head = () if tied else (Piece(name="output layer", group="head", size=table),)
    return (
        Piece(name="embedding", group="embedding", size=table),
        *head,
        Piece(name="norms", group="other", size=2 * shape.hidden, count=shape.layers, split=False),
        Piece(name="last norm", group="other", size=shape.hidden, split=False),
    )
