"""What llama.cpp takes of a GPU for a GGUF file, with all layers on it or some (-ngl).

Weights are the tensors as they lie in the file, but for the table of tokens, which stays in main memory (start-up logs:
Llama 3 8B in Q4_0 has 4,156 MiB on CUDA0 and 282 MiB, its token_embd, on the CPU). The KV cache is allocated whole at
start. The compute buffer is only roughly known: llama.cpp plans its graph for one micro-batch, and reuses memory as its
allocator sees fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoglm_doctor.domain.shape.read import Shape
from autoglm_doctor.domain.spans import Span, exactly, gib

#: Tokens of one micro-batch (-ub; default of llama.cpp's common/common.h).
MICRO_BATCH = 512

#: Tokens of the whole context where -c is not given: the default of older builds. Newer ones take the model's own and
#: shrink it down to this where memory is short (--fit-ctx).
CONTEXT = 4096

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
    "iq4_nl": 18 / 32,
}

#: The CUDA context and cuBLAS; a desktop driver keeps more.
NON_TORCH = gib(0.25, 0.45, 0.9)

#: A file for --mmproj, which is not read: from the smallest towers to those of 72B models in 16 bits, and its buffers.
PROJECTOR = gib(0.1, 1.2, 3.0)

#: How much one layer may differ from the mean one: the mixed types (Q4_K_M) give some layers more bits.
UNEVEN = 0.1


def kv_bytes(shape: Shape, context: int, cache_type: str = "f16", value_type: str | None = None) -> int:
    """Bytes of the cache for so many tokens, in steps of 256 as llama.cpp pads them; an unknown type counts as f16.

    `value_type`: of the values; None: like the keys. A latent cache (MLA) has no values of its own.
    """
    tokens = math.ceil(context / 256) * 256
    keys = CACHE_TYPES.get(cache_type, 2)
    values = keys if value_type is None or shape.latent_dim else CACHE_TYPES.get(value_type, 2)
    return math.ceil(shape.kv_bytes_per_token(1) * tokens * (keys + values) / 2)


def compute_buffer(shape: Shape, context: int, micro_batch: int = MICRO_BATCH, flash: str | None = None) -> Span:
    """Bytes of the compute buffer: a range, not a measurement.

    Low: the logits of one micro-batch in 32 bits. Likely: with the widths of one layer. High: with the scores of every
    head over the whole context, which llama.cpp keeps without flash attention (-fa off). `flash`: "on" leaves the
    scores out, "off" has them in the likely figure too (Llama 3 8B at 8,192 tokens: 0.55 GiB in logs).
    """
    rows = min(micro_batch, max(1, context))
    logits = rows * shape.vocab * 4
    layer = rows * (3 * shape.hidden + 2 * shape.intermediate) * 4
    scores = rows * shape.heads * context * 4
    if flash == "on":
        return Span(logits, logits + layer, logits + 2 * layer)
    if flash == "off":
        return Span(max(logits, scores), max(logits, scores) + layer, logits + 2 * layer + scores)
    return Span(logits, logits + layer, logits + layer + scores)


def layers_on_gpu(shape: Shape, wanted: int | None) -> int:
    """Layers on GPUs with the output layer as one more; None: all of them."""
    return shape.layers + 1 if wanted is None else min(wanted, shape.layers + 1)


def weights(shape: Shape, groups: Mapping[str, int], whole: int, on_gpu: int, gpus: int = 1) -> Span:
    """Bytes of the tensors on the fullest of `gpus` GPUs, with so many layers on them.

    `groups`: bytes by kind as in `facts.ModelFiles`; empty: of one whole the table of tokens is not told apart. Newer
    builds count the output layer as the first of -ngl (llama-model.cpp, i_gpu_start = n_layer + 1 - n_gpu_layers),
    older ones as the last, and copy it to the GPU for every larger batch: it is there in both.
    """
    if on_gpu <= 0:
        return exactly(0)
    embedding = groups.get("embedding", 0)
    head = groups.get("head", 0) or embedding  # tied: loaded a second time, as the output
    body = whole - embedding - groups.get("head", 0)
    if on_gpu > shape.layers:
        if gpus == 1:
            return exactly(body + head)
        here = math.ceil((shape.layers + 1) / gpus)
        high = min(body, part(shape, groups, body, here) * (1 + UNEVEN)) + head
        return Span(int((body + head) / gpus), max(int((body + head) / gpus), int((high + body / gpus) / 2)), int(high))
    low = part(shape, groups, body, (on_gpu - 1) / gpus) * (1 - UNEVEN)
    high = min(body, part(shape, groups, body, math.ceil(on_gpu / gpus)) * (1 + UNEVEN))
    likely = part(shape, groups, body, on_gpu / gpus)
    return Span(int(low) + head // gpus, int(likely) + head // gpus, int(max(likely, high)) + head)


def part(shape: Shape, groups: Mapping[str, int], body: int, layers: float) -> float:
    """Bytes of so many of the last layers; experts are in all but perhaps the first ones."""
    experts = min(groups.get("experts", 0), body)
    with_experts = shape.expert_layers or shape.layers
    return (body - experts) * min(1, layers / shape.layers) + experts * min(1, layers / with_experts)


def cache_share(shape: Shape, on_gpu: int, gpus: int = 1) -> float:
    """The part of the cache that lies on the fullest GPU: it goes where its layer goes."""
    return min(1.0, math.ceil(on_gpu / gpus) / shape.layers)
