"""Which versions of an engine are wheels of its project, and which may hold code that the project never published."""

from __future__ import annotations

import re

from packaging.version import Version

from autoglm_doctor.domain.wheels import number
from autoglm_doctor.matrix import Matrix
from autoglm_doctor.matrix.numbers import cuda_of

#: Local parts of builds that hold what the project's sources say. A date (d20250701) marks a changed tree.
_OF_ITS_SOURCES = re.compile(r"(?:source|precompiled|cpu|g[0-9a-f]{7,})(?:\.(?:cu\d{2,3}|cpu|precompiled))*")
_CUDA = re.compile(r"cu\d{3}")


def is_of_the_project(engine: str, version: str | None, matrix: Matrix) -> bool:
    """Whether a build holds what its project's wheels or sources hold, as far as its version tells.

    vLLM's own setup.py marks a build for another CUDA than the release's main one, whoever makes it (0.8.5+cu128 is
    one for Blackwell by others). Those of an older CUDA the project publishes itself, newer ones where the table says
    so.
    """
    found = number(version)
    if found is None or found.local is None or engine != "vllm":
        return found is None or found.local is None or _is_plain(found.local)
    if not _CUDA.fullmatch(found.local):
        return _OF_ITS_SOURCES.fullmatch(found.local) is not None
    builds = matrix.engine_builds.get(engine, ())
    if any((one.version, one.tag) == (found.public, found.local) for one in builds):
        return True
    main = _main_cuda(found.public, matrix)
    return not main or Version(cuda_of(found.local)) <= Version(main)


def _is_plain(local: str) -> bool:
    return _CUDA.fullmatch(local) is not None or _OF_ITS_SOURCES.fullmatch(local) is not None


def _main_cuda(version: str, matrix: Matrix) -> str:
    """The CUDA of a release's image and wheel; before the table that of the torch which it pins; "" if not known."""
    row = matrix.engine_release("vllm", version)
    return matrix.image_cuda("vllm", version) or (matrix.torch_cuda(row.torch) if row and row.torch else "")
