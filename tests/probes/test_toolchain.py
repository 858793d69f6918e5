"""The probe for compilers, on folders of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from autoglm_doctor.facts import Toolchain
from autoglm_doctor.probes import toolchain


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty root, whose bin/ is all of PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("CC", "CUDA_HOME", "CUDA_PATH", "FLASHINFER_NVCC", "CPATH", "C_INCLUDE_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def program(path: Path, says: str, mode: int = 0o755) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(mode)
    return str(path)


def look(root: Path, **arguments: object) -> Toolchain:
    ((fact, reading),) = toolchain.probe({"root": str(root), **arguments})
    assert fact == "toolchain"
    assert reading.value is not None
    found: Toolchain = reading.value
    return found


def test_a_bare_machine(folder: Path) -> None:
    assert look(folder) == Toolchain(cc="", nvcc="", nvcc_in_packages="", ninja="")


def test_gcc_before_clang_and_their_versions(folder: Path) -> None:
    program(folder / "bin/clang", "clang version 14.0.0")
    gcc = program(folder / "bin/gcc", "gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0")
    found = look(folder)
    assert (found.cc, found.cc_version) == (gcc, "11.4.0")


def test_cc_alone_is_not_tried(folder: Path) -> None:
    """As triton, which starts gcc and clang only."""
    program(folder / "bin/cc", "cc 1.0")
    assert look(folder).cc == ""


def test_the_variable_decides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder / "bin/gcc", "gcc 1.0")
    mine = program(folder / "opt/mycc", "mycc 2.0")
    monkeypatch.setenv("CC", f"{mine} -m64")
    assert look(folder).cc == mine
    monkeypatch.setenv("CC", "/nowhere/cc")
    assert look(folder).cc == ""
    monkeypatch.setenv("CC", "'")
    assert look(folder).cc == ""


def test_the_path_is_that_of_the_variables(folder: Path) -> None:
    """Which may be the deployment's, while this process has another."""
    program(folder / "bin/gcc", "gcc 1.0")
    gcc, nvcc = program(folder / "its/gcc", "gcc 2.0"), program(folder / "its/nvcc", "release 12.8,")
    environ = {"PATH": str(folder / "its")}
    assert toolchain.find_cc(environ) == gcc
    assert toolchain.find_cc({"PATH": str(folder / "none")}) == ""
    assert toolchain.find_cc({**environ, "CC": "gcc -m64"}) == gcc
    assert toolchain.find_nvcc(environ, folder) == (nvcc, str(folder))


def test_flashinfers_own_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(folder).flashinfer_nvcc is None
    mine = program(folder / "opt/nvcc", "release 12.9,")
    monkeypatch.setenv("FLASHINFER_NVCC", mine)
    assert (look(folder).flashinfer_nvcc, look(folder).nvcc) == (mine, "")
    monkeypatch.setenv("FLASHINFER_NVCC", "/nowhere/nvcc")
    assert look(folder).flashinfer_nvcc == ""


@pytest.mark.parametrize(
    ("variable", "entries", "level", "found"),
    [
        pytest.param("CPATH", "/opt/inc", "12", True, id="CPATH"),
        pytest.param("C_INCLUDE_PATH", "/nowhere::/opt/inc", "", True, id="one of several folders"),
        pytest.param("CPATH", "/opt/inc", "10", False, id="headers of another Python"),
        pytest.param("CPATH", "/opt", "12", False, id="a folder without them"),
        pytest.param("CPLUS_INCLUDE_PATH", "/opt/inc", "12", False, id="a variable for C++"),
        pytest.param("CPATH", "", "12", False, id="an empty variable"),
    ],
)
def test_headers_that_a_variable_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, entries: str, level: str, found: bool
) -> None:
    (folder / "opt/inc").mkdir(parents=True)
    (folder / "opt/inc/Python.h").write_text("")
    if level:
        (folder / "opt/inc/patchlevel.h").write_text(f"#define PY_MAJOR_VERSION 3\n#define PY_MINOR_VERSION {level}\n")
    monkeypatch.setenv(variable, entries)
    assert look(folder, base_prefix="/usr", version="3.12.3").python_headers is found


def test_nvcc_on_the_default_path(folder: Path) -> None:
    nvcc = program(folder / "usr/local/cuda/bin/nvcc", "Cuda compilation tools, release 12.8, V12.8.93")
    found = look(folder)
    assert (found.nvcc, found.nvcc_version, found.cuda_home) == (nvcc, "12.8", str(folder / "usr/local/cuda"))


def test_a_named_folder_without_nvcc_hides_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder / "bin/nvcc", "release 12.8,")
    monkeypatch.setenv("CUDA_HOME", str(folder / "empty"))
    found = look(folder)
    assert (found.nvcc, found.cuda_home) == ("", str(folder / "empty"))


def test_nvcc_of_a_package_is_told_apart(folder: Path) -> None:
    nvcc = program(folder / "site/nvidia/cu13/bin/nvcc", "release 13.0,")
    found = look(folder, sys_path=["", str(folder / "site")])
    assert (found.nvcc, found.nvcc_in_packages) == ("", nvcc)


def test_a_file_that_nobody_may_run_is_none(folder: Path) -> None:
    program(folder / "usr/local/cuda/bin/nvcc", "release 12.8,", mode=0o644)
    assert look(folder).nvcc == ""


@pytest.mark.parametrize(
    ("there", "version", "found"),
    [
        pytest.param("usr/include/python3.11", "3.11.2", True, id="of this Python"),
        pytest.param("usr/include/python3.13t", "3.13.1", True, id="of a free-threaded one"),
        pytest.param("usr/include/python3.10", "3.11.2", False, id="of another"),
        pytest.param("usr/include/python3.11", "", None, id="no Python"),
    ],
)
def test_headers(folder: Path, there: str, version: str, found: bool | None) -> None:
    (folder / there).mkdir(parents=True)
    (folder / there / "Python.h").write_text("")
    assert look(folder, base_prefix="/usr", version=version).python_headers is found


def test_a_compiler_that_hangs_costs_its_version_only(folder: Path) -> None:
    gcc = folder / "bin/gcc"
    gcc.write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    gcc.chmod(0o755)
    started = time.monotonic()
    found = look(folder, version_seconds=0.3)
    assert (found.cc, found.cc_version) == (str(gcc), "")
    assert time.monotonic() - started < 10


def test_nothing_is_written(folder: Path) -> None:
    program(folder / "bin/gcc", "gcc 1.0")
    before = sorted(os.walk(folder))
    look(folder)
    assert sorted(os.walk(folder)) == before
