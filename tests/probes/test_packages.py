"""Packages and torch read from files: damaged metadata, real ELF files, and the speed that was promised."""

from __future__ import annotations

import importlib.metadata
import sys
import time
from pathlib import Path

import pytest

from autoglm_doctor.facts import Distribution, Packages
from autoglm_doctor.probes.metadata import canonical, read_packages
from autoglm_doctor.probes.packages import probe
from autoglm_doctor.probes.torchfiles import read_torch
from tests.probes.gpu_code import elf, fatbin

HEADER = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n"


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def info(folder: Path, name: str, version: str, more: str = "") -> None:
    write(folder / f"{name}-{version}.dist-info" / "METADATA", HEADER.format(name, version) + more)


def test_it_agrees_with_importlib_metadata_on_this_environment() -> None:
    ours = {canonical(d.name): d for d in read_packages(sys.path).distributions}
    theirs = {canonical(d.metadata["Name"]): d for d in reversed(list(importlib.metadata.distributions()))}
    assert ours.keys() == theirs.keys()
    for name, one in ours.items():
        assert one.version == theirs[name].version
        assert list(one.requires) == (theirs[name].requires or [])
        assert one.requires_python == theirs[name].metadata.get("Requires-Python")


def test_the_first_on_the_path_wins(tmp_path: Path) -> None:
    info(tmp_path / "a", "Torch_Thing", "1.0")
    info(tmp_path / "b", "torch.thing", "2.0")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = read_packages([str(tmp_path / n) for n in ("nowhere", "a", "link", "b")])
    assert [(d.name, d.version) for d in found.distributions] == [("Torch_Thing", "1.0")]
    assert [(d.name, d.location) for d in found.shadowed] == [("torch.thing", str(tmp_path / "b"))]


def test_the_header_ends_at_the_blank_line(tmp_path: Path) -> None:
    more = "Requires-Python: >=3.9\nREQUIRES-DIST: a>=1\nRequires-Dist: b\n ; extra == 'x'\n\nRequires-Dist: no\n"
    info(tmp_path, "p", "1", more)
    info(tmp_path, "q", "1", "".join(f"Requires-Dist: r{i}\n" for i in range(5000)))
    p, q = read_packages([str(tmp_path)]).distributions
    assert p == Distribution(
        name="p", version="1", location=str(tmp_path), requires_python=">=3.9", requires=("a>=1", "b ; extra == 'x'")
    )
    assert len(q.requires) == 5000


DAMAGE = {
    "no METADATA": ("x-1.dist-info/RECORD", "", "x-1.dist-info has no METADATA"),
    "no version": ("x-1.dist-info/METADATA", "Name: x\n", "METADATA names no version"),
    "empty file": ("x-1.dist-info/METADATA", "", "METADATA names no name"),
    "bad UTF-8": ("x-1.dist-info/METADATA", b"Name: x\nVersion: 1\nSummary: \xff\xfe\n", "is not valid UTF-8"),
    "bad UTF-8 in a requirement": (
        "x-1.dist-info/METADATA",
        b"Name: x\nVersion: 1\nRequires-Dist: \xff\n",
        "is not valid UTF-8",
    ),
    "interrupted pip": ("~umpy-1.dist-info/METADATA", "Name: numpy\nVersion: 1\n", "~umpy-1.dist-info is left over"),
    "interrupted removal": ("~orch/lib/x", "", "~orch is left over from an interrupted pip run"),
    "a folder in the place of the file": ("x-1.dist-info/METADATA/x", "", "cannot be read: Is a directory"),
}


@pytest.mark.parametrize(("path", "content", "says"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_a_sentence_and_costs_nothing_else(
    path: str, content: str | bytes, says: str, tmp_path: Path
) -> None:
    write(tmp_path / path, content)
    info(tmp_path, "whole", "1.0")
    found = read_packages([str(tmp_path)])
    assert len(found.faults) == 1
    assert says in found.faults[0]
    assert "whole" in [d.name for d in found.distributions]
    assert "numpy" not in [d.name for d in found.distributions]


def test_eggs(tmp_path: Path) -> None:
    write(tmp_path / "old.egg-info", HEADER.format("old", "1"))
    write(tmp_path / "set.egg-info" / "PKG-INFO", HEADER.format("set", "2"))
    text = "a>=1\n\n[x]\nb\n\n[:python_version<'3']\nc\n\n[y:os_name=='nt']\nd\n"
    write(tmp_path / "set.egg-info" / "requires.txt", text)
    old, new = read_packages([str(tmp_path)]).distributions
    assert (old.name, old.version) == ("old", "1")
    assert new.requires == (
        "a>=1",
        'b ; extra == "x"',
        "c ; (python_version<'3')",
        "d ; (os_name=='nt') and extra == \"y\"",
    )


def test_two_metadata_folders_of_one_package(tmp_path: Path) -> None:
    info(tmp_path, "numpy", "1.26.4")
    info(tmp_path, "numpy", "2.1.0")
    found = read_packages([str(tmp_path)])
    assert [d.version for d in (*found.distributions, *found.shadowed)] == ["1.26.4", "2.1.0"]


def test_357_distributions_take_less_than_60_ms(tmp_path: Path) -> None:
    for i in range(357):
        requires = "".join(f"Requires-Dist: package-{j}>={j}; extra == 'all'\n" for j in range(i % 40))
        info(tmp_path, f"package-{i}", "1.0", requires + "\n" + "description " * 800)
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        assert len(read_packages([str(tmp_path)]).distributions) == 357
        taken.append(time.perf_counter() - started)
    assert min(taken) < 0.060


# --- torch -----------------------------------------------------------------------------------------------------------


VERSION = (
    "from typing import Optional\n__version__ = '2.9.1+cu128'\ndebug = False\ncuda: Optional[str] = {!r}\nhip = None\n"
)


def install_torch(folder: Path, cuda: str | None = "12.8", version: str = VERSION) -> Path:
    write(folder / "torch" / "__init__.py", "raise SystemExit('never import me')")
    write(folder / "torch" / "version.py", version.format(cuda))
    return folder / "torch" / "lib"


def test_architectures_stand_in_the_python_library(tmp_path: Path) -> None:
    lib = install_torch(tmp_path)
    noise = b"\0sm_90 is needed for this\0cuda sm_\0sm_90\0"
    write(lib / "libtorch_python.so", noise + b"sm_70 sm_75 sm_90a compute_90\0" + noise)
    torch = read_torch([str(tmp_path / "nowhere"), str(tmp_path)]).value
    assert torch is not None
    assert (torch.version, torch.cuda, torch.hip) == ("2.9.1+cu128", "12.8", None)
    assert torch.architectures == ("sm_70", "sm_75", "sm_90a", "compute_90")
    assert torch.location == str(tmp_path / "torch")


def test_without_the_string_the_headers_of_the_gpu_code_tell(tmp_path: Path) -> None:
    lib = install_torch(tmp_path)
    usual = fatbin("sm_80 sm_120 compute_90")
    write(lib / "libtorch_python.so", b"no list in here")
    write(lib / "libtorch_cuda.so", elf(usual + usual + b"\0" * 16 + fatbin("sm_80 sm_120 compute_90 sm_89")))
    torch = read_torch([str(tmp_path)]).value
    assert torch is not None
    assert torch.architectures == ("sm_80", "sm_120", "compute_90")  # one stray kernel for sm_89 is no support


UNREADABLE = {"no libraries": {}, "empty": {"libtorch_python.so": b""}, "no ELF": {"libtorch_cuda.so": b"x" * 500}}
UNREADABLE["a cut ELF"] = {"libtorch_cuda.so": elf(fatbin("sm_80"))[:90]}


@pytest.mark.parametrize("files", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_architectures_that_cannot_be_read_are_not_known(files: dict[str, bytes], tmp_path: Path) -> None:
    lib = install_torch(tmp_path)
    for name, content in files.items():
        write(lib / name, content)
    torch = read_torch([str(tmp_path)]).value
    assert torch is not None
    assert torch.architectures is None


def test_a_cpu_torch(tmp_path: Path) -> None:
    install_torch(tmp_path, cuda=None)
    torch = read_torch([str(tmp_path)]).value
    assert torch is not None
    assert (torch.cuda, torch.architectures) == (None, None)


BAD_TORCH = {
    "a source checkout": (None, "never built hides the installed torch"),
    "broken": ("__version__ = (", "cannot be read"),
    "no version in it": ("cuda = None", "names no version"),
}


@pytest.mark.parametrize(("version", "says"), BAD_TORCH.values(), ids=BAD_TORCH.keys())
def test_a_torch_that_cannot_be_described(version: str | None, says: str, tmp_path: Path) -> None:
    write(tmp_path / "torch" / "__init__.py", "")
    if version is not None:
        write(tmp_path / "torch" / "version.py", version)
    reading = read_torch([str(tmp_path)])
    assert (reading.outcome, reading.value) == ("failed", None)
    assert says in reading.why


def test_no_torch_is_absent_and_a_bare_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    assert read_torch([str(tmp_path)]).outcome == "absent"


def test_the_probe_answers_both_facts(tmp_path: Path) -> None:
    info(tmp_path, "p", "1")
    answers = dict(probe({"sys_path": [str(tmp_path)]}))
    assert answers["packages"].value == Packages(
        distributions=(Distribution(name="p", version="1", location=str(tmp_path)),)
    )
    assert answers["torch"].outcome == "absent"
