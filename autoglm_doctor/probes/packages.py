"""The packages and the torch of the deployment, read from the folders of its sys.path by the doctor itself.

Arguments: {"sys_path": [...], "torch_folder": "/..."}, as the target's interpreter gave them; the latter may be left
out, null or "".
"""

from __future__ import annotations

import dataclasses
import glob
import json
import os
from typing import Any

from autoglm_doctor.facts import Distribution, Packages, known
from autoglm_doctor.probes.metadata import canonical, read_packages
from autoglm_doctor.probes.protocol import Answers, run
from autoglm_doctor.probes.regular import open_regular
from autoglm_doctor.probes.torchfiles import read_torch

#: More of a direct_url.json is not read: it holds one URL.
LONGEST_URL = 65_536


def probe(arguments: dict[str, Any]) -> Answers:
    """The facts `packages` and `torch`."""
    sys_path = [str(entry) for entry in arguments["sys_path"]]
    packages = _with_editable_torch(read_packages(sys_path))
    yield "packages", known(packages, source="dist-info folders of its sys.path")
    yield "torch", read_torch(sys_path, str(arguments.get("torch_folder") or ""))


def _with_editable_torch(packages: Packages) -> Packages:
    """Asked of torch alone, the one whose files are held against its metadata: a read for each package takes long."""
    marked = (
        dataclasses.replace(one, editable=_is_editable(one)) if canonical(one.name) == "torch" else one
        for one in packages.distributions
    )
    return dataclasses.replace(packages, distributions=tuple(marked))


def _is_editable(one: Distribution) -> bool:
    """Does direct_url.json, which pip and uv write beside METADATA, say that the sources are used where they lie?"""
    for path in glob.glob(os.path.join(glob.escape(one.location), "torch-*.dist-info", "direct_url.json")):
        try:
            with open_regular(path) as stream:
                content = json.loads(stream.read(LONGEST_URL))
            if content["dir_info"]["editable"] is True:
                return True
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # no such entry: a wheel or an archive
            continue
    return False


if __name__ == "__main__":
    run(probe)
