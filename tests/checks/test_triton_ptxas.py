"""PKG006: triton's own assembler and the driver."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.triton import triton_code_loads
from autoglm_doctor.facts import Distribution, Driver, Environment, Gpu, Host, Packages
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge


def ask(
    versions: dict[str, str],
    driver: str,
    gpu: str = "8.0",
    *,
    engine: Any = "vllm",
    requires: tuple[str, ...] = (),
    system: str = "Linux",
    variables: dict[str, str] | None = None,
) -> Finding:
    rows = (Distribution(name=n, version=v, requires=requires if n == "torch" else ()) for n, v in versions.items())
    (finding,) = judge(
        triton_code_loads,
        packages=Packages(distributions=tuple(rows)),
        driver=Driver(version=driver),
        gpus=(Gpu(index=0, name="card", compute_capability=gpu, total_bytes=1, free_bytes=1),),
        environment=Environment(variables=variables or {}),
        host=Host(system=system, machine="x86_64", kernel="6.1"),
        intent=Intent(model="m", engine=engine, device="cuda"),
    )
    return finding


CU118 = {"torch": "2.2.0+cu118", "triton": "2.2.0"}

CASES = [
    pytest.param(CU118, "470.57.02", "8.0", "fail", id="12.3 on CUDA 11.4"),
    pytest.param(CU118, "515.65.01", "8.0", "fail", id="12.3 on CUDA 11.7"),
    pytest.param({"torch": "2.7.1+cu118", "triton": "3.3.1"}, "520.61.05", "8.0", "fail", id="12.4 on CUDA 11.8"),
    pytest.param({"torch": "2.1.0+cu118", "triton": "2.1.0"}, "470.57.02", "8.0", "warn", id="12.1 on CUDA 11.4"),
    pytest.param({"torch": "2.13.0+cu126", "triton": "3.7.1"}, "575.57.08", "10.0", "fail", id="13.1 on a B200"),
    pytest.param({"torch": "2.2.0+cu118"}, "470.57.02", "8.0", "fail", id="by torch alone"),
    pytest.param(CU118, "535.104.05", "8.0", "pass", id="a driver of the same major"),
    pytest.param(CU118, "525.60.13", "8.0", "pass", id="an older minor of the same major"),
    pytest.param({"torch": "2.9.1", "triton": "3.5.1"}, "525.60.13", "8.0", "pass", id="12.8 on CUDA 12.0"),
    pytest.param(
        {"torch": "2.13.0+cu126", "triton": "3.7.1"}, "575.57.08", "9.0", "pass", id="the first one on Hopper"
    ),
    pytest.param({"torch": "2.9.1", "triton": "3.5.1"}, "570.86.10", "12.0", "pass", id="12.8 on Blackwell"),
    pytest.param({"torch": "2.13.0", "triton": "3.7.1"}, "580.95.05", "12.0", "pass", id="13.1 on CUDA 13.0"),
    pytest.param(
        {"torch": "2.2.0+cu118", "triton": "2.2.0+git1"}, "470.57.02", "8.0", "unknown", id="one's own triton"
    ),
    pytest.param({"torch": "2.2.0+cpu"}, "470.57.02", "8.0", "not_applicable", id="torch without a triton"),
    pytest.param({"vllm": "0.8.5"}, "470.57.02", "8.0", "not_applicable", id="neither is stated"),
    pytest.param({"triton": "1.1.1"}, "470.57.02", "8.0", "unknown", id="a triton before the table"),
]


@pytest.mark.parametrize(("versions", "driver", "gpu", "status"), CASES)
def test_assembler(versions: dict[str, str], driver: str, gpu: str, status: str) -> None:
    finding = ask(versions, driver, gpu)
    assert finding.status == status
    assert bool(finding.fixes) == (status in ("fail", "warn"))


def test_transformers_rarely_uses_it() -> None:
    assert ask(CU118, "470.57.02", engine="transformers").status == "warn"


def test_triton_alone_is_there_to_be_used() -> None:
    assert ask({"triton": "2.2.0"}, "470.57.02", engine="transformers").status == "fail"


def test_torch_whose_metadata_was_read_names_its_triton_itself() -> None:
    """Then a triton that is not in the list is not installed."""
    assert ask({"torch": "2.2.0+cu118"}, "470.57.02", requires=("numpy",)).status == "not_applicable"


def test_the_assembler_can_be_another() -> None:
    named = {"TRITON_PTXAS_PATH": "/usr/local/cuda-11.8/bin/ptxas"}
    assert ask(CU118, "470.57.02", variables=named).status == "not_applicable"
    blackwell = {"torch": "2.13.0", "triton": "3.7.1"}
    assert ask(blackwell, "575.57.08", "12.0", variables=named).status == "fail"


def test_windows_has_another_triton() -> None:
    assert ask(CU118, "470.57.02", system="Windows").status == "not_applicable"


def test_the_fix_is_of_the_driver_s_major() -> None:
    finding = ask(CU118, "470.57.02")
    assert "nvidia-cuda-nvcc-cu11" in finding.fixes[0].commands[0]
    assert "525.60.13" in str(finding.fixes[1].text.params)
