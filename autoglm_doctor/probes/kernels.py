"""Which GPUs the libraries of engines and of attention packages have code for, from their files.

Nothing is loaded or imported. Arguments: {"sys_path": [...]}, as the target's interpreter gave it.
"""

from __future__ import annotations

import glob
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from autoglm_doctor.facts import KernelLibrary, known
from autoglm_doctor.probes import elf, fatbin
from autoglm_doctor.probes.protocol import Answers, run
from autoglm_doctor.probes.regular import open_regular


class _Set(NamedTuple):
    """Libraries that hold one set of kernels between them."""

    package: str
    patterns: tuple[str, ...]  # below the folder of packages


#: vLLM moves its kernels from _C to _C_stable_libtorch, release by release: they count together. SGLang loads the one
#: of sm90 on 9.0 and the one of sm100 everywhere else (sgl_kernel/load_utils.py); before 0.3.8 there was one.
_SETS = (
    _Set("vllm", ("vllm/_C.*so", "vllm/_C_stable_libtorch.*so")),
    _Set("vllm", ("vllm/vllm_flash_attn/_vllm_fa2_C.*so",)),
    _Set("sgl-kernel", ("sgl_kernel/common_ops.*so",)),
    _Set("sgl-kernel", ("sgl_kernel/sm90/common_ops.*so",)),
    _Set("sgl-kernel", ("sgl_kernel/sm100/common_ops.*so",)),
    _Set("flash-attn", ("flash_attn_2_cuda.*so",)),
)

#: All of their files.
PATTERNS = tuple(pattern for one in _SETS for pattern in one.patterns)

#: The CUDA runtime, by the name under which the dynamic loader looks for it; 11.0 has the minor in it as well.
_RUNTIME = re.compile(r"libcudart\.so\.(\d{2})(?:\.0)?")

#: Kernels of fewer source files than this share are strays: one of 98 in vLLM 0.12.0 holds code for 5.2.
_LEAST_SHARE = 0.05


def probe(arguments: dict[str, Any]) -> Answers:
    """The fact `kernels`: a set without code for NVIDIA's GPUs, or one that cannot be read, is left out."""
    sys_path = [str(entry) for entry in arguments["sys_path"]]
    found = tuple(library for one in _SETS for library in _read(one, sys_path))
    yield "kernels", known(found, source="GPU code in the libraries on its sys.path")


def _read(one: _Set, sys_path: Iterable[str]) -> Iterator[KernelLibrary]:
    """The set that an import takes: of the first folder that holds one of its libraries."""
    for folder in filter(None, sys_path):
        paths = [path for name in one.patterns for path in sorted(glob.glob(os.path.join(glob.escape(folder), name)))]
        if not paths:
            continue
        try:
            read = [_parts(path) for path in paths]
        except (OSError, ValueError, LookupError, struct.error):  # cut short, no ELF file: half of a set proves nothing
            return
        if any(file.parts for file in read):
            yield _described(one.package, os.path.relpath(paths[0], folder), read)
        return


class _File(NamedTuple):
    parts: list[tuple[fatbin.Entry, ...]]
    cuda: str  # major of the CUDA runtime that it asks for; "" where it brings its own
    versions: tuple[str, ...]  # of symbols, "GLIBC_2.34"


def _parts(path: str) -> _File:
    with open_regular(path) as stream, fatbin.mapped(stream) as data:
        runtimes = [_RUNTIME.fullmatch(name) for name in elf.needed(data)]
        cuda = next((match[1] for match in runtimes if match), "")
        return _File([entries for entries in fatbin.containers(data) if entries], cuda, elf.versions(data))


def _described(package: str, name: str, files: list[_File]) -> KernelLibrary:
    parts = [part for file in files for part in file.parts]
    cuda = {file.cuda for file in files} - {""}
    versions = [version for file in files for version in file.versions]
    sets = Counter(frozenset(entry.architecture for entry in part) for part in parts)
    common = max(sets, key=lambda one: (sets[one], len(one), sorted(one)))
    single = Counter(architecture for one in sets.elements() for architecture in one)
    others = {one for one, count in single.items() if count >= _LEAST_SHARE * len(parts)} - common
    isas = {entry.ptx for part in parts for entry in part if entry.ptx and entry.architecture in common}
    return KernelLibrary(
        package=package,
        name=name,
        common=_sorted(common),
        others=_sorted(others),
        ptx=max(isas, key=_numbers, default=""),
        cuda_major=int(cuda.pop()) if len(cuda) == 1 else None,
        glibc=_newest(versions, "GLIBC_"),
        libstdcxx=_newest(versions, "GLIBCXX_"),
    )


def _newest(versions: Iterable[str], prefix: str) -> str:
    """Of the versions of one library, "2.34"; "" where none is asked for. GLIBC_PRIVATE is no version."""
    found = [one.removeprefix(prefix) for one in versions if one.startswith(prefix)]
    return max((one for one in found if re.fullmatch(r"\d+(\.\d+)+", one)), key=_numbers, default="")


def _sorted(architectures: Iterable[str]) -> tuple[str, ...]:
    """Compiled code first, the older GPU first."""
    return tuple(sorted(architectures, key=lambda one: (one.startswith("compute"), len(one.rstrip("af")), one)))


def _numbers(isa: str) -> tuple[int, ...]:
    return tuple(int(part) for part in isa.split("."))


if __name__ == "__main__":
    run(probe)
