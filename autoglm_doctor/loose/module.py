"""`nvidia_module_found_for`, `dkms`, `kernel_driver`, `nouveau` ... -> why no NVIDIA driver answers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Driver, PciGpu, Reading, known
from autoglm_doctor.loose.host import secure_boot
from autoglm_doctor.loose.module_log import (
    flavour_in_log,
    has_module,
    kernels_of_dkms,
    key_refused,
    not_built,
    same_kernel,
    spoken,
)
from autoglm_doctor.loose.start import nvml_words
from autoglm_doctor.loose.values import answer, first, text, version

#: nvmlInit where the kernel module is not loaded (nvml.h, NVML_ERROR_DRIVER_NOT_LOADED).
_NOT_LOADED = 9

#: Keys that name the flavour of the module, and its words: "NVIDIA UNIX Open Kernel Module", "proprietary".
_FLAVOUR = (
    *("kernel_module_flavour", "kernel_module_flavor", "module_flavour", "module_flavor", "kernel_module_type"),
    *("kernel_module", "nvidia_kernel_module", "proc_driver_nvidia_version", "nvrm_version"),
)
#: In /proc/driver/nvidia/version the proprietary one is the one that says nothing: "NVIDIA UNIX x86_64 Kernel Module".
_FLAVOURS = re.compile(r"\b(?:(open)|proprietary|closed|UNIX x86_64 Kernel Module)\b", re.IGNORECASE)

#: The free drivers, as `lspci -k` and lsmod name them.
_FREE = re.compile(r"nouveau|nova[-_]core", re.IGNORECASE)


def read_module(facts: Mapping[str, Any]) -> Reading[Driver] | None:
    """A driver whose kernel module cannot load, for one that nothing else is said of; None where nothing tells it."""
    said = _why_not_loaded(facts)
    if said:
        return known(Driver(version=None, nvml_code=_NOT_LOADED, nvml_error=said), source="stated")
    if read_pci(facts) is not None:
        return Reading(outcome="absent", why="another driver holds the GPU", source="stated")
    return None


def _why_not_loaded(facts: Mapping[str, Any], *, alone: bool = True) -> str:
    """What keeps the module out, in words; "" where nothing does, or where CUDA is seen all the same.

    `alone`: nothing else is said of the driver. One of a stated version may have modules that came signed or built: a
    line of DKMS that is older than the kernel counts there only beside a sign that the driver does not answer.
    """
    if not has_module(facts):
        return ""
    kernel, found = text(facts.get("kernel")), text(facts.get("nvidia_module_found_for"))
    built = [found] if found else kernels_of_dkms(facts) if alone or _fails(facts) else []
    if built and kernel and not any(same_kernel(one, kernel) for one in built):
        return f"the module is built for {', '.join(built)}, {kernel} runs"
    if key_refused(facts):
        return "the kernel refuses the key of the module"
    if (alone or _is_unsigned(facts)) and _shut_out(facts):
        return "Secure Boot is on, and the key of the module is not enrolled"
    if not_built(facts):
        return "the module could not be built, or is not there"
    loaded = answer(first(facts, "nvidia_module_loaded", "kernel_module_loaded", "nvidia_module"))
    return "the module is not loaded" if loaded is False else ""


def _fails(facts: Mapping[str, Any]) -> bool:
    """Something else tells that the driver does not answer."""
    loaded = answer(first(facts, "nvidia_module_loaded", "kernel_module_loaded", "nvidia_module"))
    keys = ("cuda_available", "nvidia_smi", "nvidia_smi_works", "nvidia_smi_lists_gpu")
    return loaded is False or any(answer(facts.get(key)) is False for key in keys) or bool(nvml_words(facts)[0])


def _shut_out(facts: Mapping[str, Any]) -> bool:
    """It is said that the key is not enrolled, or the module has none: a GPU that works does not let one say so."""
    refused = False in (answer(facts.get(key)) for key in ("mok_enrolled", "nvidia_module_loaded"))
    refused = refused or _is_unsigned(facts)
    return refused and secure_boot(facts) is True and answer(facts.get("cuda_available")) is not True


def _is_unsigned(facts: Mapping[str, Any]) -> bool:
    return answer(first(facts, "kernel_module_signed", "nvidia_module_signed", "module_signed")) is False


def with_flavour(driver: Reading[Driver] | None, facts: Mapping[str, Any]) -> Reading[Driver] | None:
    """The driver, with what is stated of its kernel module: open or proprietary, its version, why it is not loaded."""
    if driver is not None and driver.value is None:
        return driver
    one = driver.value if driver is not None and driver.value is not None else Driver(version=None)
    is_open = _is_open(facts)
    made = dataclasses.replace(one, open_module=is_open, kernel_version=one.kernel_version or _own_version(facts))
    why = _why_not_loaded(facts, alone=False) or ("another driver holds the GPU" if _bound(facts) else "")
    if driver is not None and why and made.nvml_code is None:
        made = dataclasses.replace(made, nvml_code=_NOT_LOADED, nvml_error=why)
    return known(made, source="stated") if made != one else driver


def _is_open(facts: Mapping[str, Any]) -> bool | None:
    """The flavour as it is stated, or as the kernel's log tells it."""
    said = text(first(facts, *_FLAVOUR))
    found = {bool(match[1]) for match in _FLAVOURS.finditer(said)}
    stated = answer(first(facts, "open_kernel_module", "nvidia_open"))
    is_open = found.pop() if len(found) == 1 else stated if not said else None
    return flavour_in_log(facts) if is_open is None else is_open


def _own_version(facts: Mapping[str, Any]) -> str | None:
    """The version in "NVIDIA UNIX Open Kernel Module 545.23.08"."""
    said = text(first(facts, *_FLAVOUR))
    return (version(said) or None) if re.search(r"kernel module", said, re.IGNORECASE) else None


def _bound(facts: Mapping[str, Any]) -> str:
    """The free driver that holds the GPU, as somebody has seen it; "" when none is seen."""
    said = text(first(facts, "kernel_driver", "kernel_driver_in_use", "gpu_kernel_driver"))
    bound = _FREE.search(said)
    if bound is None and answer(facts.get("cuda_available")) is not True:
        lsmod = spoken(facts, "lsmod", "modules", "loaded_modules", "modules_loaded")
        free = text(facts.get("nouveau"))
        seen = facts.get("nouveau") is True or re.match(r"(?:loaded|in use|active|running|true|yes)\b", free, re.I)
        if seen and answer(facts.get("nouveau_blacklisted")) is not True:
            return "nouveau"
        bound = _FREE.search(lsmod) if not re.search(r"\bnvidia\b", lsmod) else None
    return bound[0].lower() if bound else ""


def read_pci(facts: Mapping[str, Any]) -> Reading[tuple[PciGpu, ...]] | None:
    """The GPU and the free driver that holds it; None where neither is stated.

    One that nobody keeps away is bound before an NVIDIA driver that was only installed: where such a one is spoken of.
    """
    bound = _bound(facts)
    free = answer(facts.get("nouveau_blacklisted")) is False and text(facts.get("driver_source"))
    if not bound and not free:
        return None
    return known((PciGpu(address="?", device_id="", driver=bound or "nouveau"),), source="stated")
