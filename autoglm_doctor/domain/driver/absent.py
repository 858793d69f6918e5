"""Why there is no driver that answers: none is installed, something else holds the GPU, a container has none."""

from __future__ import annotations

from autoglm_doctor.domain.driver.faults import (
    NO_PERMISSION,
    NVML,
    Fault,
    broken_library,
    is_damaged,
    own_words,
    refusal,
)
from autoglm_doctor.domain.driver.fixes import (
    GIVE_GPUS,
    GIVE_UTILITY,
    LOAD_MODULE,
    NOUVEAU,
    POD,
    POD_UTILITY,
    REBOOT,
    TOOLKIT,
    USE_GPU_MACHINE,
    nvml_fixes,
)
from autoglm_doctor.domain.driver.ways import INSTALL_DRIVER, ON_WINDOWS, install_driver
from autoglm_doctor.facts import Driver, Host, PciGpu
from autoglm_doctor.finding import Fix, Text

#: Secure Boot takes modules that are signed with a key that the firmware, or the machine's owner (MOK), knows.
#: Where the key lies that modules are signed with as they are built: Ubuntu, DKMS elsewhere, Fedora's akmods.
_KEYS = "/var/lib/shim-signed/mok/MOK.der /var/lib/dkms/mok.pub /etc/pki/akmods/certs/public_key.der"

ENROL_KEY = Fix(
    text=Text(
        "have the module's key enrolled: choose a password, then at the reboot `Enroll MOK` and that password; "
        "distributions also have modules that are signed already"
    ),
    commands=(
        "sudo modprobe nvidia; sudo dmesg | grep -i -E 'key was rejected|loading of unsigned|lockdown' | tail",
        f'sudo mokutil --import "$(ls {_KEYS} 2>/dev/null | head -1)"',
        "sudo reboot",
    ),
    effort="reboot",
    needs_root=True,
    reboot=True,
)

#: Kernel drivers that keep NVIDIA's own from binding.
FREE_DRIVERS = ("nouveau", "nova_core", "nova-core", "nova")

#: nvmlReturn_t (nvml.h): driver not loaded, library not found, unknown.
NOT_LOADED, NOT_FOUND, UNKNOWN = 9, 12, 999


def no_answer(driver: Driver, pci_gpus: tuple[PciGpu, ...] | None, host: Host | None) -> Fault:
    """Parts of a driver are there and NVML does not start: why, and what helps."""
    said = {"error": own_words(driver) or f"code {driver.nvml_code}", "version": driver.kernel_version}
    code, inside = driver.nvml_code, host is not None and bool(host.container)
    free = _free_driver(pci_gpus)
    if free:
        return _nouveau(free)
    if inside and code == UNKNOWN:
        text = Text("the container has lost its GPUs ({error}), as after a `systemctl daemon-reload`", said)
        return Fault(cause="CONTAINER_GPU_CGROUP_LOST", text=text, fixes=(GIVE_GPUS, TOOLKIT))
    if is_damaged(own_words(driver)):
        return refusal(driver, host)
    if inside and code in (NOT_FOUND, NOT_LOADED, NO_PERMISSION):
        text = Text("the container was started without GPUs: {error}", said)
        return Fault(cause="CONTAINER_WITHOUT_GPU", text=text, fixes=_container_fixes(host))
    if code == NOT_FOUND and driver.kernel_version:
        text = Text("the kernel module {version} is loaded, but its libraries are missing: {error}", said)
        return Fault(cause="DRIVER_NOT_INSTALLED", text=text, fixes=(install_driver(pci_gpus),))
    if code == NOT_LOADED and host is not None and host.secure_boot and pci_gpus != ():
        text = Text("the driver is installed and its kernel module not loaded ({error}), while Secure Boot is on", said)
        return Fault(cause="SECURE_BOOT_BLOCKS_MODULE", text=text, fixes=(ENROL_KEY, LOAD_MODULE))
    if code in (NOT_LOADED, NOT_FOUND):
        text = Text("the driver's libraries are installed, but its kernel module is not loaded: {error}", said)
        return Fault(cause="KERNEL_MODULE_NOT_BUILT", text=text, fixes=(LOAD_MODULE, REBOOT))
    return refusal(driver, host)


def without_nvml(driver: Driver | None, host: Host | None) -> Fault:
    """CUDA works, and only NVML is missing or damaged. `driver` is None where nothing else of it was found."""
    error = own_words(driver) if driver else ""
    said = {"error": error or f"{NVML} is not there"}
    if driver is not None and is_damaged(error):
        return broken_library(NVML, error, driver, host)
    asked = "which engines ask for the memory of the GPUs"
    if host is not None and host.container:
        words = "CUDA works, but the container lacks the driver's `utility` libraries: there is no NVML ({error}), "
        fix = POD_UTILITY if host.container == "kubernetes" else GIVE_UTILITY
        return Fault(cause="CONTAINER_WITHOUT_NVML", text=Text(words + asked, said), fixes=(fix,))
    words = "CUDA works, but the driver's library NVML is missing ({error}), "
    fixes = nvml_fixes(driver, wsl=host is not None and host.wsl)
    return Fault(cause="NVML_LIBRARY_MISSING", text=Text(words + asked, said), fixes=fixes)


def no_driver(pci_gpus: tuple[PciGpu, ...] | None, host: Host | None) -> Fault:
    """No trace of a driver. `pci_gpus` is None where the bus cannot be read."""
    free = _free_driver(pci_gpus)
    if host is not None and host.container:
        text = Text("the container sees no GPU: it was started without GPUs, or its host has none")
        return Fault(cause="CONTAINER_WITHOUT_GPU", text=text, fixes=_container_fixes(host))
    if host is not None and host.wsl:
        text = Text("no driver shows in WSL; it comes with the driver of Windows")
        return Fault(cause="DRIVER_NOT_INSTALLED", text=text, fixes=(ON_WINDOWS,))
    if free:
        return _nouveau(free)
    if pci_gpus:
        return _bare(pci_gpus)
    if pci_gpus is None:
        text = Text("there is no NVIDIA driver; whether there is a GPU could not be read")
        return Fault(cause="DRIVER_NOT_INSTALLED", text=text, fixes=(INSTALL_DRIVER, USE_GPU_MACHINE))
    return Fault(cause="NO_GPU", text=Text("there is no NVIDIA GPU on the PCI bus"), fixes=(USE_GPU_MACHINE,))


def _bare(pci_gpus: tuple[PciGpu, ...]) -> Fault:
    reserved = next((gpu.address for gpu in pci_gpus if gpu.driver == "vfio-pci"), None)
    if reserved is None:
        text = Text("{n} NVIDIA GPU(s) on the PCI bus, but no driver", {"n": len(pci_gpus)})
        return Fault(cause="DRIVER_NOT_INSTALLED", text=text, fixes=(install_driver(pci_gpus),))
    give_back = Fix(
        text=Text("give the GPU back to this machine, if no virtual machine needs it, and install the driver"),
        commands=(f"sudo driverctl unset-override {reserved}", *install_driver(pci_gpus).commands),
        effort="reboot",
        needs_root=True,
        reboot=True,
    )
    text = Text("the GPU at {address} is reserved for virtual machines (vfio-pci)", {"address": reserved})
    return Fault(cause="DRIVER_NOT_INSTALLED", text=text, fixes=(give_back,))


def _free_driver(pci_gpus: tuple[PciGpu, ...] | None) -> PciGpu | None:
    return next((gpu for gpu in pci_gpus or () if gpu.driver in FREE_DRIVERS), None)


def _nouveau(gpu: PciGpu) -> Fault:
    text = Text("the free driver {driver} holds the GPU at {address}", {"driver": gpu.driver, "address": gpu.address})
    return Fault(cause="NOUVEAU_OR_NOVA_HOLDS_GPU", text=text, fixes=(NOUVEAU,))


def _container_fixes(host: Host | None) -> tuple[Fix, ...]:
    return (POD,) if host is not None and host.container == "kubernetes" else (GIVE_GPUS, TOOLKIT)
