"""PKG016: the wheels of flash-attn 2.8."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.flash_attn import flash_attn_wheels
from autoglm_doctor.facts import Distribution, Host, Packages
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed
from tests.restraint.judged import judged

#: flash-attn, torch, status.
TORCH = [
    pytest.param("2.8.0.post2", "2.6.0", "warn", id="as pip gets it"),
    pytest.param("2.8.2+cu12torch2.6cxx11abiFALSE", "2.6.0+cu124", "fail", id="the project's wheel, by its name"),
    pytest.param("2.8.2+cu12torch2.6cxx11abiTRUE", "2.6.0+cu124", "pass", id="the other wheel is not known to fail"),
    pytest.param("2.8.3", "2.6.0+cu126", "pass", id="the build of 2.6 with the new ABI"),
    pytest.param("2.8.3", "2.7.1", "pass", id="a later torch"),
    pytest.param("2.8.3", "2.5.1", "pass", id="an earlier torch"),
    pytest.param("2.7.4.post1", "2.6.0", "not_applicable", id="the release before"),
    pytest.param("2.8.3.post1", "2.6.0", "not_applicable", id="a release of which nobody wrote"),
    pytest.param("2.8.3+cu126torch2.6", "2.6.0", "not_applicable", id="somebody else's wheel"),
    pytest.param("2.8.3", "2.6.0a0+ecf3bae40a.nv25.01", "not_applicable", id="a vendor's torch"),
]


@pytest.mark.parametrize(("flash", "torch", "status"), TORCH)
def test_torch(flash: str, torch: str, status: str) -> None:
    (finding,) = judge(flash_attn_wheels, packages=installed(flash_attn=flash, torch=torch))
    assert finding.status == status


OLD = Host(system="Linux", kernel="", machine="x86_64", glibc="2.31")
GLIBC: dict[str, tuple[str, Host, str]] = {
    "as pip gets it": ("2.8.0", OLD, "warn"),
    "the project's wheel": ("2.8.3+cu12torch2.8cxx11abiTRUE", OLD, "fail"),
    "new enough": ("2.8.3", Host(system="Linux", kernel="", machine="x86_64", glibc="2.32"), "pass"),
    "Ubuntu 22.04": ("2.8.3", Host(system="Linux", kernel="", machine="x86_64", glibc="2.35"), "pass"),
    "nobody read the C library, nor a torch": (
        "2.8.3",
        Host(system="Linux", kernel="", machine="x86_64"),
        "not_applicable",
    ),
    "the release before": ("2.7.4.post1", OLD, "not_applicable"),
    "Windows": ("2.8.3", Host(system="Windows", kernel="", machine="AMD64"), "not_applicable"),
    "Arm, for which there is no wheel": (
        "2.8.3",
        Host(system="Linux", kernel="", machine="aarch64", glibc="2.31"),
        "not_applicable",
    ),
    "somebody else's wheel": ("2.8.3+cu128torch2.8", OLD, "not_applicable"),
}


@pytest.mark.parametrize(("flash", "host", "status"), [pytest.param(*row, id=name) for name, row in GLIBC.items()])
def test_glibc(flash: str, host: Host, status: str) -> None:
    (finding,) = judge(flash_attn_wheels, packages=installed(flash_attn=flash), host=host)
    assert (finding.status, finding.cause) == (status, "GLIBC_TOO_OLD" if status in ("fail", "warn") else "")


def test_flash_attn_alone_says_nothing() -> None:
    (finding,) = judge(flash_attn_wheels, packages=installed(flash_attn="2.8.3"))
    assert finding.status == "not_applicable"


def test_an_editable_one_was_compiled_here() -> None:
    there = Packages(distributions=(Distribution(name="flash_attn", version="2.8.3", editable=True),))
    (finding,) = judge(flash_attn_wheels, packages=there, host=OLD)
    assert finding.status == "not_applicable"


def test_the_ways_out_leave_the_torch() -> None:
    (finding,) = judge(flash_attn_wheels, packages=installed(flash_attn="2.8.2", torch="2.6.0"))
    before, own = (fix.commands[0] for fix in finding.fixes)
    assert before.endswith("--no-build-isolation flash-attn==2.7.4.post1")
    assert own.startswith("FLASH_ATTENTION_FORCE_BUILD=TRUE ")
    assert "--no-deps" in own


ONE_RED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "for another torch: PKG005's": (
        {"torch": "2.6.0", "packages": {"flash-attn": "2.8.3+cu12torch2.7cxx11abiTRUE"}},
        ["PKG005"],
    ),
    "the system is too old for the engine too": (
        {"os": "Ubuntu 20.04", "packages": {"flash-attn": "2.8.3+cu12torch2.11cxx11abiTRUE", "vllm": "0.20.0"}},
        ["HST004"],
    ),
}


@pytest.mark.parametrize(("facts", "checks"), [pytest.param(*row, id=name) for name, row in ONE_RED.items()])
def test_one_red(facts: dict[str, Any], checks: list[str]) -> None:
    assert [one.check for one in judged(facts).causes] == checks
