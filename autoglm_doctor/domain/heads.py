"""Attention heads, which tensor parallelism deals out to the GPUs in equal numbers or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.domain.model import model_config
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

#: Vision towers whose heads vLLM splits like those of the decoder (glm4_1v.py divides and asserts; SGLang pads them).
_SPLIT_TOWERS = ("glm4v", "glm4v_moe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """How many there are to be dealt out."""

    attention: int
    key_value: int
    tower: int = 0  # of a vision tower that is split as well; 0: there is none

    def uneven(self, size: int) -> str:
        """Which cannot be dealt out to so many GPUs: "attention", "key_value", "tower"; "" when all can.

        Where there are fewer key and value heads than GPUs, each is held by several.
        """
        if self.attention % size:
            return "attention"
        if max(size, self.key_value) % min(size, self.key_value):
            return "key_value"
        return "tower" if self.tower % size else ""


def heads_of(intent: Intent, files: ModelFiles | None) -> Heads | None:
    """The heads that this deployment would split; None when the config does not tell."""
    config = model_config(intent, files) or {}
    attention = _of_decoder(config, "num_attention_heads")
    if attention is None:
        return None
    tower = 0 if _tower_stays_whole(intent) else tower_heads(config)
    return Heads(attention=attention, key_value=_of_decoder(config, "num_key_value_heads") or attention, tower=tower)


def _of_decoder(config: Mapping[str, Any], name: str) -> int | None:
    text = config.get("text_config")
    heads = (text if isinstance(text, Mapping) else config).get(name)
    return heads if isinstance(heads, int) and heads > 0 else None


def tower_heads(config: Mapping[str, Any]) -> int:
    """Heads of a vision tower that vLLM can split; 0: there is none such."""
    tower = config.get("vision_config")
    split = isinstance(tower, Mapping) and config.get("model_type") in _SPLIT_TOWERS
    heads = tower.get("num_heads") if split and isinstance(tower, Mapping) else None
    return heads if isinstance(heads, int) and heads > 0 else 0


def _tower_stays_whole(intent: Intent) -> bool:
    """Every GPU holds all of it, or it is not loaded."""
    return (
        intent.engine != "vllm"
        or stated_flag(intent.command, "mm-encoder-tp-mode") == "data"
        or stated_flag(intent.command, "language-model-only") is not None
        or no_pictures(intent)
    )


def no_pictures(intent: Intent) -> bool:
    """Whether the launch switches pictures and videos off."""
    limits = intent.launch.limit_mm_per_prompt
    return limits.get("image", 1) == 0 and limits.get("video", 1) == 0
