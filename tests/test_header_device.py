"""What the head of a report says of `--device auto` is what its checks go by."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.facts import Cuda, CudaDevice, Driver, Environment, Facts, Gpu, Reading, known
from autoglm_doctor.launch import default_intent
from autoglm_doctor.report.terminal import _device

GPU = Gpu(index=0, name="RTX", compute_capability="8.9", total_bytes=1, free_bytes=1)
STARTED = Cuda(
    library="libcuda.so.1",
    init_code=0,
    devices=(CudaDevice(index=0, name="RTX", compute_capability="8.9", total_bytes=1),),
)
DRIVER = known(Driver(version="570.26", nvml_code=0))
HUNG: dict[str, Any] = {
    "driver": known(Driver(version=None, library_version="570.26", nvml_error="NVML did not answer")),
    "gpus": Reading(outcome="timeout", why="no answer within 60 s"),
}
HIDDEN = known(Environment(variables={"CUDA_VISIBLE_DEVICES": ""}))
NONE: Reading[Any] = Reading(outcome="absent", why="there is no NVIDIA driver")
HEADS = {
    "a GPU": ({"driver": DRIVER, "gpus": known((GPU,))}, "auto: judged for the GPUs"),
    "hidden GPUs": (
        {"driver": DRIVER, "gpus": known((GPU,)), "environment": HIDDEN},
        "auto: the GPUs are hidden, judged for the CPU",
    ),
    "a GPU that only CUDA shows": ({"driver": NONE, "gpus": NONE, "cuda": known(STARTED)}, "auto: judged for the GPUs"),
    "no driver": ({"driver": NONE, "gpus": NONE}, "auto: no GPU here, judged for the CPU"),
    "a driver without GPUs": ({"driver": DRIVER, "gpus": known(())}, "auto: no GPU here, judged for the CPU"),
    "a driver that hangs": (HUNG, "auto: GPUs not known"),
}


@pytest.mark.parametrize(("facts", "says"), HEADS.values(), ids=HEADS)
def test_what_is_said_of_auto(facts: dict[str, Any], says: str) -> None:
    assert _device(dataclasses.replace(default_intent(), device="auto"), Facts(**facts)) == says
