"""What a GPU's name tells of the ways between GPUs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autoglm_doctor.facts import Gpu, Host

#: Cards that come with NVLink between them, as NVML names them: "NVIDIA H100 80GB HBM3" is the one on an SXM board, and
#: its sister for a slot says PCIe.
LINKED = re.compile(r"SXM|\bNVL\b|\bHGX\b|\bHBM3|\bG?H200\b|\bG?B[23]00\b|\bH20\b|\bH[18]00\b(?!.*PCIe)", re.IGNORECASE)
#: Cards that NVIDIA's driver lets read each other's memory over an NVLink bridge alone, or not at all: GeForce of these
#: generations (github.com/tinygrad/open-gpu-kernel-modules/issues/28, github.com/NVIDIA/nccl/issues/1127).
_APART = re.compile(r"\bGTX\b|RTX [234]0\d0\b", re.IGNORECASE)


def are_linked(host: Host | None, gpus: Sequence[Gpu]) -> bool:
    """Whether NVLink joins them, as far as it is stated or their names tell."""
    return bool(host and host.nvlink) or any(LINKED.search(gpu.name) for gpu in gpus)


def are_apart(host: Host | None, gpus: Sequence[Gpu]) -> bool:
    """Whether one of them cannot be read by the others, as far as it is known."""
    return not (host and host.nvlink) and any(_APART.search(gpu.name) for gpu in gpus)
