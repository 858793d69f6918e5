"""`os`, `kernel`, `libc`, `arch`, `container` -> the operating system; `python` -> the interpreter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.driver.toolkit import DESKTOP
from autoglm_doctor.facts import Host, Interpreter, Reading, known
from autoglm_doctor.loose.container import kind_of
from autoglm_doctor.loose.module_log import key_refused
from autoglm_doctor.loose.values import answer, first, number, table, text, version
from autoglm_doctor.matrix import Matrix

_LINUX = re.compile(r"linux|wsl|docker|ubuntu|debian|centos|rhel|fedora", re.IGNORECASE)
_WSL = re.compile(r"(?<!no )(?<!not )(?<!without )\bwsl", re.IGNORECASE)
#: Bits of the ACS control register (pci_regs.h): requests and completions are redirected, or forwarded upstream.
_REDIRECTS = 0x04 | 0x08 | 0x10
#: An IOMMU that leaves the addresses of devices alone.
_PASSES = re.compile(r"\bpt\b|pass-?through", re.IGNORECASE)
#: Keys of the container toolkit's release, and the names of its packages.
_TOOLKIT = (
    *("nvidia_container_toolkit", "container_toolkit", "nvidia_container_toolkit_version"),
    *("container_toolkit_version", "nvidia_ctk", "libnvidia_container", "libnvidia_container_version"),
)
_PACKAGES = ("nvidia-container-toolkit", "libnvidia-container1", "libnvidia-container-tools")
_MACHINES = {"amd64": "x86_64", "x86-64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


def read_host(facts: Mapping[str, Any], matrix: Matrix) -> Reading[Host] | None:
    """The system that the deployment sees; None when nothing tells it."""
    said, kernel = text(facts.get("os")), text(facts.get("kernel"))
    container = kind_of(facts.get("container"))
    machine = text(first(facts, "arch", "machine")).lower()
    libc = first(facts, "glibc", "libc")
    memlock, links, module, toolkit = _memlock(facts), _links(facts), _module(facts), toolkit_version(facts)
    if not (said or kernel or container or machine or libc or memlock or links or module or toolkit):
        return None
    host = Host(
        system=_system(said, container),
        machine=_MACHINES.get(machine, machine),
        kernel=kernel,
        distribution=said,
        glibc=version(libc) or (None if container or _speaks_of_image(said, facts) else _glibc(said, matrix)),
        wsl=bool(_WSL.search(said)) or "microsoft" in kernel.lower(),
        container=container,
        memlock_bytes=memlock,
        acs=links.get("acs"),
        iommu=links.get("iommu"),
        nvlink=links.get("nvlink"),
        secure_boot=module.get("secure_boot"),
        container_toolkit=module.get("container_toolkit"),
        container_toolkit_version=toolkit or None,
    )
    return known(host, source="stated")


def _module(facts: Mapping[str, Any]) -> dict[str, bool]:
    """`secure_boot`, `mokutil` and `nvidia_container_toolkit`, as far as they are stated."""
    toolkit = answer(first(facts, "nvidia_container_toolkit", "container_toolkit"))
    if toolkit is None and toolkit_version(facts):
        toolkit = True
    stated = {"secure_boot": secure_boot(facts), "container_toolkit": toolkit}
    return {name: value for name, value in stated.items() if value is not None}


def toolkit_version(facts: Mapping[str, Any]) -> str:
    """The release of the container toolkit, or of the Docker Desktop that brings one; "" when neither is stated."""
    listed = table(facts.get("packages"))
    own = next((found for found in map(_last, (*map(facts.get, _TOOLKIT), *map(listed.get, _PACKAGES))) if found), "")
    desktop = version(first(facts, "docker_desktop", "docker_desktop_version"))
    words = f"{facts.get('os') or ''} {facts.get('container') or ''} {facts.get('docker') or ''}"
    named = re.search(r"docker[ -]desktop(?: for windows)?[ ,(]*v?(\d+\.\d+(?:\.\d+)?)", words, re.IGNORECASE)
    desktop = desktop or (named[1] if named else "")
    return own or (f"{DESKTOP} {desktop}" if desktop else "")


def _last(said: Any) -> str:
    """Its version; of "from 1.13.5 to 1.17.8" the one that is there now, and none of two that it leaves open."""
    words = text(said)
    found = dict.fromkeys(re.findall(r"\d+(?:\.\d+){1,2}", words))
    now = re.search(r"(?:\bto|->|\u2192|=>) *v?(?=\d)", words, re.IGNORECASE)
    if len(found) > 1 and now is None:
        return ""
    return version(words[now.end() :] if now and len(found) > 1 else said)


def secure_boot(facts: Mapping[str, Any]) -> bool | None:
    """Whether it is on and may keep a module out: not one that was built for another kernel, nor with a known key."""
    said = first(facts, "secure_boot", "mokutil")
    on = answer(said)
    if on is None:
        match = re.search(r"\b(enabled|disabled)\b", text(said), re.IGNORECASE)
        on = match[1].lower() == "enabled" if match else key_refused(facts) or None
    explained = facts.get("nvidia_module_found_for") or answer(facts.get("mok_enrolled"))
    return None if explained else on


def _memlock(facts: Mapping[str, Any]) -> int | None:
    """`ulimit_memlock_kib`, as `ulimit -l` prints it; -1 of "unlimited", None when not stated."""
    stated = first(facts, "ulimit_memlock_kib", "ulimit_memlock", "memlock_kib")
    if text(stated).lower() in ("unlimited", "infinity", "-1"):
        return -1
    kib = number(stated)
    return None if kib is None else int(kib * 1024)


def _links(facts: Mapping[str, Any]) -> dict[str, bool]:
    """`acs`, `acs_ctl`, `iommu`, `nvlink`, `topology`: how the GPUs reach each other, as far as it is stated."""
    control = re.search(r"0x([0-9a-f]{1,4})\b", text(facts.get("acs_ctl")), re.IGNORECASE)
    topology = text(facts.get("topology"))
    stated = {
        "acs": bool(int(control[1], 16) & _REDIRECTS) if control else answer(facts.get("acs")),
        "iommu": False if _PASSES.search(text(facts.get("iommu"))) else answer(facts.get("iommu")),
        "nvlink": answer(facts.get("nvlink")),
    }
    if stated["nvlink"] is None and topology:
        is_without = re.search(r"\b(?:no|without|kein) nvlink", topology, re.IGNORECASE)
        stated["nvlink"] = (
            False if is_without else True if re.search(r"nvlink|\bNV\d+\b|nvswitch", topology, re.I) else None
        )
    return {name: value for name, value in stated.items() if value is not None}


def _speaks_of_image(said: str, facts: Mapping[str, Any]) -> bool:
    """The distribution may be the host's, and the C library is the image's."""
    words = f"{said} {text(facts.get('command'))}"
    return bool(re.search(r"\b(?:docker|podman|container|image|apptainer|singularity|lxc)\b", words, re.IGNORECASE))


def _glibc(said: str, matrix: Matrix) -> str | None:
    """The C library that a named release of a distribution comes with; None when it is in no table."""
    # Who says "Ubuntu 20" means the release with long support: the one of October is never called so.
    named = re.sub(r"\b(ubuntu)[ -]?(2[024])(?![\d.])", r"\1 \2.04", said, flags=re.IGNORECASE)
    found = (glibc for name, glibc in matrix.os_glibc.items() if re.search(rf"\b{re.escape(name)}\b", named, re.I))
    return next(found, None)


def _system(said: str, container: str) -> str:
    """Windows and macOS only where nothing of Linux is spoken of: a container and WSL are Linux."""
    if container or _LINUX.search(said):
        return "Linux"
    if re.search(r"windows|win(?:10|11)", said, re.IGNORECASE):
        return "Windows"
    return "Darwin" if re.search(r"mac ?os|darwin|os x", said, re.IGNORECASE) else "Linux"


def read_interpreter(facts: Mapping[str, Any]) -> Reading[Interpreter] | None:
    """The deployment's Python; None when its version is not stated."""
    found = version(first(facts, "python", "python_version"))
    if not found:
        return None
    return known(Interpreter(executable="python3", version=found, chosen_by="it is stated"), source="stated")
