"""How NVML, CUDA and the kernel module are said to have started, in the words that people use."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.module_log import machine_words
from tests.restraint.judged import judged

D550 = {"driver_version": "550.120", "os": "Ubuntu 22.04"}
D570 = {"driver_version": "570.133.20", "os": "Ubuntu 24.04"}
EIGHT = {**D550, "gpus": ["8x H100 SXM"]}
CARD = {**D550, "gpus": ["RTX 3090"]}
DOCKER = {"driver_version": "570.133.20", "container": "docker"}
NO_CUDA = {**D550, "torch": "2.6.0+cu124", "torch_cuda": "12.4", "cuda_available": False}
NODES = ["/dev/nvidia0", "/dev/nvidiactl"]
LOST, NOT_GIVEN, FABRIC = "CONTAINER_GPU_CGROUP_LOST", "CONTAINER_WITHOUT_GPU", "FABRIC_MANAGER_MISSING"
SHUT_OUT, FLAVOUR, FREE = "SECURE_BOOT_BLOCKS_MODULE", "KERNEL_MODULE_FLAVOUR_WRONG", "NOUVEAU_OR_NOVA_HOLDS_GPU"
NOT_BUILT, UVM = "KERNEL_MODULE_NOT_BUILT", "UVM_MODULE_BROKEN"
K45 = "nvidia/550.120, 6.8.0-45-generic, x86_64: installed"
K50 = "nvidia/550.120, 6.8.0-50-generic, x86_64: installed (original_module exists)"
RUNS_50 = {**D550, "kernel": "6.8.0-50-generic"}
REJECTED = "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service"
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch"

FAULTS = [
    pytest.param({**EIGHT, "fabric_manager": "inactive (dead)"}, FABRIC, id="a fabric manager that is dead"),
    pytest.param({**EIGHT, "fabric_manager": "not running"}, FABRIC, id="one that does not run"),
    pytest.param({**EIGHT, "fabric_manager": False}, FABRIC, id="none"),
    pytest.param({**EIGHT, "fabric_manager_version": "550.127.05"}, FABRIC, id="one of another version"),
    pytest.param({**D570, "gpus": [{"name": "NVIDIA B200", "count": 8}], "fabricmanager": "failed"}, FABRIC, id="B200"),
    pytest.param({**D550, "nvswitches": 12, "fabric_manager": "not installed"}, FABRIC, id="switches that are counted"),
    pytest.param(
        {**D550, "gpus": ["16x Tesla V100-SXM3-32GB"], "fabric_manager": "inactive"}, FABRIC, id="the boards of a DGX-2"
    ),
    pytest.param({**D550, "server": "DGX H100", "fabric_manager": "not installed"}, FABRIC, id="a DGX"),
    pytest.param(
        {**D550, "gpus": ["8x A100 80GB"], "server": "HGX A100 8-GPU", "fabric_manager": "inactive"},
        FABRIC,
        id="eight of a name that a card has as well, and the board is named",
    ),
    pytest.param({**EIGHT, "fabric_manager_version": "550.54.15"}, FABRIC, id="one of an older release"),
    pytest.param({**D550, "fabric_state": "never Completed"}, FABRIC, id="a state that is not reached"),
    pytest.param({**CARD, "cuda_error": "CUDA error 803"}, "NVML_DRIVER_LIBRARY_MISMATCH", id="a code of the start"),
    pytest.param({**CARD, "cuda_error": "Error 500: named symbol not found"}, "CUDA_INIT_FAILED", id="another one"),
    pytest.param({**CARD, "cuda_init_code": 209}, "CUDA_INIT_FAILED", id="any code that is said to be cuInit's"),
    pytest.param({**CARD, "cuda_error": "error 802: system not yet initialized"}, FABRIC, id="the error in words"),
    pytest.param({**CARD, "cuda_error": "CUDA_ERROR_SYSTEM_NOT_READY"}, FABRIC, id="the error by its name"),
    pytest.param(
        {**CARD, "cuda_error": "cudaErrorCompatNotSupportedOnDevice"},
        "CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU",
        id="the runtime's name of another",
    ),
    pytest.param(
        {**RUNS_50, "dkms_status": K45, "cuda_available": False}, NOT_BUILT, id="DKMS has built for another kernel"
    ),
    pytest.param({"kernel": "6.8.0-50-generic", "dkms": K45}, NOT_BUILT, id="and no driver is stated"),
    pytest.param(
        {**RUNS_50, "dkms": f"nvidia/550.120: build failed for 6.8.0-50-generic; {K45}"},
        NOT_BUILT,
        id="it failed for this kernel",
    ),
    pytest.param(
        {**D550, "dkms": "Error! Bad return status for module build on kernel: 6.8.0-50-generic (x86_64)"},
        NOT_BUILT,
        id="as DKMS words it",
    ),
    pytest.param(
        {**D550, "dkms": "Your kernel headers for kernel 6.8.0-50 cannot be found at /lib/modules/6.8.0-50/build"},
        NOT_BUILT,
        id="without headers",
    ),
    pytest.param({**D550, "modprobe_nvidia": "Required key not available"}, SHUT_OUT, id="a key that is not there"),
    pytest.param(
        {**RUNS_50, "dkms": "nvidia/550.120: Bad return status for module build"}, NOT_BUILT, id="DKMS failed"
    ),
    pytest.param(
        {**D550, "modprobe": "FATAL: Module nvidia not found in directory /lib/modules/6.8"}, NOT_BUILT, id="none"
    ),
    pytest.param({**D550, "nvidia_module_loaded": False}, NOT_BUILT, id="not loaded"),
    pytest.param({**RUNS_50, "nvidia_module_found_for": "6.8.0-45-generic"}, NOT_BUILT, id="beside a driver's version"),
    pytest.param({**D550, "modprobe": REJECTED}, SHUT_OUT, id="a key that was rejected"),
    pytest.param(
        {**D550, "dmesg": ["nvidia: loading", "Loading of unsigned module is rejected"]}, SHUT_OUT, id="lockdown"
    ),
    pytest.param({**D550, "secure_boot": "enabled", "nvidia_module_loaded": "not loaded"}, SHUT_OUT, id="Secure Boot"),
    pytest.param(
        {**D570, "gpus": ["RTX 5090"], "kernel_module_flavour": "proprietary"}, FLAVOUR, id="not the open one"
    ),
    pytest.param(
        {**D570, "gpus": ["RTX 5090"], "dmesg": "NVRM: requires use of the NVIDIA open kernel modules."},
        FLAVOUR,
        id="as the kernel complains",
    ),
    pytest.param(
        {**D550, "gpus": ["GTX 1080"], "kernel_module": "NVIDIA UNIX Open Kernel Module for x86_64  550.120"},
        FLAVOUR,
        id="as /proc tells it",
    ),
    pytest.param({**CARD, "nouveau": True}, FREE, id="nouveau, yes"),
    pytest.param({**CARD, "nouveau": "loaded"}, FREE, id="nouveau is loaded"),
    pytest.param({**CARD, "lsmod": ["drm", "nouveau"]}, FREE, id="a list of modules"),
    pytest.param({**CARD, "kernel_driver_in_use": "nouveau"}, FREE, id="bound, beside a driver's version"),
    pytest.param({**CARD, "nvidia_smi": MISMATCH}, "NVML_DRIVER_LIBRARY_MISMATCH", id="nvidia-smi's mismatch"),
    pytest.param(
        {**CARD, "nvml_error": "driver/library version mismatch"}, "NVML_DRIVER_LIBRARY_MISMATCH", id="NVML's"
    ),
    pytest.param({**DOCKER, "nvml_error": "Unknown Error"}, LOST, id="an unknown error in a container"),
    pytest.param({**DOCKER, "container": "docker; loses its GPUs after daemon-reload"}, LOST, id="a reload"),
    pytest.param({**DOCKER, "container": "docker run without --gpus"}, NOT_GIVEN, id="no --gpus"),
    pytest.param({**DOCKER, "dev_nodes": []}, NOT_GIVEN, id="no device files"),
    pytest.param({**DOCKER, "dev_nodes": ["/dev/null", "/dev/shm"]}, NOT_GIVEN, id="others alone"),
    pytest.param({**DOCKER, "dev_nodes": "no"}, NOT_GIVEN, id="no, in a word"),
    pytest.param({**DOCKER, "nvidia_smi": "Failed to initialize NVML: Unknown Error"}, LOST, id="nvidia-smi's words"),
    pytest.param({**NO_CUDA, "suspended_since_boot": True}, UVM, id="after a sleep"),
    pytest.param({**NO_CUDA, "dev_nodes": NODES}, UVM, id="no nvidia-uvm"),
    pytest.param({**NO_CUDA, "nvidia_uvm": "not loaded"}, UVM, id="the module, in words"),
]


@pytest.mark.parametrize(("stated", "cause"), FAULTS)
def test_it_is_named(stated: dict[str, Any], cause: str) -> None:
    found = judged(stated)
    assert (found.status, [one.cause for one in found.causes]) == ("fail", [cause])


WORKS = {"cuda_available": True}
QUIET = [
    pytest.param({**EIGHT, "fabric_manager": "active (running)", "fabric_manager_version": "550.120-1"}, id="it runs"),
    pytest.param({**EIGHT, "fabric_manager": "inactive", **WORKS}, id="CUDA works"),
    pytest.param({**D550, "gpus": ["8x H100 PCIe"], "fabric_manager": "inactive"}, id="cards without switches"),
    pytest.param({**D550, "gpus": ["H100"], "fabric_manager": "not installed"}, id="one GPU"),
    pytest.param({**EIGHT, "nvswitches": 0, "fabric_manager": "not installed"}, id="no switches, by count"),
    pytest.param({**D550, "gpus": ["8x Tesla V100-SXM2-32GB"], "fabric_manager": "inactive"}, id="V100 without any"),
    pytest.param({**D550, "gpus": ["4x A100-SXM4"], "fabric_manager": "inactive"}, id="a board of four"),
    pytest.param({**D550, "gpus": ["8x RTX 4090"], "fabric_manager": False}, id="eight GeForces"),
    pytest.param({**D550, "gpus": ["8x H200 NVL"], "fabric_manager": False}, id="NVL cards"),
    pytest.param({**D550, "gpus": ["8x A100 80GB"], "fabric_manager": "inactive"}, id="eight that may be cards"),
    pytest.param({**D550, "gpus": ["8x H100"], "fabric_manager": "inactive"}, id="eight more"),
    pytest.param({**D550, "server": "VM on a DGX H100", "fabric_manager": "not installed"}, id="a part of a board"),
    pytest.param({**D550, "server": "DGX Spark", "fabric_manager": "not installed"}, id="a DGX Spark"),
    pytest.param(
        {"driver_version": "550.127", "gpus": ["8x H100 SXM"], "fabric_manager_version": "550.127.05"},
        id="a driver's number without its end",
    ),
    pytest.param({**CARD, "cuda_error": "CUDA error 209: no kernel image is available"}, id="no code of the start"),
    pytest.param({**CARD, "cuda_error": "CUDA error 700: an illegal memory access"}, id="of what a program did"),
    pytest.param({**CARD, "cuda_error": "error 222: the provided PTX"}, id="of a kernel"),
    pytest.param({**CARD, "cuda_error": "error 101: invalid device ordinal"}, id="of a number that a program chose"),
    pytest.param({**CARD, "cuda_error": "HTTP Error 500"}, id="of another thing"),
    pytest.param({**CARD, "cuda_error": "CUDA_ERROR_NOT_FOUND in cuModuleGetFunction"}, id="a function not found"),
    pytest.param({**CARD, "cuda_error": "error 802 last week", **WORKS}, id="an error that is over"),
    pytest.param({**RUNS_50, "dkms_status": K45}, id="beside a driver that may have come built"),
    pytest.param(
        {"kernel": "6.8.0-50-generic", "dkms": f"nvidia/550.120: build failed for 6.11.0-8-generic; {K50}"},
        id="DKMS failed for a kernel that does not run",
    ),
    pytest.param(
        {**D550, "modprobe": "modprobe: ERROR: could not insert 'vboxdrv': Key was rejected by service"},
        id="a key of VirtualBox",
    ),
    pytest.param({**D550, "dmesg": "zfs: module signature is invalid"}, id="another module's key"),
    pytest.param({**DOCKER, "dev_nodes": "/dev/nvidia0 is not missing"}, id="files in a sentence"),
    pytest.param({**DOCKER, "container": "docker run, no --gpus flag; default runtime is nvidia"}, id="the default"),
    pytest.param({**DOCKER, "container": "podman without --gpus, CDI nvidia.com/gpu=all"}, id="CDI"),
    pytest.param({**RUNS_50, "dkms_status": [K45, K50]}, id="DKMS has built for both"),
    pytest.param({**RUNS_50, "dkms_status": K45, **WORKS}, id="a module that came built"),
    pytest.param({**RUNS_50, "dkms": "not installed"}, id="no DKMS"),
    pytest.param({**RUNS_50, "dkms": "nvidia/550.120 installed for 6.8.0-50-generic"}, id="for this kernel"),
    pytest.param(
        {**D550, "kernel": "6.8.0-50", "nvidia_module_found_for": "6.8.0-50-generic"}, id="the flavour of a kernel"
    ),
    pytest.param({**D550, "secure_boot": True}, id="Secure Boot alone"),
    pytest.param({**D550, "os": "Ubuntu 22.04 (WSL2)", "nvidia_module_loaded": False}, id="WSL has no module"),
    pytest.param({**D550, "dmesg": "nvidia: module license 'NVIDIA' taints kernel."}, id="a tainted kernel"),
    pytest.param(
        {**D550, "gpus": ["GTX 1080"], "kernel_module": "NVIDIA UNIX x86_64 Kernel Module  550.120"}, id="right"
    ),
    pytest.param({**D570, "gpus": ["RTX 5090"], "kernel_module_flavour": "open"}, id="open"),
    pytest.param({**CARD, "nouveau": "blacklisted"}, id="nouveau is kept away"),
    pytest.param({**CARD, "nouveau": False}, id="no nouveau"),
    pytest.param({**CARD, "lsmod": ["nouveau", "nvidia", "nvidia_uvm"]}, id="nouveau for another card"),
    pytest.param({**CARD, "nouveau": True, **WORKS}, id="nouveau, and CUDA works"),
    pytest.param({**CARD, "nvidia_smi": "works"}, id="nvidia-smi works"),
    pytest.param({**CARD, "cuda_error": "none"}, id="no error"),
    pytest.param({**CARD, "nvidia_smi": True}, id="nvidia-smi, yes"),
    pytest.param({**CARD, "nvml_error": "Unknown Error"}, id="an unknown error outside of a container"),
    pytest.param({**DOCKER, "container": "docker run --runtime=nvidia without --gpus"}, id="NVIDIA's runtime"),
    pytest.param({**DOCKER, "container": "docker run --gpus all"}, id="--gpus all"),
    pytest.param({**DOCKER, "dev_nodes": NODES}, id="device files in the container"),
    pytest.param({**NO_CUDA, "cuda_available": True, "dev_nodes": NODES}, id="nvidia-uvm comes with the first program"),
    pytest.param({**D550, "dev_nodes": NODES}, id="nobody has tried CUDA"),
    pytest.param({**D550, "suspended_since_boot": True}, id="a sleep alone"),
]


@pytest.mark.parametrize("stated", QUIET)
def test_it_is_quiet(stated: dict[str, Any]) -> None:
    found = judged(stated)
    assert (found.status, [one.cause for one in found.causes]) == ("pass", [])


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        pytest.param({"xid": 79}, "Xid: 79", id="a number"),
        pytest.param({"xid": [79, "13"]}, "Xid: 79\nXid: 13", id="a list"),
        pytest.param({"xid": "Xid 79 under load"}, "Xid: 79", id="a sentence"),
        pytest.param({"ecc_errors": "12 uncorrectable"}, "uncorrectable ECC errors", id="errors of memory"),
        pytest.param({"ecc_errors": 0}, "", id="none"),
        pytest.param({"ecc_errors": "0 uncorrectable"}, "", id="none, in words"),
        pytest.param({"ecc_errors": "3 corrected"}, "", id="corrected ones"),
        pytest.param({"xid": "79, GPU has fallen off the bus"}, "Xid: 79", id="a number that leads"),
        pytest.param({"xid": "Xid (PCI:0000:01:00): 79, pid=1"}, "Xid: 79", id="as the kernel writes it"),
        pytest.param({"xid": {"79": 2, "13": 0}}, "Xid: 79", id="counts of each"),
        pytest.param({"xid": "Xid 31; no others"}, "Xid: 31", id="no others"),
        pytest.param({"xid": "none in the last 48 hours"}, "", id="hours"),
        pytest.param({"xid": "no Xid 79 in 30 days"}, "", id="not this one"),
        pytest.param({"xid": 0}, "", id="no Xid"),
        pytest.param({"ecc_errors": "uncorrectable: 4"}, "uncorrectable ECC errors", id="a number behind its word"),
        pytest.param({"ecc_errors": "2 double bit"}, "uncorrectable ECC errors", id="double bit"),
        pytest.param({"ecc_uncorrectable": 4}, "uncorrectable ECC errors", id="a number whose key tells"),
        pytest.param({"ecc_uncorrectable": "0 (SRAM), 2 (DRAM)"}, "uncorrectable ECC errors", id="of one memory"),
        pytest.param({"ecc_uncorrectable": "0 on 8 GPUs"}, "", id="none on eight GPUs"),
        pytest.param({"ecc_errors": "uncorrectable: 0, corrected: 5"}, "", id="corrected ones beside none"),
        pytest.param({"ecc_errors": "no uncorrectable errors on 8 GPUs"}, "", id="a number of GPUs"),
        pytest.param({"ecc_errors": {"corrected": 9}}, "", id="corrected ones, by key"),
        pytest.param({"dmesg": "NVRM: Xid 79", "cuda_available": True}, "NVRM: Xid 79", id="an Xid, and CUDA is seen"),
        pytest.param({"dmesg": "Key was rejected", "cuda_available": True}, "", id="a key, and CUDA is seen"),
        pytest.param({"dmesg": "nouveau: blacklisted"}, "", id="what is kept away"),
        pytest.param({"dmesg": ["one", "two"], "os": "x"}, "one\ntwo", id="lines of a log"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_words_of_the_machine(stated: dict[str, Any], words: str) -> None:
    assert machine_words(stated) == words
