"""The files that are installed, built once a session."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.ways import Built, pip, tool, venv
from tools.dist import CHECKOUT


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips what needs a package index where there is none."""
    words = ["download", "--quiet", "--no-deps", "--dest", str(tmp_path_factory.mktemp("index")), "wheel"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip reaches no index: {done.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="session")
def dist(index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel."""
    out = tmp_path_factory.mktemp("dist")
    tool([sys.executable, str(CHECKOUT / "tools/dist.py"), "--out", str(out)])
    return out


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    [file] = dist.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def sdist(dist: Path) -> Path:
    [file] = dist.glob("*.tar.gz")
    return file


@pytest.fixture(scope="session")
def make_zipapp(wheel: Path) -> Callable[[], Path]:
    """Builds it for the first who asks."""

    @functools.cache
    def made() -> Path:
        out = wheel.parent / "autoglm-doctor.pyz"
        tool([sys.executable, str(CHECKOUT / "tools/make_zipapp.py"), "--wheel", str(wheel), "--out", str(out)])
        return out

    return made


@pytest.fixture(scope="session")
def make_pipx(index: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Installs pipx for the first who asks."""

    @functools.cache
    def made() -> str:
        folder = tmp_path_factory.mktemp("pipx")
        pip(venv(folder / "venv"), "pipx")
        return str(folder / "venv/bin/pipx")

    return made


@pytest.fixture
def built(
    wheel: Path, sdist: Path, make_zipapp: Callable[[], Path], make_pipx: Callable[[], str], tmp_path: Path
) -> Built:
    folder = tmp_path / "installed"
    folder.mkdir()
    return Built(wheel=wheel, sdist=sdist, folder=folder, zipapp=make_zipapp, pipx=make_pipx)
