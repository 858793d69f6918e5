"""Weights on one GPU: what parallelism splits, what it copies, and what an engine adds."""

from __future__ import annotations

from autoglm_doctor.domain.shape import Parameters, Shape
from autoglm_doctor.domain.spans import GIB, Span, exactly

#: Most that logs show above the tensors' own bytes: 1.2 % for Glm4v, 0.6 % for text models (allocator rounding).
EXTRA_VISION, EXTRA_TEXT = 1.012, 1.006


def weights_per_gpu(
    shape: Shape | None,
    bytes_all: int,
    *,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    offload_gib: float = 0.0,
    element: float = 2,
) -> Span:
    """Bytes on the GPU that holds most, from the bytes of the whole model.

    The vision tower is copied to every GPU with --mm-encoder-tp-mode data and split without: both ends count.
    """
    extra = EXTRA_VISION if shape is not None and (shape.vision or shape.vision_unknown) else EXTRA_TEXT
    table = rotary_table_bytes(shape, element) if shape else 0
    split = exactly(bytes_all / tensor_parallel / pipeline_parallel)
    if shape is not None and shape.parameters is not None and tensor_parallel * pipeline_parallel > 1:
        split = _split(shape.parameters, bytes_all, tensor_parallel, pipeline_parallel)
    offload = int(offload_gib * GIB)
    likely_extra = extra if shape is not None and shape.vision else 1.0
    return Span(
        max(0, split.low + table - offload),
        max(0, int(split.likely * likely_extra) + table - offload),
        max(0, int(split.high * extra) + table - offload),
    )


def rotary_table_bytes(shape: Shape, element: float = 2) -> int:
    """The table of rotary positions that an engine precomputes."""
    return int(shape.max_positions * shape.positions_factor * shape.rotary_dim * element)


def _split(found: Parameters, bytes_all: int, tensor_parallel: int, pipeline_parallel: int) -> Span:
    per_parameter = bytes_all / found.total
    ends = found.embedding + found.vision if pipeline_parallel > 1 else found.embedding + found.vision + found.head
    layers = (found.linear + found.other) / pipeline_parallel
    low = (layers + ends) / tensor_parallel
    copied = found.vision * (1 - 1 / tensor_parallel) + found.other
    high = low + copied
    return Span(int(low * per_parameter), int((low + high) / 2 * per_parameter), int(high * per_parameter))
