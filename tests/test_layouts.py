"""What we look at is what the server will see: eight ways to install an engine, started for real and compared.

Each layout holds a fake engine whose console script prints what it really got: its interpreter, its torch, its own
version. The doctor has to say the same without starting it.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.facts import Interpreter, Packages, Reading, Torch
from autoglm_doctor.jsonio import decode
from autoglm_doctor.probes import packages as packages_probe
from autoglm_doctor.target import absolute_pythonpath, choose_interpreter

TARGET = Path(packages_probe.__file__).parent / "target"
UV = Path(sys.executable).parent / "uv"
ENGINE = """
import json, sys
from importlib.metadata import version
def main():
    import torch
    print(json.dumps([sys.executable, torch.__file__, version("vllm"), version("torch")]))
if __name__ == "__main__":
    main()
"""


@dataclass(kw_only=True)
class Layout:
    """How the user starts the engine, and what he tells the doctor."""

    command: list[str]
    environ: dict[str, str]
    cwd: Path
    python: str | None = None
    tell: list[str] | None = field(default=None)  # the command that the doctor is told; None: the same

    def told(self) -> list[str]:
        return self.command if self.tell is None else self.tell


def clean(**more: str) -> dict[str, str]:
    """The environment of a shell in which nothing is activated."""
    kept = {"PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **more}


def venv(folder: Path) -> Path:
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return folder


def purelib(prefix: Path) -> Path:
    return prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def distribution(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n")


def install(folder: Path, version: str, *, with_torch: bool = True) -> None:
    """A fake engine and its fake torch; every layout has versions of its own, so that no mix-up can pass."""
    (folder / "vllm").mkdir(parents=True)
    (folder / "vllm" / "__init__.py").write_text(ENGINE)
    (folder / "vllm" / "__main__.py").write_text("from vllm import main\nmain()\n")
    distribution(folder, "vllm", version)
    if with_torch:
        torch(folder, f"2.{version}")


def torch(folder: Path, version: str) -> None:
    (folder / "torch").mkdir(parents=True)
    (folder / "torch" / "__init__.py").write_text("")
    (folder / "torch" / "version.py").write_text(f"__version__ = '{version}+cu128'\ncuda: 'str | None' = '12.8'\n")
    distribution(folder, "torch", version)


def script(path: Path, shebang: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{shebang}\nfrom vllm import main\nmain()\n")
    path.chmod(0o755)
    return path


def decoy(tmp: Path) -> Path:
    """Another environment with another engine, for the doctor to fall for."""
    other = venv(tmp / "decoy")
    install(purelib(other), "9.9.9")
    script(other / "bin" / "vllm", str(other / "bin" / "python"))
    return other


def activated_venv(tmp: Path) -> Layout:
    env = venv(tmp / "env")
    install(purelib(env), "0.1.1")
    script(env / "bin" / "vllm", str(env / "bin" / "python"))
    environ = clean(VIRTUAL_ENV=str(env))
    environ["PATH"] = f"{env}/bin:{environ['PATH']}"
    return Layout(command=["vllm", "serve", "some/model"], environ=environ, cwd=tmp)


def venv_by_path(tmp: Path) -> Layout:
    env = venv(tmp / "env")
    install(purelib(env), "0.1.2")
    other = decoy(tmp)
    environ = clean(VIRTUAL_ENV=str(other))
    environ["PATH"] = f"{other}/bin:{environ['PATH']}"
    return Layout(command=["env/bin/python", "-m", "vllm", "--port", "1"], environ=environ, cwd=tmp)


def user_packages(tmp: Path) -> Layout:
    base = tmp / "home" / ".local"
    environ = clean(HOME=str(tmp / "home"), PYTHONUSERBASE=str(base))
    install(purelib(base), "0.1.3")
    script(base / "bin" / "vllm", f"/usr/bin/env python3.{sys.version_info[1]}")
    environ["PATH"] = f"{base}/bin:{environ['PATH']}"
    return Layout(command=["vllm", "serve", "some/model"], environ=environ, cwd=tmp)


def conda_like_prefix(tmp: Path) -> Layout:
    prefix = tmp / "miniconda3" / "envs" / "serve"
    venv(prefix)
    (prefix / "conda-meta").mkdir()
    install(purelib(prefix), "0.1.4")
    environ = clean(CONDA_PREFIX=str(prefix), CONDA_DEFAULT_ENV="serve")
    environ["PATH"] = f"{prefix}/bin:{environ['PATH']}"
    # Nothing is said to the doctor: CONDA_PREFIX alone must lead it there.
    return Layout(command=["python", "-m", "vllm"], environ=environ, cwd=tmp, tell=[])


def pythonpath_overlay(tmp: Path) -> Layout:
    env = venv(tmp / "env")
    install(purelib(env), "0.1.5")
    torch(tmp / "overlay", "3.3.3")
    script(env / "bin" / "vllm", str(env / "bin" / "python"))
    environ = clean(PYTHONPATH="overlay")  # relative: it counts from the folder that the server starts in
    return Layout(command=[f"{env}/bin/vllm", "serve"], environ=environ, cwd=tmp)


def doctor_elsewhere(tmp: Path) -> Layout:
    env = venv(tmp / "engine env")
    install(purelib(env), "0.1.6")
    return Layout(command=[f"{env}/bin/python", "-m", "vllm"], environ=clean(), cwd=tmp, python=str(env), tell=[])


def uv_run(tmp: Path) -> Layout:
    project = tmp / "project"
    (project / "deep" / "er").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "0"\nrequires-python = ">=3.10"\n')
    env = venv(project / ".venv")
    install(purelib(env), "0.1.7")
    script(env / "bin" / "vllm", str(env / "bin" / "python"))
    other = decoy(tmp)
    environ = clean(VIRTUAL_ENV=str(other), UV_OFFLINE="1", UV_CACHE_DIR=str(tmp / "cache"), HOME=str(tmp))
    environ["PATH"] = f"{other}/bin:{environ['PATH']}:{UV.parent}"
    command = ["uv", "run", "--no-sync", "vllm", "serve", "some/model"]
    return Layout(command=command, environ=environ, cwd=project / "deep" / "er")


def foreign_shebang(tmp: Path) -> Layout:
    env = venv(tmp / "a path with blanks")
    install(purelib(env), "0.1.8")
    other = decoy(tmp)
    path = other / "bin" / "vllm"  # lies in one environment and runs in another
    python = env / "bin" / "python"
    path.write_text(f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\nfrom vllm import main\nmain()\n")
    environ = clean(VIRTUAL_ENV=str(other), A="b")
    environ["PATH"] = f"{other}/bin:{environ['PATH']}"
    return Layout(command=["env", "A=c", "vllm", "serve"], environ=environ, cwd=tmp)


LAYOUTS: dict[str, Callable[[Path], Layout]] = {
    "an activated venv": activated_venv,
    "a venv named by path only": venv_by_path,
    "packages of the user": user_packages,
    "a conda-like prefix": conda_like_prefix,
    "a PYTHONPATH overlay": pythonpath_overlay,
    "doctor here, engine there": doctor_elsewhere,
    "uv run": uv_run,
    "a console script with a foreign shebang": foreign_shebang,
}


def really_started(layout: Layout) -> list[str]:
    done = subprocess.run(
        layout.command, env=layout.environ, cwd=layout.cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def look(executable: str, environ: Mapping[str, str], folder: Path) -> tuple[Interpreter, Packages, Torch]:
    """The two probes, run the way the collector runs them."""
    folder.mkdir()
    shutil.copyfile(TARGET / "interpreter.py", folder / "interpreter.py")
    result = folder.parent / "result.jsonl"
    command = [executable, str(folder / "interpreter.py"), str(result), json.dumps({"chosen_by": "test"})]
    subprocess.run(command, env=dict(environ), cwd=folder, check=True, timeout=60)
    reading = decode(Reading[Interpreter], json.loads(result.read_text()))
    assert reading.value is not None
    facts = dict(packages_probe.probe({"sys_path": list(reading.value.sys_path)}))
    return reading.value, facts["packages"].value, facts["torch"].value


@pytest.fixture
def doctor_without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor as pipx would install it; this checkout's environment holds a torch."""
    monkeypatch.setattr("autoglm_doctor.target._own_environment_holds", lambda _name: False)


@pytest.mark.usefixtures("doctor_without_engine")
@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_doctor_sees_what_the_server_sees(make: Callable[[Path], Layout], tmp_path: Path) -> None:
    if make is user_packages and not site.ENABLE_USER_SITE and sys.prefix == sys.base_prefix:
        pytest.skip("user packages are switched off for this Python")
    layout = make(tmp_path)
    truth = really_started(layout)

    choice = choose_interpreter(layout.python, layout.told(), layout.environ, layout.cwd)

    assert choice.executable is not None, choice.why_not
    assert choice.chosen_by
    environ = absolute_pythonpath(layout.environ, layout.cwd)
    interpreter, packages, found_torch = look(choice.executable, environ, tmp_path / "probe")
    folder = Path(found_torch.location) / "__init__.py"
    seen = [
        interpreter.executable,
        os.path.abspath(folder),
        installed_version(packages, "vllm"),
        installed_version(packages, "torch"),
    ]
    assert seen == [truth[0], os.path.abspath(layout.cwd / truth[1]), *truth[2:]]


def test_eight_layouts_are_compared() -> None:
    assert len(LAYOUTS) == 8
