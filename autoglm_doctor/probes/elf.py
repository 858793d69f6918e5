"""What a library's own headers say: where a section lies, and which libraries it asks for. 64-bit ELF alone."""

from __future__ import annotations

import mmap
import struct

_STRINGS, _DYNAMIC = b".dynstr", b".dynamic"
_NEEDED, _END = 1, 0  # tags of entries in .dynamic (elf.h: DT_NEEDED, DT_NULL)


def section(data: mmap.mmap, wanted: bytes) -> tuple[int, int]:
    """Offset and end of a section; (0, 0) when there is none.

    Raises:
        ValueError: it is no such file.
        struct.error: it ends before its headers say.
    """
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no ELF file of 64 bits")
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names_index = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    if not headers:
        return 0, 0
    names = headers[names_index][4]
    for name, _type, _flags, _address, offset, length in headers:
        if data[names + name : names + name + len(wanted) + 1] == wanted + b"\0":
            return offset, min(offset + length, len(data))
    return 0, 0


def needed(data: mmap.mmap) -> tuple[str, ...]:
    """The names of the libraries that it is linked with, "libcudart.so.12".

    Raises:
        ValueError, struct.error: as `section`.
    """
    (start, end), (strings, last) = section(data, _DYNAMIC), section(data, _STRINGS)
    found: list[str] = []
    for at in range(start, end - 15, 16):
        tag, value = struct.unpack_from("<QQ", data, at)
        if tag == _END:
            break
        if tag == _NEEDED:
            name = data[strings + value : min(strings + value + 256, last)]
            found.append(name.partition(b"\0")[0].decode("ascii", "replace"))
    return tuple(found)
