"""Installing the doctor beside an engine changes none of the engine's packages.

The environment is made of the metadata of what an engine's newest release resolves to, without the packages: pip and uv
look at nothing else before they install.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.ways import UV, find_python, tool, venv

PINS = Path(__file__).parent / "pins"


def environment(folder: Path, pins: str) -> str:
    """An environment in which these releases are installed, as far as an installer can tell. Returns its Python."""
    python = venv(folder / "venv")
    [packages] = (folder / "venv/lib").glob("python*/site-packages")
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", pins, re.MULTILINE):
        info = packages / f"{name.replace('-', '_').replace('.', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text("")
        (info / "INSTALLER").write_text("pip\n")
    return python


def pip_would_install(python: str, *words: str) -> set[str]:
    """Names that pip would install or change."""
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--dry-run", "--quiet", "--report", "-"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return {entry["metadata"]["name"] for entry in json.loads(done.stdout)["install"]}


def uv_would_do(python: str, *words: str) -> list[str]:
    """Lines such as "+ name==version" or "- name==version"."""
    out = tool([UV, "pip", "install", "--dry-run", "--python", python, *words])
    return [line.strip() for line in out.splitlines() if re.match(r" [-+~] ", line)]


RECORDED = [pytest.param(file, id=file.stem) for file in sorted(PINS.glob("*.txt"))]


@pytest.mark.parametrize("pins", RECORDED)
def test_only_the_doctor_is_added_to_an_engine(pins: Path, wheel: Path, tmp_path: Path) -> None:
    """Without an index: whatever else were wanted could not even be looked up."""
    python = environment(tmp_path, pins.read_text())
    assert pip_would_install(python, "--no-index", str(wheel)) == {"autoglm-doctor"}
    [line] = uv_would_do(python, "--no-index", str(wheel))
    assert line.startswith("+ autoglm-doctor @ ")


def test_the_dry_run_sees_a_package_that_would_change(wheel: Path, tmp_path: Path) -> None:
    """The proof of the proof: an environment with a typer that is too old does get another one."""
    pins = next(PINS.glob("vllm-*.txt")).read_text()
    python = environment(tmp_path, re.sub(r"^typer==.*$", "typer==0.9.0", pins, flags=re.MULTILINE))
    assert "typer" in pip_would_install(python, str(wheel))
    assert "- typer==0.9.0" in uv_would_do(python, str(wheel))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_nothing_changes_beside_the_newest_release(engine: str, wheel: Path, tmp_path: Path) -> None:
    """What the index has today, from metadata alone, for Python 3.12 on a common system."""
    (tmp_path / "in.txt").write_text(f"{engine}>={FLOORS[engine]}\n")
    command = [UV, "pip", "compile", str(tmp_path / "in.txt"), "--quiet", "--no-header", "--no-annotate"]
    words = ["--python", find_python("3.12"), "--python-platform", "x86_64-manylinux_2_34", "--no-python-downloads"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=280, check=False)
    if done.returncode:
        pytest.skip(f"{engine} does not resolve here: {done.stderr.strip()[-300:]}")
    print(re.findall(rf"^{engine}==.*", done.stdout, re.MULTILINE), done.stdout.count("=="), "packages")
    installed = {
        re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([\w.-]+)==", done.stdout, re.MULTILINE)
    }
    python = environment(tmp_path, done.stdout)
    assert pip_would_install(python, str(wheel)).isdisjoint(installed)
    assert [line for line in uv_would_do(python, str(wheel)) if not line.startswith("+ ")] == []


#: Older releases would resolve as well, when the newest lacks something in the index.
FLOORS = {"vllm": "0.32", "sglang": "0.5.23"}
