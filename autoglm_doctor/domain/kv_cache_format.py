"""What vLLM does with a KV cache in FP8 on GPUs that do not convert FP8 themselves (below 8.9), by release.

Read from get_attn_backend_cls() in platforms/cuda.py and from the back ends in the wheels of vLLM 0.6.6, 0.8.5, 0.9.2,
0.10.2, 0.11.0, 0.11.1, 0.12.0, 0.14.0, 0.20.0, 0.30.0 and 0.33.0. Triton's kernels keep the cache as float8_e4m3fn
whichever of the three names is asked for, and Triton compiles that type from 8.9 on (vllm issue 26431); FlashInfer
converts in software.
"""

from __future__ import annotations

from typing import Literal

from packaging.version import Version

#: Names of the flag that mean the 8-bit floating point of the attention kernels.
FP8_CACHES = frozenset({"fp8", "fp8_e4m3", "fp8_e5m2"})

#: From here on GPUs convert FP8 themselves.
CONVERTS = (8, 9)

#: The first release without the V0 engine, to which older ones went back for such a cache.
WITHOUT_V0 = Version("0.11.0")
#: The first that needs FlashInfer (flashinfer-python in its Requires-Dist) and prefers it to Triton.
WITH_FLASHINFER = Version("0.11.1")
#: The first of those read that keeps FlashInfer from Turing (supports_compute_capability in backends/flashinfer.py).
NO_TURING = Version("0.33.0")

Cause = Literal["triton", "flex", ""]


def refused_by(release: Version | None, gpu: tuple[int, int], backend: str) -> Cause:
    """The back end that ends the start with an FP8 cache on a GPU below 8.9; "" where none is known to.

    `backend` is the one that the deployment names, "" for the engine's choice.
    """
    if release is None or release < WITHOUT_V0:
        return ""
    named = backend.upper()
    if named:
        return "triton" if named in ("TRITON_ATTN", "TRITON_ATTN_VLLM_V1") else "flex" if "FLEX" in named else ""
    if release < WITH_FLASHINFER:
        return "triton" if gpu >= (8, 0) else "flex"
    return "triton" if gpu < (7, 5) or (gpu == (7, 5) and release >= NO_TURING) else ""
