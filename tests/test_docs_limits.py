"""The table of time limits in docs/sick-machines.md is the one in limits.py.

UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/test_docs_limits.py     # write it anew
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoglm_doctor import limits

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sick-machines.md"
START, END = "<!-- limits, by tests/test_docs_limits.py -->\n", "<!-- end of limits -->\n"

#: What a probe does, for users.
PROBES = {
    "machine": "reading /proc, /sys and the environment",
    "nvml": "asking the driver, through NVML",
    "storage": "looking at the file system of the model",
    "interpreter": "starting the deployment's Python",
    "packages": "reading its installed packages",
    "kernels": "reading which GPUs the engine's libraries have code for",
    "toolchain": "looking for compilers",
    "model": "reading the model's files",
    "cuda": "`import torch`, starting CUDA, a small computation on each GPU",
    "disk": "measuring the disk",
    "load": "loading and running a model (`--final-stage`)",
    "serving": "starting, asking and stopping a server (`--final-stage command`)",
    "download": "downloading it (`--allow-download`)",
}

#: The limits that do not belong to a probe. Those of the process that starts probes are no business of users.
OTHERS = {
    "NVIDIA_SMI_SECONDS": "nvidia-smi, where NVML does not tell the version",
    "COMPILER_SECONDS": "asking a compiler for its version",
    "SERVER_START_SECONDS": "a server, from its start to its first answer",
    "SERVER_MEASURE_SECONDS": "asking and measuring it",
    "FAREWELL_SECONDS": "a server, when the doctor is interrupted, before it is killed",
    "SEARCH_SECONDS": "looking for the deployment's Python on PATH",
    "SCRATCH_SECONDS": "making and removing a scratch folder, in each place",
    "CHECK_CPU_SECONDS": "one check (CPU time: checks only compare)",
    "REAP_SECONDS": "waiting for what was killed, before it is left to the kernel",
    "GRACE_SECONDS": "from Ctrl-C to the end of the report",
}
UNTOLD = {"PROBE_SECONDS", "FINAL_STAGE_SECONDS", "FORK_SECONDS", "LEAVE_SECONDS", "NURSERY_REAP_SECONDS"}


def table() -> str:
    """The block between the markers."""
    rows = [(what, limits.PROBE_SECONDS[name]) for name, what in PROBES.items()]
    rows += [(what, getattr(limits, name)) for name, what in OTHERS.items()]
    lines = [f"| {what} | {seconds:,.0f} |" for what, seconds in rows]
    return "\n".join(["| what | seconds |", "| --- | --- |", *lines, ""])


def test_the_table_is_that_of_the_code() -> None:
    before, _, rest = PAGE.read_text().partition(START)
    block, _, after = rest.partition(END)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(f"{before}{START}{table()}{END}{after}")
        pytest.skip("written anew")
    assert block == table()


def test_no_limit_is_left_out() -> None:
    assert set(PROBES) == set(limits.PROBE_SECONDS)
    assert {name for name in vars(limits) if name.isupper()} == set(OTHERS) | UNTOLD
    assert all(getattr(limits, name) == round(getattr(limits, name)) for name in OTHERS)  # whole seconds are shown
