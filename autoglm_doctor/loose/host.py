"""`os`, `kernel`, `libc`, `arch`, `container` -> the operating system; `python` -> the interpreter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Host, Interpreter, Reading, known
from autoglm_doctor.loose.container import kind_of
from autoglm_doctor.loose.values import first, text, version
from autoglm_doctor.matrix import Matrix

_LINUX = re.compile(r"linux|wsl|docker|ubuntu|debian|centos|rhel|fedora", re.IGNORECASE)
_MACHINES = {"amd64": "x86_64", "x86-64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


def read_host(facts: Mapping[str, Any], matrix: Matrix) -> Reading[Host] | None:
    """The system that the deployment sees; None when nothing tells it."""
    said, kernel = text(facts.get("os")), text(facts.get("kernel"))
    container = kind_of(facts.get("container"))
    machine = text(first(facts, "arch", "machine")).lower()
    libc = first(facts, "glibc", "libc")
    if not (said or kernel or container or machine or libc):
        return None
    host = Host(
        system=_system(said, container),
        machine=_MACHINES.get(machine, machine),
        kernel=kernel,
        distribution=said,
        glibc=version(libc) or (None if container else _glibc(said, matrix)),
        wsl=bool(re.search(r"\bwsl", said, re.IGNORECASE)) or "microsoft" in kernel.lower(),
        container=container,
    )
    return known(host, source="stated")


def _glibc(said: str, matrix: Matrix) -> str | None:
    """The C library that a named release of a distribution comes with; None when it is in no table."""
    found = (glibc for name, glibc in matrix.os_glibc.items() if re.search(rf"\b{re.escape(name)}\b", said, re.I))
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
