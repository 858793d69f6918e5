"""How NVML and CUDA started, from the words and states that people write of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.loose.container import kind_of
from autoglm_doctor.loose.fabric import fabric_is_down
from autoglm_doctor.loose.module_log import spoken
from autoglm_doctor.loose.values import answer, as_list, first, number, table, text

#: nvmlReturn_t (nvml.h), by its words and those of nvidia-smi. "Unknown Error" means something in a container only.
_NVML = (
    (18, re.compile(r"driver/library version mismatch|LIB_RM_VERSION_MISMATCH", re.IGNORECASE)),
    (9, re.compile(r"driver (?:is )?not loaded|couldn't communicate with the nvidia driver", re.IGNORECASE)),
)
#: Of NVML's start: nvidia-smi also writes it into a column that it cannot fill.
_UNKNOWN = re.compile(r"nvml\W+unknown error|^(?:error\W+)?unknown error(?:\W*\(?\d+\)?)?\W*$", re.IGNORECASE)
_NVML_KEYS = (
    "nvml_error",
    "nvml",
    "nvml_init",
    "nvidia_smi",
    "nvidia_smi_error",
    "nvidia_smi_output",
    "nvidia_smi_says",
)
_NEGATED = re.compile(r"\b(?:no|not|never|without|isn't|aren't|doesn't)\W+(?:(?:a|an|the|any|more|longer) )*$", re.I)
#: A running container whose GPUs go as systemd reads its units again.
_RELOADED = re.compile(r"\bdaemon-reload", re.IGNORECASE)
_LOST = re.compile(r"\b(?:fail|los[et]|gone|disappear|unknown error)", re.IGNORECASE)
#: A container that nothing was handed into. Kubernetes has no --gpus, and who starts it with NVIDIA's runtime, by CDI
#: or with a reservation of Compose needs none.
_NOT_GIVEN = re.compile(r"\b(?:without|no|missing|forgot\w*|lacks) (?:the )?(?:--gpus|gpus? flags?)\b", re.IGNORECASE)
_ANOTHER_WAY = re.compile(
    r"runtime(?:[=: ]+| is )[\"']?nvidia|nvidia[- ](?:container[- ])?runtime|--device|nvidia\.com/gpu|\bdeploy\b"
    r"|\bcdi\b|reservations|device_requests|(?<!only )NVIDIA_VISIBLE_DEVICES",
    re.IGNORECASE,
)

#: cuda.h: CUDA_ERROR_SYSTEM_NOT_READY, of NVLink switches that are not set up; CUDA_ERROR_UNKNOWN, of nvidia_uvm.
_NOT_READY, _UNKNOWN_CODE = 802, 999
#: A short number is more often a count or an exit status: it needs cuInit, or CUDA's name of the error.
_CODE = re.compile(
    r"(?:(?<!http )(?<!status )(?<!server )\berror:? \(?(\d{3})"
    r"|(?:cuInit(?:\(0\))?|CUDA_ERROR_(?:NO_DEVICE|NOT_[A-Z]{1,20}|STUB_LIBRARY|SYSTEM_\w{1,30}|COMPAT_\w{1,40}|UNKNOWN))[^\w,;]{0,4}"
    r"(?:(?:returned|returns|failed with|gives|code|error)\W{1,3})?(\d{1,3}))\b"
    r"(?! *(?:times|seconds|[kmgt]i?b|bytes|[mun]?s)\b|[):,]* *(?:is |was |got )?(?:fixed|solved|resolved|gone)\b)",
    re.IGNORECASE,
)
#: An error that is over, or is not there.
_OVER = re.compile(
    r"\b(?:no|not|never|without|fixed|solved|resolved|was|were|former(?:ly)?|previous(?:ly)?|earlier)\W+"
    r"(?:(?:an?|the|any|more|longer|cuda) )*$",
    re.IGNORECASE,
)
#: What cuInit ends with; the other codes are of what a program did afterwards.
_OF_START = frozenset({3, 34, 100, 500, 802, 803, 804, 805, 999})
#: A process that was copied after CUDA had started in it.
_FORKED = re.compile(r"\bforked\b|\bfork error", re.IGNORECASE)
#: A kernel that a program asks for, and not a part of the driver, which WSL's containers get from a toolkit.
_OF_KERNELS = re.compile(r"cuModule|GetFunction|GetGlobal|GetProcAddress|cuLibrary|cuKernel|kernel", re.IGNORECASE)
_OF_THE_DRIVER = re.compile(r"GetProcAddress", re.IGNORECASE)
#: The same by name (cuda.h, driver_types.h).
_NAMED = (
    (500, re.compile(r"CUDA_ERROR_NOT_FOUND|cudaErrorSymbolNotFound")),
    (_NOT_READY, re.compile(r"SYSTEM_NOT_READY|SystemNotReady|system not yet initialized")),
    (803, re.compile(r"SYSTEM_DRIVER_MISMATCH|SystemDriverMismatch|unsupported display driver")),
    (804, re.compile(r"COMPAT_NOT_SUPPORTED|CompatNotSupportedOnDevice|forward compatibility was attempted")),
)
#: Systems whose GPUs have files of other names: /dev/dxg, /dev/nvhost-ctrl-gpu, /dev/nvmap.
_OTHER_FILES = re.compile(
    r"windows|\bwsl|microsoft|jetson|jetpack|tegra|\bl4t\b|\borin\b|xavier|\bthor\b|/dev/(?:dxg|nvhost|nvmap)",
    re.IGNORECASE,
)


def nvml_words(facts: Mapping[str, Any]) -> tuple[int | None, str]:
    """The code that nvmlInit ended with, and the words that tell it; (None, "") where none do, or CUDA is seen."""
    if answer(facts.get("cuda_available")) is True:
        return None, ""
    said, container = spoken(facts, *_NVML_KEYS), _words(facts.get("container"))
    for code, pattern in _NVML:
        if _says(pattern, said):
            return code, said
    inside = kind_of(facts.get("container"))
    reloaded = any(_RELOADED.search(one) and _says(_LOST, one) for one in (said, container))
    if inside and (_UNKNOWN.search(said) or reloaded):
        return 999, "Unknown Error"
    other = inside == "kubernetes" or _ANOTHER_WAY.search(container)
    if inside and _NOT_GIVEN.search(container) and not other:
        return 9, "the container was started without its GPUs"
    return (9, "no device files in the container") if inside and _nodes(facts) == set() else (None, "")


def _says(pattern: re.Pattern[str], said: str) -> bool:
    """It is there, and not behind a "no"."""
    return any(not _NEGATED.search(said[: found.start()]) for found in pattern.finditer(said))


def cuda_code(facts: Mapping[str, Any]) -> int:
    """What cuInit returned, as it is stated or follows from a state; 0 where nothing tells of an error."""
    init = number(facts.get("cuda_init_code"))
    if init is not None:
        return int(init)
    if answer(facts.get("cuda_available")) is True:
        return 0
    code = _told(first(facts, "cuda_init_code", "cuda_error_code", "cuda_error"), facts)
    if not code and fabric_is_down(facts):
        return _NOT_READY
    return _UNKNOWN_CODE if not code and _without_uvm(facts) else code


def _told(stated: Any, facts: Mapping[str, Any]) -> int:
    """A code of cuInit's, by its number or its name; 0 for none."""
    said = text(stated)
    named = next((one for one in _CODE.finditer(said) if not _OVER.search(said[: one.start()])), None)
    code = number(stated) if named is None else float(named[1] or named[2])
    if code is None:
        found = ((one, words.search(said)) for one, words in _NAMED)
        code = next((one for one, match in found if match and not _OVER.search(said[: match.start()])), 0)
    is_foreign = _FORKED.search(said) or (code == 500 and _is_of_kernels(said, facts))
    return int(code) if code in _OF_START and not is_foreign else 0


def _is_of_kernels(said: str, facts: Mapping[str, Any]) -> bool:
    in_wsl = kind_of(facts.get("container")) and re.search(r"\bwsl", _words(facts.get("os")), re.IGNORECASE)
    return _OF_KERNELS.search(_OF_THE_DRIVER.sub("", said) if in_wsl else said) is not None


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
    """The files of `ls /dev/nvidia*`; None where nobody looked, or where they have other names or are told in words."""
    stated = first(facts, "dev_nodes", "device_nodes", "dev_nvidia", "nvidia_device_nodes")
    if stated is None or isinstance(stated, dict) or _has_other_files(facts, stated):
        return None
    if answer(stated) is False or stated == [] or text(stated).lower() in ("empty", "nothing"):
        return set()
    found = {word.strip(",") for one in as_list(stated) for word in text(one).split()}
    if re.search(r"\b(?:no|not|missing|without|absent|No such)\b", _words(stated), re.IGNORECASE):
        return None
    named = {word for word in found if "nvidia" in word}
    return named or (set() if found and all(word.startswith("/dev/") for word in found) else None)


def _has_other_files(facts: Mapping[str, Any], stated: Any) -> bool:
    gpus = as_list(first(facts, "gpus", "gpu"))
    told = [facts.get("os"), facts.get("kernel"), facts.get("container"), stated, *gpus]
    return _OTHER_FILES.search(" ".join(map(_words, told))) is not None


def _words(value: Any) -> str:
    """A sentence; of an object or a list, all that it says."""
    return text(value) or " ".join(text(one) for one in (*table(value).values(), *as_list(value)))
