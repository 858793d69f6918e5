"""What the engines' wheels hold for GPUs, read from the wheels themselves, against the matrix.

.venv/bin/python tools/read_kernels.py vllm 0.12.0 0.30.0             # both machines; some 100 MB for each release
.venv/bin/python tools/read_kernels.py sglang 0.5.11 --machine aarch64

Through the probe that reads an installed engine, so that a row of `engine_binaries` and a reading on a machine mean
the same. Prints one line for each release and machine, and exits with 1 where the matrix says something else.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tomllib

sys.path.insert(0, str(Path(__file__).resolve().parent))

from matrix_parts import index
from matrix_parts.members import open_wheel

from autoglm_doctor.domain.kernels import engine_library, flash_attention_2
from autoglm_doctor.facts import KernelLibrary
from autoglm_doctor.matrix import EngineRelease, Matrix, load_matrix
from autoglm_doctor.probes.kernels import PATTERNS, probe

PLATFORMS = {"x86_64": "x86_64-manylinux_2_39", "aarch64": "aarch64-manylinux_2_39"}


def main() -> int:
    """Read what is named; 1 where a row of the matrix differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=("vllm", "sglang"))
    parser.add_argument("versions", nargs="+")
    parser.add_argument("--machine", choices=tuple(PLATFORMS), action="append")
    said = parser.parse_args()
    matrix = load_matrix()
    differs = False
    for version in said.versions:
        for machine in said.machine or PLATFORMS:
            try:
                found = read(said.engine, version, machine, matrix)
            except (subprocess.CalledProcessError, StopIteration):
                print(f"{said.engine} {version} {machine}: no wheel", flush=True)
                continue
            wrong = list(differences(found, matrix.engine_release(said.engine, version), said.engine, machine))
            differs |= bool(wrong)
            judged = "; ".join(wrong) or "as listed"
            print(f"{said.engine} {version} {machine}: {describe(found, said.engine)} {judged}", flush=True)
    return int(differs)


def read(engine: str, version: str, machine: str, matrix: Matrix) -> tuple[KernelLibrary, ...]:
    """The libraries in the wheel of a release; for SGLang, of the kernels that it pins."""
    row = matrix.engine_release(engine, version)
    package, _, number = (row.kernel if row and engine == "sglang" else f"{engine} {version}").partition(" ")
    with tempfile.TemporaryDirectory() as folder, open_wheel(_url(package, number, machine)) as wheel:
        for name in wheel.namelist():
            if any(Path(name).match(pattern) for pattern in PATTERNS) and "/sm90/" not in name:
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with wheel.open(name) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
        ((_, reading),) = probe({"sys_path": [folder]})
    return reading.value or ()


def _url(package: str, version: str, machine: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "pylock.toml")
        words = ["uv", "pip", "compile", "--no-deps", "--quiet", "--format", "pylock.toml", "--prerelease=allow"]
        words += ["--python-version", "3.12", "--python-platform", PLATFORMS[machine], "-o", str(lock), "-"]
        done = index.run(words, f"{package}=={version}\n")
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, stderr=done.stderr)
        wheels = tomllib.loads(lock.read_text())["packages"][0]["wheels"]
    return str(next(one["url"] for one in wheels if machine in one["url"]))


def describe(found: tuple[KernelLibrary, ...], engine: str) -> str:
    """The lists for the matrix."""
    attention = flash_attention_2(found)
    ptx = f", FlashAttention-2 PTX {attention.ptx}" if attention else ""
    library = engine_library(found, engine, "8.0")
    asks = f", glibc {library.glibc or '?'}, GLIBCXX {library.libstdcxx or '?'}" if library else ""
    return f"{compiled(found, engine) or 'nothing'}{ptx}{asks}"


def compiled(found: tuple[KernelLibrary, ...], engine: str) -> str:
    """The architectures of the engine's common kernels as capabilities: "8.0 9.0 10.0a"."""
    library = engine_library(found, engine, "8.0")
    codes = [re.fullmatch(r"sm_(\d+)(\d)([af]?)", one) for one in (library.common if library else ())]
    return " ".join(f"{code[1]}.{code[2]}{code[3]}" for code in codes if code)


def differences(
    found: tuple[KernelLibrary, ...], row: EngineRelease | None, engine: str, machine: str
) -> Iterator[str]:
    """What the matrix says otherwise."""
    listed = (row.sass_aarch64 if machine == "aarch64" else row.sass) if row else ""
    if listed.split() != compiled(found, engine).split():
        yield f"LISTED: {listed or 'nothing'}"
    attention = flash_attention_2(found)
    known = row and ((machine == "aarch64" and row.fa2_ptx_aarch64) or row.fa2_ptx)
    if row is not None and attention is not None and known != attention.ptx:
        yield f"LISTED PTX: {known or 'none'}"


if __name__ == "__main__":
    sys.exit(main())
