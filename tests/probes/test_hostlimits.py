"""Interfaces, the address of the machine's own name, and limits of a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autoglm_doctor.probes.hostlimits import is_root, read_interfaces, read_limits, read_own_address


def test_interfaces_are_those_of_the_kernel(tmp_path: Path) -> None:
    for name in ("lo", "ens3"):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
        (tmp_path / "sys/class/net" / name / "address").write_text("00:00:00:00:00:00\n")
    (tmp_path / "sys/class/net/bonding_masters").write_text("")
    assert read_interfaces(tmp_path) == ("ens3", "lo")


def test_nothing_is_known_of_interfaces_without_sys(tmp_path: Path) -> None:
    assert read_interfaces(tmp_path) is None
    (tmp_path / "sys/class/net").mkdir(parents=True)
    assert read_interfaces(tmp_path) is None


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        pytest.param("127.0.0.1 localhost\n127.0.1.1 box\n", "127.0.1.1", id="as Debian writes it"),
        pytest.param("127.0.0.1 localhost\n10.0.0.5 box.lan box\n", "10.0.0.5", id="an address of the network"),
        pytest.param("127.0.0.1 localhost\n", "", id="not there"),
        pytest.param("# 127.0.1.1 box\n10.0.0.5 box # box\n", "10.0.0.5", id="a remark"),
        pytest.param("::1 box\n", "", id="only the other family"),
        pytest.param("127.0.1.1 toolbox\n", "", id="another's name"),
        pytest.param("\n\n127.0.1.1\n", "", id="lines of nothing"),
    ],
)
def test_own_address(tmp_path: Path, hosts: str, address: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text(hosts)
    assert read_own_address(tmp_path, "box") == address


def test_no_file_of_hosts(tmp_path: Path) -> None:
    assert read_own_address(tmp_path, "box") == ""


def test_limits_are_those_that_a_server_inherits() -> None:
    code = (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (100, 200));"
        "from autoglm_doctor.probes.hostlimits import read_limits; print(read_limits()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "(100, 200)"
    assert read_limits()[0] is not None


@pytest.mark.parametrize(
    ("lines", "user", "exempt"),
    [
        pytest.param("         0          0 4294967295\n", 0, True, id="root of the machine"),
        pytest.param("         0          0 4294967295\n", 1000, False, id="a user"),
        pytest.param("         0       1000          1\n", 0, False, id="root of a user namespace"),
        pytest.param("", 0, False, id="an empty file"),
        pytest.param(None, 0, False, id="no such file"),
    ],
)
def test_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str | None, user: int, exempt: bool) -> None:
    if lines is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/uid_map").write_text(lines)
    monkeypatch.setattr("os.getuid", lambda: user)
    assert is_root(tmp_path) is exempt
