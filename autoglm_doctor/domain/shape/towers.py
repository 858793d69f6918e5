"""Parameters of vision towers whose code is known (source: transformers' model code; tests build them).

A tower that is not here, or whose numbers are not in the config, leaves the parameters of the model open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Config = Mapping[str, Any]


def tower_parameters(kind: str, config: Config, tower: Config, hidden: int) -> int | None:
    """Parameters of the tower and of its way into the decoder; None when that kind is not known.

    Raises:
        KeyError, TypeError, ValueError: a number is missing in the config.
    """
    count = _TOWERS.get(kind)
    return count(config, tower, hidden) if count else None


def glm4v(_: Config, tower: Config, __: int) -> int:
    """The gated MLPs of its blocks are `out_hidden_size` wide; `intermediate_size` is the merger's."""
    hidden, out, wide = int(tower["hidden_size"]), int(tower["out_hidden_size"]), int(tower["intermediate_size"])
    patch, temporal = int(tower["patch_size"]), int(tower["temporal_patch_size"])
    merge, channels = int(tower["spatial_merge_size"]), int(tower.get("in_channels", 3))
    bias = 4 * hidden if tower.get("attention_bias") else 0
    block = 4 * hidden * hidden + bias + 3 * hidden * out + 2 * hidden
    positions = (int(tower["image_size"]) // patch) ** 2 * hidden
    embedding = hidden * channels * temporal * patch * patch + hidden
    downsample = out * hidden * merge * merge + out
    merger = out * out + 2 * out + 3 * out * wide
    return int(tower["depth"]) * block + positions + embedding + downsample + merger + 2 * hidden


def qwen2_vl(_: Config, tower: Config, __: int) -> int:
    """Blocks with LayerNorm and a plain MLP; `hidden_size` is the decoder's width."""
    dim, out = int(tower["embed_dim"]), int(tower["hidden_size"])
    wide = int(dim * float(tower.get("mlp_ratio", 4)))
    block = 4 * dim * dim + 4 * dim + 2 * dim * wide + wide + dim + 4 * dim
    merged = dim * int(tower.get("spatial_merge_size", 2)) ** 2
    merger = 2 * dim + merged * merged + merged + merged * out + out
    return int(tower["depth"]) * block + _patches(tower, dim) + merger


def qwen2_5_vl(_: Config, tower: Config, __: int) -> int:
    """Blocks with RMSNorm and a gated MLP with biases."""
    dim, out, wide = int(tower["hidden_size"]), int(tower["out_hidden_size"]), int(tower["intermediate_size"])
    block = 4 * dim * dim + 4 * dim + 3 * dim * wide + 2 * wide + dim + 2 * dim
    merged = dim * int(tower.get("spatial_merge_size", 2)) ** 2
    merger = dim + merged * merged + merged + merged * out + out
    return int(tower["depth"]) * block + _patches(tower, dim) + merger


def qwen3_vl(_: Config, tower: Config, __: int) -> int:
    """Learned positions, and one more merger for every deep-stack layer."""
    dim, out, wide = int(tower["hidden_size"]), int(tower["out_hidden_size"]), int(tower["intermediate_size"])
    block = 4 * dim * dim + 4 * dim + 2 * dim * wide + wide + dim + 4 * dim
    merged = dim * int(tower.get("spatial_merge_size", 2)) ** 2
    merger = merged * merged + merged + merged * out + out
    deep = len(tower.get("deepstack_visual_indexes", (8, 16, 24)))
    positions = int(tower.get("num_position_embeddings", 2304)) * dim
    mergers = merger + 2 * dim + deep * (merger + 2 * merged)
    return int(tower["depth"]) * block + _patches(tower, dim) + dim + positions + mergers


def llava(config: Config, tower: Config, hidden: int) -> int | None:
    """A CLIP tower and a projector of two layers with biases; other towers of LLaVA are not known."""
    if tower.get("model_type", "clip_vision_model") != "clip_vision_model":
        return None
    dim, wide, patch = int(tower["hidden_size"]), int(tower["intermediate_size"]), int(tower["patch_size"])
    block = 4 * dim * dim + 4 * dim + 2 * dim * wide + wide + dim + 4 * dim
    positions = ((int(tower["image_size"]) // patch) ** 2 + 1) * dim
    around = dim * 3 * patch * patch + dim + positions + 4 * dim
    bias = 2 * hidden if config.get("multimodal_projector_bias", True) else 0
    projector = dim * hidden + hidden * hidden + bias
    newline = hidden if config.get("model_type") == "llava_next" else 0
    return int(tower["num_hidden_layers"]) * block + around + projector + newline


def internvl(config: Config, tower: Config, hidden: int) -> int:
    """InternViT in transformers' own layout (model_type internvl_vision), and its projector."""
    dim, wide = int(tower["hidden_size"]), int(tower["intermediate_size"])
    patch, side = _side(tower["patch_size"]), _side(tower["image_size"])
    bias = 3 * dim if tower.get("attention_bias") else 0
    norms = 2 * dim if tower.get("use_qk_norm") else 0
    width = 2 * dim if tower.get("norm_type", "layer_norm") == "layer_norm" else dim
    block = 4 * dim * dim + bias + dim + norms + 2 * dim * wide + wide + dim + 2 * width + 2 * dim
    positions = ((side // patch) ** 2 + 1) * dim if tower.get("use_absolute_position_embeddings", True) else 0
    around = dim + dim * 3 * patch * patch + dim + positions
    around += 0 if tower.get("use_mean_pooling", True) else 2 * dim
    merged = dim * int(1 / float(config.get("downsample_ratio", 0.5))) ** 2
    projector = 2 * merged + merged * hidden + hidden + hidden * hidden + hidden
    return int(tower["num_hidden_layers"]) * block + around + projector


def patch_bytes(tower: Config, element: float = 2) -> int:
    """Bytes of one patch at the peak of a tower of the Qwen kind, by reading vLLM's code (not measured).

    In attention: hidden states, their norm, queries, keys and values fused and taken apart, the result, and queries
    and keys in 32 bits for the rotation; or in the MLP; and all the while the pixels, in 32 bits and as cast.
    """
    dim = int(tower.get("embed_dim") or tower["hidden_size"])
    wide = int(tower.get("intermediate_size") or dim * float(tower.get("mlp_ratio", 4)))
    pixels = _patches(tower, 1) * (4 + element)
    return int(max(9 * dim * element + 2 * dim * 4, (2 * dim + 3 * wide) * element) + pixels)


def _patches(tower: Config, dim: int) -> int:
    patch, temporal = int(tower.get("patch_size", 14)), int(tower.get("temporal_patch_size", 2))
    return dim * int(tower.get("in_channels", 3)) * temporal * patch * patch


def _side(said: Any) -> int:
    return int(said[0]) if isinstance(said, (list, tuple)) else int(said)


_TOWERS: Mapping[str, Callable[[Config, Config, int], int | None]] = {
    "glm4v": glm4v,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "qwen3_vl_moe": qwen3_vl,
    "llava": llava,
    "llava_next": llava,
    "internvl": internvl,
}
