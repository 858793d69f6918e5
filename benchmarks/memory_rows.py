"""Rows of start-up logs, read forgivingly: the shape, the engine and the flags that `memory_accuracy` predicts with."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.memory.quantization import DOUBLE_QUANT, QUANTIZED_BYTES, Quantized, by_name
from autoglm_doctor.domain.memory.weights import lora_bytes, weights_per_gpu
from autoglm_doctor.domain.shape.families import Family
from autoglm_doctor.domain.shape.read import Latent, Piece, Shape, count
from autoglm_doctor.domain.shape.text import Experts, decoder_pieces
from autoglm_doctor.domain.shape.towers import patch_bytes
from autoglm_doctor.domain.shape.types import Group
from autoglm_doctor.domain.spans import GIB, Span
from autoglm_doctor.intent import Launch

Row = dict[str, Any]

ELEMENT = {"bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "half": 2, "f32": 4, "fp32": 4, "float32": 4, "float": 4}

#: Rows name models, not architectures: those that vLLM's choice of runner and of kernels asks for.
KINDS = (
    ("deepseek-v2", "deepseek_v2"), ("deepseek", "deepseek_v3"), ("gpt-oss", "gpt_oss"), ("llama", "llama"),
    ("mistral", "mistral"), ("qwen3", "qwen3"), ("qwen2", "qwen2"),
)  # fmt: skip

#: A tower that a row tells only by its name ("-VL"): Qwen2.5-VL's (source: its config.json).
VL_TOWER = {"hidden_size": 1280, "intermediate_size": 3420, "patch_size": 14, "temporal_patch_size": 2}


def shape_of(config: Row) -> Shape | None:
    """The shape that a row states; None when one of its numbers is missing.

    Parameters that the decoder does not explain are a tower, where there are more than 2 % of them.
    """
    try:
        return _shape(config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError):
        return None


def _shape(config: Row) -> Shape:
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    latent = _latent(config)
    head_dim = int(config.get("head_dim") or hidden // heads)
    name = str(config.get("model") or "")
    shape = Shape(
        model_type=next((kind for part, kind in KINDS if part in name.lower()), name),
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=head_dim,
        intermediate=int(config.get("intermediate_size") or 0),
        vocab=int(config["vocab_size"]),
        max_positions=int(config.get("max_position_embeddings") or 0),
        rotary_dim=latent.rope if latent else int(head_dim * float(config.get("partial_rotary_factor") or 1)),
        latent=latent,
        latent_dim=latent.cached if latent else 0,
    )
    shape, pieces = min(_readings(shape, config), key=lambda read: abs(_surplus(read[1], config)))
    return _with_surplus(shape, pieces, _surplus(pieces, config), name)


def _readings(shape: Shape, config: Row) -> list[tuple[Shape, tuple[Piece, ...]]]:
    """With experts: rows do not say how many first layers have none; the total number of parameters does."""
    number, dense = int(config.get("num_experts") or 0), int(config.get("intermediate_size") or 0)
    tied = bool(config.get("tie_word_embeddings"))
    family = Family(latent=shape.latent is not None)
    if not number:
        return [(shape, decoder_pieces(shape, family, {}, Experts(dense=dense), tied=tied))]
    found = []
    for plain in range(min(8, shape.layers)):
        experts = Experts(
            number=number,
            layers=shape.layers - plain,
            per_token=int(config.get("num_experts_per_tok") or 1),
            width=int(config.get("moe_intermediate_size") or dense),
            shared=int(config.get("shared_expert_intermediate_size") or 0),
            dense=dense,
        )
        with_experts = dataclasses.replace(
            shape,
            intermediate=max(experts.shared, dense if plain else 0),
            experts=number,
            expert_layers=experts.layers,
            experts_per_token=experts.per_token,
            expert_intermediate=experts.width,
        )
        found.append((with_experts, decoder_pieces(with_experts, family, {}, experts, tied=tied)))
    return found


def _latent(config: Row) -> Latent | None:
    if not config.get("kv_lora_rank"):
        return None
    rope = int(config.get("qk_rope_head_dim") or 64)
    nope = int(config.get("qk_nope_head_dim") or max(1, int(config.get("head_dim") or 192) - rope))
    return Latent(
        query_rank=int(config.get("q_lora_rank") or 0),
        kv_rank=int(config["kv_lora_rank"]),
        nope=nope,
        rope=rope,
        value=int(config.get("v_head_dim") or nope),
    )


def _surplus(pieces: tuple[Piece, ...], config: Row) -> int:
    total = count(pieces).total
    return int(config.get("parameters") or total) - total


def _with_surplus(shape: Shape, pieces: tuple[Piece, ...], surplus: int, name: str) -> Shape:
    named = "vl" in name.lower().split("-")
    tower = named or (surplus > 0.015 * count(pieces).total and not shape.experts and shape.latent is None)
    if surplus:
        group: Group = "vision" if tower and surplus > 0 else "linear"
        pieces = (*pieces, Piece(name="not explained", group=group, size=surplus))
    if tower:
        shape = dataclasses.replace(
            shape,
            vision_unknown=True,
            positions_factor=4 if named and "kimi" not in name.lower() else 1,
            patch_bytes=patch_bytes(VL_TOWER) if named and "kimi" not in name.lower() else 0,
        )
    return dataclasses.replace(shape, pieces=pieces, parameters=count(pieces))


def version_of(engine: str) -> str:
    """The row's version; V0 stands for the old engine, a row that only says V1 for the newest of its line."""
    found: list[str] = re.findall(r"\d+\.\d+(?:\.\d+)?", engine)
    if "V0" in engine:
        return "0.6.4" if found and found[0] == "0.6.4" else "0.7"
    if "-" in engine and len(found) > 1:  # "0.11-0.16 (not stated)": its logs are of the later kind
        return found[-1]
    return found[0] if found else "0.19"


def card_gib(row: Row) -> float | None:
    """Memory as CUDA counts it; from the card's name where the row gives none; None where neither tells."""
    total = row.get("gpu_total_gib")
    if isinstance(total, (int, float)) and total > 0:
        return float(total)
    said = re.search(r"(\d+) ?GB", str(row.get("gpu") or ""))
    return int(said[1]) * 0.98 if said else None


def element_of(flags: Row) -> float:
    """Bytes of a number of the running model."""
    return float(ELEMENT.get(str(flags.get("dtype") or "bf16").lower(), 2))


def quantization_of(row: Row, shape: Shape) -> tuple[str, Quantized | None]:
    """Name and sizes; gpt-oss is published in mxfp4 and in nothing else. None for a form that we do not know."""
    name = str((row.get("flags") or {}).get("quantization") or "").lower().replace("-", "_")
    if not name and shape.model_type == "gpt_oss":
        name = "mxfp4"
    if "bnb" in name or "bitsandbytes" in name:
        size = DOUBLE_QUANT if "dq" in name or "double" in name else QUANTIZED_BYTES["bitsandbytes"]
        return "bitsandbytes", Quantized(linear=size, experts=size)
    for part in ("mxfp4", "nvfp4", "awq", "gptq", "w4a16", "fp8", "int8", "w8a8"):
        if part in name:
            known = {"w4a16": "gptq", "w8a8": "int8"}.get(part, part)
            return known, by_name(known)
    return name, by_name(name)


def weights_of(row: Row, shape: Shape) -> Span | None:
    """Weights on one GPU, with LoRA buffers where the row gives their rank; None for an unknown quantization."""
    flags, found = row.get("flags") or {}, shape.parameters
    element = element_of(flags)
    name, form = quantization_of(row, shape)
    if found is None or (name and form is None):
        return None
    form = form or Quantized(linear=None, experts=None)
    linear, experts = (element if size is None else size for size in (form.linear, form.experts))
    kept = found.total - found.linear - found.experts
    total = int(found.linear * linear + found.experts * experts + kept * element)
    tp, pp = gpus_of(flags)
    span = weights_per_gpu(
        shape,
        total,
        tensor_parallel=tp,
        pipeline_parallel=pp,
        element=element,
        quantization=name,
        gpu_name=str(row.get("gpu") or ""),
    )
    rank = int(flags.get("max_lora_rank") or 0)
    return span.plus(lora_bytes(shape, rank, int(flags.get("max_loras") or 1), element) if rank else 0)


def gpus_of(flags: Row) -> tuple[int, int]:
    """Tensor and pipeline parallelism, at least one each."""
    sizes = (flags.get("tensor_parallel_size"), flags.get("pipeline_parallel_size"))
    tp, pp = (max(1, int(size)) if isinstance(size, (int, float)) else 1 for size in sizes)
    return tp, pp


def context_of(row: Row, shape: Shape) -> int:
    """Length of the longest request."""
    return int((row.get("flags") or {}).get("max_model_len") or shape.max_positions or 8192)


def batch_of(row: Row, shape: Shape, total_gib: float | None) -> vllm_memory.Batch:
    """The batch by the row's flags, else by vLLM's defaults for the card."""
    flags = row.get("flags") or {}
    launch = Launch(max_num_seqs=flags.get("max_num_seqs"), max_num_batched_tokens=flags.get("max_num_batched_tokens"))
    context = context_of(row, shape)
    return vllm_memory.batch_of(launch, context, int((total_gib or 24) * GIB), str(row.get("gpu") or ""))
