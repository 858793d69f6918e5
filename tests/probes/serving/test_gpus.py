"""The sampler of GPUs, with pynvml replaced from outside in its own child process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from autoglm_doctor.facts import GpuUnderLoad
from autoglm_doctor.probes.serving.gpus import Sample, Sampler, summed

FAKE = """
import itertools, time
_count = itertools.count()
class NVMLError(Exception): pass
class _Memory: used = 20 * 2**30
def nvmlInit(): {init}
def nvmlDeviceGetHandleByIndex(index):
    if index > 1: raise NVMLError("Invalid Argument")
    return index
def nvmlDeviceGetMemoryInfo(handle): return _Memory
def nvmlDeviceGetClockInfo(handle, kind): return 1000 if handle else 2500
def nvmlDeviceGetMaxClockInfo(handle, kind): return 2520
def nvmlDeviceGetPowerUsage(handle): {power}
def nvmlDeviceGetEnforcedPowerLimit(handle): return 450000
def nvmlDeviceGetTemperature(handle, sensor): return 61
def {reasons}(handle): return 0x40 if handle else 0
"""


@pytest.fixture
def nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "pynvml.py"


def write(nvml: Path, init: str = "pass", power: str = "return 300000", reasons: str = "EventReasons") -> None:
    nvml.write_text(FAKE.format(init=init, power=power, reasons=f"nvmlDeviceGetCurrentClocks{reasons}"))


def sampled(indices: tuple[int, ...], seconds: float = 10.0, want: int = 1) -> tuple[GpuUnderLoad, ...]:
    sampler = Sampler(indices)
    deadline = time.monotonic() + seconds
    while len(sampler._samples) < want and time.monotonic() < deadline:
        time.sleep(0.02)
    return sampler.stop()


@pytest.mark.parametrize("reasons", ["EventReasons", "ThrottleReasons"])
def test_two_gpus(nvml: Path, reasons: str) -> None:
    write(nvml, reasons=reasons)
    well, hot = sampled((0, 1), want=6)
    assert (well.index, well.used_peak_bytes, well.sm_clock_median_mhz, well.sm_clock_max_mhz) == (
        0,
        20 * 2**30,
        2500,
        2520,
    )
    assert (well.power_median_w, well.power_limit_w, well.temperature_max_c, well.throttle_reasons) == (
        300.0,
        450.0,
        61,
        (),
    )
    assert (hot.index, hot.throttle_reasons) == (1, ("hardware thermal slowdown",))
    assert well.samples >= 3


def test_what_a_gpu_does_not_tell(nvml: Path) -> None:
    write(nvml, power="raise NVMLError('Not Supported')")
    [gpu] = sampled((1, 7), want=2)
    assert (gpu.index, gpu.power_median_w, gpu.sm_clock_median_mhz) == (1, None, 1000)


@pytest.mark.parametrize(
    "init",
    [
        pytest.param("raise NVMLError('Driver Not Loaded')", id="no driver"),
        pytest.param("time.sleep(1000)", id="hangs"),
        pytest.param("import os; os.abort()", id="crashes"),
    ],
)
def test_an_ill_driver_costs_nothing_but_the_samples(nvml: Path, init: str) -> None:
    write(nvml, init=init)
    started = time.monotonic()
    sampler = Sampler((0,))
    time.sleep(0.5)
    assert sampler.stop() == ()
    assert time.monotonic() - started < 5
    assert sampler._child is not None
    assert sampler._child.poll() is not None, "the child is gone"


def test_no_indices_no_child() -> None:
    sampler = Sampler(())
    assert sampler._child is None
    assert sampler.stop() == ()


def test_no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert Sampler((0,)).stop() == ()


def test_the_child_ends_with_us(nvml: Path) -> None:
    """Its standard input ends when we are killed."""
    write(nvml)
    sampler = Sampler((0,))
    child = sampler._child
    assert child is not None
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(10) == 0


def sample(**more: int | None) -> Sample:
    return {"index": 0, "clock": 2000, "reasons": 0, "power_mw": 100_000, **more}


def test_idle_time_is_not_work() -> None:
    idle = [sample(reasons=1, clock=210, power_mw=20_000)] * 50
    [gpu] = summed([*idle, *[sample(reasons=4)] * 10])
    assert (gpu.samples, gpu.sm_clock_median_mhz, gpu.power_median_w) == (60, 2000, 100.0)
    assert gpu.throttle_reasons == ("power cap",)


@pytest.mark.parametrize(("seen", "named"), [(9, ()), (10, ("power brake",))], ids=["seldom", "in a tenth"])
def test_reasons_seen_often_enough(seen: int, named: tuple[str, ...]) -> None:
    [gpu] = summed([*[sample(reasons=0x80)] * seen, *[sample()] * (100 - seen)])
    assert gpu.throttle_reasons == named
