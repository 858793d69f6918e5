"""What both doctors say is to be installed on a machine, for benchmarks/verdicts_against_env_doctor.py."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.verdict_machines import Simulated

PTX = "https://github.com/vllm-project/vllm/pull/28305"

#: What resolve is told besides the driver and the card, so that the answer does not hang on where this runs.
SYSTEM = ("--python-version", "3.12", "--glibc", "2.35")


@dataclass(frozen=True)
class Asked:
    """A machine on which vLLM is to be installed, and what is true of the answers."""

    machine: Simulated
    truth: str


ASKED = (
    Asked(
        Simulated(card="V100"),
        "no build of vLLM 0.20 or later, and of its torch, has code for 7.0; 0.19.1 has "
        "([source](https://github.com/vllm-project/vllm/pull/39878))",
    ),
    Asked(
        Simulated(card="RTX 5090", driver="570.124.06", cuda="12.8"),
        "from 9.0 on vLLM's FlashAttention-2 is PTX, which no minor-version compatibility covers: that of CUDA 12.9 "
        f"needs driver 575 ([source]({PTX})); that this holds for the newer cu129 builds was not measured; we "
        "offer none of them then",
    ),
    Asked(
        Simulated(card="A100", driver="535.183.01", cuda="12.2"),
        "the CUDA 12.9 builds of vLLM's own pages run on 535 by minor-version compatibility, and so does 0.19.1 from "
        "the default index: both ways are right. We name the second first and the first as newer; the newest such "
        "build that we know of is 0.31.0, and neither line could be tried here",
    ),
)


def their_line(out: str) -> str:
    """What `env-doctor install vllm` says is to be pasted."""
    found = re.search(r"(?:Copy-to-fix|Install): (?=pip|uv)(.*)", out)
    return found[1].strip() if found else "no line"


def our_line(out: str) -> str:
    """pip's lines of `resolve`: that of its answer, and that of a newer build from the project's own page."""
    found = re.findall(r"^\s*(\S+ -m pip install .*)$", out, re.MULTILINE)
    return "`<br>or, newer: `".join(line.strip() for line in found) or "no line"
