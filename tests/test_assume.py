"""Facts that the user assumes: judged like read ones, and never mixed with what the real parts did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.cli.app import run
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import Cuda, CudaDevice, Facts, Reading, TorchRun, known
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.reading import assume

HEALTHY = Path(__file__).parent / "machines" / "4090-small-model.json"
DEVICE = CudaDevice(index=0, name="T4", compute_capability="7.5", total_bytes=1)


def judged(capsys: pytest.CaptureFixture[str], text: str) -> dict[str, Any]:
    run(["check", "--facts", str(HEALTHY), "--final-stage", "none", "--format", "json", "--assume", text])
    return {result["code"]: result for result in json.loads(capsys.readouterr().out)["results"]}


@pytest.mark.parametrize(
    ("version", "status"),
    [("470.1", "fail"), ("525.60.12", "fail"), ("525.60.13", "pass"), ("580.95", "pass"), ("999.1", "pass")],
)
def test_an_assumed_driver_is_judged_by_the_table(
    version: str, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = judged(capsys, f"driver={version}")
    assert results["DRV003"]["status"] == status
    assert (results["DRV003"]["cause"] == "DRIVER_TOO_OLD") is (status == "fail")
    assert {code: results[code]["status"] for code in ("DRV001", "DRV002")} == {"DRV001": "pass", "DRV002": "pass"}


@pytest.mark.parametrize(
    ("version", "newest"),
    [("470.1", "11.4"), ("535.183.01", "12.2"), ("536.1", "12.2"), ("100.1", None)],
    ids=["a row", "another", "between rows", "older than the table"],
)
def test_cuda_is_told_the_drivers_release(version: str, newest: str | None) -> None:
    real = known(Cuda(library="libcuda.so.1", init_code=0, driver_cuda_version="12.8", devices=(DEVICE,)))
    facts = assume(Facts(cuda=real, torch_run=known(TorchRun())), f"driver={version}", load_matrix())
    assert facts.cuda.value is not None
    assert (facts.cuda.value.driver_cuda_version, facts.cuda.value.devices) == (newest, (DEVICE,))
    assert facts.torch_run.outcome == "not_run"


@pytest.mark.parametrize(
    "cuda",
    [
        Reading(outcome="absent", why="no libcuda"),
        Reading(outcome="failed"),
        known(Cuda(library="libcuda.so.1", init_code=803)),
    ],
    ids=["absent", "failed", "did not start"],
)
def test_a_real_drivers_faults_are_not_the_assumed_ones(cuda: Reading[Any]) -> None:
    assert assume(Facts(cuda=cuda), "driver=580.95", load_matrix()).cuda.outcome == "not_run"


@pytest.mark.parametrize(
    "text",
    [
        *("gpu=RTX 4090,vram=nan", "gpu=RTX 4090,vram=inf", "gpu=RTX 4090,vram=0", "gpu=RTX 4090,vram=-24"),
        *("gpu=RTX 4090,gpus=0", "gpu=RTX 4090,gpus=1.5", "gpu=RTX 4090,gpus=-1", "ram=-1", "ram=nan", "driver=new"),
    ],
)
def test_what_no_machine_has(text: str) -> None:
    with pytest.raises(DoctorError, match=r"^--assume: "):
        assume(Facts(), text, load_matrix())


def test_wrong_assumptions_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--facts", str(HEALTHY), "--assume", "vram=nan"]) == 2
