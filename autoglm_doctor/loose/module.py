"""`nvidia_module_found_for`, `kernel_driver`, `nouveau_blacklisted` -> why no NVIDIA driver answers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Driver, PciGpu, Reading, known
from autoglm_doctor.loose.host import secure_boot
from autoglm_doctor.loose.values import answer, first, text

#: nvmlInit where the kernel module is not loaded (nvml.h, NVML_ERROR_DRIVER_NOT_LOADED).
_NOT_LOADED = 9

#: Keys that name the flavour of the module, and its words: "NVIDIA UNIX Open Kernel Module", "proprietary".
_FLAVOUR = ("kernel_module_flavour", "kernel_module_flavor", "module_flavour", "module_flavor", "kernel_module_type")
_FLAVOURS = re.compile(r"\b(?:(open)|proprietary|closed)\b", re.IGNORECASE)

#: The free drivers, as `lspci -k` and lsmod name them.
_FREE = re.compile(r"nouveau|nova[-_]core", re.IGNORECASE)


def read_module(facts: Mapping[str, Any]) -> Reading[Driver] | None:
    """A driver whose kernel module cannot load, for one that nothing else is said of; None where nothing tells it."""
    built, kernel = text(facts.get("nvidia_module_found_for")), text(facts.get("kernel"))
    if built and kernel and built != kernel:
        said = f"the module is built for {built}, {kernel} runs"
        return known(Driver(version=None, nvml_code=_NOT_LOADED, nvml_error=said), source="stated")
    if _shut_out(facts):
        said = "Secure Boot is on, and the key of the module is not enrolled"
        return known(Driver(version=None, nvml_code=_NOT_LOADED, nvml_error=said), source="stated")
    if read_pci(facts) is not None:
        return Reading(outcome="absent", why="another driver holds the GPU", source="stated")
    return None


def _shut_out(facts: Mapping[str, Any]) -> bool:
    """It is said that the key is not enrolled: who has signed modules, or a GPU that works, does not say so."""
    refused = answer(facts.get("mok_enrolled")) is False or answer(facts.get("nvidia_module_loaded")) is False
    return refused and secure_boot(facts) is True and answer(facts.get("cuda_available")) is not True


def with_flavour(driver: Reading[Driver] | None, facts: Mapping[str, Any]) -> Reading[Driver] | None:
    """The driver, with the flavour of its kernel module where it is stated: open or proprietary."""
    said = text(first(facts, *_FLAVOUR))
    found = {bool(match[1]) for match in _FLAVOURS.finditer(said)}
    stated = answer(first(facts, "open_kernel_module", "nvidia_open"))
    is_open = found.pop() if len(found) == 1 else stated if not said else None
    if is_open is None or (driver is not None and driver.value is None):
        return driver
    one = driver.value if driver is not None and driver.value is not None else Driver(version=None)
    return known(dataclasses.replace(one, open_module=is_open), source="stated")


def read_pci(facts: Mapping[str, Any]) -> Reading[tuple[PciGpu, ...]] | None:
    """The GPU and the free driver that holds it; None where neither is stated.

    One that nobody keeps away is bound before an NVIDIA driver that was only installed: where such a one is spoken of.
    """
    bound = _FREE.search(text(first(facts, "kernel_driver", "kernel_driver_in_use", "gpu_kernel_driver")))
    free = answer(facts.get("nouveau_blacklisted")) is False and text(facts.get("driver_source"))
    if not bound and not free:
        return None
    name = bound[0].lower() if bound else "nouveau"
    return known((PciGpu(address="?", device_id="", driver=name),), source="stated")
