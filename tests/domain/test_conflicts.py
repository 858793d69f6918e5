"""Our own pip check: held against tables, against pip itself, and against damage."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from autoglm_doctor.domain.conflicts import (
    conflicts,
    demand,
    excluded_by_name,
    install_line,
    satisfiable,
    survey,
    too_new,
)
from autoglm_doctor.facts import Distribution, Host, Packages
from autoglm_doctor.probes.metadata import read_packages

LINUX = Host(system="Linux", machine="x86_64", kernel="6.1")
WINDOWS = Host(system="Windows", machine="AMD64", kernel="10")


def installed(*rows: tuple[Any, ...]) -> Packages:
    """(name, version, requirement, ...) rows."""
    return Packages(distributions=tuple(Distribution(name=r[0], version=r[1], requires=r[2:]) for r in rows))


#: Packages -> the requirements that do not hold, as (parent, name, specifier, installed).
TABLE = {
    "all well": ([("a", "1", "b>=1"), ("b", "1")], []),
    "too old": ([("a", "1", "b>=2"), ("b", "1")], [("a", "b", ">=2", "1")]),
    "missing": ([("a", "1", "b>=2")], [("a", "b", ">=2", None)]),
    "names are compared in canonical form": ([("a", "1", "B_b.x>=1"), ("b-B-X", "1")], []),
    "a pre-release counts": ([("a", "1", "b>=1"), ("b", "2.0rc1")], []),
    "a release candidate is below its release": (
        [("a", "1", "b<5"), ("b", "5.0.0rc0")],
        [("a", "b", "<5", "5.0.0rc0")],
    ),
    "a local version fits its pin": ([("a", "1", "torch==2.9.1"), ("torch", "2.9.1+cu128")], []),
    "a marker for another python": ([("a", "1", 'b; python_version < "3.9"')], []),
    "a marker for this python": ([("a", "1", 'b; python_version >= "3.10"')], [("a", "b", "", None)]),
    "a marker for another platform": ([("a", "1", 'b; sys_platform == "win32"')], []),
    "a marker for this machine": ([("a", "1", 'b; platform_machine == "x86_64"')], [("a", "b", "", None)]),
    "an extra that nobody asks for": ([("a", "1", 'b; extra == "x"')], []),
    "an extra that somebody asks for": (
        [("a", "1", 'b; extra == "X_y"'), ("c", "1", "a[x-Y]")],
        [("a", "b", "", None)],
    ),
    "an extra that asks for an extra": (
        [("a", "1", 'a[y]; extra == "x"', 'b; extra == "y"'), ("c", "1", "a[x]")],
        [("a", "b", "", None)],
    ),
    "an extra behind a marker that does not hold": (
        [("a", "1", 'b; extra == "x"'), ("c", "1", 'a[x]; sys_platform == "win32"')],
        [],
    ),
    "extras in a circle": (
        [("a", "1", 'b[x]; extra == "x"'), ("b", "1", 'a[x]; extra == "x"'), ("c", "1", "a[x]")],
        [],
    ),
    "either a platform or an extra": (
        [("a", "1", 'b; sys_platform == "linux" or extra == "x"')],
        [("a", "b", "", None)],
    ),
    "an unreadable line": ([("a", "1", "b>=>2", "c>=2"), ("c", "1")], [("a", "c", ">=2", "1")]),
    "an unreadable version": ([("a", "1", "b>=2"), ("b", "2004d-custom")], []),
    "a direct reference": ([("a", "1", "b @ https://example.org/b.whl"), ("b", "1")], []),
}


@pytest.mark.parametrize(("rows", "wanted"), TABLE.values(), ids=TABLE.keys())
def test_conflicts(rows: list[Any], wanted: list[Any]) -> None:
    found = conflicts(installed(*rows), "3.11.7", LINUX)
    assert [(c.parent, c.name, c.specifier, c.installed) for c in found] == wanted


def test_the_target_decides_and_not_the_doctor() -> None:
    packages = installed(("a", "1", 'b; sys_platform == "win32"', 'c; python_version < "3.8"'))
    assert [c.name for c in conflicts(packages, "3.7.3", LINUX)] == ["c"]
    assert [c.name for c in conflicts(packages, "3.12.0", WINDOWS)] == ["b"]


def test_requires_python() -> None:
    one = Distribution(name="Vllm", version="1", requires_python="<3.13,>=3.9")
    (found,) = conflicts(Packages(distributions=(one,)), "3.13.0", LINUX)
    assert (found.kind, found.parent, found.name, found.installed) == ("python", "vllm", "python", "3.13.0")
    broken = Distribution(name="x", version="1", requires_python="whatever")
    assert conflicts(Packages(distributions=(one, broken)), "3.12.9", LINUX) == ()


def test_the_counts_and_the_joined_demands() -> None:
    packages = installed(("a", "1", "t<5", "junk>>1"), ("b", "1", "t>=4.56"), ("t", "5.1"))
    found = survey(packages, "3.11.7", LINUX)
    assert (found.requirements, found.invalid_lines) == (2, 1)
    assert SpecifierSet(found.wanted["t"]) == SpecifierSet(">=4.56,<5")
    assert SpecifierSet(demand(packages, "t", "3.11.7", LINUX)) == SpecifierSet(">=4.56,<5")


def test_pip_finds_nothing_else_here() -> None:
    """The environment of the tests itself, by pip check and by us."""
    version = ".".join(map(str, sys.version_info[:3]))
    ours = {(c.parent, c.name) for c in conflicts(read_packages(sys.path), version, None) if c.kind != "python"}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, timeout=60, check=False
    )
    theirs = [line for line in done.stdout.splitlines() if " requires " in line or " has requirement " in line]
    assert len(ours) == len(theirs), (ours, theirs)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=3), st.integers(0, 6), st.integers(0, 6))
def test_more_demands_never_hide_a_conflict(names: list[str], low: int, version: int) -> None:
    first = ("p", "1", f"x>={low}")
    few = installed(first, ("x", str(version)))
    many = installed(first, *((n + str(i), "1", "x<99") for i, n in enumerate(names)), ("x", str(version)))
    assert bool(conflicts(few, "3.11.7", LINUX)) == (version < low)
    assert set(conflicts(few, "3.11.7", LINUX)) <= set(conflicts(many, "3.11.7", LINUX))


@pytest.mark.parametrize("count", [60, 357])
def test_work_grows_with_what_is_asked_for(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each demand is looked at once: the demands of extras that nobody asked for cost nothing more."""
    looked_at = []
    monkeypatch.setattr(
        "autoglm_doctor.domain.conflicts.Requirement", lambda line: looked_at.append(line) or Requirement(line)
    )
    rows = []
    for i in range(count):
        real = [f'package-{j}>={j % 3}; python_version >= "3.8"' for j in range(i % 12)]
        rows.append((f"package-{i}", "3", *real, *(f'p{j}>=1; extra == "all"' for j in range(16))))
    assert conflicts(installed(*rows), "3.11.7", LINUX) == ()
    assert len(looked_at) <= sum(i % 12 for i in range(count))


NEW = [
    ("<5,>=4.56", "5.0.0rc0", True),
    ("<5,>=4.56", "5.1", True),
    ("<5,>=4.56", "4.40", False),
    ("==2.9.0", "2.10.0", True),
    ("==2.9.0", "2.8.0", False),
    ("==2.9.*", "2.10", True),
    ("==2.9.*", "2.8", False),
    ("~=1.4", "2.0", True),
    ("<=1.0", "1.1", True),
    ("!=5.5.0", "5.5.0", False),
    ("", "1", False),
]


@pytest.mark.parametrize(("specifier", "version", "answer"), NEW)
def test_too_new(specifier: str, version: str, answer: bool) -> None:
    assert too_new(specifier, version) is answer


def test_excluded_by_name() -> None:
    assert excluded_by_name(">=5,!=5.5.0", "5.5.0")
    assert not excluded_by_name(">=5,!=5.5.0", "4.0")
    assert not excluded_by_name(">=5,!=5.5.0", "5.6")


SATISFIABLE = [
    ("", True),
    ("<2", True),
    ("==2.9.0,==2.9.1", False),
    (">=2,<1", False),
    (">2,<3", True),
    ("==2.9.*,>=2.9.1", True),
    (">=5,<=5", True),
    (">=4.56,<5,>=5.0", False),
    ("==2.8.0,>=2.9", False),
    (">=1.0,!=1.0", True),
]


@pytest.mark.parametrize(("specifier", "answer"), SATISFIABLE)
def test_satisfiable(specifier: str, answer: bool) -> None:
    assert satisfiable(specifier) is answer


def test_install_lines() -> None:
    with_pip = installed(("pip", "25"))
    assert install_line("/v/bin/python", ["a<2"], with_pip) == "/v/bin/python -m pip install 'a<2'"
    assert install_line("/a b/python", ["x"], with_pip) == "'/a b/python' -m pip install x"
    assert install_line("/v/bin/python", ["x"], installed(("a", "1"))) == "uv pip install --python /v/bin/python x"
    assert install_line(None, ["x"], None, ["--upgrade"]) == "python3 -m pip install --upgrade x"
