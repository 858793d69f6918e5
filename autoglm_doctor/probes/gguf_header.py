"""The header of a GGUF file: metadata and the list of tensors. No count in the file is trusted, no tensor is read.

Format: the public specification of GGUF (ggml, docs/gguf.md), versions 2 and 3, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from autoglm_doctor.probes.regular import open_regular

#: A tokenizer of 260,000 tokens with its merges takes about 15 MB.
MAX_HEADER_BYTES = 128 << 20
FIRST_READ_BYTES = 4 << 20

#: More of them than any model has would only cost time.
_MAX_PAIRS, _MAX_TENSORS = 100_000, 1_000_000

_MAX_DIMENSIONS = 4  # ggml's GGML_MAX_DIMS
_KEPT_NUMBERS = 65_536  # longer arrays of numbers (scores of tokens) are only counted
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")


class Tensor(NamedTuple):
    """One entry of the list of tensors; its offset counts from the start of the data."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class Counted:
    """An array of which only the length was kept."""

    count: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a file says about itself."""

    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int  # bytes from the start of the file


class GgufError(Exception):
    """The file cannot be read as GGUF."""

    def __init__(self, fault: str, detail: str) -> None:
        """`fault` is that of `facts.WeightFile`, `detail` a sentence for people."""
        super().__init__(detail)
        self.fault = fault


class _ShortError(Exception):
    """The header goes on behind what was read of it."""


def read_gguf(path: Path, size: int) -> GgufHeader:
    """Read the header of a file of `size` bytes.

    Raises:
        GgufError: it is cut off, damaged, or of another kind.
        OSError: it cannot be opened.
    """
    with open_regular(path) as stream:
        data, wanted = b"", FIRST_READ_BYTES
        while True:
            data += stream.read(wanted - len(data))
            _check_start(data, size)
            try:
                return _parse(data)
            except (_ShortError, struct.error, OverflowError):
                if len(data) < wanted:
                    raise GgufError("truncated", f"{size} bytes, its header is longer") from None
            if wanted >= MAX_HEADER_BYTES:
                raise GgufError("header_limit", f"a header of more than {MAX_HEADER_BYTES} bytes")
            wanted = min(4 * wanted, MAX_HEADER_BYTES)


def _check_start(data: bytes, size: int) -> None:
    if not data[:64].strip(b"\0"):
        raise GgufError("empty", "0 bytes" if size == 0 else "it begins with zeros only")
    if data.startswith(b"version https://git-lfs"):
        raise GgufError("lfs_pointer", "a git-lfs pointer, not the weights")
    if data[:64].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise GgufError("header", "a web page was saved instead of the weights")
    if not data.startswith(b"GGUF"[:size]):
        raise GgufError("header", "it does not begin like a GGUF file")
    if size < 24:
        raise GgufError("truncated", f"only {size} bytes")
    version = int.from_bytes(data[4:8], "little")
    if version not in (2, 3):
        big = int.from_bytes(data[4:8], "big") in (2, 3)
        raise GgufError("version", "written for a big-endian machine" if big else f"GGUF version {version}, not 2 or 3")


class _Cursor:
    """A place in the bytes that moves on as they are read."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def number(self, code: str) -> Any:
        """One number by its code of `struct`."""
        layout = struct.Struct("<" + code)
        (value,) = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return value

    def text(self, limit: int | None = None) -> str:
        """A string with its length before it."""
        length = self.number("Q")
        if limit is not None and length > limit:
            raise GgufError("header", f"a name of {length} bytes in its header")
        self.skip(length)
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        """Move on, within what was read."""
        self.at += count
        if self.at > len(self.data):
            raise _ShortError


def _parse(data: bytes) -> GgufHeader:
    cursor = _Cursor(data, 8)
    tensor_count, pairs = cursor.number("Q"), cursor.number("Q")
    if pairs > _MAX_PAIRS or tensor_count > _MAX_TENSORS:
        raise GgufError("header", f"its header speaks of {pairs} values and {tensor_count} tensors")
    metadata = {}
    for _ in range(pairs):
        name = cursor.text(limit=65_535)
        metadata[name] = _value(cursor, cursor.number("I"))
    tensors = [_tensor(cursor) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or alignment < 1:
        raise GgufError("header", f"an alignment of {alignment!r:.40}")
    return GgufHeader(metadata, tuple(tensors), -(-cursor.at // alignment) * alignment)


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text(limit=65_535)
    dimensions = cursor.number("I")
    if dimensions > _MAX_DIMENSIONS:
        raise GgufError("header", f"a tensor of {dimensions} dimensions")
    shape = tuple(cursor.number("Q") for _ in range(dimensions))
    return Tensor(name, shape, cursor.number("I"), cursor.number("Q"))


def _value(cursor: _Cursor, kind: int) -> Any:
    if kind in _SCALARS:
        return cursor.number(_SCALARS[kind])
    if kind == _STRING:
        return cursor.text()
    if kind == _ARRAY:
        return _array(cursor, cursor.number("I"), cursor.number("Q"))
    raise GgufError("header", f"a value of the unknown type {kind} in its header")


def _array(cursor: _Cursor, kind: int, count: int) -> Any:
    if kind == _STRING:
        cursor.at = _behind_strings(cursor.data, cursor.at, count)
        return Counted(count)
    if kind not in _SCALARS:
        raise GgufError("header", f"an array of the type {kind} in its header")
    start = cursor.at
    cursor.skip(count * struct.calcsize("<" + _SCALARS[kind]))
    if count > _KEPT_NUMBERS:
        return Counted(count)
    return struct.unpack_from(f"<{count}{_SCALARS[kind]}", cursor.data, start)


def _behind_strings(data: bytes, at: int, count: int) -> int:
    """The place after so many strings: the tokens of a model, whose text is of no use here."""
    unpack = _LENGTH.unpack_from
    for _ in range(count):
        at += 8 + unpack(data, at)[0]
    if at > len(data):
        raise _ShortError
    return at
