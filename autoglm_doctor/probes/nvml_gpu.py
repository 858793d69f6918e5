"""One GPU, as NVML tells of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import Gpu, GpuProcess
from autoglm_doctor.probes.cgroup import read_memory

#: NVML_ERROR_GPU_IS_LOST and NVML_ERROR_RESET_REQUIRED (nvml.h).
LOST = {15: "fell off the bus (GPU is lost)", 16: "needs a reset"}
#: NVML_ERROR_NOT_SUPPORTED.
NOT_SUPPORTED = 3
#: GPUs inside a system chip, which work in main memory and have none of their own: Jetson TX1, TX2, Xavier, Orin and
#: Thor (10.1 before CUDA 13), and GB10 (developer.nvidia.com/cuda-gpus). NVML tells no memory of the last one:
#: docs.nvidia.com/dgx/dgx-spark/known-issues.html.
UNIFIED = ("5.3", "6.2", "7.2", "8.7", "10.1", "11.0", "12.1")
#: NVML_ERROR_UNKNOWN, for failures that carry no code.
UNKNOWN = 999


class GpuLostError(Exception):
    """A getter said that the GPU is gone."""


def code_of(error: Exception) -> int:
    """NVML's code; UNKNOWN for an error that has none."""
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else UNKNOWN


def plain(value: Any) -> str:
    """pynvml 11 answers bytes, newer ones str."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def ask(
    getter: Callable[..., Any], *args: Any, default: Any = None, convert: Callable[[Any], Any] = lambda value: value
) -> Any:
    """One getter's answer; the default when the GPU, the driver or pynvml does not know the question.

    Raises:
        GpuLostError: the GPU is gone, so no default would be true.
    """
    try:
        return convert(getter(*args))
    except Exception as error:
        if code_of(error) in LOST:
            raise GpuLostError(LOST[code_of(error)]) from error
        return default


def read_gpu(nvml: Any, index: int, root: Path) -> Gpu:
    """One GPU. Its name and capability are demanded, since a default would be a false fact.

    Memory that NVML does not support asking for is that of the machine where the GPU has none of its own; else 0, "not
    read". Any other error in its place is the GPU's.
    """
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    mig = bool(ask(nvml.nvmlDeviceGetMigMode, handle, default=(0, 0))[0])
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
        uuid=ask(nvml.nvmlDeviceGetUUID, handle, default="", convert=plain),
        pci_bus_id=ask(nvml.nvmlDeviceGetPciInfo, handle, default="", convert=lambda info: plain(info.busId)),
        mig=mig,
        compute_mode=ask(nvml.nvmlDeviceGetComputeMode, handle, default=0),
        processes=_processes(nvml, handle),
        unified=unified,
    )


def _name(nvml: Any, handle: Any) -> str:
    """It only labels the GPU: one that pynvml cannot decode is no reason to know nothing of it."""
    try:
        return plain(nvml.nvmlDeviceGetName(handle))
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
        if code_of(error) == NOT_SUPPORTED:
            return None
        raise
    return int(info.total), int(info.free), 0


def _memory_v2(nvml: Any, handle: Any) -> Any:
    """Version 2 tells apart what the driver keeps for itself; drivers before R510 do not know it."""
    version = getattr(nvml, "nvmlMemory_v2", None)
    return None if version is None else ask(nvml.nvmlDeviceGetMemoryInfo, handle, version)


def _mig_slices(nvml: Any, handle: Any) -> list[tuple[int, int, int]]:
    found = []
    for index in range(ask(nvml.nvmlDeviceGetMaxMigDeviceCount, handle, default=0)):
        part = ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        info = None if part is None else ask(nvml.nvmlDeviceGetMemoryInfo, part)
        if info is not None:
            found.append((int(info.total), int(info.free), 0))
    return found


def _processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...]:
    """Compute and graphics processes, each once, with the larger of its two figures."""
    used: dict[int, int | None] = {}
    computing: set[int] = set()
    for getter in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        for process in ask(getter, handle, default=()):
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
