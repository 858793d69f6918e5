"""Stand-ins for the driver's libraries and tools, so that the real probes run against any machine.

`build_stubs(folder)` compiles libnvidia-ml.so.1 and libcuda.so.1; put the folder it returns on LD_LIBRARY_PATH *before*
a process starts. Variables then describe the machine:

    STUB_DRIVER          "570.124.06"
    STUB_CUDA            12080
    STUB_INIT            what nvmlInit returns (0)
    STUB_GPUS            "NAME|8.9|TOTAL_MIB|FREE_MIB|RESERVED_MIB|COMPUTE_MODE;..." (the last two may be left out)
    STUB_COMPUTE, STUB_GRAPHICS   processes, "GPU:PID:MIB,..." with "N/A" where the driver does not tell
    STUB_UNSUPPORTED     getters that answer "not supported": name uuid pci capability compute_mode memory v2 mig
                         processes cuda_version
    STUB_GPU_ERROR       "INDEX:CODE", "FIRST-LAST:CODE" and either with ":GETTER": getters of those GPUs fail (all or
                         one); 15 is a lost GPU
    STUB_HANDLE_ERROR    code of nvmlDeviceGetHandleByIndex; that of one GPU alone is the getter "handle"
    STUB_SLOW_MS         how long each GPU takes to give its handle, as without persistence mode
    STUB_HANG_GPU        the GPU whose handle never comes
    STUB_MIG             1: MIG mode, with one slice of 10 GiB
    STUB_HANG, STUB_CRASH         the call that never returns, or dies with SIGSEGV: "1" or init, shutdown, or a getter
                         as in STUB_UNSUPPORTED
    STUB_DEAF            1: what hangs ignores SIGTERM, SIGINT and SIGHUP
    STUB_COUNT_ERROR     what nvmlDeviceGetCount returns (0)
    STUB_PRINT_LINES     lines of 51 bytes that nvmlInit writes to standard output
    STUB_CUINIT          what cuInit returns (0)
    STUB_CUDA_GPUS, STUB_CUDA_MIB, STUB_CAPABILITY   devices of libcuda: count, memory, 89 for 8.9
    STUB_CUDA_HANG, STUB_CUDA_CRASH   the same for cuInit
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parent


def build_stubs(tmp_path: Path, version: str = "570.124.06") -> Path:
    """Compile both libraries as lib*.so.VERSION with the links that a driver has; the folder for LD_LIBRARY_PATH."""
    folder = tmp_path / "driver"
    folder.mkdir(exist_ok=True)
    build_library(SOURCES / "nvml.c", folder, "libnvidia-ml.so.1", version)
    build_library(SOURCES / "cuda.c", folder, "libcuda.so.1", version)
    return folder


def build_library(source: Path, folder: Path, soname: str, version: str, *macros: str) -> Path:
    """One shared library under its real name, and its soname as a link. Skips the test without a C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    real = folder / f"{soname.removesuffix('.1')}.{version}"
    flags = ["-shared", "-fPIC", "-O0", "-w", f"-Wl,-soname,{soname}", *(f"-D{macro}" for macro in macros)]
    subprocess.run([compiler, *flags, "-o", str(real), str(source)], check=True, timeout=60)
    link = folder / soname
    if not link.exists():
        link.symlink_to(real.name)
    return link


def fake_tool(folder: Path, name: str, script: str) -> Path:
    """A shell script first on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return tool


#: nvidia-smi's banner until R605 and from R610 on.
OLD_BANNER = "| NVIDIA-SMI 535.129.03   Driver Version: 535.129.03   CUDA Version: 12.2     |"
NEW_BANNER = "| NVIDIA-SMI 610.43.02   KMD Version: 610.43.02   CUDA UMD Version: 13.3      |"
