"""Compilers for kernels that are built at run time: found where Triton and FlashInfer look, and asked for a version.

Nothing is compiled. Arguments, all optional: base_prefix, version and sys_path of the deployment's Python;
version_seconds for each compiler that is asked; root stands for "/".
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
from autoglm_doctor.limits import COMPILER_SECONDS
from autoglm_doctor.probes.protocol import Answers, run

#: Folders of nvidia-cuda-nvcc below site-packages, of CUDA 12 and of 13.
_IN_PACKAGES = ("nvidia/cuda_nvcc/bin/nvcc", "nvidia/cu13/bin/nvcc")


def probe(arguments: dict[str, Any]) -> Answers:
    """The fact `toolchain`."""
    root = Path(arguments.get("root", "/"))
    sys_path = [str(entry) for entry in arguments.get("sys_path") or ()]
    version, environ = str(arguments.get("version") or ""), os.environ
    seconds = float(arguments.get("version_seconds") or COMPILER_SECONDS)  # one that hangs must not cost the others
    cc = find_cc(environ)
    nvcc, home = find_nvcc(environ, root)
    tools = Toolchain(
        cc=cc,
        cc_version=_version(cc, r"(\d+\.\d+(?:\.\d+)?)", seconds),
        nvcc=nvcc,
        nvcc_version=_version(nvcc, r"release (\d+\.\d+)", seconds),
        flashinfer_nvcc=find_flashinfer_nvcc(environ),
        nvcc_in_packages=_first(os.path.join(entry, name) for entry in sys_path if entry for name in _IN_PACKAGES),
        cuda_home=home,
        python_headers=has_headers(str(arguments.get("base_prefix") or ""), version, root, environ),
        ninja=_which("ninja", environ),
    )
    yield "toolchain", known(tools, source="PATH, CC, CUDA_HOME")


def _which(program: str, environ: Mapping[str, str]) -> str:
    """On the PATH of these variables, which is not always that of this process."""
    return shutil.which(program, path=environ.get("PATH", os.defpath)) or ""


def _program(stated: str, environ: Mapping[str, str]) -> str:
    """The program of a command line that a variable holds."""
    try:
        words = shlex.split(stated)
    except ValueError:
        words = []
    return _which(words[0], environ) if words else ""


def find_cc(environ: Mapping[str, str]) -> str:
    """The C compiler that Triton starts: $CC, else gcc, else clang (`cc` it does not try); "" when there is none."""
    stated = environ.get("CC")
    return _program(stated, environ) if stated else _which("gcc", environ) or _which("clang", environ)


def find_nvcc(environ: Mapping[str, str], root: Path) -> tuple[str, str]:
    """nvcc, and the toolkit's folder; where a variable names one, nobody looks further."""
    named = environ.get("CUDA_HOME") or environ.get("CUDA_PATH")
    if named:
        return _first([os.path.join(named, "bin", "nvcc")]), named
    found = _which("nvcc", environ) or _first([str(root / "usr/local/cuda/bin/nvcc")])
    return found, os.path.dirname(os.path.dirname(found)) if found else ""


def find_flashinfer_nvcc(environ: Mapping[str, str]) -> str | None:
    """What $FLASHINFER_NVCC names, "" where that is no program; None where it is not set (flashinfer/jit/cpp_ext.py).

    FlashInfer starts it in the place of the toolkit's nvcc; headers and libraries it takes from the toolkit all the
    same.
    """
    stated = environ.get("FLASHINFER_NVCC")
    return None if stated is None else _program(stated, environ)


def has_headers(base_prefix: str, version: str, root: Path, environ: Mapping[str, str]) -> bool | None:
    """Whether Python.h lies where that Python says, or where $CPATH and $C_INCLUDE_PATH send gcc and clang.

    None where neither can be looked at.
    """
    line = ".".join(version.split(".")[:2])
    if not line:
        return None
    named = [entry for name in ("CPATH", "C_INCLUDE_PATH") for entry in environ.get(name, "").split(os.pathsep)]
    try:
        if any(_has_header(root / entry.lstrip("/"), line) for entry in named if entry.startswith("/")):
            return True
        folder = root / base_prefix.lstrip("/") / "include"
        own = [folder / f"python{line}{flag}" / "Python.h" for flag in ("", "t", "d")]
        return any(one.is_file() for one in own) if base_prefix else None
    except OSError:
        return None


def _has_header(folder: Path, line: str) -> bool:
    """Python.h of this Python: patchlevel.h beside it tells whose it is."""
    if not (folder / "Python.h").is_file():
        return False
    beside = folder / "patchlevel.h"
    text = beside.read_text(errors="replace")[:8192] if beside.is_file() else ""
    found = re.search(r"#define\s+PY_MINOR_VERSION\s+(\d+)", text)
    return found is None or found[1] == line.partition(".")[2]


def _first(candidates: Iterable[str]) -> str:
    return next((one for one in candidates if os.path.isfile(one) and os.access(one, os.X_OK)), "")


def _version(program: str, pattern: str, seconds: float) -> str:
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
            timeout=seconds,
            check=False,
        )
        found = re.search(pattern, done.stdout[:4096])
        return found[1] if found else ""
    return ""


if __name__ == "__main__":
    run(probe)
