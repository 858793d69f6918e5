"""An editable torch: where it lies is asked of the interpreter, and that it is one of its metadata."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.facts import Packages
from autoglm_doctor.probes.packages import probe
from autoglm_doctor.probes.torchfiles import read_torch

SCRIPT = Path(__file__).resolve().parents[2] / "autoglm_doctor" / "probes" / "target" / "interpreter.py"

#: What setuptools installs for an editable package: a .pth file that imports a finder.
FINDER = """
import importlib.util, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "torch":
            return importlib.util.spec_from_file_location(name, {init!r}, submodule_search_locations=[{folder!r}])
sys.meta_path.append(Finder)
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A checkout with a torch that must not be imported."""
    folder = tmp_path / "pytorch" / "torch"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "version.py").write_text("__version__ = '2.10.0a0+gitdef'\ncuda = '12.8'\n")
    return folder


def asked(tmp_path: Path, *, site: str = "") -> dict[str, Any]:
    """What the interpreter says when this comes first at its start."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(site)
    result = tmp_path / "result"
    environ = {"PYTHONPATH": str(tmp_path / "path"), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, str(SCRIPT), str(result), "{}"], env=environ, check=True, timeout=60)
    return dict(json.loads(result.read_text())["value"])


def test_an_import_hook_is_asked_and_nothing_is_imported(tmp_path: Path, sources: Path) -> None:
    site = FINDER.format(init=str(sources / "__init__.py"), folder=str(sources))
    hooked = f"import sys\nsys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n{site}"
    value = asked(tmp_path, site=hooked)
    assert value["torch_folder"] == str(sources)
    assert str(sources.parent) not in value["sys_path"]


@pytest.mark.parametrize(
    "error", ["RuntimeError('odd')", "SystemExit(3)", "KeyboardInterrupt()"], ids=["raises", "leaves", "is interrupted"]
)
def test_a_hook_that_fails_costs_only_its_answer(error: str, tmp_path: Path) -> None:
    hook = f"import sys\nclass Odd:\n    @staticmethod\n    def find_spec(name, *_):\n        if name == 'torch': raise {error}\n"
    value = asked(tmp_path, site=f"{hook}sys.meta_path.insert(0, Odd)\n")
    assert (value["torch_folder"], value["executable"]) == (None, sys.executable)


def test_a_folder_without_code_is_no_torch(tmp_path: Path) -> None:
    (tmp_path / "path" / "torch").mkdir(parents=True)
    (tmp_path / "path" / "torch" / "version.py").touch()
    script = "import sys\nsys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
    (tmp_path / "path" / "sitecustomize.py").write_text(script)
    result = tmp_path / "result"
    environ = {"PYTHONPATH": str(tmp_path / "path"), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, str(SCRIPT), str(result), "{}"], env=environ, check=True, timeout=60)
    assert json.loads(result.read_text())["value"]["torch_folder"] == ""


def test_the_folder_that_the_interpreter_tells_comes_first(tmp_path: Path, sources: Path) -> None:
    torch = read_torch([str(tmp_path)], str(sources)).value
    assert torch is not None
    assert (torch.version, torch.location) == ("2.10.0a0+gitdef", str(sources))
    assert read_torch([str(tmp_path)], str(tmp_path / "gone")).outcome == "absent"
    assert read_torch([str(sources.parent)], "").outcome == "known"


URLS = {
    "editable": ('{"url": "file:///s", "dir_info": {"editable": true}}', True),
    "from a folder, and copied": ('{"url": "file:///s", "dir_info": {}}', False),
    "a wheel": ('{"url": "https://x/t.whl", "archive_info": {}}', False),
    "no JSON": ("{oops", False),
    "a list": ("[]", False),
    "nested without end": ("[" * 60_000, False),
    "none": (None, False),
}


@pytest.mark.parametrize(("content", "editable"), URLS.values(), ids=URLS.keys())
def test_the_metadata_tell_an_editable_torch(content: str | None, editable: bool, tmp_path: Path) -> None:
    for name in ("torch", "numpy"):
        info = tmp_path / f"{name}-2.9.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 2.9.0\n\n")
        if content is not None:
            (info / "direct_url.json").write_text(content)
    answers = dict(probe({"sys_path": [str(tmp_path)]}))
    packages = answers["packages"].value
    assert isinstance(packages, Packages)
    found = {one.name: one.editable for one in packages.distributions}
    assert found == {"torch": editable, "numpy": None}
