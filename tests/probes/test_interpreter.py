"""What an interpreter says of itself: whether pip may install into it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.probes.target import interpreter


def answer(monkeypatch: pytest.MonkeyPatch, stdlib: Path, prefix: str = "/usr", base: str = "/usr") -> Any:
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "base_prefix", base)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(stdlib) if name == "stdlib" else "")
    return interpreter.externally_managed()


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    (tmp_path / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=use apt\n")
    return tmp_path


def test_a_distributions_own(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_BREAK_SYSTEM_PACKAGES", raising=False)
    assert answer(monkeypatch, debian) is True


def test_one_without_the_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(monkeypatch, tmp_path) is False


def test_a_virtual_environment_made_from_it(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(monkeypatch, debian, prefix="/srv/env") is False


@pytest.mark.parametrize(
    ("value", "managed"),
    [
        pytest.param("1", False, id="an image that allows it"),
        pytest.param("true", False, id="in another word"),
        pytest.param("0", True, id="not allowed"),
        pytest.param("", True, id="empty"),
    ],
)
def test_a_variable_may_allow_it(value: str, managed: bool, debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_BREAK_SYSTEM_PACKAGES", value)
    assert answer(monkeypatch, debian) is managed


def test_one_that_does_not_know_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_BREAK_SYSTEM_PACKAGES", raising=False)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: None)
    assert interpreter.externally_managed() is None


def run(python: Path, folder: Path) -> dict[str, Any]:
    result = folder / "result"
    subprocess.run([python, interpreter.__file__, result, "{}"], check=True, timeout=60, capture_output=True)
    value: dict[str, Any] = json.loads(result.read_text())["value"]
    return value


def test_a_real_environment(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    assert run(tmp_path / "env/bin/python", tmp_path)["externally_managed"] is False


@pytest.mark.parametrize("python", [f"{sys.base_prefix}/bin/python3", "/usr/bin/python3"])
def test_a_real_interpreter(python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_BREAK_SYSTEM_PACKAGES", raising=False)
    if not Path(python).is_file():
        pytest.skip("it is not there")
    found = run(Path(python), tmp_path)
    line = ".".join(found["version"].split(".")[:2])
    mark = Path(found["base_prefix"], f"lib/python{line}/EXTERNALLY-MANAGED")
    assert found["externally_managed"] is mark.is_file()
