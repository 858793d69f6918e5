"""Installed in any way, on any Python: it runs outside of the checkout, is whole, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor import __version__
from autoglm_doctor.matrix import load_matrix
from tests.packaging import ways
from tests.packaging.ways import Built, Installed

CHECK = (
    *("check", "--final-stage", "none", "--model", "smoke", "--device", "cpu", "--no-disk-write"),
    *("--format", "json"),
)


def run(folder: Path, command: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run it in a folder and an environment of which nothing is ours; both must be empty afterwards."""
    places = {name: folder / name.lower() for name in ("HOME", "TMPDIR", "PWD")}
    for place in places.values():
        place.mkdir(exist_ok=True)
    done = subprocess.run(
        command,
        cwd=places["PWD"],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **{n: str(p) for n, p in places.items()}, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    left = [str(path) for place in places.values() for path in place.rglob("*")]
    assert not left, f"left behind by {command}: {left}"
    return done


def judged(tmp_path: Path, installed: Installed) -> dict[str, Any]:
    """Check, and hold what every way must give."""
    environ = dict(installed.environ)
    done = run(tmp_path, [*installed.command, *CHECK], environ)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["verdict"]["exit_code"] == done.returncode
    assert report["tool"]["version"] == __version__
    assert report["matrix_date"] == load_matrix().generated
    assert {"DRV001", "VRM003", "DSK001"} <= {result["code"] for result in report["results"]}
    readings = {name: reading for name, reading in report["facts"].items() if isinstance(reading, dict)}
    assert {name: r["why"] for name, r in readings.items() if r["outcome"] in ("failed", "timeout")} == {}
    if installed.python:
        seen = run(tmp_path, [*installed.python, "-c", "import autoglm_doctor.checks"], environ)
        assert seen.returncode == 0, seen.stderr
        top = run(tmp_path, [*installed.python, "-c", "import checks"], environ)
        assert "No module named 'checks'" in top.stderr
    return report


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "install",
    [
        pytest.param(ways.wheel, id="wheel"),
        pytest.param(ways.sdist, id="sdist", marks=SLOW),
        pytest.param(ways.editable, id="editable", marks=SLOW),
        pytest.param(ways.bare_checkout, id="bare checkout", marks=SLOW),
        pytest.param(ways.uv_tool, id="uv tool", marks=SLOW),
        pytest.param(ways.uvx, id="uvx", marks=SLOW),
        pytest.param(ways.pipx, id="pipx", marks=SLOW),
        pytest.param(ways.wheelhouse, id="wheelhouse", marks=SLOW),
        pytest.param(ways.zipapp, id="zipapp", marks=SLOW),
    ],
)
def test_check_runs_outside_of_the_checkout(
    install: Callable[[Built], Installed], built: Built, tmp_path: Path
) -> None:
    judged(tmp_path, install(built))


PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_on_each_python(version: str, built: Built, tmp_path: Path) -> None:
    judged(tmp_path, ways.in_venv(built, str(built.wheel), python=ways.find_python(version)))


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_one_zipapp_on_each_python(version: str, built: Built, tmp_path: Path) -> None:
    python = ways.venv(built.folder / "venv", ways.find_python(version))
    judged(tmp_path, Installed(command=[python, str(built.zipapp())]))
