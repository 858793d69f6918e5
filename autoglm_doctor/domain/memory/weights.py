"""Weights on one GPU: what parallelism splits and what it copies, and what torch's allocator adds.

The allocator's share explains what was a mystery of up to 1 % in start-up logs: torch counts a block, not a tensor.
Tensors of 10 MiB and more get blocks of their own in steps of 2 MiB, and what is left of the last step is only cut off
where it is larger than 1 MiB (source: c10/cuda/CUDACachingAllocator.cpp, get_allocation_size and should_split; not
with `expandable_segments`). A down-projection of Qwen2.5-7B (64.75 steps) wastes 0.5 MiB in each layer, Llama-3's
(exact steps) nothing. No constant here is fitted; checked on Qwen2.5-7B, Qwen2.5-32B, Qwen3-4B, Llama and Qwen3-14B.
"""

from __future__ import annotations

import math

from autoglm_doctor.domain.shape.read import Piece, Shape
from autoglm_doctor.domain.spans import GIB, Span

_MIB = 2**20

#: From this size on a tensor has a block of its own, in such steps, and a rest up to so many bytes stays with it.
_OWN_BLOCK, _STEP, _REST = 10 * _MIB, 2 * _MIB, _MIB

#: Buffers that no formula here knows: seen up to 0.5 % in logs, 1.2 % where a quantized layout is packed anew.
_EXTRA, _EXTRA_QUANTIZED, _EXTRA_UNKNOWN = 0.005, 0.012, 0.012


def weights_per_gpu(
    shape: Shape | None,
    bytes_all: int,
    *,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    offload_gib: float = 0.0,
    element: float = 2,
    quantization: str = "",
    gpu_name: str = "",
) -> Span:
    """Bytes on the GPU that holds most, from the bytes of the whole model.

    A vision tower is split with the model, but copied with --mm-encoder-tp-mode data: both ends count.
    `quantization` and `gpu_name`: vLLM's kernels for mxfp4 pad the experts (see `mxfp4_padding`).
    """
    table = rotary_table_bytes(shape, element) if shape else 0
    gpus = tensor_parallel * pipeline_parallel
    offload = int(offload_gib * GIB)
    if shape is None or not shape.pieces or shape.parameters is None or shape.parameters.total <= 0:
        plain = bytes_all / gpus
        ends = (
            plain,
            plain * (1 + _EXTRA_UNKNOWN / 3),
            plain * (1 + _EXTRA_UNKNOWN) + bytes_all * 0.1 * (1 - 1 / gpus),
        )
        return Span(*(max(0, int(end) + table - offload) for end in ends))
    low = split_bytes(shape, bytes_all, tensor_parallel, pipeline_parallel, element)
    likely = low + allocator_bytes(shape, bytes_all, tensor_parallel, pipeline_parallel, element)
    likely += dequantized_bytes(shape, bytes_all, tensor_parallel, pipeline_parallel, element)
    if quantization == "mxfp4":
        share = shape.parameters.experts * (0.5 + 1 / 32) / gpus
        likely += share * (mxfp4_padding(shape, tensor_parallel, gpu_name) - 1)
    extra = _EXTRA if quantized_size(shape, bytes_all, element) == element else _EXTRA_QUANTIZED
    copied = shape.parameters.vision * element * (1 - 1 / tensor_parallel)
    return Span(
        max(0, int(low) + table - offload),
        max(0, int(likely) + table - offload),
        max(0, int(likely + copied + low * extra) + table - offload),
    )


def split_bytes(
    shape: Shape, bytes_all: int, tensor_parallel: int = 1, pipeline_parallel: int = 1, element: float = 2
) -> float:
    """Bytes of the tensors themselves on the fullest GPU; all of them where there is only one."""
    if tensor_parallel * pipeline_parallel == 1:
        return bytes_all
    size = quantized_size(shape, bytes_all, element)
    here = sum(
        number * _bytes(piece, piece.size_on(tensor_parallel, shape.kv_heads), size, element)
        for piece, number in _held(shape, pipeline_parallel)
    )
    whole = sum(piece.count * _bytes(piece, piece.size, size, element) for piece in shape.pieces)
    return here * bytes_all / whole if whole else here


def allocator_bytes(
    shape: Shape, bytes_all: int, tensor_parallel: int = 1, pipeline_parallel: int = 1, element: float = 2
) -> int:
    """What torch's allocator leaves unused at the ends of the tensors' blocks."""
    size = quantized_size(shape, bytes_all, element)
    return sum(
        math.ceil(number) * unused(int(_bytes(piece, piece.size_on(tensor_parallel, shape.kv_heads), size, element)))
        for piece, number in _held(shape, pipeline_parallel)
        if piece.group not in ("other", "vision")
    )


def unused(tensor_bytes: int) -> int:
    """Bytes of a tensor's block behind its end; small tensors share blocks."""
    rest = -tensor_bytes % _STEP
    return rest if tensor_bytes >= _OWN_BLOCK and rest <= _REST else 0


def dequantized_bytes(
    shape: Shape, bytes_all: int, tensor_parallel: int = 1, pipeline_parallel: int = 1, element: float = 2
) -> float:
    """Latent attention multiplies with kv_b at the model's own dtype: quantized, it is kept a second time, unpacked.

    Source: vllm/model_executor/layers/attention/mla_attention.py, process_weights_after_loading (0.19).
    """
    if shape.latent is None or quantized_size(shape, bytes_all, element) == element:
        return 0
    one = sum(piece.total for piece in shape.pieces if piece.name == "kv_b")
    return one * element / tensor_parallel / pipeline_parallel


def mxfp4_padding(shape: Shape, tensor_parallel: int, gpu_name: str) -> float:
    """How much larger vLLM makes mxfp4 experts to suit its kernels (layers/quantization/mxfp4.py, 0.12 and 0.19).

    Triton on compute capability 9 (64 in width), TRT-LLM on 10.0 (256 x 256), Marlin on all others (128 x 256).
    """
    name = gpu_name.lower()
    wide, deep = 128, 256
    if any(part in name for part in ("h100", "h200", "h800", "h20")):
        wide, deep = 64, 1
    elif any(part in name for part in ("b200", "b300")):
        wide, deep = 256, 256
    width = max(1, -(-shape.expert_intermediate // tensor_parallel))
    return (-(-width // wide) * wide / width) * (-(-shape.hidden // deep) * deep / shape.hidden)


def quantized_size(shape: Shape, bytes_all: int, element: float) -> float:
    """Bytes of one parameter of a linear layer, from the bytes of the whole model; `element` when not quantized."""
    found = shape.parameters
    if found is None or found.linear + found.experts <= 0:
        return element
    packed = found.linear + found.experts
    size = (bytes_all - (found.total - packed) * element) / packed
    return element if abs(size / element - 1) < 0.1 or size <= 0 else size


def rotary_table_bytes(shape: Shape, element: float = 2) -> int:
    """The table of rotary positions that an engine precomputes."""
    return int(shape.max_positions * shape.positions_factor * shape.rotary_dim * element)


def lora_bytes(shape: Shape, rank: int, adapters: int = 1, element: float = 2) -> int:
    """Buffers for so many LoRA adapters at once (--enable-lora --max-lora-rank --max-loras), all layers, one GPU.

    Every linear layer gets a matrix on either side of `rank`; fused ones have one input matrix per part, the output
    layer one pair (source: vllm/lora/layers). Against one log (0.5B, rank 64 assumed) 0.4 % off; not for experts.
    """
    inner = shape.heads * shape.head_dim
    keys = shape.kv_heads * shape.head_dim
    attention = 3 * shape.hidden + inner + 2 * keys + inner + shape.hidden
    mlp = 2 * (shape.hidden + shape.intermediate) + shape.intermediate + shape.hidden
    head = shape.hidden + shape.vocab
    return int(adapters * rank * element * (shape.layers * (attention + mlp) + head))


def _held(shape: Shape, stages: int) -> list[tuple[Piece, float]]:
    """How many of each piece the fullest pipeline stage holds: the first one with the embedding, or the last."""
    ends = [piece for piece in shape.pieces if piece.group in ("embedding", "head", "vision")]
    first = [piece for piece in ends if piece.group != "head"]
    last = [piece for piece in ends if piece.group == "head"]
    fuller = ends if stages == 1 else max((first, last), key=lambda some: sum(piece.total for piece in some))
    inside = [piece for piece in shape.pieces if piece not in ends]
    share = math.ceil(shape.layers / stages) / shape.layers
    return [(piece, float(piece.count)) for piece in fuller] + [(piece, piece.count * share) for piece in inside]


def _bytes(piece: Piece, parameters: float, size: float, element: float) -> float:
    return parameters * (size if piece.group in ("linear", "experts") else element)
