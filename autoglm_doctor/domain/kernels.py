"""Which of the libraries that were read are the engine's own, and whether they have code for a GPU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from autoglm_doctor.domain.wheels import runs_on
from autoglm_doctor.facts import KernelLibrary

#: Engine -> the package that holds its kernels.
PACKAGES = {"vllm": "vllm", "sglang": "sgl-kernel"}
_FLASH_ATTENTION_2 = "_vllm_fa2_C"


class Code(NamedTuple):
    """What a library holds for one GPU."""

    by: str  # what runs there, "sm_80", or is compiled there by the driver, "compute_80"; "": nothing
    some: bool = False  # beside the common kernels, some special ones run there


def engine_library(
    kernels: Iterable[KernelLibrary] | None, engine: str, compute_capability: str
) -> KernelLibrary | None:
    """The library without which the engine does nothing on a GPU; None where it was not read.

    sgl_kernel loads the one below sm90 on 9.0, and the one below sm100 everywhere else (its load_utils.py).
    """
    own = [one for one in kernels or () if one.package == PACKAGES.get(engine) and _FLASH_ATTENTION_2 not in one.name]
    named = "/sm90/" if compute_capability == "9.0" else "/sm100/"
    other = {"/sm90/": "/sm100/", "/sm100/": "/sm90/"}[named]
    fitting = [one for one in own if other not in one.name]
    return next((one for one in fitting if named in one.name), next(iter(fitting), None))


def flash_attention_2(kernels: Iterable[KernelLibrary] | None) -> KernelLibrary | None:
    """vLLM's own; None where it was not read."""
    return next((one for one in kernels or () if _FLASH_ATTENTION_2 in one.name), None)


def code_for(library: KernelLibrary, compute_capability: str) -> Code:
    """What of a library runs on a GPU."""
    by = runs_on(compute_capability, library.common)
    return Code(by, some=bool(by or runs_on(compute_capability, library.others)))
