"""How SGLang divides a GPU (source: arg_groups/memory_hook.py and mem_cache/kv_cache_configurator.py of 0.5.23)."""

from __future__ import annotations

import math

from autoglm_doctor.domain.shape.read import Shape
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.intent import Launch

_MIB = 2**20

#: SGLang lowers its default for models with a vision tower; this is what its rule gives for Glm4v.
VISION_FACTOR = 0.831

#: The default is worked out from the whole board; CUDA reports what the driver leaves of it (measured on 24 GB cards).
BOARD = 1.016


def default_fraction(launch: Launch, shape: Shape, total_bytes: int) -> float:
    """Default of --mem-fraction-static: what is left after activations, CUDA graphs and parallel buffers."""
    gib = total_bytes / GIB
    chunk, batch = _defaults(gib)
    batch = launch.max_num_seqs or batch
    chunk = launch.max_num_batched_tokens or chunk
    gpus = launch.tensor_parallel * launch.pipeline_parallel
    reserved = (512 + 1.5 * max(chunk, 2048) + gpus / 8 * 1024 + 2 * batch) * _MIB
    if gib > 60:
        reserved = max(reserved, 10 * GIB)
    fraction = round(1 - reserved / total_bytes, 3)
    return fraction * VISION_FACTOR if shape.vision or shape.vision_unknown else fraction


def _defaults(gib: float) -> tuple[int, int]:
    """Chunked prefill and largest CUDA graph batch by card."""
    if gib < 20:
        return 2048, 8
    if gib < 35:
        return 4096, 24
    if gib < 60:
        return 4096, 32
    return 8192, 256


def kv_bytes(shape: Shape, tokens: int, element: float, launch: Launch) -> int:
    """Bytes of KV cache for so many tokens on one GPU."""
    per_token = shape.kv_bytes_per_token(element, launch.tensor_parallel)
    return math.ceil(per_token * tokens / launch.pipeline_parallel)
