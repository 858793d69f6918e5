"""The driver and the GPUs: NVML first, then libcuda, the kernel's files and nvidia-smi.

Every getter is guarded on its own: what a GPU does not support leaves a default, a GPU that is lost is named in the
reading's `why` and left out of it, and a library that hangs or crashes takes only this process with it: what was known
before it was asked is written by then. nvmlShutdown is never called: the end of the process does as much, and it is
one more call that can hang.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import Driver, Gpu, Reading, known
from autoglm_doctor.probes.driverfiles import (
    cuda_text,
    kernel_version,
    libcuda_version,
    library_version,
    load_library,
)
from autoglm_doctor.probes.nvml_gpu import LOST, GpuLostError, ask, code_of, plain, read_gpu
from autoglm_doctor.probes.protocol import Answers, run
from autoglm_doctor.probes.smi import LIMIT_SECONDS, smi_versions

#: NVML_ERROR_LIBRARY_NOT_FOUND: what we report when libnvidia-ml.so.1 cannot be loaded.
NOT_FOUND = 12
#: NVML_ERROR_NO_PERMISSION: a GPU of another job (Slurm, a cgroup), which nvmlDeviceGetCount_v2 counts all the same.
NO_PERMISSION = 4


@dataclass(frozen=True, slots=True)
class _Nvml:
    """The outcome of nvmlInit: `module` is pynvml when the code is 0."""

    module: Any
    code: int
    error: str | None


def probe(arguments: dict[str, Any]) -> Answers:
    """Answer `driver`, then `gpus`. Arguments: root, the folder that stands for "/" (tests); smi_seconds.

    A later line about a fact replaces the one before, which stands if the next step never ends.
    """
    started = time.monotonic()
    root = Path(arguments.get("root", "/"))
    kernel = kernel_version(root)
    if kernel:
        yield "driver", _unanswered(kernel)
    words = _load()
    if not words:
        yield "driver", _unanswered(kernel)
    nvml = _Nvml(None, NOT_FOUND, words) if words else _initialise()
    driver = _driver(nvml, kernel)
    yield "driver", driver
    gpus = yield from _gpus(nvml, started, root)
    yield "gpus", gpus
    if driver.value is not None and driver.value.version is None:
        driver = _ask_smi(driver, driver.value, float(arguments.get("smi_seconds", LIMIT_SECONDS)))
        yield "driver", driver
    if driver.outcome == "absent":
        yield "gpus", Reading(outcome="absent", why="there is no NVIDIA driver")


def _unanswered(kernel: str | None) -> Reading[Driver]:
    """The driver as files show it. Stands if loading or starting NVML hangs or crashes."""
    read_by = ("kernel module",) if kernel else ()
    driver = Driver(
        version=kernel,
        kernel_version=kernel,
        library_version=library_version(),
        nvml_error="NVML did not answer",
        read_by=read_by,
    )
    return known(driver, source="kernel module" if kernel else "libnvidia-ml.so.1")


def _load() -> str:
    """Load the library ourselves, since pynvml hides the loader's words; these, "" when it is loaded."""
    import sys

    return "" if sys.platform.startswith("win") else load_library("libnvidia-ml.so.1")[1]


def _initialise() -> _Nvml:
    """nvmlInit through pynvml."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:  # NVMLError, and NVMLLibraryMismatchError, which is none
        return _Nvml(None, code_of(error), _words(error))
    return _Nvml(pynvml, 0, None)


def _words(error: Exception) -> str:
    """The text of an error. NVML itself is asked for it, and a broken one may answer with no text at all."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__


def _driver(nvml: _Nvml, kernel: str | None) -> Reading[Driver]:
    version = cuda = None
    read_by = []
    if nvml.code == 0:
        version = ask(nvml.module.nvmlSystemGetDriverVersion, convert=plain)
        cuda = ask(nvml.module.nvmlSystemGetCudaDriverVersion_v2, convert=cuda_text)
        read_by.append("NVML")
    if cuda is None:
        cuda = libcuda_version()
        if cuda:
            read_by.append("libcuda")
    library = library_version()
    if kernel:
        read_by.append("kernel module")
        version = version or kernel
    return known(
        Driver(
            version=version,
            kernel_version=kernel,
            library_version=library,
            cuda_version=cuda,
            nvml_code=nvml.code,
            nvml_error=nvml.error,
            read_by=tuple(read_by),
        ),
        source=", ".join(read_by) or "libnvidia-ml.so.1",
    )


def _ask_smi(reading: Reading[Driver], driver: Driver, seconds: float) -> Reading[Driver]:
    """What nvidia-smi adds; absent when it knows of no driver either."""
    version, cuda, said = smi_versions(seconds)
    error = f"{driver.nvml_error}; nvidia-smi: {said}" if said else driver.nvml_error
    read_by = (*driver.read_by, "nvidia-smi") if version else driver.read_by
    is_missing = driver.nvml_code == NOT_FOUND and _is_missing(driver.nvml_error or "")
    if not read_by and driver.library_version is None and is_missing:
        why = f"neither NVML, libcuda, the kernel nor nvidia-smi shows an NVIDIA driver ({error})"
        return Reading(outcome="absent", why=why)
    cuda = driver.cuda_version or cuda
    more = replace(driver, version=version, cuda_version=cuda, nvml_error=error, read_by=read_by)
    return known(more, source=", ".join(read_by) or reading.source)


def _is_missing(words: str) -> bool:
    """The loader found no library at all; an empty or damaged one is the trace of a driver."""
    words = words.casefold()
    return "not found" in words or ("libnvidia-ml" in words and "no such file" in words)


def _gpus(
    nvml: _Nvml, started: float, root: Path
) -> Generator[tuple[str, Reading[Any]], None, Reading[tuple[Gpu, ...]]]:
    """Says which GPU it asks about and how long those before took (slow is not hung), and returns the reading."""
    if nvml.code != 0:
        return Reading(outcome="failed", why=f"NVML does not start: {nvml.error} (code {nvml.code})")
    try:
        count = nvml.module.nvmlDeviceGetCount()
    except Exception as error:
        return Reading(outcome="failed", why=f"NVML does not tell the number of GPUs: {_reason(error)}")
    found, left_out = [], []
    for index in range(count):
        after = f" (after {time.monotonic() - started:.1f} s)" if index else ""
        yield "progress", Reading(outcome="not_run", why=f"asking NVML about GPU {index}{after}")
        try:
            found.append(read_gpu(nvml.module, index, root))
        except Exception as error:
            words = _left_out_words(error)
            if words is None:
                why = f"GPU {index} cannot be read through NVML: {_reason(error)}"
                return Reading(outcome="failed", why=why, source="NVML")
            left_out.append(f"GPU {index} {words}")
    if left_out and not found:
        return Reading(outcome="failed", why="; ".join(left_out), source="NVML")
    # The others can still serve; which ones are gone or closed is told beside them.
    return Reading(outcome="known", value=tuple(found), why="; ".join(left_out), source="NVML")


def _reason(error: Exception) -> str:
    """With NVML's code, by which a check tells what is refused from what is only not supported."""
    code = getattr(error, "value", None)
    return f"{_words(error)} (code {code})" if isinstance(code, int) else _words(error)


def _left_out_words(error: Exception) -> str | None:
    """Why one GPU counts for nothing and the others do; None where NVML itself is not to be believed."""
    if code_of(error) == NO_PERMISSION:
        return f"may not be opened by this user (code {NO_PERMISSION})"
    return str(error) if isinstance(error, GpuLostError) else LOST.get(code_of(error))


if __name__ == "__main__":
    run(probe)
