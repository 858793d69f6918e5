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
#: What was taken away is in nobody's way.
_GONE = re.compile(
    r"(?<!never )(?<!not )(?<!n't )\b(?:removed|uninstalled|deleted|replaced|upgraded|downgraded|previously|earlier)\b",
    re.IGNORECASE,
)
#: Two environments do not meet, and nothing but pip and uv installs into a venv.
_PLACE = re.compile(
    r"\b(?:(?:base|conda|root|default) )?(?:\w*env|virtualenv|environment)\b|\bbase\b|\b(?:container|image|host)\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"\bvenv\b|\bvirtualenv\b|\b(?:\w*env|environment|container|image|host)s\b"
    r"|\b(?:different|separate|another|other|own|each)\b|\boutside\b|\belsewhere\b",
    re.IGNORECASE,
)
_TOGETHER = re.compile(
    r"\b(?:same|one) (?:\w*env|virtualenv|environment|container|image|host)\b"
    r"|\bboth in (?!(?:different|separate|their|own|other)\b)|\bover (?:the )?(?:conda|mamba|pip|apt|uv)\b",
    re.IGNORECASE,
)
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
        every = list(_INSTALLED.finditer(said))
        return [] if _are_apart(said, every) else [(one[2], "") for one in every]
    return [found for one in as_list(said) if (found := _copy(one))[0]]


def _are_apart(said: str, every: list[re.Match[str]]) -> bool:
    """In places of their own, or not there any more. A place that is named behind the last is that of all."""
    if not every or _TOGETHER.search(said):
        return False
    places = list(_PLACE.finditer(said))
    between = any(every[0].end() <= one.start() < every[-1].start() for one in places)
    several = len({one[0].lower() for one in places}) > 1 or _SEVERAL.search(said) is not None
    return between or several or _GONE.search(said) is not None


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
