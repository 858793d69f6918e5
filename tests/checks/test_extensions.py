"""PKG005: compiled packages and torch."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.extensions import extensions_match
from autoglm_doctor.facts import Distribution, Packages, Torch
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed

CASES = [
    pytest.param("2.2.0", "11.8", "2.5.5+cu118torch2.2cxx11abiTRUE", "fail", id="the other ABI"),
    pytest.param("2.2.0", "11.8", "2.5.5+cu118torch2.2cxx11abiFALSE", "pass", id="all of it right"),
    pytest.param("2.8.0+cu128", "12.8", "2.8.3+cu12torch2.7cxx11abiTRUE", "fail", id="another line of torch"),
    pytest.param("2.8.0+cu128", "12.8", "2.8.3+cu12torch2.8cxx11abiTRUE", "pass", id="CUDA as a major"),
    pytest.param("2.9.0+cu130", "13.0", "2.8.3+cu12torch2.9cxx11abiTRUE", "fail", id="another CUDA"),
    pytest.param("2.6.0", "12.6", "2.7.4+cu12torch2.6cxx11abiTRUE", "pass", id="2.6 has both ABIs"),
    pytest.param("2.7.0", "12.6", "2.7.4.post1", "not_applicable", id="no mark"),
    pytest.param("2.9.0a0+nv25.10", "13.0", "2.8.3+cu12torch2.8cxx11abiTRUE", "not_applicable", id="a vendor's torch"),
]


@pytest.mark.parametrize(("torch", "cuda", "flash", "status"), CASES)
def test_flash_attn(torch: str, cuda: str, flash: str, status: str) -> None:
    given: Any = {"packages": installed(flash_attn=flash, torch=torch), "torch": Torch(version=torch, cuda=cuda)}
    (finding,) = judge(extensions_match, **given)
    assert finding.status == status
    assert (finding.subject == "torch") == (status == "fail")


def test_a_torch_of_conda_has_the_new_abi() -> None:
    torch = Distribution(name="torch", version="2.2.0", requires=("filelock",))
    flash = Distribution(name="flash-attn", version="2.5.5+cu118torch2.2cxx11abiTRUE")
    (finding,) = judge(extensions_match, packages=Packages(distributions=(torch, flash)))
    assert finding.status == "pass"


def test_a_cuda_that_was_concluded_from_architectures_refuses_no_package() -> None:
    torch = Torch(version="2.6.0", cuda="11.8", architectures=("sm_80", "sm_90"))
    flash = Distribution(name="flash-attn", version="2.7.4+cu12torch2.6cxx11abiFALSE")
    (finding,) = judge(extensions_match, packages=Packages(distributions=(flash,)), torch=torch)
    assert finding.status == "pass"
