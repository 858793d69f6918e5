"""What a library's own headers say: where a section lies, which libraries it asks for, and which versions of them.

64-bit ELF alone.
"""

from __future__ import annotations

import mmap
import struct

_STRINGS, _DYNAMIC, _VERSIONS = b".dynstr", b".dynamic", b".gnu.version_r"
_WEAK = 0x2  # of vna_flags (elf.h: VER_FLG_WEAK)
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
            found.append(_text(data, strings + value, last))
    return tuple(found)


def versions(data: mmap.mmap) -> tuple[str, ...]:
    """The versions of symbols that it asks of other libraries, "GLIBC_2.34" (elf.h: Elf64_Verneed, Elf64_Vernaux).

    Raises:
        ValueError, struct.error: as `section`.
    """
    (at, end), (strings, last) = section(data, _VERSIONS), section(data, _STRINGS)
    found: list[str] = []
    while 0 < at <= end - 16:
        _, count, _, first, following = struct.unpack_from("<HHIII", data, at)
        one = at + first
        for _ in range(count):
            if one > end - 16:
                break
            _, flags, _, name, step = struct.unpack_from("<IHHII", data, one)
            if not flags & _WEAK:  # the loader only warns of one that is missing
                found.append(_text(data, strings + name, last))
            one += max(step, 16)
        if not following:
            break
        at += max(following, 16)
    return tuple(found)


def _text(data: mmap.mmap, at: int, last: int) -> str:
    return data[at : min(at + 256, last)].partition(b"\0")[0].decode("ascii", "replace")
