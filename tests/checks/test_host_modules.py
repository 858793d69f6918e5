"""Secure Boot and the container toolkit: as a machine shows them, as somebody states them, and what follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.checks.container_toolkit import container_toolkit
from autoglm_doctor.checks.driver import driver_present
from autoglm_doctor.checks.host import engine_glibc
from autoglm_doctor.facts import Distribution, Driver, Host, Packages, Reading, TorchRun, known
from autoglm_doctor.intent import Intent
from autoglm_doctor.probes.osinfo import read_host
from autoglm_doctor.testing import judge
from tests.restraint.judged import judged

VARIABLE = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def put(root: Path, name: str, content: bytes = b"") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


SECURE_BOOT = {
    "on": (b"\x06\0\0\0\x01", True),
    "off": (b"\x06\0\0\0\0", False),
    "cut short": (b"\x06", None),
    "empty": (b"", None),
}


@pytest.mark.parametrize(("content", "answer"), [pytest.param(*row, id=name) for name, row in SECURE_BOOT.items()])
def test_secure_boot_is_read(tmp_path: Path, content: bytes, answer: bool | None) -> None:
    put(tmp_path, VARIABLE, content)
    assert read_host(tmp_path, {}).secure_boot is answer


def test_a_machine_without_efi(tmp_path: Path) -> None:
    assert read_host(tmp_path, {}).secure_boot is None


TOOLKIT = {
    "nothing": ("etc/hostname", False),
    "its program": ("usr/bin/nvidia-ctk", True),
    "the older one": ("usr/bin/nvidia-container-cli", True),
    "NixOS": ("run/current-system/sw/bin/nvidia-ctk", True),
    "a CDI specification alone": ("etc/cdi/nvidia.yaml", True),
    "Docker as a snap": ("snap/docker/current", None),
    "inside a container": (".dockerenv", None),
}


@pytest.mark.parametrize(("name", "answer"), [pytest.param(*row, id=name) for name, row in TOOLKIT.items()])
def test_the_toolkit_is_looked_for(tmp_path: Path, name: str, answer: bool | None) -> None:
    put(tmp_path, name)
    assert read_host(tmp_path, {}).container_toolkit is answer


def test_wsl_tells_nothing_of_its_docker(tmp_path: Path) -> None:
    put(tmp_path, "proc/version", b"Linux version 5.15.167.4-microsoft-standard-WSL2")
    assert read_host(tmp_path, {}).container_toolkit is None


def host(**values: Any) -> Host:
    return Host(system="Linux", machine="x86_64", kernel="6.8.0", **values)


def _driver_cause(code: int, **values: Any) -> str:
    driver: Reading[Driver] = known(Driver(version=None, nvml_code=code, nvml_error="Driver Not Loaded"))
    (finding,) = judge(driver_present, driver=driver, host=host(**values))
    return finding.cause


def test_why_the_module_is_not_loaded() -> None:
    assert _driver_cause(9, secure_boot=True) == "SECURE_BOOT_BLOCKS_MODULE"
    assert _driver_cause(9, secure_boot=False) == "KERNEL_MODULE_NOT_BUILT"
    assert _driver_cause(9) == "KERNEL_MODULE_NOT_BUILT"
    assert _driver_cause(9, secure_boot=True, container="docker") == "CONTAINER_WITHOUT_GPU"
    assert _driver_cause(0, secure_boot=True) == ""


def _docker(*words: str) -> Intent:
    return Intent(model="m", engine="vllm", command=words)


RUN = ("docker", "run", "--gpus", "all", "vllm/vllm-openai", "--model", "m")
NATIVE = Packages(distributions=(Distribution(name="vllm", version="0.12.0"),))
CONTAINERS: dict[str, tuple[dict[str, Any], str]] = {
    "docker without it": ({"intent": _docker(*RUN), "host": host(container_toolkit=False)}, "fail"),
    "docker by sudo without it": ({"intent": _docker("sudo", *RUN), "host": host(container_toolkit=False)}, "fail"),
    "docker with it": ({"intent": _docker(*RUN), "host": host(container_toolkit=True)}, "pass"),
    "docker, nobody looked": ({"intent": _docker(*RUN), "host": host()}, "unknown"),
    "a server of this machine's own": (
        {"intent": _docker("vllm", "serve", "m"), "host": host(container_toolkit=False), "packages": NATIVE},
        "not_applicable",
    ),
    "in a container that sees its GPUs": (
        {"host": host(container_toolkit=False, container="docker"), "torch_run": TorchRun(cuda_available=True)},
        "not_applicable",
    ),
    "what the container holds is stated as well": (
        {"host": host(container_toolkit=False, container="docker"), "packages": NATIVE},
        "fail",
    ),
    "nothing is said of it": ({"host": host()}, "not_applicable"),
}


@pytest.mark.parametrize(("given", "status"), [pytest.param(*row, id=name) for name, row in CONTAINERS.items()])
def test_toolkit(given: dict[str, Any], status: str) -> None:
    (finding,) = judge(container_toolkit, **given)
    assert finding.status == status


def test_an_engine_that_is_really_here_was_mostly_built_here() -> None:
    there = [Distribution(name="vllm", version="0.20.0", location=folder) for folder in ("", "/srv/env/lib")]
    found = [judge(engine_glibc, host=host(glibc="2.31"), packages=Packages(distributions=(one,))) for one in there]
    assert [one.status for (one,) in found] == ["fail", "warn"]


def test_the_cu129_build_asks_for_less_than_the_default_wheel() -> None:
    there = Packages(distributions=(Distribution(name="vllm", version="0.20.0+cu129"),))
    found = [judge(engine_glibc, host=host(glibc=one), packages=there) for one in ("2.34", "2.31")]
    assert [one.status for (one,) in found] == ["pass", "fail"]


QUIET: dict[str, dict[str, Any]] = {
    "Secure Boot alone": {"secure_boot": True, "os": "Ubuntu 24.04"},
    "Secure Boot and a driver": {"secure_boot": True, "driver_version": "570.172.08"},
    "Secure Boot, an enrolled key": {"secure_boot": True, "mok_enrolled": True},
    "Secure Boot off": {"secure_boot": False, "mok_enrolled": False},
    "mokutil says disabled": {"mokutil": "SecureBoot disabled", "mok_enrolled": False},
    "no key of one's own, and CUDA works": {"secure_boot": True, "mok_enrolled": False, "cuda_available": True},
    "no key of one's own, signed modules, a driver": {
        "secure_boot": True,
        "mok_enrolled": False,
        "driver_version": "570.172.08",
    },
    "an unsigned module without Secure Boot": {"secure_boot": False, "kernel_module_signed": False, "kernel": "6.8.0"},
    "an unsigned module, and CUDA works": {"secure_boot": True, "kernel_module_signed": False, "cuda_available": True},
    "the toolkit is there": {"nvidia_container_toolkit": "installed", "driver_version": "570.172.08"},
    "no toolkit for a server of one's own": {
        "nvidia_container_toolkit": "not installed",
        "engine": "vllm 0.12.0",
        "python": "3.12.3",
        "driver_version": "570.172.08",
    },
}


@pytest.mark.parametrize("facts", [pytest.param(facts, id=name) for name, facts in QUIET.items()])
def test_quiet(facts: dict[str, Any]) -> None:
    assert [(one.cause, one.check) for one in judged(facts).causes] == []


def test_an_unsigned_module_is_refused_whatever_else_is_said_of_the_driver() -> None:
    facts = {
        "secure_boot": True,
        "kernel_module_signed": False,
        "driver_version": "580.65.06",
        "gpus": ["NVIDIA GB200"],
    }
    assert [one.cause for one in judged(facts).causes] == ["SECURE_BOOT_BLOCKS_MODULE"]


def test_a_module_for_another_kernel_is_that() -> None:
    facts = {
        "nvidia_module_found_for": "5.15.0-100",
        "kernel": "5.15.0-113",
        "secure_boot": True,
        "mok_enrolled": False,
    }
    assert [one.cause for one in judged(facts).causes] == ["KERNEL_MODULE_NOT_BUILT"]
