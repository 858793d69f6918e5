"""Situations that look ill to a rule and are not: nothing is said of them, each a false alarm that a reading found."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.restraint.judged import judged

DRIVER = {"driver_version": "580.65.06", "gpus": ["RTX 4090"]}
NO_TOOLKIT = {"nvidia_container_toolkit": "not installed", "os": "Ubuntu 22.04", **DRIVER}
ASKS = "cuda>=12.8 brand=unknown,driver>=535,driver<536"
RUNS = {"driver_version": "550.54.15", "cuda_driver_version": "12.4", "torch": "2.8.0+cu128"}

QUIET: dict[str, dict[str, Any]] = {
    "a server outside of containers needs no toolkit": {**NO_TOOLKIT, "command": "vllm serve Qwen/Qwen3-8B"},
    "an engine that nobody says is in a container": {**NO_TOOLKIT, "engine": "vllm"},
    "Apptainer hands GPUs on by itself": {**NO_TOOLKIT, "container": "apptainer exec --nv vllm.sif"},
    "LXC as well": {**NO_TOOLKIT, "container": "Proxmox LXC"},
    "Docker under WSL may live elsewhere": {**NO_TOOLKIT, "os": "Ubuntu 22.04 on WSL2"},
    "the distribution is the host's, the engine the image's": {
        **DRIVER,
        "os": "Ubuntu 20.04",
        "command": "docker run --gpus all vllm/vllm-openai:v0.20.0 --model X",
        "engine": "vllm 0.20.0",
    },
    "the same in a word": {**DRIVER, "os": "Ubuntu 20.04 (docker)", "engine": "vllm 0.20.0"},
    "what a Jetson's image asks for is no driver": {
        "driver_version": "580.65.06",
        "gpus": ["Jetson AGX Orin"],
        "env": {"NVIDIA_REQUIRE_JETPACK": "csv-mounts=all"},
    },
    "a container that sees free memory was let through": {
        **RUNS,
        "container": "an image of mine",
        "env": {"NVIDIA_REQUIRE_CUDA": ASKS},
        "gpus": [{"name": "RTX 4090", "total_gpu_memory_gib": 23.5, "free_gib": 23.1}],
    },
    "a driver whose number is shortened, and torch sees CUDA": {
        "driver_version": "580.00",
        "gpus": ["NVIDIA Thor"],
        "arch": "aarch64",
        "torch": "2.9.1+cu130",
        "cuda_available": True,
    },
    "conda's torch does not load NVIDIA's packages": {
        "python_distribution": "conda",
        "torch": "2.9.1",
        "torch_cuda": "12.9",
        "packages": {"nvidia-nccl-cu13": "2.28.3"},
    },
    "half of the GPUs stand in another machine": {
        "driver_version": "580.65.06",
        "gpus": ["NVIDIA H100 80GB HBM3"] * 8,
        "engine": "vllm 0.12.0",
        "engine_args": {"tensor_parallel_size": 8, "pipeline_parallel_size": 2, "nnodes": 2},
    },
}


def _rows() -> list[Any]:
    """Those of this file, and of the files beside it, one for each subject: {"id", "facts"}, a line each."""
    found = [pytest.param(facts, id=name) for name, facts in QUIET.items()]
    for path in sorted(Path(__file__).parent.glob("quiet_*.jsonl")):
        subject = path.stem.removeprefix("quiet_")
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found += [pytest.param(row["facts"], id=f"{subject}: {row['id']}") for row in lines]
    return found


@pytest.mark.parametrize("facts", _rows())
def test_nothing_is_said(facts: dict[str, Any]) -> None:
    assert judged(facts).causes == ()


def test_a_glibc_that_the_wheel_does_not_take_is_a_warning_where_the_engine_may_be_built_here() -> None:
    facts = {"os": "RHEL 8.9", "nvcc": "13.0", "engine": "vllm 0.20.0", "torch": "2.11.0+cu130", "cuda_available": True}
    assert judged(facts).status == "warn"
    assert judged({"os": "RHEL 8.9", "engine": "vllm 0.20.0"}).status == "fail"


def test_one_wrong_torch_is_one_red() -> None:
    facts = {"packages": {"vllm": "0.12.0", "torch": "2.8.0", "torchvision": "0.24.0"}}
    assert [cause.check for cause in judged(facts).causes] == ["PKG003"]
    both = {"packages": {"vllm": "0.12.0", "torch": "2.9.0", "torchvision": "0.23.0"}}
    assert [cause.check for cause in judged(both).causes] == ["TOR004"]


def test_a_very_long_value_takes_no_time() -> None:
    """Some patterns take quadratic time; before values were cut this took half a minute."""
    began = time.process_time()
    judged({"driver_version": "9" * 50_000, "container": "x" * 50_000, "gpus": ["not " * 20_000]})
    assert time.process_time() - began < 5
