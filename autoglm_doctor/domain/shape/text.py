"""Parameters of a decoder, tensor by tensor, as vLLM keeps them (fused, see `Piece`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.shape.families import Family
from autoglm_doctor.domain.shape.types import Latent, Piece, Shape

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The routed experts of a decoder, and what stands beside them."""

    number: int = 0
    layers: int = 0
    per_token: int = 0
    width: int = 0
    shared: int = 0  # width of the shared experts together
    dense: int = 0  # width of the layers without experts


def read_experts(kind: str, family: Family, text: Config, layers: int) -> Experts:
    """Experts by their many names; none for a family or a config without them.

    Raises:
        KeyError: a config of a family with experts that does not give their number.
    """
    wide = int(text["intermediate_size"])
    if not family.moe:
        return Experts(dense=wide)
    number = int(_first(text, "num_local_experts", "num_experts", "n_routed_experts") or 0)
    width = int(_first(text, "moe_intermediate_size") or wide)
    shared = int(text.get("shared_expert_intermediate_size") or int(text.get("n_shared_experts") or 0) * width)
    dense = wide
    if kind == "llama4_text":
        shared, dense = wide, int(text.get("intermediate_size_mlp") or wide)
    with_experts = len(_expert_layers(kind, text, layers)) if number else 0
    return Experts(
        number=number,
        layers=with_experts,
        per_token=int(_first(text, "num_experts_per_tok", "num_experts_per_token") or 1),
        width=width,
        shared=shared,
        dense=dense,
    )


def _expert_layers(kind: str, text: Config, layers: int) -> list[int]:
    if kind == "llama4_text":
        said, step = text.get("moe_layers"), int(text.get("interleave_moe_layer_step") or 1)
        return list(said) if isinstance(said, (list, tuple)) else list(range(max(1, step) - 1, layers, max(1, step)))
    first = int(text.get("first_k_dense_replace") or 0)
    every = int(text.get("decoder_sparse_step") or text.get("moe_layer_freq") or 1)
    plain = text.get("mlp_only_layers") or ()
    offset = 1 if "decoder_sparse_step" in text else 0
    return [i for i in range(max(0, first), layers) if i not in plain and (i + offset) % every == 0]


def falcon(family: Family, text: Config) -> tuple[Family, Config]:
    """Falcon under the usual names: its key-value heads and its norms depend on the age of the architecture."""
    new = bool(text.get("new_decoder_architecture"))
    heads = int(text["num_attention_heads"])
    old_heads = 1 if text.get("multi_query", True) else heads
    norms = 1 if text.get("parallel_attn", True) else 2
    if new:
        norms = 1 if text.get("num_ln_in_parallel_attn") == 1 else 2
    usual = {
        "num_key_value_heads": int(text.get("num_kv_heads") or heads) if new else old_heads,
        "intermediate_size": int(text.get("ffn_hidden_size") or 4 * int(text["hidden_size"])),
    }
    return dataclasses.replace(family, norms=norms), {**text, **usual}


def read_latent(family: Family, text: Config) -> Latent | None:
    """Latent attention; None for ordinary heads."""
    if not family.latent:
        return None
    return Latent(
        query_rank=int(text.get("q_lora_rank") or 0),
        kv_rank=int(text["kv_lora_rank"]),
        nope=int(text["qk_nope_head_dim"]),
        rope=int(text["qk_rope_head_dim"]),
        value=int(text["v_head_dim"]),
    )


def decoder_pieces(shape: Shape, family: Family, text: Config, found: Experts, *, tied: bool) -> tuple[Piece, ...]:
    """All tensors of a decoder."""
    attention = _latent(shape, shape.latent) if shape.latent else attention_pieces(shape, shape.layers)
    table = shape.vocab * shape.hidden
    head = () if tied else (Piece(name="output layer", group="head", size=table),)
    norm = shape.hidden * (2 if family.norm_bias else 1)
    return (
        *attention,
        *_mlps(shape, family, found),
        Piece(name="embedding", group="embedding", size=table),
        *head,
        Piece(name="norms", group="other", size=family.norms * norm, count=shape.layers, split=False),
        Piece(name="last norm", group="other", size=norm, split=False),
        Piece(name="biases", group="other", size=_small(shape, family, text, found), split=False),
    )


def attention_pieces(shape: Shape, layers: int) -> tuple[Piece, ...]:
    """Projections of ordinary heads."""
    queries, keys = shape.heads * shape.head_dim, 2 * shape.kv_heads * shape.head_dim
    qkv, kv = shape.hidden * (queries + keys), shape.hidden * keys
    return (
        Piece(name="qkv", group="linear", size=qkv, kv=kv, count=layers),
        Piece(name="output", group="linear", size=queries * shape.hidden, count=layers),
    )


def _latent(shape: Shape, found: Latent) -> tuple[Piece, ...]:
    """Down-projections are copied to every GPU (ReplicatedLinear in vLLM's deepseek_v2.py), the others are split."""
    query = shape.heads * (found.nope + found.rope)
    down = shape.hidden * found.cached
    pieces = [Piece(name="kv_a", group="linear", size=down, count=shape.layers, split=False)]
    if found.query_rank:
        size = shape.hidden * found.query_rank
        pieces.append(Piece(name="q_a", group="linear", size=size, count=shape.layers, split=False))
    up = (found.query_rank or shape.hidden) * query
    return (
        *pieces,
        Piece(name="q_b", group="linear", size=up, count=shape.layers),
        Piece(
            name="kv_b",
            group="linear",
            size=found.kv_rank * shape.heads * (found.nope + found.value),
            count=shape.layers,
        ),
        Piece(name="output", group="linear", size=shape.heads * found.value * shape.hidden, count=shape.layers),
    )


def _mlps(shape: Shape, family: Family, found: Experts) -> tuple[Piece, ...]:
    dense = mlp_pieces("mlp", shape.hidden, found.dense, shape.layers - found.layers, gated=family.gated)
    shared = mlp_pieces("shared", shape.hidden, found.shared, found.layers)
    return (*dense, *shared, *expert_pieces(shape.hidden, found))


def mlp_pieces(name: str, hidden: int, width: int, count: int, *, gated: bool = True) -> tuple[Piece, ...]:
    """Matrices of an MLP in so many layers."""
    if not width or not count:
        return ()
    up = (2 if gated else 1) * hidden * width
    return (
        Piece(name=f"{name} gate_up", group="linear", size=up, count=count),
        Piece(name=f"{name} down", group="linear", size=hidden * width, count=count),
    )


def expert_pieces(hidden: int, found: Experts) -> tuple[Piece, ...]:
    """Two tensors for all experts of a layer, and the router."""
    if not found.layers:
        return ()
    one = found.number * hidden * found.width
    return (
        Piece(name="experts gate_up", group="experts", size=2 * one, count=found.layers),
        Piece(name="experts down", group="experts", size=one, count=found.layers),
        Piece(name="router", group="other", size=hidden * found.number, count=found.layers, split=False),
    )


def _small(shape: Shape, family: Family, text: Config, found: Experts) -> int:
    """Biases, norms of heads and the like, of all layers."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    said = bool(text.get(family.bias_key))
    with_bias = said if family.qkv_bias is None else family.qkv_bias
    per_layer = queries + 2 * keys if with_bias and not shape.latent else 0
    per_layer += shape.hidden if (said and family.output_bias) or family.moe_biases else 0
    if family.bias_key == "attention_bias" and text.get("attention_out_bias"):
        per_layer += shape.hidden
    per_layer += _head_norms(shape, family, text)
    if shape.latent:
        per_layer += shape.latent.kv_rank + shape.latent.query_rank
        per_layer += (shape.latent.cached + shape.latent.query_rank + shape.hidden) if said else 0
    if family.moe_biases:
        per_layer += shape.heads  # sinks
    if family.mlp_bias and text.get(family.mlp_bias) and not family.moe:
        per_layer += (2 if family.gated else 1) * found.dense + shape.hidden
    return shape.layers * per_layer + found.layers * _expert_extras(shape, family, found)


def _head_norms(shape: Shape, family: Family, text: Config) -> int:
    kind = family.head_norms
    if kind == "said":
        kind = "head" if text.get("use_qk_norm") else ""
    if kind == "full":
        return (shape.heads + shape.kv_heads) * shape.head_dim
    if shape.model_type in ("cohere",) and text.get("use_qk_norm"):
        return (shape.heads + shape.kv_heads) * shape.head_dim
    return 2 * shape.head_dim if kind == "head" else 0


def _expert_extras(shape: Shape, family: Family, found: Experts) -> int:
    extras = shape.hidden if family.shared_gate else 0
    if family.moe_biases:
        extras += found.number * (2 * found.width + shape.hidden + 1)
    return extras


def _first(text: Config, *names: str) -> Any:
    return next((text[name] for name in names if text.get(name) is not None), None)
