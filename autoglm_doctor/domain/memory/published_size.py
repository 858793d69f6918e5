"""Sizes that makers publish for models whose names round them up or down, and a narrower margin for large ones."""

from __future__ import annotations

import re

from autoglm_doctor.domain.memory.named_size import LEAST, least_weight_bytes, named_parameters
from autoglm_doctor.domain.model import element_bytes
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

#: Of plain families from 30B on: Llama-2-70b has 68.98e9, CodeLlama-34b 33.74e9, vicuna-33b 32.53e9, Llama-3.2-90B
#: 88.6e9, deepseek-llm-67b 67.43e9, opt-66b 65.72e9. Their names round by 2 % at most.
LARGE, LEAST_OF_LARGE = 30_000_000_000, 0.97

#: Published numbers of parameters (the safetensors index or the model's page) that lie above what the name says.
_PUBLISHED: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), count)
    for pattern, count in (
        (r"^(?:tiiuae/)?falcon-40b(?:-instruct)?$", 41_800_000_000),
        (r"^(?:huggyllama/|lmsys/)?(?:llama|vicuna)-30b$", 32_500_000_000),
    )
)


def least_of(intent: Intent, files: ModelFiles | None) -> int | None:
    """Bytes of the weights at least, as `least_weight_bytes`; nearer to the truth where more is known of the size."""
    least, named = least_weight_bytes(intent, files), named_parameters(intent.model)
    if least is None or not named or least < int(named * element_bytes(intent, files)):
        return least  # a family that may be of fewer bits
    whole = named / LEAST
    published = next((count for pattern, count in _PUBLISHED if pattern.search(intent.model)), 0)
    count = max(named, published, whole * LEAST_OF_LARGE if whole >= LARGE and not _is_mixture(intent.model) else 0)
    return int(least * count / named)


def _is_mixture(model: str) -> bool:
    return re.search(r"\d+x\d", model) is not None
