"""Libraries with GPU code, as nvcc lays it out; without the code."""

from __future__ import annotations

import struct

FLAGS = {"": 0x11, "a": 0x100011, "f": 0x1208011}


def entry(architecture: str, ptx: str = "8.8") -> bytes:
    """ "sm_90a": compiled code; "compute_90": PTX of that ISA."""
    kind, number = architecture.split("_")
    suffix = number.lstrip("0123456789")
    major, minor = map(int, ptx.split("."))
    head = struct.pack("<HHIQ", 1 if kind == "compute" else 2, 257, 64, 24) + struct.pack("<II", 0, 0)
    head += struct.pack("<HHI", minor, major, int(number.removesuffix(suffix))) + b"\0" * 8
    return (head + struct.pack("<Q", FLAGS[suffix])).ljust(64, b"\0") + b"\xaa" * 24


def fatbin(architectures: str, ptx: str = "8.8") -> bytes:
    """The container of one source file: "sm_80 sm_90a compute_90"."""
    body = b"".join(entry(one, ptx) for one in architectures.split())
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def elf(section: bytes, name: bytes = b".nv_fatbin") -> bytes:
    """The smallest 64-bit ELF file with one section of that name."""
    names = b"\0" + name + b"\0.shstrtab\0"
    data = section + names
    table = 64 + len(data)

    def header(where: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", where, 1, 0, 0, offset, size, 0, 0, 1, 0)

    headers = header(0, 0, 0) + header(1, 64, len(section)) + header(2 + len(name), 64 + len(section), len(names))
    start = (
        b"\x7fELF\x02\x01\x01" + b"\0" * 9 + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 2)
    )
    return start + data + headers
