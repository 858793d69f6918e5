"""`plan` on a machine with a stub driver: what it reads, what it leaves alone, and what it does when nothing answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.machine import PARAMETERS, Machine
from tests.faults.running import left_behind, snapshot

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path: Path, stub_folder: Path) -> Machine:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("a real NVIDIA driver is loaded here: its version would not be the stub's")
    return Machine(tmp_path / "machine", stub_folder)


def plan(machine: Machine, *words: str) -> tuple[int, dict[str, Any], str]:
    before = snapshot(machine)
    done = subprocess.run(
        [sys.executable, "-m", "autoglm_doctor", "plan", "--format", "json", *words],
        env=machine.environ,
        cwd=machine.cwd,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert left_behind(machine, before) == ()
    out = done.stdout.decode()
    return done.returncode, json.loads(out) if out else {}, done.stderr.decode()


def test_the_gpu_of_this_machine_and_the_version_that_is_installed(machine: Machine) -> None:
    code, data, _ = plan(machine, "--", *machine.command)
    assert (code, data["fits"]) == (0, "yes")
    assert data["intent"]["version"] == "0.12.0"
    card = data["card"]
    assert (card["name"], card["origin"], card["capability"]) == ("NVIDIA GeForce RTX 4090", "measured", "8.9")
    assert card["total_bytes"] == (24564 - 430) << 20  # as CUDA counts it: without what the driver keeps
    assert card["free_bytes"] == 24114 << 20


def test_the_smallest_of_several_cards_decides(machine: Machine) -> None:
    machine.environ["STUB_GPUS"] += ";NVIDIA L4|8.9|23034|22600|430"
    machine.environ["STUB_CUDA_GPUS"] = "0"
    _, data, _ = plan(machine, "--", *machine.command, "--tensor-parallel-size", "2")
    assert data["card"]["total_bytes"] == (23034 - 430) << 20
    assert data["card"]["count"] == 2


def test_a_card_that_others_fill(machine: Machine) -> None:
    machine.environ["STUB_GPUS"] = "NVIDIA GeForce RTX 4090|8.9|24564|6000|430"
    code, data, _ = plan(machine, "--", *machine.command)
    assert (code, data["fits"]) == (1, "no")
    assert "are free" in data["text"]
    assert data["launch_lines"]  # this small model also fits into what is left


def test_the_headers_of_a_folder_for_a_gpu_that_is_not_here(machine: Machine) -> None:
    """The bytes of the tensors, though config.json alone would give another number; the driver is not asked."""
    machine.environ["STUB_HANG"] = "1"
    code, data, _ = plan(machine, "--model", str(machine.model), "--vram", "24GiB", "--engine", "vllm==0.33.0")
    assert (code, data["fits"]) == (0, "yes")
    assert 0 <= data["terms"]["weights_bytes"] - 2 * PARAMETERS < GIB // 8


def test_a_driver_that_hangs_leaves_it_open(machine: Machine) -> None:
    machine.environ["STUB_HANG"] = "1"
    started = time.monotonic()
    code, data, _ = plan(machine, "--timeout", "0.05", "--", *machine.command)
    assert (code, data["fits"], data["card"]) == (4, "unknown", None)
    assert time.monotonic() - started < 30


def test_a_pipe_in_the_place_of_a_config(machine: Machine) -> None:
    os.mkfifo(machine.cwd / "config.json")
    code, _, err = plan(machine, "--config", "config.json", "--vram", "24GiB")
    assert code == 2
    assert "config.json" in err


def test_an_interruption_ends_it(machine: Machine) -> None:
    machine.environ["STUB_HANG"] = "1"
    before = snapshot(machine)
    command = [sys.executable, "-m", "autoglm_doctor", "plan", "--", *machine.command]
    with subprocess.Popen(
        command, env=machine.environ, cwd=machine.cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        time.sleep(1.5)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
    assert running.returncode == 130
    assert left_behind(machine, before) == ()
