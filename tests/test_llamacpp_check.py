"""`check -- llama-server`: a machine without Python's engines is ready for it, and what is wrong is still red."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.facts import Facts, Reading
from autoglm_doctor.launch import parse_command
from autoglm_doctor.options import Options
from autoglm_doctor.safety import final_stage_arguments
from tests.faults.machine import Machine
from tests.faults.running import Run, check
from tests.llamacpp_cases import gguf_file


@pytest.fixture
def machine(tmp_path: Path, stub_folder: Path) -> Machine:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("a real NVIDIA driver is loaded here: its version would not be the stub's")
    made = Machine(tmp_path / "machine", stub_folder)
    server = made.tools / "llama-server"
    server.write_bytes(b"\x7fELF\x02\x01\x01, which the doctor must not start")
    server.chmod(0o755)
    made.command = ["llama-server", "-m", str(gguf_file(made.root)), "-c", "8192", "-ngl", "99", "--port", "18231"]
    return made


def of(run: Run, *statuses: str) -> dict[str, Any]:
    return {r["code"]: r for r in run.report["results"] if r["status"] in statuses}


def test_it_is_ready(machine: Machine) -> None:
    run = check(machine, "--format", "json")
    assert of(run, "fail", "error", "warn", "unknown", "skipped") == {}
    assert (run.code, run.report["verdict"]["status"]) == (0, "ready")
    assert {"DRV001", "CUD001", "GPU001", "ENG005", "MDL001", "VRM001", "VRM002", "VRM003"} <= of(run, "pass").keys()
    assert {"PYT001", "ENG001", "TOR001", "PKG001"} <= of(run, "not_applicable").keys()
    assert any("no model was run" in str(gap) for gap in run.report["verdict"]["not_covered"])
    assert run.left == ()


def test_a_broken_torch_is_no_fault_of_it(machine: Machine) -> None:
    (machine.torch / "__init__.py").write_text("raise ImportError('broken')\n")
    run = check(machine, "--format", "json")
    assert (run.code, of(run, "fail", "error", "unknown")) == (0, {})


def test_the_program_is_not_there(machine: Machine) -> None:
    (machine.tools / "llama-server").unlink()
    run = check(machine, "--format", "json")
    assert (run.code, list(of(run, "fail", "error"))) == (1, ["ENG005"])
    assert "llama.cpp" in str(run.finding("ENG005")["fix"])


def test_a_file_cut_off(machine: Machine) -> None:
    path = Path(machine.command[2])
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)
    run = check(machine, "--format", "json")
    assert (run.code, list(of(run, "fail", "error"))) == (1, ["MDL001"])


def test_a_small_gpu_gets_lines_of_llama_cpp(machine: Machine) -> None:
    machine.environ |= {"STUB_GPUS": "NVIDIA GeForce RTX 3050|8.6|6144|5900|100", "STUB_CUDA_MIB": "6000"}
    machine.command[4] = "32768"
    run = check(machine, "--format", "json")
    assert (run.code, list(of(run, "fail", "error"))) == (1, ["VRM003"])
    commands = [line for fix in run.finding("VRM003")["fix"] for line in fix["commands"]]
    assert commands
    assert all(line.startswith("llama-server -m ") for line in commands)


def test_slots_share_the_context(machine: Machine) -> None:
    machine.command[4:5] = ["65536", "-np", "2"]
    run = check(machine, "--format", "json", "--select", "CFG001")
    assert run.finding("CFG001")["status"] == "pass"


def test_the_final_stage_runs_nothing() -> None:
    reading = final_stage_arguments(Facts(), parse_command(["llama-server", "-m", "m.gguf"]), Options())
    assert isinstance(reading, Reading)
    assert (reading.outcome, reading.why) == ("not_run", "llama.cpp is a program: torch would prove nothing about it")
