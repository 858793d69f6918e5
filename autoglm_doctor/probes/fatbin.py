"""GPU code in a library, by the headers of its section .nv_fatbin: nothing is loaded, no tool of CUDA is needed.

nvcc puts one container into the section for each source file, and into that one entry for each architecture: compiled
code (an ELF file of its own) or PTX. A walk touches the headers alone: some hundred small reads in 800 MB.

Sources: CUDA's fatbinary_section.h for the container; the entry as cuobjdump lists it, held against vLLM 0.8.5 to
0.33.0, sgl-kernel 0.3.19, xformers 0.0.33 and torch 2.9.1.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

from autoglm_doctor.probes import elf

_CONTAINER = struct.Struct("<IHHQ")  # magic, version, length of this header, length of the entries
_CONTAINER_MAGIC = 0xBA55ED50
#: Kind, its version, length of the header, length of the code; 8 bytes of compression; PTX ISA or version of the ELF
#: file (minor, major), architecture; 8 bytes of a name; flags.
_ENTRY = struct.Struct("<HHIQ8xHHI8xQ")
_LEAST_ENTRY = 64
_PTX, _ELF = 1, 2

#: Flags of code for one architecture alone (sm_90a), and for one with those that follow it in its family (sm_100f).
#: In FlashAttention-3, which is made for 9.0a, and in kernels of vLLM 0.33.0, which are made for 10.0f and 12.0f.
_ONE_ARCHITECTURE, _FAMILY = 0x100000, 0x200000

#: Between two containers lie zeros up to the next multiple of 8 or 16; more than so many bytes is something else.
_PADDING = 4096


class Entry(NamedTuple):
    """One piece of GPU code."""

    architecture: str  # "sm_90a": compiled for it; "compute_80": PTX, which the driver compiles
    ptx: str = ""  # its PTX ISA, "8.8"


def mapped(stream: IO[bytes]) -> mmap.mmap:
    """The file as memory, to be read here and there.

    Raises:
        OSError, ValueError: it is empty or cannot be mapped.
    """
    data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(data, "madvise") and hasattr(mmap, "MADV_RANDOM"):
        data.madvise(mmap.MADV_RANDOM)  # else each header would pull in 128 KiB, from a network disk perhaps
    return data


def containers(data: mmap.mmap) -> Iterator[tuple[Entry, ...]]:
    """The entries of each container of a 64-bit ELF file; nothing where it has no such section.

    Raises:
        ValueError: it is no such file.
        struct.error: it ends before its headers say.
    """
    start, end = elf.section(data, b".nv_fatbin")
    while start + _CONTAINER.size <= end:
        magic, _version, header, size = _CONTAINER.unpack_from(data, start)
        if magic != _CONTAINER_MAGIC or header < _CONTAINER.size:
            start = _next(data, start + 1, end)
            continue
        yield tuple(_entries(data, start + header, min(start + header + size, end)))
        start += header + size


def _next(data: mmap.mmap, start: int, end: int) -> int:
    """Where the next container begins; `end` if none does soon."""
    found = data.find(_CONTAINER_MAGIC.to_bytes(4, "little"), start, min(start + _PADDING, end))
    return found if found >= 0 else end


def _entries(data: mmap.mmap, at: int, end: int) -> Iterator[Entry]:
    while at + _LEAST_ENTRY <= end:
        kind, _version, header, size, minor, major, number, flags = _ENTRY.unpack_from(data, at)
        if header < _LEAST_ENTRY:
            return
        at += header + size
        if kind not in (_PTX, _ELF):  # code for the linker (LTO) and the like
            continue
        suffix = "f" if flags & _FAMILY else "a" if flags & _ONE_ARCHITECTURE else ""
        if kind == _PTX:
            yield Entry(f"compute_{number}{suffix}", ptx=f"{major}.{minor}")
        else:
            yield Entry(f"sm_{number}{suffix}")
