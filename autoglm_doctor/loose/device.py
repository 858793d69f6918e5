"""What of the facts speaks of a GPU, and what of a deployment on the CPU -> the device of the intent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.intent import Device, Intent
from autoglm_doctor.loose.toolchain import LINKS, libcuda_link
from autoglm_doctor.loose.values import as_list, first, table, text

#: Keys of a GPU or of its driver.
_OF_A_GPU = (
    *("gpus", "gpu", "driver_version", "driver_branch", "driver", "cuda_driver_version", "torch_cuda"),
    *("nvidia_module_found_for", "driver_source", "kernel_driver", "kernel_driver_in_use", "gpu_kernel_driver"),
)

#: Nobody installs these for a machine that computes on its CPU.
_OF_CUDA = ("cuda_toolkit", "cuda_version", "cudnn", "nvcc")

#: Nor sets these.
_VARIABLES_OF_CUDA = ("CUDA_HOME", "CUDA_PATH", "NCCL_SOCKET_IFNAME", "NCCL_P2P_DISABLE", "NCCL_IB_DISABLE")

#: Values that say that there is none ("CUDA runtime version: No CUDA", "Could not collect").
_NOTHING = re.compile(
    r"|none|n/?a|nil|cpu(?:[ -]only)?|off|false|0|unknown|unset|undefined|empty|-+|missing|absent"
    r"|no\b.*|not\b.*|could not.*",
    re.I,
)

#: An engine that is called a CPU build, in the ways that people write it: nothing follows but an end. "CPU offload"
#: needs a GPU, "8 CPU cores" are no build, and "(CPU AMD EPYC 9654, 8x H100)" tells of the machine.
_ENDS = r"\s*(?:[),;]|$)"
_CPU_BUILD = re.compile(
    rf"[-(]\s*cpu{_ENDS}|\b(?:on|for)(?: the)? cpu(?: inference)?{_ENDS}|^\S+ cpu{_ENDS}"
    r"|^\S+-cpu(?=\s|$)|^\S+ cpu v?\d+\.\d|\+cpu\b|\bcpu[- ](?:build|version|backend|only)\b",
    re.IGNORECASE,
)

#: Images that the engines publish for processors ("vllm-openai-cpu", "vllm-cpu-release", "sglang:v0.5.4-xeon").
_CPU_IMAGE = re.compile(r"(?:vllm|sglang)[\w.:/-]*[-:](?:cpu|xeon)\b", re.IGNORECASE)


def read_device(facts: Mapping[str, Any], intent: Intent) -> Device:
    """A GPU, as soon as anything speaks of one; plain transformers also runs on a machine without.

    "cpu" only where the engine, its image or its flags say so: a torch for the CPU is no such word, for it is what
    goes wrong most.
    """
    if for_the_cpu(facts, intent):
        return "cpu"
    if intent.engine in ("vllm", "sglang") or any(_says_something(facts.get(key)) for key in _OF_A_GPU):
        return "cuda"
    is_without = first(facts, "gpus", "gpu", "gpu_count") is not None
    said = [facts.get(key) for key in (*_OF_CUDA, "cuda_home")]
    variables = table(first(facts, "env", "environment"))
    said += [variables.get(name) for name in _VARIABLES_OF_CUDA]
    speaks = any(map(_says_something, said)) or _has_libcuda(facts)
    return "cuda" if not is_without and speaks else "auto"


def for_the_cpu(facts: Mapping[str, Any], intent: Intent) -> bool:
    """Whether the deployment is one on the CPU by its own words."""
    container = facts.get("container")
    image = text(container) or " ".join(text(value) for value in table(container).values())
    version = text(table(facts.get("packages")).get(intent.engine))
    target = text(table(first(facts, "env", "environment")).get("VLLM_TARGET_DEVICE"))
    return bool(
        stated_flag(intent.command, "device") == "cpu"
        or target.lower() == "cpu"
        or _CPU_BUILD.search(text(facts.get("engine")))
        or "+cpu" in version
        or _CPU_IMAGE.search(image)
    )


def _has_libcuda(facts: Mapping[str, Any]) -> bool:
    """The library, or a talk of the link to it. That there is none of it says a machine without GPU as well."""
    link = libcuda_link(facts)
    if link is None or link:
        return link is not None
    library = " ".join(map(str, as_list(first(facts, "libcuda", "ldconfig"))))
    of_link = any(facts.get(name) is not None for name in LINKS if "link" in name)
    has_it = re.search(r"(?<!no )(?<!without )libcuda\.so\.1", library) is not None
    return (of_link or has_it) and "+cpu" not in text(facts.get("torch"))


def _says_something(value: Any) -> bool:
    if isinstance(value, str):
        return _NOTHING.fullmatch(value.strip()) is None
    return bool(value)
