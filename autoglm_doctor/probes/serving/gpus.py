"""The GPUs while they work, through NVML, in a child process: a driver that hangs must not hold the measurement.

The child writes one JSON line a sample until its standard input ends, which it also does when we are killed. Every
getter is guarded on its own; what a GPU does not tell is None.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from autoglm_doctor.facts import GpuUnderLoad

#: Seconds between two samples.
PERIOD = 0.2
#: For the last sample and the end of the child.
STOP_SECONDS = 1.0
#: nvml.h, nvmlClocksEventReasons: the bits and what we call them. Two of them are settings, which slow down as well.
REASONS = {
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x100: "display clocks",
}
_IDLE = 0x1
#: A reason seen less often is the ramp of the clocks at the beginning of work.
_OFTEN = 0.1
#: NVML_CLOCK_SM, NVML_TEMPERATURE_GPU
_SM, _GPU = 1, 0

#: The child finds what we find, and nothing in the current folder before it.
_CHILD = (
    "import sys; indices = sys.argv[1]; sys.path[:] = sys.argv[2:]; "
    "from autoglm_doctor.probes.serving.gpus import main; main(indices)"
)

Sample = dict[str, int | None]


class Sampler:
    """Samples from its making to `stop`. Without indices, NVML or a GPU it is silent, and `stop` gives ()."""

    def __init__(self, indices: Sequence[int], command: Sequence[str] | None = None) -> None:
        """`indices` are NVML's; `command` replaces the child (tests)."""
        self._samples: list[Sample] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        if indices:
            words = command or (sys.executable, "-B", "-c", _CHILD, ",".join(map(str, indices)), *sys.path)
            with suppress(OSError):  # not even a process can be started: the measurement does not need this one
                self._start(words)

    def _start(self, words: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(list(words), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child is not None  # noqa: S101  started before this thread
        assert self._child.stdout is not None  # noqa: S101  Popen was given PIPE
        for line in self._child.stdout:
            with suppress(ValueError):
                sample = json.loads(line)
                if isinstance(sample, dict) and isinstance(sample.get("index"), int):
                    self._samples.append(sample)

    def stop(self) -> tuple[GpuUnderLoad, ...]:
        """End the child, within two seconds even if the driver holds it, and sum up."""
        child = self._child
        if child is None:
            return ()
        with suppress(OSError):
            assert child.stdin is not None  # noqa: S101  Popen was given PIPE
            child.stdin.close()
        if not _is_over(child):
            child.kill()
            _is_over(child)
        if self._reader is not None:
            self._reader.join(STOP_SECONDS)
        return summed(list(self._samples))


def _is_over(child: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        child.wait(STOP_SECONDS)
    return child.returncode is not None


def summed(samples: Sequence[Sample]) -> tuple[GpuUnderLoad, ...]:
    """One summary a GPU, in the order of their indices."""
    indices = sorted({index for sample in samples if (index := sample["index"]) is not None})
    return tuple(_summary(index, [sample for sample in samples if sample["index"] == index]) for index in indices)


def _summary(index: int, samples: Sequence[Sample]) -> GpuUnderLoad:
    """Clocks, power and reasons of the samples in which it worked: an idle GPU saves power as it should."""
    busy = [sample for sample in samples if not (sample.get("reasons") or 0) & _IDLE] or samples
    power, limit = _median(busy, "power_mw"), _largest(samples, "limit_mw")
    clock = _median(busy, "clock")
    return GpuUnderLoad(
        index=index,
        samples=len(samples),
        used_peak_bytes=_largest(samples, "used"),
        sm_clock_median_mhz=None if clock is None else round(clock),
        sm_clock_max_mhz=_largest(samples, "max_clock"),
        power_median_w=None if power is None else power / 1000,
        power_limit_w=None if limit is None else limit / 1000,
        temperature_max_c=_largest(samples, "temperature"),
        throttle_reasons=_reasons(busy),
    )


def _values(samples: Sequence[Sample], name: str) -> list[int]:
    return [value for sample in samples if isinstance(value := sample.get(name), int)]


def _median(samples: Sequence[Sample], name: str) -> float | None:
    values = _values(samples, name)
    return statistics.median(values) if values else None


def _largest(samples: Sequence[Sample], name: str) -> int | None:
    return max(_values(samples, name), default=None)


def _reasons(samples: Sequence[Sample]) -> tuple[str, ...]:
    masks = _values(samples, "reasons")
    return tuple(
        name for bit, name in REASONS.items() if masks and sum(bool(m & bit) for m in masks) >= _OFTEN * len(masks)
    )


def sample(nvml: Any, index: int, handle: Any) -> Sample:
    """One GPU now: bytes, MHz, milliwatts, degrees, and the reasons as NVML's bits."""
    reasons = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    # The old name is what drivers before R535 know; the new pynvml still has both.
    old = getattr(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None)
    bits = _ask(reasons, handle)
    return {
        "index": index,
        "used": _ask(lambda it: nvml.nvmlDeviceGetMemoryInfo(it).used, handle),
        "clock": _ask(lambda it: nvml.nvmlDeviceGetClockInfo(it, _SM), handle),
        "max_clock": _ask(lambda it: nvml.nvmlDeviceGetMaxClockInfo(it, _SM), handle),
        "power_mw": _ask(lambda it: nvml.nvmlDeviceGetPowerUsage(it), handle),
        "limit_mw": _ask(lambda it: nvml.nvmlDeviceGetEnforcedPowerLimit(it), handle),
        "temperature": _ask(lambda it: nvml.nvmlDeviceGetTemperature(it, _GPU), handle),
        "reasons": _ask(old, handle) if bits is None else bits,
    }


def _ask(getter: Callable[[Any], Any] | None, handle: Any) -> int | None:
    try:
        return None if getter is None else int(getter(handle))
    except Exception:
        return None


def serve(nvml: Any, indices: Sequence[int]) -> None:
    """The child: a line a GPU and period, until standard input ends."""
    nvml.nvmlInit()
    handles = []
    for index in indices:
        with suppress(Exception):
            handles.append((index, nvml.nvmlDeviceGetHandleByIndex(index)))
    while handles:
        for index, handle in handles:
            print(json.dumps(sample(nvml, index, handle)), flush=True)
        if select.select([sys.stdin], [], [], PERIOD)[0]:
            return


def main(indices: str) -> None:
    """The child's program; `indices` as "0,1"."""
    with suppress(Exception):
        import pynvml

        serve(pynvml, [int(word) for word in indices.split(",")])
    os._exit(0)  # nvmlShutdown is one more call that can hang
