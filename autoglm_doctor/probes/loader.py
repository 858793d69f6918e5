"""Which CUDA libraries lie in the folders that the deployment's loader looks through first."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from autoglm_doctor.facts import LoaderLibrary

#: By the names under which programs ask for them; CUDA 11 kept its minor version in that of cudart.
_ASKED_FOR = (
    "libcuda.so.1",
    "libcudart.so.11.0",
    "libcudart.so.12",
    "libcudart.so.13",
    "libnvJitLink.so.12",
    "libnvJitLink.so.13",
    "libcudnn.so.8",
    "libcudnn.so.9",
)
_VERSION = re.compile(r"\.so\.(\d+(?:\.\d+)+)$")
#: A folder on a server that does not answer must not cost the other facts of this process.
_SECONDS = 2.0
#: Nobody has more folders on purpose, and each is a few looks at a file system that may be slow.
_MOST_FOLDERS = 40


def look_for_libraries(variables: Mapping[str, str], root: Path) -> tuple[LoaderLibrary, ...] | None:
    """As `read_libraries`; None where a folder gives no answer within two seconds."""
    found: list[tuple[LoaderLibrary, ...]] = []
    # A daemon: what waits for a dead server cannot be ended, and must not keep this process.
    thread = threading.Thread(target=lambda: found.append(read_libraries(variables, root)), daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return found[0] if found else None


def read_libraries(variables: Mapping[str, str], root: Path) -> tuple[LoaderLibrary, ...]:
    """The libraries that are there and their versions, by the name of the file that it links to ("libcudnn.so.9.1.0").

    Nothing is opened or listed: some ten links a folder are followed. What has no version in its name is left out.
    """
    found: list[LoaderLibrary] = []
    for folder in list(dict.fromkeys(_folders(variables, root)))[:_MOST_FOLDERS]:
        for name in _ASKED_FOR:
            place = root / folder.lstrip("/") / name
            version = _VERSION.search(os.path.realpath(place))
            if version and os.path.exists(place):
                found.append(LoaderLibrary(path=f"{folder}/{name}", version=version[1]))
    return tuple(found)


def _folders(variables: Mapping[str, str], root: Path) -> Iterator[str]:
    """The loader's folders, and those that vLLM puts before them where it is told to use cuda-compat."""
    for entry in variables.get("LD_LIBRARY_PATH", "").split(":"):
        if entry.startswith("/"):
            yield entry.rstrip("/")
    if variables.get("VLLM_CUDA_COMPATIBILITY_PATH", "").startswith("/"):
        yield variables["VLLM_CUDA_COMPATIBILITY_PATH"].rstrip("/")
    if variables.get("CONDA_PREFIX", "").startswith("/"):
        yield variables["CONDA_PREFIX"].rstrip("/") + "/cuda-compat"
    for place in sorted(root.glob("usr/local/cuda*/compat")):
        yield "/" + str(place.relative_to(root))
