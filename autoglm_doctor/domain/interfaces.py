"""Names of network interfaces, as NCCL and Gloo read them, and over how many machines a deployment is spread."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autoglm_doctor.domain.deployment import is_number
from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.facts import Host
from autoglm_doctor.intent import Intent

_NAME = re.compile(r"[A-Za-z][\w.@-]*")
#: Interfaces that programs make, of containers, of virtual machines and of tunnels.
_VIRTUAL = re.compile(
    r"(?:lo|docker|veth|br-|virbr|vnet|cni|cali|cilium|flannel|kube|lxc|lxd|podman|nerdctl|tailscale|wg|tun|tap|utun|zt|ifb"
    r"|dummy|sit|gre|ip6|ip_vti|tunl|vxlan|nodelocaldns)",
    re.IGNORECASE,
)


def machines_of(host: Host | None, intent: Intent) -> int:
    """By --nnodes, or as stated; 1 where nothing tells of more."""
    said = stated_flag(intent.command, "nnodes") or ""
    return max(int(said) if is_number(said) else 1, (host.machines if host else None) or 1)


def meant(value: str) -> tuple[str, ...]:
    """The names that a value chooses; () where it only excludes some ("^docker0,lo") or is no list of names."""
    found = value.strip().strip("\"'")
    if found.startswith("^"):
        return ()
    names = tuple(one.split(":")[0].strip() for one in found.removeprefix("=").split(","))
    return names if all(_NAME.fullmatch(one) for one in names) else ()


def fitting(value: str, interfaces: Sequence[str], *, beginnings: bool) -> tuple[str, ...]:
    """The interfaces that a value chooses. NCCL takes beginnings of names unless the value starts with "="."""
    exact = not beginnings or value.strip().strip("\"'").startswith("=")
    names = meant(value)
    return tuple(one for one in interfaces if one in names or (not exact and one.startswith(names)))


def is_virtual(name: str) -> bool:
    """Whether its name is one of those that lead to no other machine, or only through a tunnel."""
    return _VIRTUAL.match(name) is not None


def is_loopback(address: str) -> bool:
    """127.0.0.1 and its kind."""
    return address in ("localhost", "::1") or bool(re.fullmatch(r"127(?:\.\d{1,3}){3}", address))
