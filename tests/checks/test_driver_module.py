"""DRV007: the flavour of the kernel module, as it is stated."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.driver_module import kernel_module_flavour
from autoglm_doctor.facts import Driver, Gpu, Host
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks
from autoglm_doctor.testing import judge

WRONG = ["KERNEL_MODULE_FLAVOUR_WRONG"]
GB10, P100, T4, H100 = "NVIDIA GB10", "Tesla P100", "Tesla T4", "NVIDIA H100 80GB HBM3"

CASES = [
    pytest.param({"kernel_module_flavour": "proprietary"}, GB10, WRONG, id="proprietary on Blackwell"),
    pytest.param({"kernel_module_flavor": "closed"}, "RTX 5090", WRONG, id="in other words"),
    pytest.param(
        {"kernel_module_flavour": "proprietary"}, "NVIDIA B200", WRONG, id="proprietary on the first Blackwell"
    ),
    pytest.param({"kernel_module_type": "NVIDIA UNIX Open Kernel Module"}, P100, WRONG, id="open on Pascal"),
    pytest.param({"open_kernel_module": True}, "Tesla V100", WRONG, id="open on Volta"),
    pytest.param({"kernel_module_flavour": "open"}, GB10, [], id="open on Blackwell"),
    pytest.param({"kernel_module_flavour": "proprietary"}, P100, [], id="proprietary on Pascal"),
    pytest.param({"kernel_module_flavour": "open"}, T4, [], id="open on Turing"),
    pytest.param({"kernel_module_flavour": "proprietary"}, T4, [], id="proprietary on Turing"),
    pytest.param({"kernel_module_flavour": "proprietary"}, H100, [], id="proprietary on Hopper"),
    pytest.param({"kernel_module_flavour": "proprietary, then open"}, GB10, [], id="both are spoken of"),
    pytest.param({"kernel_module_flavour": "proprietary"}, "NVIDIA Something", [], id="an unknown card"),
    pytest.param({"kernel_module_flavour": "proprietary", "cuda_available": True}, GB10, [], id="CUDA works"),
    pytest.param({"kernel_module_flavour": "unknown"}, GB10, [], id="neither word"),
    pytest.param({}, GB10, [], id="nothing is said of it"),
]


@pytest.mark.parametrize(("stated", "card", "causes"), CASES)
@pytest.mark.parametrize("driver", ["580.95.05", ""], ids=["with a version", "without one"])
def test_stated(stated: dict[str, Any], card: str, causes: list[str], driver: str) -> None:
    facts = {**stated, "gpus": [{"name": card}], **({"driver_version": driver} if driver else {})}
    found = diagnose("x", {"facts": facts}, load_checks().checks, load_matrix())
    assert [one.cause for one in found.causes] == causes


@pytest.mark.parametrize(
    ("driver", "host", "status"),
    [
        pytest.param(Driver(version="580", open_module=False), None, "fail", id="a driver that nothing answers of"),
        pytest.param(Driver(version="580", open_module=False, nvml_code=0), None, "pass", id="NVML answers"),
        pytest.param(Driver(version="580", nvml_code=0), None, "pass", id="a machine that was read"),
        pytest.param(Driver(version="580", open_module=False), {"wsl": True}, "not_applicable", id="WSL"),
        pytest.param(Driver(version="580", open_module=False), {"tegra": True}, "not_applicable", id="a Jetson"),
    ],
)
def test_read(driver: Driver, host: dict[str, Any] | None, status: str) -> None:
    (found,) = judge(
        kernel_module_flavour,
        driver=driver,
        gpus=(Gpu(index=0, name="GB10", compute_capability="12.1", total_bytes=1, free_bytes=1),),
        host=Host(system="Linux", machine="aarch64", kernel="6.8", **host) if host else None,
        intent=Intent(model="m", engine="vllm", device="cuda"),
    )
    assert found.status == status
    assert bool(found.fixes) == (status == "fail")


OLD, NEW = "sudo apt install cuda-drivers-580", "sudo apt install nvidia-open"


@pytest.mark.parametrize(
    ("card", "machine", "lines"),
    [
        pytest.param("6.0", {}, [OLD], id="a P100: later branches have dropped it"),
        pytest.param("7.0", {"distribution": "Ubuntu 24.04"}, [OLD], id="a V100 on Ubuntu"),
        pytest.param("12.0", {"distribution": "Ubuntu 24.04"}, [NEW], id="Blackwell on Ubuntu"),
        pytest.param("6.1", {"distribution": "Fedora Linux 42", "container": "docker"}, [OLD], id="a host unknown"),
        pytest.param(
            "6.1",
            {"distribution": "Fedora Linux 42", "os_ids": ("fedora",)},
            ["sudo dnf versionlock add '*nvidia*580*'", "sudo dnf install --allowerasing cuda-drivers"],
            id="a GTX 1080 on Fedora",
        ),
        pytest.param(
            "12.0",
            {"distribution": "Fedora Linux 42"},
            ["sudo dnf install --allowerasing nvidia-open"],
            id="new, Fedora",
        ),
        pytest.param(
            "7.0",
            {"distribution": "Rocky Linux 9.4 (Blue Onyx)"},
            ["sudo dnf -y module switch-to nvidia-driver:580-dkms --allowerasing"],
            id="a V100 on Rocky Linux 9",
        ),
        pytest.param(
            "10.0",
            {"distribution": "Amazon Linux 2023"},
            ["sudo dnf -y module switch-to nvidia-driver:open-dkms --allowerasing"],
            id="Blackwell on Amazon Linux",
        ),
        pytest.param(
            "7.0",
            {"distribution": "SUSE Linux Enterprise Server 15 SP6"},
            ["sudo zypper install --force-resolution 'cuda-drivers<581'"],
            id="a V100 on SUSE",
        ),
    ],
)
def test_the_flavour_is_changed_by_the_distributions_lines(
    card: str, machine: dict[str, Any], lines: list[str]
) -> None:
    (found,) = judge(
        kernel_module_flavour,
        driver=Driver(version="580", open_module=float(card) < 7.5),
        gpus=(Gpu(index=0, name="card", compute_capability=card, total_bytes=1, free_bytes=1),),
        host=Host(system="Linux", machine="x86_64", kernel="6.8", **machine),
        intent=Intent(model="m", engine="vllm", device="cuda"),
    )
    assert list(found.fixes[0].commands[1:-1]) == lines


@pytest.mark.parametrize("driver", [Driver(version="580", open_module=True), Driver(version="580", nvml_code=0)])
def test_a_driver_that_no_gpu_is_known_of(driver: Driver) -> None:
    (found,) = judge(kernel_module_flavour, driver=driver, intent=Intent(model="m", engine="vllm", device="cuda"))
    assert found.status == "unknown"
