"""Compilers for kernels that are built at run time: found where Triton and FlashInfer look, and asked for a version.

Nothing is compiled. Arguments, all optional: base_prefix, version and sys_path of the deployment's Python; root stands
for "/".
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import Toolchain, known
from autoglm_doctor.probes.protocol import Answers, run

#: One `--version`; a compiler on a network disk that hangs must not cost the other answers.
VERSION_SECONDS = 5.0

#: Folders of nvidia-cuda-nvcc below site-packages, of CUDA 12 and of 13.
_IN_PACKAGES = ("nvidia/cuda_nvcc/bin/nvcc", "nvidia/cu13/bin/nvcc")


def probe(arguments: dict[str, Any]) -> Answers:
    """The fact `toolchain`."""
    root = Path(arguments.get("root", "/"))
    sys_path = [str(entry) for entry in arguments.get("sys_path") or ()]
    cc = find_cc(os.environ)
    nvcc, home = find_nvcc(os.environ, root)
    version = str(arguments.get("version") or "")
    tools = Toolchain(
        cc=cc,
        cc_version=_version(cc, r"(\d+\.\d+(?:\.\d+)?)"),
        nvcc=nvcc,
        nvcc_version=_version(nvcc, r"release (\d+\.\d+)"),
        nvcc_in_packages=_first(os.path.join(entry, name) for entry in sys_path if entry for name in _IN_PACKAGES),
        cuda_home=home,
        python_headers=has_headers(str(arguments.get("base_prefix") or ""), version, root),
        ninja=shutil.which("ninja") or "",
    )
    yield "toolchain", known(tools, source="PATH, CC, CUDA_HOME")


def find_cc(environ: Mapping[str, str]) -> str:
    """The C compiler that Triton starts: $CC, else gcc, else clang (`cc` it does not try); "" when there is none."""
    stated = environ.get("CC")
    if stated:
        try:
            words = shlex.split(stated)
        except ValueError:
            words = []
        return shutil.which(words[0]) or "" if words else ""
    return shutil.which("gcc") or shutil.which("clang") or ""


def find_nvcc(environ: Mapping[str, str], root: Path) -> tuple[str, str]:
    """nvcc, and the toolkit's folder; where a variable names one, nobody looks further."""
    named = environ.get("CUDA_HOME") or environ.get("CUDA_PATH")
    if named:
        return _first([os.path.join(named, "bin", "nvcc")]), named
    on_path = shutil.which("nvcc")
    found = on_path or _first([str(root / "usr/local/cuda/bin/nvcc")])
    return found, os.path.dirname(os.path.dirname(found)) if found else ""


def has_headers(base_prefix: str, version: str, root: Path) -> bool | None:
    """Whether Python.h lies where that Python says that it does; None without one, or where it cannot be looked."""
    line = ".".join(version.split(".")[:2])
    if not base_prefix or not line:
        return None
    folder = root / base_prefix.lstrip("/") / "include"
    try:
        return any((one / "Python.h").is_file() for one in (folder / f"python{line}{flag}" for flag in ("", "t", "d")))
    except OSError:
        return None


def _first(candidates: Iterable[str]) -> str:
    return next((one for one in candidates if os.path.isfile(one) and os.access(one, os.X_OK)), "")


def _version(program: str, pattern: str) -> str:
    """What it says of itself; "" where it says nothing in time."""
    if not program:
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_SECONDS,
            check=False,
        )
        found = re.search(pattern, done.stdout[:4096])
        return found[1] if found else ""
    return ""


if __name__ == "__main__":
    run(probe)
