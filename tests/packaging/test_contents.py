"""What is in the wheel and in the sdist: all that runs, and nothing else."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from autoglm_doctor import __version__
from tests.packaging.ways import tool
from tools.dist import CHECKOUT, copy_sources


def ours(folder: str) -> set[str]:
    """The files of a folder of the checkout that belong into a package, relative to the checkout."""
    files = (path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(CHECKOUT).as_posix() for path in files}


def packaged() -> set[str]:
    """The same as they lie in an installation."""
    checks = {name for name in ours("autoglm_doctor") if name.startswith("autoglm_doctor/checks/")}
    return ours("autoglm_doctor") - checks | {f"autoglm_doctor/{name}" for name in ours("checks")}


def test_the_wheel_holds_every_file_of_the_package_and_the_matrix(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    info = f"autoglm_doctor-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == packaged() | {"autoglm_doctor/compat_matrix.yaml"}
    assert {name.removeprefix(info) for name in names if name.startswith(info)} >= {"METADATA", "entry_points.txt"}
    some = ("py.typed", "report/schema.json", "probes/target/interpreter.py", "checks/vram.py")
    assert {f"autoglm_doctor/{name}" for name in some} <= names


def test_the_wheel_is_for_any_python_and_machine(wheel: Path) -> None:
    assert wheel.name == f"autoglm_doctor-{__version__}-py3-none-any.whl"


def test_the_sdist_holds_what_a_build_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        files = {member.name for member in archive if not member.isdir()}
    inside = {name.partition("/")[2] for name in files}
    tops = {name.split("/")[0] for name in inside}
    assert tops == {
        *("autoglm_doctor", "autoglm_doctor.egg-info", "checks", "compat_matrix.yaml", "packaging_hooks.py"),
        *("pyproject.toml", "setup.cfg", "MANIFEST.in", "PKG-INFO", "README.md"),
    }
    assert {name for name in inside if name.startswith("checks/")} == ours("checks")
    assert {name.replace("autoglm_doctor/checks/", "checks/") for name in packaged()} <= inside


def table(name: str) -> list[str]:
    """The strings of one table of requirements in pyproject.toml (Python 3.10 has no parser for it)."""
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    assert found, name
    lines = [line.partition("#")[0] for line in found.group(1).splitlines()]
    return re.findall(r'"([^"]+)"', "\n".join(lines))


def test_nothing_is_bounded_from_above() -> None:
    wanted = [*table("dependencies"), *table("inference"), *table("dev")]
    assert len(wanted) > 15
    assert [line for line in wanted if re.search(r"<|==|~=|!=|@", line)] == []


def test_the_base_is_small() -> None:
    names = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in table("dependencies")}
    assert names <= {"typer", "rich", "nvidia-ml-py", "psutil", "packaging", "pyyaml"}


@pytest.mark.slow
def test_what_an_earlier_build_left_stays_out(index: None, tmp_path: Path) -> None:
    """`pip install .` leaves build/ in the checkout."""
    checkout = copy_sources(tmp_path / "checkout")
    stale = checkout / "build/lib/autoglm_doctor/checks/gone.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("raise SystemExit('a check of last year')\n")
    tool([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(checkout)])
    [built] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(built).namelist()
    assert "autoglm_doctor/checks/vram.py" in names
    assert "autoglm_doctor/checks/gone.py" not in names
