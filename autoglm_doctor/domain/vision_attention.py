"""What vLLM computes the attention of a vision tower with on Hopper, where text takes FlashAttention-3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from packaging.version import Version

from autoglm_doctor.domain.wheels import number

#: Models whose towers were read in vLLM 0.11 to 0.13.
_TOWERS = ("glm4v", "glm4v_moe", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")


def head_width(config: Mapping[str, Any] | None) -> int | None:
    """The width of a head of the vision tower; None where it has none, or was not read."""
    tower = (config or {}).get("vision_config")
    if not config or config.get("model_type") not in _TOWERS or not isinstance(tower, Mapping):
        return None
    width, heads = tower.get("embed_dim") or tower.get("hidden_size"), tower.get("num_heads")
    return width // heads if isinstance(width, int) and isinstance(heads, int) and heads > 0 else None


def takes_fa2_on_hopper(version: str, head: int | None) -> Literal["", "open", "sure"]:
    """Does a tower with heads of this width take FlashAttention-2 on 9.0? None for a tower that was not read.

    vLLM 0.11 to 0.13 call FlashAttention without naming a version, and its default is 2; 0.14 names it, and before
    0.11 the package flash-attn was taken (vit_attn_wrappers.py, glm4_1v.py and flash_attn_interface.py in the wheels).
    It is taken for heads of certain widths (get_vit_attn_backend): multiples of 32 in 0.11, of 8 later.
    """
    found = number(version)
    if found is None or not Version("0.11.0") <= found < Version("0.14.0rc0"):
        return ""
    if head is None:
        return "open"
    step = 8 if found >= Version("0.12.0") else 32
    return "sure" if 0 < head <= 256 and head % step == 0 else ""
