"""What a tensor is, by its name: quantization and parallelism do not treat all of them as a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

#: Names as transformers and the checkpoints of its models have them.
_VISION = ("visual.", "vision_", "model.visual.", "model.vision_", "thinker.visual.", "vit.", "vpm.", "mlp1.")
_PROJECTORS = ("multi_modal_projector.", "mm_projector.")
_EXPERTS = ".experts."  # not ".shared_experts.": those are dense layers

#: What begins so is a layer of the decoder: experts or linear, nothing else.
_LAYERS = ("model.layers.", "model.language_model.layers.", "language_model.model.layers.")


def group_of(name: str) -> str:
    """The key of `ModelFiles.groups` for a tensor of a safetensors file."""
    if name.startswith(_VISION) or any(part in name for part in _PROJECTORS):
        return "vision"
    if "lm_head." in name:
        return "head"
    if "embed_tokens." in name or name.endswith("wte.weight"):
        return "embedding"
    return "experts" if _EXPERTS in name else "linear"


def gguf_group_of(name: str) -> str:
    """The same for a tensor of a GGUF file (llama.cpp's names: "blk.0.ffn_gate_exps.weight")."""
    if name.startswith(("v.", "mm.")):
        return "vision"
    if name.startswith("output."):
        return "head"
    if name.startswith("token_embd."):
        return "embedding"
    return "experts" if "_exps." in name else "linear"


def grouped(names: Sequence[str], sizes: Sequence[int]) -> dict[str, int]:
    """Bytes by group. The decoder's layers, nearly all of the names, take no loop of ours: there may be a million."""
    experts = sum(compress(sizes, [_EXPERTS in name for name in names]))
    groups = {"experts": experts, "linear": sum(sizes) - experts}
    for name, size in zip(names, sizes, strict=True):
        if not name.startswith(_LAYERS):
            groups["experts" if _EXPERTS in name else "linear"] -= size
            group = group_of(name)
            groups[group] = groups.get(group, 0) + size
    return {group: size for group, size in groups.items() if size}


def added(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    """The sums over all files, by key."""
    total: dict[str, int] = {}
    for part in parts:
        for name, size in part.items():
            total[name] = total.get(name, 0) + size
    return total
