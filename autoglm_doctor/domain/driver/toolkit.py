"""NVIDIA's container toolkit: is this release too old for the driver and the host."""

from __future__ import annotations

import re

from autoglm_doctor.domain.wheels import number
from autoglm_doctor.facts import Driver, Gpu, Host
from autoglm_doctor.matrix import Matrix
from autoglm_doctor.matrix.drivers import ToolkitFault

#: What stands before the version where the toolkit came with it.
DESKTOP = "Docker Desktop"

#: Distributions that start with control groups of version 2 alone: from Fedora 31, Debian 11, Ubuntu 21.10, RHEL 9 on.
_CGROUP2 = re.compile(
    r"\bfedora\D{0,8}(?:3[1-9]|[4-9]\d)\b|\bdebian\D{0,12}1[1-9]\b|\bubuntu\D{0,4}(?:21\.10|2[2-9])\b"
    r"|\b(?:rhel|red hat|rocky|alma|centos)\D{0,28}(?:9|10)\b",
    re.IGNORECASE,
)


def is_wsl(host: Host) -> bool:
    """WSL2, which is also what runs the containers of a Windows that has GPUs in them."""
    return host.wsl or (bool(host.container) and "windows" in host.distribution.lower())


def fault_of(
    version: str, runtime: str, host: Host, driver: Driver | None, gpus: tuple[Gpu, ...] | None, matrix: Matrix
) -> ToolkitFault | None:
    """The worst fault that this release ("1.14.3", "Docker Desktop 4.30.0") has here; None where none is known."""
    places = _places(runtime, host, gpus)
    branch = number(driver.kernel_version or driver.version) if driver is not None else None
    found = [
        row
        for row in matrix.toolkit_faults
        if places & set(row.where) and _has(row, version) and _is_driver(row, branch.major if branch else None)
    ]
    return min(found, key=lambda row: not row.red, default=None)


def _places(runtime: str, host: Host, gpus: tuple[Gpu, ...] | None) -> set[str]:
    if is_wsl(host):
        return {"wsl"}
    places = {runtime}
    if runtime in ("docker", "podman") and _CGROUP2.search(host.distribution):
        places.add("cgroup2")
    if any("thor" in gpu.name.lower() for gpu in gpus or ()):
        places.add("thor")
    return places


def _has(row: ToolkitFault, version: str) -> bool:
    is_desktop = version.startswith(DESKTOP)
    has = number(version.removeprefix(DESKTOP).strip())
    fixed = number(row.docker_desktop if is_desktop else row.fixed)
    first = number(row.first) if row.first and not is_desktop else None
    return has is not None and fixed is not None and has < fixed and (first is None or has >= first)


def _is_driver(row: ToolkitFault, branch: int | None) -> bool:
    if not row.driver:
        return True
    return branch is not None and int(row.driver) <= branch and (not row.last_driver or branch <= int(row.last_driver))
