"""Environment variables that break or slow an engine when their value cannot be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda value: compiled.fullmatch(value.strip()) is not None


def _between(low: int, high: int) -> Callable[[str], bool]:
    def good(value: str) -> bool:
        text = value.strip()
        return re.fullmatch(r"-?\d{1,18}", text) is not None and low <= int(text) <= high

    return good


_NUMBER = _matches(r"-?\d{1,18}")
_NO = _matches(r"|0|false|no|off")


def _nccl(name: str, good: Callable[[str], bool], form: str) -> Rule:
    effect = "NCCL passes over it with a warning, and what it was set for does not happen"
    return Rule(name=name, good=good, form=form, effect=effect, source=_NCCL, several=True)


#: An engine that reads these as numbers when it starts dies of anything else.
_VLLM_NUMBERS = (
    "VLLM_RPC_TIMEOUT",
    "VLLM_IMAGE_FETCH_TIMEOUT",
    "VLLM_ENGINE_ITERATION_TIMEOUT_S",
    "VLLM_MAX_AUDIO_CLIP_FILESIZE_MB",
)

RULES: tuple[Rule, ...] = (
    Rule(
        name="NCCL_BUFFSIZE",
        good=_between(1, 256 * MIB),
        form="a number of bytes, 4194304 by default, a few times that at most",
        effect="NCCL takes that much for every channel between two GPUs, and registers it with the network adapter: "
        "it runs out of memory when the processes join",
        source=_NCCL,
    ),
    _nccl("NCCL_NTHREADS", _matches("64|128|256|512"), "64, 128, 256 or 512"),
    _nccl("NCCL_P2P_LEVEL", _matches(r"LOC|NVL|PIX|PXB|PXN|PHB|NODE|SYS|C2C|\d"), "LOC, NVL, PIX, PXB, PHB or SYS"),
    _nccl("NCCL_P2P_DISABLE", _NUMBER, "0 or 1"),
    _nccl("NCCL_SHM_DISABLE", _NUMBER, "0 or 1"),
    _nccl("NCCL_IB_DISABLE", _NUMBER, "0 or 1"),
    _nccl("NCCL_CUMEM_ENABLE", _NUMBER, "0 or 1"),
    _nccl("NCCL_NVLS_ENABLE", _NUMBER, "0, 1 or 2"),
    _nccl("NCCL_MIN_NCHANNELS", _between(-2, 64), "a number of 64 at most"),
    _nccl("NCCL_MAX_NCHANNELS", _between(-2, 64), "a number of 64 at most"),
    Rule(
        name="CUDA_LAUNCH_BLOCKING",
        good=_NO,
        form="0, or not set at all",
        effect="the CPU waits for every single kernel: answers take many times as long. It is meant for finding faults",
        source=_CUDA,
    ),
    Rule(
        name="PYTORCH_NO_CUDA_MEMORY_CACHING",
        good=_NO,
        form="not set at all",
        effect="torch asks the driver for every tensor, which takes many times as long. It is meant for finding faults",
        source=_TORCH,
    ),
    Rule(
        name="CUDA_DEVICE_ORDER",
        good=_matches("FASTEST_FIRST|PCI_BUS_ID"),
        form="FASTEST_FIRST or PCI_BUS_ID",
        effect="CUDA passes over it, and a number in CUDA_VISIBLE_DEVICES may mean another GPU than is thought",
        source=_CUDA,
    ),
    Rule(
        name="CUDA_DEVICE_MAX_CONNECTIONS",
        good=_between(1, 32),
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
        good=_matches(r"|[1-9]\d{0,4}(?:,[1-9]\d{0,4})*"),
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
        good=_matches("fork|spawn|forkserver"),
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
            effect="vLLM ends with a ValueError",
            source=_VLLM,
            status="fail",
            engine="vllm",
        )
        for name in _VLLM_NUMBERS
    ),
)
