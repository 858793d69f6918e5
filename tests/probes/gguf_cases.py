"""GGUF files written by hand, as small as they get."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from autoglm_doctor.probes.ggml_types import GGML_TYPES

F32, Q4_0, Q8_0, Q4_K, BF16 = 0, 2, 8, 12, 30

#: A decoder of two layers, in the words of llama.cpp.
SMALL: Mapping[str, Any] = {
    "general.architecture": "qwen3",
    "general.file_type": 15,
    "qwen3.block_count": 2,
    "qwen3.embedding_length": 256,
    "qwen3.feed_forward_length": 512,
    "qwen3.context_length": 4096,
    "qwen3.attention.head_count": 4,
    "qwen3.attention.head_count_kv": 2,
    "qwen3.attention.key_length": 64,
    "qwen3.attention.value_length": 64,
    "tokenizer.ggml.tokens": ["a", "bc", "d"],
    "tokenizer.ggml.scores": [0.5, 1.5, 2.5],
    "tokenizer.chat_template": "{{ messages }}",
}

#: name -> (dimensions, type)
TENSORS: Mapping[str, tuple[Sequence[int], int]] = {
    "token_embd.weight": ((256, 1000), Q4_K),
    "output.weight": ((256, 1000), Q8_0),
    "blk.0.attn_q.weight": ((256, 256), Q4_0),
    "blk.0.ffn_gate_exps.weight": ((256, 32, 4), BF16),
    "output_norm.weight": ((256,), F32),
}


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(name: str, value: Any) -> bytes:
    return text(name) + _value(value)


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    items = [_value(item) for item in value]
    kind = items[0][:4] if items else struct.pack("<I", 4)
    return struct.pack("<I", 9) + kind + struct.pack("<Q", len(items)) + b"".join(item[4:] for item in items)


def size_of(shape: Sequence[int], kind: int) -> int:
    count = 1
    for side in shape:
        count *= side
    block = GGML_TYPES[kind]
    return count // block.block * block.bytes


def gguf(
    metadata: Mapping[str, Any] = SMALL,
    tensors: Mapping[str, tuple[Sequence[int], int]] = TENSORS,
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
    more: bytes = b"",
    data: bool = True,
) -> bytes:
    """The bytes of a file; `counts` tells others than are there, `more` stands behind the metadata."""
    head = b"".join(pair(name, value) for name, value in metadata.items()) + more
    infos, at = b"", 0
    for name, (shape, kind) in tensors.items():
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        infos += struct.pack("<IQ", kind, at)
        at += -(-size_of(shape, kind) // 32) * 32 if kind in GGML_TYPES else 32
    said = counts or (len(tensors), len(metadata))
    whole = b"GGUF" + struct.pack("<IQQ", version, *said) + head + infos
    whole += bytes(-len(whole) % 32)
    return whole + bytes(at if data else 0)
