"""What files tell about the NVIDIA driver: the loaded kernel module and the version in a library's real name."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

# "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct ..." and, for the open flavour,
# "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.26  Release Build ...".
_KERNEL = re.compile(r"^NVRM version:.*?Kernel Module\s.*?(\d{3,}\.\d+(?:\.\d+)?)", re.MULTILINE)
_LIBRARY = re.compile(r"\.so\.(\d{3,}\.\d+(?:\.\d+)?)$")


def kernel_version(root: Path) -> str | None:
    """Version of the loaded kernel module; None when it is not loaded (or hidden from this container)."""
    for name, pattern in (("proc/driver/nvidia/version", _KERNEL), ("sys/module/nvidia/version", re.compile(r"(\S+)"))):
        try:
            found = pattern.search((root / name).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if found:
            return found[1]
    return None


def load_library(name: str) -> tuple[ctypes.CDLL | None, str]:
    """Load a shared library as the deployment's loader would; else the loader's own words."""
    try:
        return ctypes.CDLL(name), ""
    except OSError as error:
        return None, str(error)


def library_version() -> str | None:
    """Driver version in the real file name of the driver library that this process has loaded.

    libnvidia-ml first: a cuda-compat package replaces libcuda on purpose, and its version then differs rightly.
    """
    mapped = _mapped_files()
    for stem in ("libnvidia-ml.so", "libcuda.so"):
        for path in mapped:
            if os.path.basename(path).startswith(stem) and "compat" not in path:
                found = _LIBRARY.search(os.path.realpath(path))
                if found:
                    return found[1]
    return None


def _mapped_files() -> list[str]:
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as stream:
            words = [line.split(maxsplit=5) for line in stream]
    except OSError:
        return []
    return list(dict.fromkeys(w[5].strip() for w in words if len(w) == 6))


def libcuda_version() -> str | None:
    """Newest CUDA that libcuda knows ("12.8"). cuInit is not called: asking for the version does not need it."""
    library, _ = load_library("libcuda.so.1")
    if library is None:
        return None
    number = ctypes.c_int(0)
    try:
        code = library.cuDriverGetVersion(ctypes.byref(number))
    except AttributeError:
        return None
    return cuda_text(number.value) if code == 0 else None


def cuda_text(number: int) -> str | None:
    """12080 -> "12.8"; None for 0, which drivers answer when they have no CUDA."""
    return f"{number // 1000}.{number % 1000 // 10}" if number > 0 else None
