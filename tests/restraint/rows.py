"""The rows of compat_matrix.yaml as they stand there: no type, no helper of the package between them and the tests."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

MATRIX = Path(__file__).parents[2] / "compat_matrix.yaml"


@functools.cache
def _sections() -> dict[str, str]:
    """Each section as its JSON text: from the margin to the last brace before an empty line."""
    text = MATRIX.read_text(encoding="utf-8")
    return {m[1]: m[2] for m in re.finditer(r"^(\w+): (\{\n.*?\n  \})(?=\n\n|\s*\Z)", text, re.DOTALL | re.MULTILINE)}


@functools.cache
def rows(section: str) -> Any:
    """The rows of a section: a list or an object."""
    return json.loads(_sections()[section])["rows"]


@functools.cache
def row(section: str, version: str) -> dict[str, Any]:
    """The row of exactly this version; {} when there is none."""
    return next((one for one in rows(section) if one["version"] == version), {})


def since(section: list[dict[str, Any]], version: str) -> dict[str, Any]:
    """The last row that begins at or before a version; {} when none does."""
    return next((one for one in reversed(section) if Version(one["since"]) <= Version(version)), {})


def admits(specifier: str, version: str) -> bool:
    """ "2.9.0" names one release, ">=4.56,<5" a range, "" anything."""
    if specifier[:1].isdigit():
        return Version(specifier) == Version(version)
    return SpecifierSet(specifier).contains(version, prereleases=True)


def capability(text: str) -> tuple[int, int]:
    """ "8.9" -> (8, 9)."""
    major, minor = text.split(".")
    return int(major), int(minor)


def runs(gpu: str, compiled: list[str]) -> bool:
    """Compiled code runs on its own major, from its own minor on; "10.0a" on 10.0 alone (no Jetson is drawn here)."""
    has = capability(gpu)
    exact = [one.rstrip("a") for one in compiled if one.endswith("a")]
    rest = [capability(one.rstrip("f")) for one in compiled if not one.endswith("a")]
    return gpu in exact or any(has[0] == c[0] and has[1] >= c[1] for c in rest)


def line(version: str) -> str:
    """ "2.9.0+cu128" -> "2.9"."""
    release = Version(version).release
    return f"{release[0]}.{release[1]}"
