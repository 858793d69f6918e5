"""The driver and the GPUs: NVML first, then libcuda, the kernel's files and nvidia-smi.

Every getter is guarded on its own: what a GPU does not support leaves a default, a GPU that is lost is named in the
reading's `why` and left out of it, and a library that hangs or crashes takes only this process with it: what was known
before it was asked is written by then. nvmlShutdown is never called: the end of the process does as much, and it is
one more call that can hang.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import Driver, Gpu, GpuProcess, Reading, known
from autoglm_doctor.probes.cgroup import read_memory
from autoglm_doctor.probes.driverfiles import (
    cuda_text,
    kernel_version,
    libcuda_version,
    library_version,
    load_library,
)
from autoglm_doctor.probes.protocol import Answers, run
from autoglm_doctor.probes.smi import LIMIT_SECONDS, smi_versions

#: NVML_ERROR_LIBRARY_NOT_FOUND: what we report when libnvidia-ml.so.1 cannot be loaded.
NOT_FOUND = 12
#: NVML_ERROR_GPU_IS_LOST and NVML_ERROR_RESET_REQUIRED (nvml.h).
LOST = {15: "fell off the bus (GPU is lost)", 16: "needs a reset"}
#: NVML_ERROR_NO_PERMISSION: a GPU of another job (Slurm, a cgroup), which nvmlDeviceGetCount_v2 counts all the same.
NO_PERMISSION = 4
#: NVML_ERROR_NOT_SUPPORTED.
NOT_SUPPORTED = 3
#: GPUs inside a system chip, which work in main memory and have none of their own: Jetson TX1, TX2, Xavier, Orin and
#: Thor (10.1 before CUDA 13), and GB10 (developer.nvidia.com/cuda-gpus). NVML tells no memory of the last one:
#: docs.nvidia.com/dgx/dgx-spark/known-issues.html.
UNIFIED = ("5.3", "6.2", "7.2", "8.7", "10.1", "11.0", "12.1")
#: NVML_ERROR_UNKNOWN, for failures that carry no code.
UNKNOWN = 999


class _GpuLostError(Exception):
    """A getter said that the GPU is gone."""


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
        return _Nvml(None, _code(error), _words(error))
    return _Nvml(pynvml, 0, None)


def _code(error: Exception) -> int:
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else UNKNOWN


def _words(error: Exception) -> str:
    """The text of an error. NVML itself is asked for it, and a broken one may answer with no text at all."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__


def _text(value: Any) -> str:
    """pynvml 11 answers bytes, newer ones str."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _driver(nvml: _Nvml, kernel: str | None) -> Reading[Driver]:
    version = cuda = None
    read_by = []
    if nvml.code == 0:
        version = _ask(nvml.module.nvmlSystemGetDriverVersion, convert=_text)
        cuda = _ask(nvml.module.nvmlSystemGetCudaDriverVersion_v2, convert=cuda_text)
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
            found.append(_gpu(nvml.module, index, root))
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
    if _code(error) == NO_PERMISSION:
        return f"may not be opened by this user (code {NO_PERMISSION})"
    return str(error) if isinstance(error, _GpuLostError) else LOST.get(_code(error))


def _ask(
    getter: Callable[..., Any], *args: Any, default: Any = None, convert: Callable[[Any], Any] = lambda value: value
) -> Any:
    """One getter's answer; the default when the GPU, the driver or pynvml does not know the question.

    Raises:
        _GpuLostError: the GPU is gone, so no default would be true.
    """
    try:
        return convert(getter(*args))
    except Exception as error:
        if _code(error) in LOST:
            raise _GpuLostError(LOST[_code(error)]) from error
        return default


def _gpu(nvml: Any, index: int, root: Path) -> Gpu:
    """One GPU. Its name and capability are demanded, since a default would be a false fact.

    Memory that NVML does not support asking for is that of the machine where the GPU has none of its own; else 0, "not
    read". Any other error in its place is the GPU's.
    """
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    mig = bool(_ask(nvml.nvmlDeviceGetMigMode, handle, default=(0, 0))[0])
    memory = _memory(nvml, handle, mig)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    capability = f"{major}.{minor}"
    unified = memory is None and capability in UNIFIED
    total, free, reserved = memory or (_main_memory(root) if unified else (0, 0, 0))
    if memory and (not 0 <= free <= total or total == 0):
        raise ValueError(f"it tells nonsense, {free} bytes free of {total}")
    return Gpu(
        index=index,
        name=_name(nvml, handle),
        compute_capability=capability,
        total_bytes=total,
        free_bytes=free,
        reserved_bytes=reserved,
        uuid=_ask(nvml.nvmlDeviceGetUUID, handle, default="", convert=_text),
        pci_bus_id=_ask(nvml.nvmlDeviceGetPciInfo, handle, default="", convert=lambda info: _text(info.busId)),
        mig=mig,
        compute_mode=_ask(nvml.nvmlDeviceGetComputeMode, handle, default=0),
        processes=_processes(nvml, handle),
        unified=unified,
    )


def _name(nvml: Any, handle: Any) -> str:
    """It only labels the GPU: one that pynvml cannot decode is no reason to know nothing of it."""
    try:
        return _text(nvml.nvmlDeviceGetName(handle))
    except UnicodeDecodeError as error:
        return error.object.decode("utf-8", "replace")


def _main_memory(root: Path) -> tuple[int, int, int]:
    """(total, free, reserved) of the machine, as vLLM and SGLang count it there (MemAvailable); zeros: not read."""
    try:
        found = read_memory(root)
    except (OSError, ValueError):
        return 0, 0, 0
    return found.total_bytes, min(found.available_bytes, found.total_bytes), 0


def _memory(nvml: Any, handle: Any, mig: bool) -> tuple[int, int, int] | None:
    """(total, free, reserved) bytes; None where there is no such question for the GPU.

    A process gets one slice of a GPU in MIG mode: then those of the largest.
    """
    slices = _mig_slices(nvml, handle) if mig else []
    if slices:
        return max(slices)
    info = _memory_v2(nvml, handle)
    if info is not None:
        return int(info.total), int(info.free), int(info.reserved)
    try:
        info = nvml.nvmlDeviceGetMemoryInfo(handle)
    except Exception as error:
        if _code(error) == NOT_SUPPORTED:
            return None
        raise
    return int(info.total), int(info.free), 0


def _memory_v2(nvml: Any, handle: Any) -> Any:
    """Version 2 tells apart what the driver keeps for itself; drivers before R510 do not know it."""
    version = getattr(nvml, "nvmlMemory_v2", None)
    return None if version is None else _ask(nvml.nvmlDeviceGetMemoryInfo, handle, version)


def _mig_slices(nvml: Any, handle: Any) -> list[tuple[int, int, int]]:
    found = []
    for index in range(_ask(nvml.nvmlDeviceGetMaxMigDeviceCount, handle, default=0)):
        part = _ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        info = None if part is None else _ask(nvml.nvmlDeviceGetMemoryInfo, part)
        if info is not None:
            found.append((int(info.total), int(info.free), 0))
    return found


def _processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...]:
    """Compute and graphics processes, each once, with the larger of its two figures."""
    used: dict[int, int | None] = {}
    computing: set[int] = set()
    for getter in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        for process in _ask(getter, handle, default=()):
            figures = [f for f in (used.get(process.pid), process.usedGpuMemory) if f is not None]
            used[process.pid] = max(figures, default=None)
            if getter is nvml.nvmlDeviceGetComputeRunningProcesses:
                computing.add(process.pid)
    return tuple(
        GpuProcess(pid=pid, name=_process_name(pid), used_bytes=used[pid], compute=pid in computing)
        for pid in sorted(used)
    )


def _process_name(pid: int) -> str:
    """The name of a process; "" when it lives in another PID namespace or is gone."""
    try:
        import psutil
    except ImportError:  # its C library does not load here: only the name is lost
        return ""
    try:
        return psutil.Process(pid).name()
    except (psutil.Error, OSError):
        return ""


if __name__ == "__main__":
    run(probe)
