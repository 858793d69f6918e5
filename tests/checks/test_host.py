"""HST: the engine runs on this system, and its C library is new enough."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.host import glibc_new_enough, os_supported
from autoglm_doctor.facts import Host, Reading, Torch, TorchRun
from autoglm_doctor.intent import Engine
from autoglm_doctor.launch import default_intent
from autoglm_doctor.testing import judge

LINUX = Host(system="Linux", machine="x86_64", kernel="6.8", distribution="Ubuntu 22.04", glibc="2.35")
OLD = dataclasses.replace(LINUX, glibc="2.27")
NOT_RUN: Reading[Any] = Reading(outcome="not_run")

SYSTEMS = {
    "vLLM on Linux": ("Linux", "vllm", "pass"),
    "vLLM on Windows": ("Windows", "vllm", "fail"),
    "SGLang on macOS": ("Darwin", "sglang", "fail"),
    "transformers on Windows": ("Windows", "transformers", "pass"),
}


@pytest.mark.parametrize(("system", "engine", "status"), SYSTEMS.values(), ids=SYSTEMS)
def test_systems(system: str, engine: Engine, status: str) -> None:
    intent = dataclasses.replace(default_intent(), engine=engine)
    (found,) = judge(os_supported, intent=intent, host=dataclasses.replace(LINUX, system=system))
    assert found.status == status
    assert found.cause == ("OS_UNSUPPORTED_BY_ENGINE" if status == "fail" else "")


def test_wsl_is_linux() -> None:
    (found,) = judge(os_supported, host=dataclasses.replace(LINUX, wsl=True))
    assert found.status == "pass"


LIBRARIES = {
    "new enough": (LINUX, "2.9.1+cu128", None, "pass"),
    "just enough": (dataclasses.replace(LINUX, glibc="2.28"), "2.7.0", None, "pass"),
    "too old": (OLD, "2.7.0", None, "fail"),
    "too old, compared as numbers": (dataclasses.replace(LINUX, glibc="2.5"), "2.7.0", None, "fail"),
    "old torch takes an old one": (OLD, "2.6.0+cu124", None, "pass"),
    "too old, but torch loads": (OLD, "2.9.1", TorchRun(version="2.9.1"), "pass"),
    "too old, and torch does not load": (OLD, "2.9.1", TorchRun(import_error="ImportError: GLIBC_2.28"), "fail"),
    "musl": (dataclasses.replace(LINUX, glibc=None), "2.9.1", None, "unknown"),
    "musl, and torch loads": (dataclasses.replace(LINUX, glibc=None), "2.9.1", TorchRun(), "pass"),
    "Windows": (dataclasses.replace(LINUX, system="Windows", glibc=None), "2.9.1", None, "not_applicable"),
}


@pytest.mark.parametrize(("host", "torch", "run", "status"), LIBRARIES.values(), ids=LIBRARIES)
def test_glibc(host: Host, torch: str, run: TorchRun | None, status: str) -> None:
    (found,) = judge(glibc_new_enough, host=host, torch=Torch(version=torch), torch_run=run or NOT_RUN)
    assert found.status == status
    assert found.cause == ("GLIBC_TOO_OLD" if status == "fail" else "")


def test_without_torch_there_is_nothing_to_compare() -> None:
    (found,) = judge(glibc_new_enough, host=OLD, torch=Reading(outcome="absent", why="torch is not installed"))
    assert found.status == "skipped"
