"""Who makes the GPUs, by their names."""

from __future__ import annotations

import re

from autoglm_doctor.facts import Gpu, Torch

_OTHERS = re.compile(
    r"\b(?:AMD|Radeon|Instinct|MI\d{2,3}[A-Z]?|Intel|Arc|Gaudi\d?|Ascend|910B\d?|Apple|MTT|gfx\d+)\b", re.IGNORECASE
)
#: Graces and Jetsons, whose processors are no x86.
_ARM = re.compile(r"\b(?:GH200|GB\d{2,3}|Jetson|Orin|Thor|Xavier|DGX Spark)\b", re.IGNORECASE)


def of_another_maker(gpus: tuple[Gpu, ...] | None, torch: Torch | None = None) -> bool:
    """Whether what computes is not NVIDIA's, as far as names tell: every GPU, or the build of torch."""
    named = bool(gpus) and all(_OTHERS.search(one.name) for one in gpus or ())
    return named or (torch is not None and bool(torch.hip))


def beside_arm(gpus: tuple[Gpu, ...] | None) -> bool:
    """Whether a GPU is of those that are sold with an Arm processor."""
    return any(_ARM.search(one.name) for one in gpus or ())
