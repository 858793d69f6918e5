"""A GGUF file, or the parts of a split one, as `ModelFiles`: exact bytes by type, and a config like config.json's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import ModelFiles, WeightFile
from autoglm_doctor.probes.ggml_types import GGML_TYPES
from autoglm_doctor.probes.gguf_config import config_of
from autoglm_doctor.probes.gguf_header import GgufError, GgufHeader, read_gguf
from autoglm_doctor.probes.safetensors_header import Header
from autoglm_doctor.probes.tensor_groups import added, gguf_group_of

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_MOST_PARTS = 9_999


def is_gguf(path: str) -> bool:
    """Whether a path is written like a GGUF file's."""
    return path.lower().endswith(".gguf")


def files_of_gguf(path: Path) -> ModelFiles:
    """Everything about one GGUF file; of a split one ("-00001-of-00003.gguf") any part stands for all.

    Faults are part of the answer and never raised.
    """
    parts = _parts(path)
    read = [_read(part) for part in parts]
    headers = [header for header, _ in read]
    first = next((gguf for _, gguf in read if gguf is not None and "general.architecture" in gguf.metadata), None)
    config, error = (None, "no part tells the architecture") if first is None else _config(read, first)
    return ModelFiles(
        path=str(path.parent),
        found_by="gguf",
        config=config,
        config_error=error,
        weights=tuple(header.file for header in headers),
        dtype_bytes=added([header.dtype_bytes for header in headers]),
        groups=added([header.groups for header in headers]),
        has_chat_template=first is not None and "tokenizer.chat_template" in first.metadata,
    )


def _parts(path: Path) -> list[Path]:
    found = _PART.search(path.name)
    total = int(found[2]) if found else 1
    if not found or not 1 <= total <= _MOST_PARTS:
        return [path]
    stem = path.name[: found.start()]
    return [path.with_name(f"{stem}-{i:05d}-of-{total:05d}.gguf") for i in range(1, total + 1)]


def _config(
    read: list[tuple[Header, GgufHeader | None]], first: GgufHeader
) -> tuple[Mapping[str, Any] | None, str | None]:
    shapes = {tensor.name: tensor.shape for _, gguf in read if gguf is not None for tensor in gguf.tensors}
    complete = all(header.file.fault is None for header, _ in read)
    return config_of(first.metadata, shapes, complete=complete)


def _read(path: Path) -> tuple[Header, GgufHeader | None]:
    size = 0
    try:
        size = path.stat().st_size
        gguf = read_gguf(path, size)
        return _judge(path.name, size, gguf), gguf
    except FileNotFoundError:
        dangling = "the link points to a file that is not there" if path.is_symlink() else ""
        return _fault(path.name, 0, "missing", dangling), None
    except OSError as error:
        return _fault(path.name, size, "unreadable", error.strerror or str(error)), None
    except GgufError as error:
        return _fault(path.name, size, error.fault, str(error)), None


def _fault(name: str, size: int, fault: str, detail: str) -> Header:
    return Header(WeightFile(name=name, size_bytes=size, fault=fault, detail=detail), {})


def _judge(name: str, size: int, gguf: GgufHeader) -> Header:
    """Sizes by type. The end of the last tensor's data is where the file may end: padding behind it is no fault.

    Raises:
        GgufError: a tensor has a type that is not known, or a row that does not fill its blocks.
    """
    dtype_bytes, groups, end = dict[str, int](), dict[str, int](), 0
    for tensor in gguf.tensors:
        kind, amount = GGML_TYPES.get(tensor.type), math.prod(tensor.shape)
        if kind is None:
            raise GgufError("header", f"{tensor.name:.80} has the unknown type {tensor.type}")
        if (tensor.shape[0] if tensor.shape else 1) % kind.block:
            raise GgufError("header", f"the rows of {tensor.name:.80} do not fill the blocks of {kind.name}")
        bytes_ = amount // kind.block * kind.bytes
        dtype_bytes[kind.name] = dtype_bytes.get(kind.name, 0) + bytes_
        group = gguf_group_of(tensor.name)
        groups[group] = groups.get(group, 0) + bytes_
        end = max(end, tensor.offset + bytes_)
    expected = gguf.data_start + end if gguf.tensors else 0
    fault = "truncated" if size < expected else None
    file = WeightFile(
        name=name,
        size_bytes=size,
        tensor_bytes=sum(dtype_bytes.values()),
        tensors=len(gguf.tensors),
        fault=fault,
        detail=f"{size} bytes instead of {expected}" if fault else "",
    )
    return Header(file, dtype_bytes, groups)
