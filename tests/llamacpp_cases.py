"""A GGUF file of 8B parameters in 4 bits, by its header alone: the tensors behind it are not written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.probes.gguf_cases import Q4_K, gguf

LAYERS, HIDDEN, WIDE, WORDS = 36, 4096, 12_288, 151_936
Q6_K = 14

METADATA: dict[str, Any] = {
    "general.architecture": "qwen3",
    "general.file_type": 15,
    "qwen3.block_count": LAYERS,
    "qwen3.embedding_length": HIDDEN,
    "qwen3.feed_forward_length": WIDE,
    "qwen3.context_length": 40_960,
    "qwen3.attention.head_count": 32,
    "qwen3.attention.head_count_kv": 8,
    "qwen3.attention.key_length": 128,
    "qwen3.attention.value_length": 128,
    "tokenizer.chat_template": "{{ messages }}",
}

TENSORS: dict[str, tuple[Sequence[int], int]] = {
    "token_embd.weight": ((HIDDEN, WORDS), Q4_K),
    "output.weight": ((HIDDEN, WORDS), Q6_K),
    **{
        f"blk.{layer}.{name}.weight": (shape, Q4_K)
        for layer in range(LAYERS)
        for name, shape in (
            ("attn_q", (HIDDEN, 4096)),
            ("attn_k", (HIDDEN, 1024)),
            ("attn_v", (HIDDEN, 1024)),
            ("attn_output", (4096, HIDDEN)),
            ("ffn_gate", (HIDDEN, WIDE)),
            ("ffn_up", (HIDDEN, WIDE)),
            ("ffn_down", (WIDE, HIDDEN)),
        )
    },
}

#: Bytes of the table of tokens, which stays in main memory, and of all tensors.
EMBEDDING = HIDDEN * WORDS // 256 * 144
EVERYTHING = EMBEDDING + HIDDEN * WORDS // 256 * 210 + LAYERS * HIDDEN * (2 * 4096 + 2 * 1024 + 3 * WIDE) // 256 * 144


def gguf_file(folder: Path, name: str = "m.gguf") -> Path:
    """A sparse file: as long as it says, with nothing behind its header."""
    path = folder / name
    head = gguf(METADATA, TENSORS, data=False)
    path.write_bytes(head)
    with path.open("r+b") as stream:
        stream.truncate(len(head) + EVERYTHING)
    return path
