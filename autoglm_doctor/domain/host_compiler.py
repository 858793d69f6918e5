"""Which gcc the nvcc of a CUDA release compiles with: its headers end the compilation with an error for a newer one."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from autoglm_doctor.facts import Toolchain

#: CUDA release -> the newest gcc, by the condition in front of "unsupported GNU version" in crt/host_config.h of
#: NVIDIA's packages nvidia-cuda-nvcc-cu11, nvidia-cuda-nvcc-cu12 and nvidia-cuda-crt (all patch releases agree).
NEWEST_GCC: Mapping[str, int] = {
    "11.8": 11,
    **dict.fromkeys(("12.0", "12.1", "12.2", "12.3"), 12),
    **dict.fromkeys(("12.4", "12.5", "12.6"), 13),
    **dict.fromkeys(("12.8", "12.9"), 14),
    **dict.fromkeys(("13.0", "13.1", "13.2", "13.3"), 15),
    **dict.fromkeys(("13.4", "13.5"), 16),
}

#: By them a user chooses nvcc's compiler, or lets it take any. nvcc's manual; flashinfer/jit/cpp_ext.py.
CHOOSING = ("NVCC_CCBIN", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS", "FLASHINFER_EXTRA_CUDAFLAGS")

#: Compilers of a distribution, of conda or of Nix bring or choose a gcc of their own: Debian's nvidia-cuda-toolkit
#: depends on one, Arch's cuda sets a variable for it, conda's sets one when the environment is activated.
_OWN_GCC = re.compile(r"^/usr/(?:bin|lib)/|^/opt/cuda/|^/nix/|conda|mamba|miniforge|/envs/")

#: gcc 3 compiled no CUDA that anybody has: such a number is that of a builder ("gcc (crosstool-NG 1.26.0) 14.3.0").
_OLDEST = 4


def why_not_told(tools: Toolchain, engine: str, variables: Mapping[str, str]) -> str:
    """Why it cannot be told which gcc nvcc takes; "" where it can.

    nvcc takes the gcc of PATH. FlashInfer names $CC to it instead where that is set; SGLang's own kernels do not.
    """
    if any(variables.get(name) for name in CHOOSING) or tools.flashinfer_nvcc is not None:
        return "variables choose nvcc or its compiler"
    if not (tools.nvcc or "").startswith("/"):
        return "whose nvcc it is, NVIDIA's or the distribution's, is not known"
    if _OWN_GCC.search(tools.nvcc or ""):
        return "{nvcc} brings or chooses a gcc of its own"
    name = posixpath.basename(tools.cc or "")
    is_gcc = re.fullmatch(r"(?:[\w.-]+-)?gcc(?:-[\d.]+)?", name) if engine == "vllm" else name == "gcc"
    if not is_gcc or gcc_of(tools) is None or NEWEST_GCC.get(tools.nvcc_version) is None:
        return "which gcc it compiles with, or up to which it can, is not known"
    return ""


def gcc_of(tools: Toolchain) -> int | None:
    """The major version of the compiler; None where it is not known."""
    said = tools.cc_version.partition(".")[0]
    return int(said) if said.isdigit() and int(said) >= _OLDEST else None
