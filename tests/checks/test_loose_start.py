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
    pytest.param({**CARD, "cuda_error": "error 802: system not yet initialized"}, FABRIC, id="the error in words"),
    pytest.param({**CARD, "cuda_error": "CUDA_ERROR_SYSTEM_NOT_READY"}, FABRIC, id="the error by its name"),
    pytest.param(
        {**CARD, "cuda_error": "cudaErrorCompatNotSupportedOnDevice"},
        "CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU",
        id="the runtime's name of another",
    ),
    pytest.param({**RUNS_50, "dkms_status": K45}, NOT_BUILT, id="DKMS has built for another kernel"),
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
        pytest.param({"dmesg": ["one", "two"], "os": "x"}, "one\ntwo", id="lines of a log"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_words_of_the_machine(stated: dict[str, Any], words: str) -> None:
    assert machine_words(stated) == words
