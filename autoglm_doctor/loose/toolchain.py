"""`gcc`, `nvcc`, `cuda_toolkit`, `python_headers`, `cuda_home`, `ninja` -> the compilers of the deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Reading, Toolchain, known
from autoglm_doctor.loose.container import image_engine, kind_of
from autoglm_doctor.loose.values import answer, first, text, version
from autoglm_doctor.matrix.numbers import line


def read_toolchain(facts: Mapping[str, Any]) -> Reading[Toolchain] | None:
    """What is stated to be there, or not to be; None when nothing is said of compilers.

    A stated CUDA toolkit brings its nvcc. Its release may also be torch's, and counts only where torch's is told beside
    it and is another; in a container it may be the host's. An engine's own image has a compiler of its own, whatever is
    stated.
    """
    compiler = first(facts, "gcc", "cc", "c_compiler", "compiler")
    cuda = first(facts, "nvcc", "cuda_toolkit")
    headers = answer(first(facts, "python_headers", "python_dev", "python_h", "python3_dev"))
    cc, nvcc, ninja = _tool(compiler, "gcc"), _tool(cuda, "nvcc"), _tool(facts.get("ninja"), "ninja")
    if nvcc == "" and image_engine(facts.get("container"))[0]:
        nvcc = None
    if (cc, nvcc, ninja, headers) == (None, None, None, None):
        return None
    tools = Toolchain(
        cc=cc,
        cc_version=version(compiler),
        nvcc=nvcc,
        nvcc_version=_release(facts),
        cuda_home=text(facts.get("cuda_home")),
        python_headers=headers,
        ninja=ninja,
    )
    return known(tools, source="stated")


def _release(facts: Mapping[str, Any]) -> str:
    """Of nvcc; "" where it may be that of something else."""
    container = facts.get("container")
    if image_engine(container)[0]:
        return ""
    nvcc, toolkit = version(facts.get("nvcc")), version(facts.get("cuda_toolkit"))
    of_torch = version(facts.get("torch_cuda"))
    is_another = bool(of_torch) and line(of_torch) != line(toolkit)
    return nvcc or (toolkit if is_another and not kind_of(container) else "")


def _tool(said: Any, name: str) -> str | None:
    """Its name or path where it is there, "" where it is said not to be, None where nothing clear is said."""
    found = answer(said)
    if found is False:
        return ""
    if found or version(said):
        return name
    words = text(said)
    return words if words.startswith("/") else None
