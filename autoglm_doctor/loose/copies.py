"""`torch_installs`, `torch_installed`, a list as the version of torch -> torch, and the other torches beside it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from packaging.version import Version

from autoglm_doctor.domain.wheels import number
from autoglm_doctor.facts import Distribution, Packages, Reading, known
from autoglm_doctor.loose.values import as_list, first, table, text, version

_KEYS = ("torch_installs", "torch_installations", "torch_installed", "torch_copies", "torch_locations")
_USED = ("torch_file", "torch_path", "torch_location", "torch_imported_from")
#: Who installed what: a version of torch (there are 1 and 2) right behind the name of the installer, whose own version
#: "with pip 25.0.1" tells.
_INSTALLED = re.compile(
    r"(?<!with )(?<!using )(?<!via )\b(conda|mamba|pip|apt|uv)\W{1,3}(?:(?:py)?torch\W{1,3})?([12]\.\d+\.\d+[\w.+]*)",
    re.IGNORECASE,
)
#: Two environments do not meet, and what was taken away is in nobody's way.
_APART = re.compile(
    r"\b(?:v?envs?|virtualenvs?|environments?|base|container|image|host|removed|uninstalled|deleted|replaced"
    r"|upgraded|downgraded|previously|earlier)\b",
    re.IGNORECASE,
)
_TOGETHER = re.compile(r"\b(?:same|one) (?:v?env|virtualenv|environment)", re.IGNORECASE)
_LINE = re.compile(r"/python(3(?:\.\d+)?)/")
#: What a Python of the system, of conda or of a user sees beside its own folder.
_OF_USER = re.compile(r"/\.local/lib/python3")
_OF_ALL = re.compile(r"^/usr/|conda|mamba|miniforge")


def with_copies(packages: Reading[Packages] | None, facts: Mapping[str, Any]) -> Reading[Packages] | None:
    """The packages with the torches that lie beside the one that is used; as they are where only one is told."""
    copies = _copies(facts)
    if len({Version(version).base_version for version, _ in copies}) < 2 or not _meet([path for _, path in copies]):
        return packages
    used = text(first(facts, *_USED))
    ordered = sorted(copies, key=lambda one: not (one[1] and used.startswith(one[1])))
    torch, *others = (Distribution(name="torch", version=version, location=path) for version, path in ordered)
    known_before = packages.value if packages is not None and packages.value is not None else Packages()
    rest = tuple(one for one in known_before.distributions if one.name != "torch")
    value = dataclasses.replace(known_before, distributions=(torch, *rest), shadowed=tuple(others))
    return known(value, source="stated")


def _copies(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Version and folder ("" where it is not told) of each."""
    said = first(facts, *_KEYS)
    listed = table(facts.get("packages")).get("torch")
    if said is None and isinstance(listed, list):
        said = listed
    if isinstance(said, str):
        apart = _APART.search(said) and not _TOGETHER.search(said)
        return [] if apart else [(one[2], "") for one in _INSTALLED.finditer(said)]
    return [found for one in as_list(said) if (found := _copy(one))[0]]


def _copy(said: Any) -> tuple[str, str]:
    if isinstance(said, dict):
        path, release = text(first(said, "path", "location", "folder", "file")), version(said.get("version"))
    else:
        path = next((word for word in text(said).split() if word.startswith(("/", "~"))), "").rstrip(":,")
        release = version(text(said).replace(path, " ")) if path else version(said)
    return (
        release if number(release) is not None and release.count(".") > 1 else "",
        path.removesuffix("/__init__.py").removesuffix("/torch"),
    )


def _meet(paths: list[str]) -> bool:
    """Whether one Python sees them all: environments of their own beside each other are no fault."""
    if not all(paths):
        return not any(paths)
    lines = {match[1] for path in paths for match in [_LINE.search(path)] if match and "." in match[1]}
    if len(set(paths)) == 1:
        return True
    return len(lines) < 2 and any(map(_OF_USER.search, paths)) and any(map(_OF_ALL.search, paths))
