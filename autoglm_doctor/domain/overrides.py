"""Environment variables that break or slow an engine when their value cannot be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from packaging.version import Version

from autoglm_doctor.domain.allocator import NEW, OLD, is_well_formed

_NCCL = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html"
_VLLM = "https://docs.vllm.ai/en/latest/configuration/env_vars.html"
_CUDA = "https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables"
_TORCH = "https://docs.pytorch.org/docs/stable/cuda_environment_variables.html"
_BNB = "https://huggingface.co/docs/bitsandbytes/installation"
_OPENMP = "https://www.openmp.org/spec-html/5.0/openmpse50.html"

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One variable."""

    name: str
    good: Callable[[str], bool]
    form: str  # what it takes
    effect: str  # what a wrong value does
    source: str
    status: Literal["fail", "warn"] = "warn"
    engine: str = ""  # "": every engine that uses torch
    several: bool = False  # only where the model is on several GPUs
    until: str = ""  # the engine does not read it any more from this release on
    moot: Callable[[Mapping[str, str]], bool] | None = None  # whether other variables keep it from being used


#: A vLLM that is told VLLM_USE_V1=1 refuses GPUs below 8.0 between these releases, by the wheels: 0.7.0 to 0.7.3 know
#: no attention for V1 but FlashAttention 2 (platforms/cuda.py), which needs 8.0; 0.8.0 to 0.10.1.1 say so themselves
#: (_is_v1_supported_oracle in engine/arg_utils.py), 0.10.2 no more. Below 7.0 none of them has any code.
V1_FROM, V1_UNTIL = Version("0.7.0"), Version("0.10.2.dev0")
V1_LEAST, V1_NEEDS = (7, 0), (8, 0)


def asks_for_v1(value: str) -> bool:
    """VLLM_USE_V1 as vLLM reads it: bool(int(value))."""
    return re.fullmatch(r"\s*\+?0*[1-9]\d*\s*", value) is not None


def _matches(pattern: str, flags: int = re.IGNORECASE) -> Callable[[str], bool]:
    compiled = re.compile(pattern, flags)
    return lambda value: compiled.fullmatch(value.strip()) is not None


def _between(low: int, high: int) -> Callable[[str], bool]:
    def good(value: str) -> bool:
        text = value.strip()
        return re.fullmatch(r"-?\d{1,18}", text) is not None and low <= int(text) <= high

    return good


def _read_by_nccl(value: str) -> int | None:
    """All of it as strtoll(value, 0) reads it: decimal, 0x1f, 017; None where it stops before the end."""
    found = re.fullmatch(r"\s*([+-]?)(?:(0x[0-9a-f]{1,15})|(0[0-7]{0,18})|([1-9]\d{0,17}))\s*", value, re.IGNORECASE)
    if found is None:
        return None
    digits = int(found[2], 16) if found[2] else int(found[3], 8) if found[3] else int(found[4])
    return -digits if found[1] == "-" else digits


def _nccl_number(good: Callable[[int], bool] = lambda _: True) -> Callable[[str], bool]:
    """A number that NCCL takes; it passes over a variable that is empty (src/misc/param.cc)."""

    def judge(value: str) -> bool:
        number = _read_by_nccl(value)
        return not value or (number is not None and good(number))

    return judge


def _logs_otherwise(variables: Mapping[str, str]) -> bool:
    """vLLM's own configuration alone takes the level (its page on logging)."""
    off = variables.get("VLLM_CONFIGURE_LOGGING", "1").strip() == "0"
    return off or bool(variables.get("VLLM_LOGGING_CONFIG_PATH"))


def _never(_: str) -> bool:
    return False


#: int() of Python.
_NUMBER = _matches(r"[+-]?\d{1,18}(?:_\d{1,18})*")
#: As it is, and empty, which people write of a variable that is not set.
_number_or_nothing = _matches(r"|[+-]?\d{1,18}(?:_\d{1,18})*")
_NO = _matches(r"|0|false|no|off")

#: What NCCL takes where it is told nothing.
_DEFAULT = -2


def _nccl(
    name: str,
    form: str,
    effect: str = 'NCCL reads the digits at its start and drops the rest without a word: "true" is 0, and "4M" is 4',
    good: Callable[[str], bool] | None = None,
) -> Rule:
    return Rule(name=name, good=good or _nccl_number(), form=form, effect=effect, source=_NCCL, several=True)


#: int() of these ends with a ValueError: the first two when the engine starts, the others where they are needed. By
#: envs.py of the wheels the first is there in 0.22.0 and gone in 0.24.0, the second there in 0.30.0 and gone in 0.32.0.
_VLLM_NUMBERS: tuple[tuple[str, Literal["fail", "warn"], str], ...] = (
    ("VLLM_RPC_TIMEOUT", "fail", "0.23"),
    ("VLLM_ENGINE_ITERATION_TIMEOUT_S", "fail", "0.31"),
    ("VLLM_IMAGE_FETCH_TIMEOUT", "warn", ""),
    ("VLLM_MAX_AUDIO_CLIP_FILESIZE_MB", "warn", ""),
)

#: bool(int()) or int() of these in vllm/envs.py of every wheel between, of 30 from 0.7.3 to 0.33.0 (2026-11-21); each
#: is read where it is needed.
_VLLM_SWITCHES: tuple[tuple[str, str], ...] = (
    ("VLLM_USE_DEEP_GEMM", ""),
    ("VLLM_USE_FLASHINFER_SAMPLER", ""),
    ("VLLM_ENABLE_V1_MULTIPROCESSING", ""),
    ("VLLM_SERVER_DEV_MODE", ""),
    ("VLLM_MLA_DISABLE", ""),
    ("VLLM_USE_TRITON_AWQ", ""),
    ("VLLM_ALLREDUCE_USE_SYMM_MEM", ""),
    ("VLLM_ENABLE_CUDAGRAPH_GC", ""),
)

RULES: tuple[Rule, ...] = (
    *(
        Rule(
            name=name,
            good=is_well_formed,
            form='options as "expandable_segments:True,max_split_size_mb:512": colons, True or False in this spelling, '
            "a garbage_collection_threshold between 0 and 1",
            effect="torch refuses it with an error when it first takes memory of the GPU",
            source=_TORCH,
        )
        for name in (OLD, NEW)
    ),
    Rule(
        name="NCCL_BUFFSIZE",
        good=_nccl_number(lambda number: number == _DEFAULT or 1 <= number <= 256 * MIB),
        form="a number of bytes, 4194304 by default, a few times that at most",
        effect="NCCL takes that much for every channel between two GPUs and runs out of memory when the processes "
        'join; of what is no number it reads the digits at its start ("4M" is 4 bytes)',
        source=_NCCL,
    ),
    # getNthreads() in src/graph/tuning.cc: none above 0 is the default, else whole warps from 64 to 512.
    _nccl(
        "NCCL_NTHREADS",
        "a multiple of 32 from 64 to 512",
        "NCCL takes another number of threads: of what is no whole number of warps its greatest, of words its default",
        _nccl_number(lambda number: number <= 0 or (number % 32 == 0 and 64 <= number <= 640)),
    ),
    # ncclGetLevel() in src/graph/paths.cc compares with strcmp(), then takes a digit at the start.
    _nccl(
        "NCCL_P2P_LEVEL",
        "LOC, NVL, PIX, PXB, PHB or SYS, in capitals",
        "NCCL passes over it without a word, and chooses by itself which GPUs talk directly",
        _matches(r"|(?:LOC|NVL|NVB|C2C|PIX|PXB|PXN|P2C|PHB|NODE|SYS)|\d.*", 0),
    ),
    _nccl("NCCL_P2P_DISABLE", "0 or 1"),
    _nccl("NCCL_SHM_DISABLE", "0 or 1"),
    _nccl("NCCL_IB_DISABLE", "0 or 1"),
    _nccl("NCCL_CUMEM_ENABLE", "0 or 1"),
    _nccl("NCCL_NVLS_ENABLE", "0, 1 or 2"),
    # More than NCCL's own limit it cuts down to that.
    _nccl("NCCL_MIN_NCHANNELS", "a number"),
    _nccl("NCCL_MAX_NCHANNELS", "a number"),
    Rule(
        name="CUDA_LAUNCH_BLOCKING",
        good=_NO,
        form="0, or not set at all",
        effect="the CPU waits for every single kernel: answers take many times as long. It is meant for finding faults",
        source=_CUDA,
    ),
    Rule(
        name="PYTORCH_NO_CUDA_MEMORY_CACHING",
        good=_never,  # torch only asks whether it is set: "0" and "" count as well (CUDACachingAllocator.cpp)
        form="not set at all",
        effect="torch asks the driver for every tensor, which takes many times as long. It is meant for finding faults",
        source=_TORCH,
    ),
    Rule(
        name="CUDA_DEVICE_ORDER",
        good=_matches("|FASTEST_FIRST|PCI_BUS_ID"),
        form="FASTEST_FIRST or PCI_BUS_ID",
        effect="CUDA passes over it, and a number in CUDA_VISIBLE_DEVICES may mean another GPU than is thought",
        source=_CUDA,
    ),
    Rule(
        name="CUDA_DEVICE_MAX_CONNECTIONS",
        good=lambda value: not value or _between(1, 32)(value),
        form="a number from 1 to 32",
        effect="CUDA passes over it",
        source=_CUDA,
    ),
    Rule(
        name="BNB_CUDA_VERSION",
        good=_matches(r"|\d{2,3}"),
        form='a CUDA release as "128"',
        effect="bitsandbytes looks for a library of that name and finds none",
        source=_BNB,
    ),
    Rule(
        name="OMP_NUM_THREADS",
        good=_matches(r"|\+?0*[1-9]\d{0,4}(?:\s*,\s*\+?0*[1-9]\d{0,4})*"),
        form="a number from 1 on",
        effect="it is passed over, and every process takes all cores",
        source=_OPENMP,
    ),
    Rule(
        name="VLLM_PORT",
        good=_between(0, 65535),
        form="a port number; Kubernetes sets it to an address where a service is named vllm",
        effect="vLLM refuses to start",
        source=_VLLM,
        status="fail",
        engine="vllm",
    ),
    Rule(
        name="VLLM_WORKER_MULTIPROC_METHOD",
        good=_matches("fork|spawn|forkserver", 0),
        form="spawn or fork",
        effect="vLLM refuses to start",
        source=_VLLM,
        status="fail",
        engine="vllm",
    ),
    *(
        Rule(
            name=name,
            good=_NUMBER,
            form="a whole number",
            effect="vLLM ends with a ValueError" + ("" if status == "fail" else " where it needs it"),
            source=_VLLM,
            status=status,
            engine="vllm",
            until=until,
        )
        for name, status, until in _VLLM_NUMBERS
    ),
    *(
        Rule(
            name=name,
            good=_number_or_nothing,
            form="0 or 1, in digits",
            effect="vLLM ends with a ValueError where it reads it",
            source=_VLLM,
            engine="vllm",
            until=until,
        )
        for name, until in _VLLM_SWITCHES
    ),
    Rule(
        name="VLLM_LOGGING_LEVEL",
        good=_matches("DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL|NOTSET"),
        form="DEBUG, INFO, WARNING or ERROR",
        effect="vLLM ends while it sets up its log",
        source="https://github.com/containers/ai-lab-recipes/pull/731",
        engine="vllm",
        moot=_logs_otherwise,
    ),
)
