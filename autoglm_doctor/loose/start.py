"""How NVML and CUDA started, from the words and states that people write of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.loose.container import kind_of
from autoglm_doctor.loose.module_log import spoken
from autoglm_doctor.loose.values import answer, as_list, first, number, table, text, version

#: nvmlReturn_t (nvml.h), by its words and those of nvidia-smi. "Unknown Error" means something in a container only.
_NVML = (
    (18, re.compile(r"driver/library version mismatch|LIB_RM_VERSION_MISMATCH", re.IGNORECASE)),
    (9, re.compile(r"driver (?:is )?not loaded|couldn't communicate with the nvidia driver", re.IGNORECASE)),
)
_UNKNOWN = re.compile(r"nvml\W+unknown error|^unknown error", re.IGNORECASE)
_NVML_KEYS = (
    "nvml_error",
    "nvml",
    "nvml_init",
    "nvidia_smi",
    "nvidia_smi_error",
    "nvidia_smi_output",
    "nvidia_smi_says",
)
#: A running container whose GPUs go as systemd reads its units again.
_RELOADED = re.compile(r"(?=.*\bdaemon-reload)(?=.*\b(?:fail|los[et]|gone|disappear|unknown error))", re.I | re.DOTALL)
#: A container that nothing was handed into. Who starts it with NVIDIA's runtime needs no --gpus.
_NOT_GIVEN = re.compile(r"\b(?:without|no|missing|forgot\w*|lacks) (?:the )?(?:--gpus|gpus? flags?)\b", re.IGNORECASE)
_RUNTIME = re.compile(r"runtime[= ]+nvidia|nvidia[- ](?:container[- ])?runtime|--device", re.IGNORECASE)

#: cuda.h: CUDA_ERROR_SYSTEM_NOT_READY, of NVLink switches that are not set up; CUDA_ERROR_UNKNOWN, of nvidia_uvm.
_NOT_READY, _UNKNOWN_CODE = 802, 999
_CODE = re.compile(r"\berror:? \(?(\d{3})\b", re.IGNORECASE)
#: The same by name (cuda.h, driver_types.h).
_NAMED = (
    (500, re.compile(r"CUDA_ERROR_NOT_FOUND|cudaErrorSymbolNotFound")),
    (_NOT_READY, re.compile(r"SYSTEM_NOT_READY|SystemNotReady|system not yet initialized")),
    (803, re.compile(r"SYSTEM_DRIVER_MISMATCH|SystemDriverMismatch|unsupported display driver")),
    (804, re.compile(r"COMPAT_NOT_SUPPORTED|CompatNotSupportedOnDevice|forward compatibility was attempted")),
)
#: What NVML calls a fabric that is set up (nvml.h, NVML_GPU_FABRIC_STATE_COMPLETED), or one that there is none of.
_FABRIC_READY = re.compile(r"completed|n/?a|not supported|none", re.IGNORECASE)
_FABRIC_DOWN = re.compile(
    r"inactive.*|dead|failed.*|stopped|not (?:running|installed|active|started).*|missing|disabled|crash.*",
    re.IGNORECASE,
)
#: GPUs on boards of eight with NVLink switches. The same chips on a card (PCIe, NVL) have none, fewer may have none.
_SWITCHED = re.compile(
    r"\b(?:V100-SXM3|A100|A800|H100|H800|H200|H20|B100|B200|B300)\b(?!.*(?:pcie|\bnvl\b))", re.IGNORECASE
)
_BOARD = re.compile(r"\b(?:HGX|DGX|NVSwitch)\b", re.IGNORECASE)
_BOARD_OF = 8


def nvml_words(facts: Mapping[str, Any]) -> tuple[int | None, str]:
    """The code that nvmlInit ended with, and the words that tell it; (None, "") where none do, or CUDA is seen."""
    if answer(facts.get("cuda_available")) is True:
        return None, ""
    said, container = spoken(facts, *_NVML_KEYS), _words(facts.get("container"))
    for code, pattern in _NVML:
        if pattern.search(said):
            return code, said
    inside = kind_of(facts.get("container"))
    if inside and (_UNKNOWN.search(said) or _RELOADED.search(container)):
        return 999, "Unknown Error"
    if inside and _NOT_GIVEN.search(container) and not _RUNTIME.search(container):
        return 9, "the container was started without its GPUs"
    nodes = _nodes(facts)
    return (9, "no device files in the container") if inside and nodes == set() else (None, "")


def cuda_code(facts: Mapping[str, Any]) -> int:
    """What cuInit returned, as it is stated or follows from a state; 0 where nothing tells of an error."""
    stated = first(facts, "cuda_init_code", "cuda_error_code", "cuda_error")
    named = _CODE.search(text(stated))
    code = number(stated) if named is None else float(named[1])
    code = code if code is not None else next((one for one, words in _NAMED if words.search(text(stated))), None)
    fabric = text(facts.get("fabric_state"))
    if code is None and ((fabric and not _FABRIC_READY.fullmatch(fabric)) or _without_fabric(facts)):
        return _NOT_READY
    return _UNKNOWN_CODE if code is None and _without_uvm(facts) else int(code or 0)


def _without_fabric(facts: Mapping[str, Any]) -> bool:
    """Eight GPUs behind switches, and a fabric manager that does not run, or is of another version than the driver."""
    if answer(facts.get("cuda_available")) is True or not _has_switches(facts):
        return False
    stated = first(facts, "fabric_manager", "fabricmanager", "nvidia_fabricmanager")
    words = text(table(stated).get("state") or stated)
    of = version(first(facts, "fabric_manager_version", "fabricmanager_version")) or version(words)
    driver = version(first(facts, "driver_version", "driver"))
    other = of.count(".") > 0 and driver.count(".") > 0 and _numbers(of) != _numbers(driver)
    return stated is False or _FABRIC_DOWN.fullmatch(words) is not None or other


def _numbers(said: str) -> list[str]:
    """ "550.127.05-1" is 550.127.05."""
    return [part.lstrip("0") for part in re.split(r"[-+~]", said)[0].split(".")]


def _has_switches(facts: Mapping[str, Any]) -> bool:
    switches = number(first(facts, "nvswitches", "nvswitch", "nvswitch_count"))
    if switches is not None:
        return switches > 0
    stated = as_list(first(facts, "gpus", "gpu"))
    names = [text(table(one).get("name") or one) for one in stated]
    if _BOARD.search(" ".join([*names, *(_words(facts.get(key)) for key in ("server", "topology", "cloud", "os"))])):
        return True
    counts = [number(table(one).get("count")) or _count(text(one)) for one in stated]
    total = max(sum(counts), number(facts.get("gpu_count")) or 0)
    return total >= _BOARD_OF and bool(names) and all(_SWITCHED.search(name) for name in names)


def _count(name: str) -> float:
    match = re.match(r"(\d{1,2})\s*[x*\u00d7]\s*", name, re.IGNORECASE)
    return float(match[1]) if match else 1.0


def _without_uvm(facts: Mapping[str, Any]) -> bool:
    """torch for CUDA sees none, and nvidia_uvm is said to be missing, or the machine slept since it started.

    Both are healthy by themselves: the module and its device come as the first program asks for them.
    """
    if answer(facts.get("cuda_available")) is not False or kind_of(facts.get("container")):
        return False
    nodes, torch = _nodes(facts), text(facts.get("torch"))
    missing = answer(first(facts, "dev_nvidia_uvm", "nvidia_uvm", "nvidia_uvm_loaded", "uvm")) is False
    missing = missing or bool(nodes and not any("uvm" in one for one in nodes))
    slept = answer(facts.get("suspended_since_boot")) is True and bool(text(facts.get("torch_cuda")))
    return (missing or slept) and not re.search(r"\+(?:cpu|rocm)", torch)


def _nodes(facts: Mapping[str, Any]) -> set[str] | None:
    """The files of `ls /dev/nvidia*`; None where nobody looked."""
    stated = first(facts, "dev_nodes", "device_nodes", "dev_nvidia", "nvidia_device_nodes")
    if stated is None or isinstance(stated, dict):
        return None
    if answer(stated) is False:
        return set()
    found = {word.strip(",") for one in as_list(stated) for word in text(one).split()}
    return {word for word in found if "nvidia" in word} if found else set() if stated == [] else None


def _words(value: Any) -> str:
    """A sentence; of an object or a list, all that it says."""
    return text(value) or " ".join(text(one) for one in (*table(value).values(), *as_list(value)))
