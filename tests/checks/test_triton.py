"""PKG004: triton and torch."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.triton import triton_matches
from autoglm_doctor.facts import Distribution, Packages
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed

CASES = [
    pytest.param("2.9.0", "3.5.0", "vllm", "pass", id="its own"),
    pytest.param("2.9.0+cu130", "3.5.1", "vllm", "pass", id="the same line"),
    pytest.param("2.9.0", "3.4.0", "vllm", "fail", id="another line"),
    pytest.param("2.9.0", "3.4.0", "transformers", "warn", id="which transformers rarely uses"),
    pytest.param("2.9.0a0+nv25.10", "3.4.0", "vllm", "not_applicable", id="a vendor's torch"),
    pytest.param("2.9.0", "3.4.0+git12", "vllm", "not_applicable", id="a triton of one's own"),
    pytest.param("9.9.0", "3.4.0", "vllm", "unknown", id="a torch that no table has"),
    pytest.param("2.14.0", "3.8.2", "vllm", "pass", id="torch asks for a line, not for a release"),
    pytest.param("2.14.0", "3.7.1", "vllm", "fail", id="and that is another line"),
]


@pytest.mark.parametrize(("torch", "triton", "engine", "status"), CASES)
def test_triton(torch: str, triton: str, engine: Any, status: str) -> None:
    packages = installed(torch=torch, triton=triton)
    (finding,) = judge(triton_matches, packages=packages, intent=Intent(model="m", engine=engine))
    assert finding.status == status


def test_metadata_that_was_read_is_left_to_pkg001() -> None:
    torch = Distribution(name="torch", version="2.9.0", requires=("triton==3.5.0",))
    packages = Packages(distributions=(torch, Distribution(name="triton", version="3.4.0")))
    (finding,) = judge(triton_matches, packages=packages)
    assert finding.status == "not_applicable"
