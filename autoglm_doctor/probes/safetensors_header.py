"""A safetensors file judged by its header alone: 8 bytes of length, JSON, and offsets that must end at the file's end.

The format is public (huggingface/safetensors): nothing of the library is needed, and no tensor is read.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import le, sub
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import WeightFile
from autoglm_doctor.probes.regular import open_regular
from autoglm_doctor.probes.tensor_groups import grouped

#: The library refuses longer headers (safetensors, MAX_HEADER_SIZE).
MAX_HEADER_BYTES = 100_000_000

_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Header:
    """What one file says about itself."""

    file: WeightFile
    dtype_bytes: dict[str, int]
    groups: dict[str, int] = field(default_factory=dict)


class _FaultError(Exception):
    def __init__(self, fault: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


def read_header(path: Path, name: str) -> Header:
    """Judge one file; a fault is part of the answer and never raised."""
    size = 0
    try:
        size = path.stat().st_size  # follows links: a snapshot of the hub's cache points to its blobs
        with open_regular(path) as stream:
            text = _text(stream, size)
        with collector_paused():
            return _judge(name, size, text)
    except FileNotFoundError:
        dangling = "the link points to a file that is not there" if path.is_symlink() else ""
        return _fault(name, 0, "missing", dangling)
    except OSError as error:
        return _fault(name, size, "unreadable", error.strerror or str(error))
    except _FaultError as error:
        return _fault(name, size, error.fault, str(error))


def _fault(name: str, size: int, fault: str, detail: str) -> Header:
    return Header(WeightFile(name=name, size_bytes=size, fault=fault, detail=detail), {})


def _text(stream: Any, size: int) -> bytes:
    """The JSON of the header, as it stands in the file."""
    start = stream.read(64)
    if not start.strip(b"\0"):
        raise _FaultError("empty", "0 bytes" if size == 0 else "it begins with zeros only")
    if start.startswith(_LFS):
        raise _FaultError("lfs_pointer", "a git-lfs pointer, not the weights")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise _FaultError("header", "a web page was saved instead of the weights")
    if size < 9:
        raise _FaultError("truncated", f"only {size} bytes")
    length = int.from_bytes(start[:8], "little")
    _check_length(length, size, start[8:9])
    stream.seek(8)
    text: bytes = stream.read(length)
    return text


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """A long header is a million objects and no garbage: looking through them takes longer than reading them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check_length(length: int, size: int, first: bytes) -> None:
    if first != b"{":
        raise _FaultError("header", "it does not begin like a safetensors file")
    if length + 8 > size:
        raise _FaultError("truncated", f"{size} bytes, the header alone takes {length + 8}")
    if length > MAX_HEADER_BYTES:
        raise _FaultError("header_limit", f"a header of {length} bytes, the library takes {MAX_HEADER_BYTES}")


def _judge(name: str, size: int, text: bytes) -> Header:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise _FaultError("header", "its header is no JSON") from None
    if not isinstance(header, dict):
        raise _FaultError("header", "its header is no JSON object")
    header.pop("__metadata__", None)
    try:
        dtypes, sizes, end = _columns(list(header.values()))
    except (KeyError, TypeError, ValueError):
        raise _FaultError("header", "an entry of its header has no offsets or no dtype") from None
    expected = 8 + len(text) + end
    fault = "truncated" if size < expected else "oversized" if size > expected else None
    file = WeightFile(
        name=name,
        size_bytes=size,
        tensor_bytes=sum(sizes),
        tensors=len(header),
        fault=fault,
        detail=f"{size} bytes instead of {expected}" if fault else "",
    )
    return Header(file, _by_dtype(dtypes, sizes), grouped(list(header), sizes))


def _columns(tensors: list[Any]) -> tuple[list[str], list[int], int]:
    """The dtypes, the sizes and the end of the last tensor, column by column: a loop of ours takes five times as long.

    Offsets are whole numbers in order, within what a file can hold: the library refuses others.

    Raises:
        KeyError, TypeError, ValueError: an entry is something else.
    """
    dtypes = [tensor["dtype"] for tensor in tensors]
    pairs = [tensor["data_offsets"] for tensor in tensors]
    flat = list(chain.from_iterable(pairs))
    if set(map(len, pairs)) - {2} or set(map(type, flat)) - {int} or set(map(type, dtypes)) - {str}:
        raise TypeError("no offsets or no dtype")
    first, last = flat[::2], flat[1::2]
    end = max(last, default=0)
    if min(first, default=0) < 0 or not all(map(le, first, last)) or end >= 1 << 63:
        raise ValueError("no offsets")
    return dtypes, list(map(sub, last, first)), end


def _by_dtype(dtypes: list[str], sizes: list[int]) -> dict[str, int]:
    if len(set(dtypes)) == 1:
        return {dtypes[0]: sum(sizes)}
    found: dict[str, int] = {}
    for dtype, size in zip(dtypes, sizes, strict=True):
        found[dtype] = found.get(dtype, 0) + size
    return found


def is_lfs_pointer(path: Path) -> bool:
    """A small text file that stands for the real one, left by `git clone` without git-lfs."""
    try:
        if os.path.getsize(path) > 1024:
            return False
        with open_regular(path) as stream:
            return stream.read(len(_LFS)) == _LFS
    except OSError:
        return False
