"""Every way to install the doctor: each gives the command that runs it, outside of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools.dist import copy_sources

UV = str(Path(sys.executable).parent / "uv")


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the ways start from, and an empty folder for each."""

    wheel: Path
    sdist: Path
    folder: Path
    zipapp: Callable[[], Path]
    pipx: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A doctor that is ready to run."""

    command: list[str]
    python: list[str] = field(default_factory=list)  # a Python that sees what the doctor sees; [] : there is none
    environ: Mapping[str, str] = field(default_factory=dict)  # what the command itself needs


def tool(command: list[str], **environ: str) -> str:
    """Run an installer with this machine's own settings, less what would leak this environment into it."""
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command,
        env={**own, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def venv(folder: Path, python: str = sys.executable) -> str:
    """A new environment; returns its Python. Without pip, which takes longer than all the rest."""
    tool([python, "-m", "venv", "--without-pip", str(folder)])
    return str(folder / "bin/python")


def pip(python: str, *words: str, **environ: str) -> None:
    tool([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *words], **environ)


def in_venv(built: Built, *words: str, python: str = sys.executable, **environ: str) -> Installed:
    inside = venv(built.folder / "venv", python)
    pip(inside, *words, **environ)
    return Installed(command=[str(built.folder / "venv/bin/autoglm-doctor")], python=[inside])


def wheel(built: Built) -> Installed:
    return in_venv(built, str(built.wheel))


def sdist(built: Built) -> Installed:
    return in_venv(built, str(built.sdist))


def editable(built: Built) -> Installed:
    return in_venv(built, "--editable", str(copy_sources(built.folder / "checkout")))


def bare_checkout(built: Built) -> Installed:
    """Nothing of ours installed; only what we need is."""
    inside = venv(built.folder / "venv")
    metadata = tool([sys.executable, "-c", f"import zipfile; z = zipfile.ZipFile({str(built.wheel)!r})\n" + _READ])
    needs = [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    pip(inside, *(need for need in needs if "extra" not in need))
    checkout = copy_sources(built.folder / "checkout")
    return Installed(command=[inside, "-m", "autoglm_doctor"], environ={"PYTHONPATH": str(checkout)})


_READ = "print(z.read(next(n for n in z.namelist() if n.endswith('/METADATA'))).decode())"


def uv_tool(built: Built) -> Installed:
    tools, programs = built.folder / "tools", built.folder / "bin"
    words = [UV, "tool", "install", "--quiet", "--python", sys.executable, str(built.wheel)]
    tool(words, UV_TOOL_DIR=str(tools), UV_TOOL_BIN_DIR=str(programs))
    return Installed(
        command=[str(programs / "autoglm-doctor")], python=[str(tools / "autoglm-doctor" / "bin" / "python")]
    )


def uvx(built: Built) -> Installed:
    """The first call installs into uv's cache; the tested one finds it there, without a network."""
    words = [UV, "tool", "run", "--quiet", "--python", sys.executable, "--from", str(built.wheel)]
    cache = tool([UV, "cache", "dir"]).strip()
    tool([*words, "autoglm-doctor", "--version"], UV_CACHE_DIR=cache)
    return Installed(
        command=[*words, "autoglm-doctor"],
        python=[*words, "python"],
        environ={"UV_CACHE_DIR": cache, "UV_OFFLINE": "1", "UV_TOOL_DIR": str(built.folder / "tools")},
    )


def pipx(built: Built) -> Installed:
    home, programs = built.folder / "pipx", built.folder / "bin"
    tool(
        [built.pipx(), "install", "--quiet", "--python", sys.executable, str(built.wheel)],
        PIPX_HOME=str(home),
        PIPX_BIN_DIR=str(programs),
        PIPX_MAN_DIR=str(built.folder / "man"),
    )
    return Installed(command=[str(programs / "autoglm-doctor")], python=[str(home / "venvs/autoglm-doctor/bin/python")])


def wheelhouse(built: Built) -> Installed:
    """The two commands of docs/install.md; the second on a machine without an index."""
    house = built.folder / "wheelhouse"
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    tool([*download, "--dest", str(house), str(built.wheel)])
    nowhere = {name: "" for name in os.environ if name.startswith("PIP_")} | {"PIP_CONFIG_FILE": os.devnull}
    return in_venv(built, "--no-index", "--find-links", str(house), "autoglm-doctor", **nowhere)


def zipapp(built: Built) -> Installed:
    """A copy of the file, and a Python that has nothing installed."""
    archive = shutil.copy(built.zipapp(), built.folder)
    return Installed(command=[venv(built.folder / "venv"), str(archive)])


def find_python(version: str) -> str:
    """A CPython of this version on this machine; skips the test when there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = subprocess.run(
        [UV, "python", "find", "--no-python-downloads", "--system", version],
        capture_output=True,
        text=True,
        check=False,
    )
    on_path = shutil.which(f"python{version}") or ""
    for python in (*map(str, pyenv.glob(f"{version}.*/bin/python")), on_path, found.stdout.strip()):
        if python and _version(python) == version:
            return python
    pytest.skip(f"no Python {version} on this machine")


def _version(python: str) -> str:
    words = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
