"""What was read of a model's files. Part of `facts`, which re-exports these types: import them from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """One safetensors or GGUF file of the model, judged by its header alone."""

    name: str
    size_bytes: int
    tensor_bytes: int = 0
    tensors: int = 0
    # "lfs_pointer", "truncated", "oversized", "header", "header_limit", "empty", "unreadable", "missing", and of GGUF
    # files "version" (one that we do not know, or written for a big-endian machine)
    fault: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """A model folder on this machine, a GGUF file, or a config.json alone."""

    path: str  # the folder, also of a GGUF file: `weights` names the files in it; of a config.json alone that file
    found_by: str = ""  # "path", "hugging face cache", "modelscope cache", "gguf", "config"
    config: Mapping[str, Any] | None = None  # config.json; None: missing or no JSON object
    config_error: str | None = None
    preprocessor: Mapping[str, Any] | None = None  # preprocessor_config.json
    weights: tuple[WeightFile, ...] = ()
    index_error: str | None = None
    dtype_bytes: Mapping[str, int] = field(default_factory=dict)  # safetensors or ggml type -> bytes of its tensors
    missing_files: tuple[str, ...] = ()  # of tokenizer, preprocessor and the like: what this kind of model needs
    broken_files: tuple[str, ...] = ()  # JSON that does not parse, LFS pointers
    has_chat_template: bool = False
    custom_code: bool = False  # auto_map: the repository wants its own code to run
    pooling: bool | None = None  # modules.json of sentence-transformers names a pooling layer; None: not read
    # Bytes of the tensors by what they are: "vision", "head", "embedding", "experts", "linear" (all others: attention,
    # dense layers, norms, routers). Together tensor_bytes of all files. Empty: not read.
    groups: Mapping[str, int] = field(default_factory=dict)
