"""Variables that an engine reads no more: who still sets one gets something else than what it asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from autoglm_doctor.domain.builds import is_before, release_of
from autoglm_doctor.domain.launch_line import stated_flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """One variable."""

    name: str
    since: str  # the first release without it
    asks: str  # values that ask for something else than what the engine does by itself
    effect: str
    flag: str = ""  # what says the same today; "": nothing does
    values: tuple[tuple[str, str], ...] = ()  # what the flag calls these values; () takes them as they are
    names: str = ""  # values that the flag knows, where it does not know all


_AS_SET = r".+"
_TRUE = r"1|true"

#: vllm/envs.py in the wheels of 32 releases from 0.8.0 to 0.33.0 (2026-11-21): the first without the variable.
#: FLASH_ATTN is what vLLM takes by itself on most GPUs. Nothing tells that a variable is ignored:
#: github.com/vllm-project/vllm/issues/50292.
GONE: tuple[Gone, ...] = (
    Gone(
        name="VLLM_ATTENTION_BACKEND",
        since="0.15.0",
        asks=r"(?!FLASH_ATTN(_VLLM_V1)?$).+",
        effect="vLLM chooses the attention kernels by itself",
        flag="--attention-backend",
        values=(("TRITON_ATTN_VLLM_V1", "TRITON_ATTN"), ("FLASHINFER_VLLM_V1", "FLASHINFER")),
        names="TRITON_ATTN|FLASHINFER|FLASHINFER_MLA|TRITON_MLA|CUTLASS_MLA|FLASHMLA|FLASH_ATTN_MLA|FLEX_ATTENTION",
    ),
    Gone(
        name="VLLM_USE_V1",
        since="0.11.1",
        asks="0|false",
        effect="there is no other engine than V1 any more",
    ),
    Gone(
        name="VLLM_FLASH_ATTN_VERSION",
        since="0.15.0",
        asks=_AS_SET,
        effect="vLLM chooses FlashAttention 2, 3 or 4 by the GPU",
        flag="--attention-config.flash_attn_version",
    ),
    Gone(
        name="VLLM_USE_TRTLLM_ATTENTION",
        since="0.15.0",
        asks=_AS_SET,
        effect="vLLM chooses by itself whether TensorRT-LLM's attention kernels run",
        flag="--attention-config.use_trtllm_attention",
        values=(("0", "false"), ("1", "true")),
    ),
    Gone(
        name="VLLM_MM_INPUT_CACHE_GIB",
        since="0.13.0",
        asks=r"(?!4$).+",  # 4 GiB is the default of both
        effect="the cache of pictures takes 4 GiB of memory",
        flag="--mm-processor-cache-gb",
    ),
    Gone(
        name="VLLM_ALL2ALL_BACKEND",
        since="0.16.0",
        asks=r"(?!allgather_reducescatter$).+",
        effect="vLLM takes its default way between the experts",
        flag="--all2all-backend",
    ),
    *(
        Gone(
            name=f"VLLM_USE_FLASHINFER_MOE_{kind}",
            since="0.24.0",
            asks=_TRUE,
            effect="vLLM chooses the kernels of the experts by itself (--moe-backend)",
        )
        for kind in ("FP4", "FP8", "FP16")
    ),
)


def is_gone(gone: Gone, value: str, version: str | None, command: Sequence[str]) -> bool:
    """Whether this release reads it no more, and its value asks for something; not where the command says it anew."""
    found, since = release_of(version), Version(gone.since)
    if found is None or found < since or is_before(version, since):
        return False
    said_anew = bool(gone.flag) and _is_said(gone.flag, command)
    return not said_anew and re.fullmatch(gone.asks, value.strip(), re.IGNORECASE) is not None


def _is_said(flag: str, command: Sequence[str]) -> bool:
    whole = flag.removeprefix("--")
    return stated_flag(command, whole, whole.replace("-", "_"), whole.partition(".")[0], "ac") is not None


def said_today(gone: Gone, value: str) -> tuple[str, str] | None:
    """The flag and its value; None where nothing says the same."""
    name = dict(gone.values).get(value.strip(), value.strip())
    if not gone.flag or (gone.names and re.fullmatch(gone.names, name) is None):
        return None
    return gone.flag, name
