"""What llama.cpp takes of a GPU for a GGUF file with all layers on it (-ngl 99).

Weights are the tensors as they lie in the file. The KV cache is allocated whole at start. The compute buffer is only
roughly known: llama.cpp plans its graph for one micro-batch, and reuses memory as its allocator sees fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoglm_doctor.domain.shape import Shape
from autoglm_doctor.domain.spans import Span, gib

#: Tokens of one micro-batch (-ub; default of llama.cpp's common/common.h).
MICRO_BATCH = 512

#: Bytes of one number in the cache, by -ctk and -ctv (blocks of 32 with a 16-bit scale; ggml's type sizes).
CACHE_TYPES: Mapping[str, float] = {
    "f32": 4,
    "f16": 2,
    "bf16": 2,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}

#: The CUDA context and cuBLAS; a desktop driver keeps more.
NON_TORCH = gib(0.25, 0.45, 0.9)


def kv_bytes(shape: Shape, context: int, cache_type: str = "f16") -> int:
    """Bytes of the cache for so many tokens, in steps of 256 as llama.cpp pads them; an unknown type counts as f16."""
    tokens = math.ceil(context / 256) * 256
    return math.ceil(shape.kv_bytes_per_token(1) * tokens * CACHE_TYPES.get(cache_type, 2))


def compute_buffer(shape: Shape, context: int, micro_batch: int = MICRO_BATCH) -> Span:
    """Bytes of the compute buffer: a range, not a measurement.

    Low: the logits of one micro-batch in 32 bits. Likely: with the widths of one layer. High: with the scores of every
    head over the whole context, which llama.cpp keeps without flash attention (-fa off).
    """
    rows = min(micro_batch, max(1, context))
    logits = rows * shape.vocab * 4
    layer = rows * (3 * shape.hidden + 2 * shape.intermediate) * 4
    scores = rows * shape.heads * context * 4
    return Span(logits, logits + layer, logits + layer + scores)
