"""A safetensors file judged by its header alone: 8 bytes of length, JSON, and offsets that must end at the file's end.

The format is public (huggingface/safetensors): nothing of the library is needed, and no tensor is read.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import WeightFile
from autoglm_doctor.probes.regular import open_regular

#: The library refuses longer headers (safetensors, MAX_HEADER_SIZE).
MAX_HEADER_BYTES = 100_000_000

_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Header:
    """What one file says about itself."""

    file: WeightFile
    dtype_bytes: Mapping[str, int]


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
            tensors = _tensors(stream, size)
        return _judge(name, size, tensors)
    except FileNotFoundError:
        dangling = "the link points to a file that is not there" if path.is_symlink() else ""
        return _fault(name, 0, "missing", dangling)
    except OSError as error:
        return _fault(name, size, "unreadable", error.strerror or str(error))
    except _FaultError as error:
        return _fault(name, size, error.fault, str(error))


def _fault(name: str, size: int, fault: str, detail: str) -> Header:
    return Header(WeightFile(name=name, size_bytes=size, fault=fault, detail=detail), {})


def _tensors(stream: Any, size: int) -> dict[str, Any]:
    """The header's entries with its own length under "" (a name that no tensor has)."""
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
    try:
        with _collector_paused():
            header = json.loads(stream.read(length))
    except (ValueError, RecursionError):
        raise _FaultError("header", "its header is no JSON") from None
    if not isinstance(header, dict):
        raise _FaultError("header", "its header is no JSON object")
    header.pop("__metadata__", None)
    return {**header, "": length}


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
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


def _judge(name: str, size: int, header: dict[str, Any]) -> Header:
    length = header.pop("")
    end, dtype_bytes = 0, dict[str, int]()
    try:
        for tensor in header.values():
            first, last = _offsets(tensor["data_offsets"])
            dtype_bytes[tensor["dtype"]] = dtype_bytes.get(tensor["dtype"], 0) + last - first
            end = max(end, last)
    except (KeyError, TypeError, ValueError):
        raise _FaultError("header", "an entry of its header has no offsets or no dtype") from None
    expected = 8 + length + end
    fault = "truncated" if size < expected else "oversized" if size > expected else None
    detail = f"{size} bytes instead of {expected}" if fault else ""
    file = WeightFile(
        name=name,
        size_bytes=size,
        tensor_bytes=sum(dtype_bytes.values()),
        tensors=len(header),
        fault=fault,
        detail=detail,
    )
    return Header(file, dtype_bytes)


def _offsets(pair: Any) -> tuple[int, int]:
    """Whole numbers in order, within what a file can hold: the library refuses others.

    Raises:
        TypeError, ValueError: they are something else.
    """
    first, last = pair
    if type(first) is not int or type(last) is not int or not 0 <= first <= last < 1 << 63:
        raise ValueError("no offsets")
    return first, last


def is_lfs_pointer(path: Path) -> bool:
    """A small text file that stands for the real one, left by `git clone` without git-lfs."""
    try:
        if os.path.getsize(path) > 1024:
            return False
        with open_regular(path) as stream:
            return stream.read(len(_LFS)) == _LFS
    except OSError:
        return False
