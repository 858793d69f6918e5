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


#: The distribution is that of an image, or its kernel was told to stay with version 1.
_OF_IMAGE = re.compile(r"\b(?:image|container)s?\b", re.IGNORECASE)
_STAYS = re.compile(r"unified_cgroup_hierarchy=(?:0|false|no)\b|\bcgroups? ?v1\b", re.IGNORECASE)
#: The host by its name, beside an image: "Ubuntu 22.04 host, container Ubuntu 20.04", "image ...; host CentOS 7.9".
_NAME = r"(?:fedora|debian|ubuntu|rhel|red hat|rocky|alma|centos)[a-z ]{0,28}\d[\d.]*(?: lts)?"
_HOST = re.compile(
    rf"\b({_NAME})(?:'s)? host\b(?!\W{{1,3}}{_NAME})|\bhosts?(?: os| runs| is)?\W{{1,3}}({_NAME})", re.IGNORECASE
)
_WINDOWS = re.compile(r"\W*(?:microsoft )?win(?:dows|10|11)", re.IGNORECASE)
_LINUX = re.compile(r"linux|ubuntu|debian|centos|rhel|red hat|rocky|alma|fedora|suse|arch\b", re.IGNORECASE)


def is_wsl(host: Host, driver: Driver | None = None) -> bool:
    """WSL2, which is also what runs the containers of a Windows that has GPUs in them.

    A Windows that is only named beside a Linux is another machine, and a driver as "560.35.03" is one for Linux.
    """
    said = host.distribution
    is_windows = bool(_WINDOWS.match(said)) or ("windows" in said.lower() and not _LINUX.search(said))
    is_linux = driver is not None and (driver.version or "").count(".") > 1
    return host.wsl or (bool(host.container) and is_windows and not is_linux)


def fault_of(
    version: str, runtime: str, host: Host, driver: Driver | None, gpus: tuple[Gpu, ...] | None, matrix: Matrix
) -> ToolkitFault | None:
    """The worst fault that this release ("1.14.3", "Docker Desktop 4.30.0") has here; None where none is known."""
    branch = _branch(driver)
    found = [row for row in _rows(version, _places(runtime, host, driver, gpus), matrix) if _is_driver(row, branch)]
    return min(found, key=lambda row: not row.red, default=None)


def open_about(
    version: str, runtime: str, host: Host, driver: Driver | None, gpus: tuple[Gpu, ...] | None, matrix: Matrix
) -> str:
    """What is missing for `fault_of` to tell: "version", "driver", "distribution"; "" when nothing is."""
    places = _places(runtime, host, driver, gpus)
    if not _is_comparable(version, places, matrix):
        return "version"
    if _branch(driver) is None and _rows(version, places, matrix):
        return "driver"
    is_open = places & {"docker", "podman"} and not _is_told(host.distribution)
    return "distribution" if is_open and _rows(version, {"cgroup2"}, matrix) else ""


def is_mended(version: str, host: Host, driver: Driver | None, matrix: Matrix) -> bool:
    """Whether it has no fault inside WSL with any driver."""
    places = {"wsl"}
    return is_wsl(host, driver) and _is_comparable(version, places, matrix) and not _rows(version, places, matrix)


def _is_comparable(version: str, places: set[str], matrix: Matrix) -> bool:
    if number(version.removeprefix(DESKTOP).strip()) is None:
        return False
    of_desktop = [row for row in matrix.toolkit_faults if row.docker_desktop and places & set(row.where)]
    return bool(of_desktop) or not version.startswith(DESKTOP)


def _rows(version: str, places: set[str], matrix: Matrix) -> list[ToolkitFault]:
    return [row for row in matrix.toolkit_faults if places & set(row.where) and _has(row, version)]


def _branch(driver: Driver | None) -> int | None:
    found = number(driver.kernel_version or driver.version) if driver is not None else None
    return found.major if found else None


def _places(runtime: str, host: Host, driver: Driver | None, gpus: tuple[Gpu, ...] | None) -> set[str]:
    if is_wsl(host, driver):
        return {"wsl"}
    places = {runtime}
    if runtime in ("docker", "podman") and _CGROUP2.search(_own(host.distribution)) and _is_told(host.distribution):
        places.add("cgroup2")
    if any("thor" in gpu.name.lower() for gpu in gpus or ()):
        places.add("thor")
    return places


def _own(distribution: str) -> str:
    """The host's own part of it, where it is named."""
    named = {(one[1] or one[2]).lower() for one in _HOST.finditer(distribution)}
    return named.pop() if len(named) == 1 else distribution


def _is_told(distribution: str) -> bool:
    """Whose control groups these are is clear."""
    own = _own(distribution)
    return bool(own) and not _OF_IMAGE.search(own) and not _STAYS.search(distribution)


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
