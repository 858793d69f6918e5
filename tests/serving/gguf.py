"""A tiny Llama as a GGUF file, for llama.cpp's server: 0.5 MB of random weights, written by hand."""

from __future__ import annotations

import struct
from array import array
from math import prod
from pathlib import Path
from typing import Any

from tests.probes import gguf_cases
from tests.serving.models import CONTEXT, END, HEAD, HEADS, HIDDEN, INNER, LAYERS, numbers
from tests.serving.words import ONLY_TEXT, SPECIAL, VOCABULARY, merges, vocabulary

_CONTROL, _NORMAL = 3, 1  # kinds of tokens (llama.cpp, enum llama_token_type)


def _metadata() -> dict[str, Any]:
    words = list(vocabulary())
    return {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.file_type": 0,
        "llama.block_count": LAYERS,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": 1,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": HEAD,
        "llama.vocab_size": VOCABULARY,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges()],
        "tokenizer.ggml.eos_token_id": END,
        "tokenizer.chat_template": ONLY_TEXT,
    }


def _kinds() -> bytes:
    """The kinds of the tokens, which llama.cpp takes as an array (9) of signed numbers (5) only."""
    kinds = [_CONTROL if word in SPECIAL else _NORMAL for word in vocabulary()]
    head = gguf_cases.text("tokenizer.ggml.token_type") + struct.pack("<IIQ", 9, 5, len(kinds))
    return head + struct.pack(f"<{len(kinds)}i", *kinds)


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (HIDDEN, VOCABULARY)}
    for i in range(LAYERS):
        block = f"blk.{i}."
        shapes |= {
            f"{block}attn_norm.weight": (HIDDEN,),
            f"{block}attn_q.weight": (HIDDEN, HEADS * HEAD),
            f"{block}attn_k.weight": (HIDDEN, HEAD),
            f"{block}attn_v.weight": (HIDDEN, HEAD),
            f"{block}attn_output.weight": (HEADS * HEAD, HIDDEN),
            f"{block}ffn_norm.weight": (HIDDEN,),
            f"{block}ffn_gate.weight": (HIDDEN, INNER),
            f"{block}ffn_up.weight": (HIDDEN, INNER),
            f"{block}ffn_down.weight": (INNER, HIDDEN),
        }
    return shapes | {"output_norm.weight": (HIDDEN,), "output.weight": (HIDDEN, VOCABULARY)}


def make_gguf(path: Path) -> Path:
    """Write the file; every tensor is as long as a multiple of 32 bytes, so they follow each other without gaps."""
    shapes, metadata = _shapes(), _metadata()
    tensors = {name: (shape, gguf_cases.F32) for name, shape in shapes.items()}
    counts = (len(tensors), len(metadata) + 1)
    head = gguf_cases.gguf(metadata, tensors, counts=counts, more=_kinds(), data=False)
    data = b"".join(array("f", numbers(name, prod(shape))).tobytes() for name, shape in shapes.items())
    path.write_bytes(head + data)
    return path
