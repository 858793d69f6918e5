"""MGP: GPUs that talk to each other directly."""

from __future__ import annotations

import re

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Text,
    check,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.links import are_linked

_SOURCE = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"


@check("MGP001", "peer-to-peer-path", cause="P2P_BROKEN_ACS_IOMMU", explained_by=("DRV001", "GPU001", "GPU002"))
def peer_to_peer_path(
    host: Host, gpus: tuple[Gpu, ...] | None, environment: Environment | None, intent: Intent
) -> Findings:
    """Nothing stands between GPUs that copy to each other over PCIe.

    With ACS switched on in the PCIe bridges, or an IOMMU that translates, what one GPU sends to another takes the way
    over the CPU. NCCL then gets slow, hangs in its first all-reduce, or reads wrong data. GPUs with NVLink do not use
    that path, and inside a virtual machine ACS has to be on.

    Judged by what is stated of ACS, IOMMU and NVLink (`diagnose`): on this machine they are not read, since the
    registers of the bridges are open to root only. There it does not apply, instead of an unknown that nobody could
    settle. Yellow, never red: many machines work with it. Green where NCCL_P2P_DISABLE=1, or NCCL_P2P_LEVEL=LOC, keeps
    NCCL off that path.

    ## Fix

    Switch ACS off in the BIOS or with setpci; until then NCCL_P2P_DISABLE=1. Source: NCCL's guide, Troubleshooting.
    """
    ranks = intent.launch.tensor_parallel * intent.launch.pipeline_parallel
    several = len(gpus) > 1 if gpus is not None else None
    linked = are_linked(host, gpus or ())
    if (host.acs is None and host.iommu is None and ranks < 2) or several is False:
        yield not_applicable(Text("the model is on one GPU"))
    elif linked:
        yield not_applicable(Text("the GPUs have NVLink and need no path over PCIe"))
    elif switch := _switched_off(environment, intent):
        yield ok(Text("with {switch} NCCL copies through main memory", {"switch": switch}), observed=switch)
    elif host.acs or (host.iommu and several and host.acs is None):
        said = {"what": "ACS is on in the PCIe bridges" if host.acs else "the IOMMU translates addresses"}
        yield warn(
            Text("{what}: copies between the GPUs go over the CPU, and NCCL may hang or be slow", said),
            fix=_fixes(),
            observed="ACS" if host.acs else "IOMMU",
        )
    elif host.acs is None:
        yield not_applicable(Text("whether the PCIe bridges send copies over the CPU (ACS) is not read on a machine"))
    else:
        yield ok(Text("ACS is off in the PCIe bridges"), observed=False)


def _switched_off(environment: Environment | None, intent: Intent) -> str:
    """The variable that keeps NCCL from direct copies; "" without one."""
    said = variables_of(environment, intent)
    if re.fullmatch(r"0*[1-9]\d*", said.get("NCCL_P2P_DISABLE", "").strip()):
        return f"NCCL_P2P_DISABLE={said['NCCL_P2P_DISABLE'].strip()}"
    return "NCCL_P2P_LEVEL=LOC" if said.get("NCCL_P2P_LEVEL", "").strip().upper() in ("LOC", "0") else ""


def _fixes() -> tuple[Fix, ...]:
    return (
        Fix(
            text=Text("let NCCL go through main memory: slower and safe"),
            commands=("export NCCL_P2P_DISABLE=1",),
            url=_SOURCE,
        ),
        Fix(
            text=Text("see which bridges have it on (SrcValid+, ReqRedir+), then switch ACS off in the BIOS"),
            commands=("sudo lspci -vvv | grep -E '^[0-9a-f:.]+ PCI bridge|ACSCtl'",),
            effort="reboot",
            needs_root=True,
            reboot=True,
            url=_SOURCE,
        ),
    )
