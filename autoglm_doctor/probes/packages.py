"""The packages and the torch of the deployment, read from the folders of its sys.path by the doctor itself.

Arguments: {"sys_path": [...]}, as the target's interpreter gave it.
"""

from __future__ import annotations

from typing import Any

from autoglm_doctor.facts import known
from autoglm_doctor.probes.metadata import read_packages
from autoglm_doctor.probes.protocol import Answers, run
from autoglm_doctor.probes.torchfiles import read_torch


def probe(arguments: dict[str, Any]) -> Answers:
    """The facts `packages` and `torch`."""
    sys_path = [str(entry) for entry in arguments["sys_path"]]
    yield "packages", known(read_packages(sys_path), source="dist-info folders of its sys.path")
    yield "torch", read_torch(sys_path)


if __name__ == "__main__":
    run(probe)
