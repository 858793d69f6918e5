"""A wheel's file name, held against the Python, the system and the glibc that are stated beside it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from autoglm_doctor.domain.signatures import Symptom
from autoglm_doctor.domain.signatures.row import Signature
from autoglm_doctor.domain.wheels import number
from autoglm_doctor.facts import Facts, Host
from autoglm_doctor.loose.values import first, text

_FILE = re.compile(r"[\w.+!%-]+-[\w.]+-\w+-[\w.]+\.whl", re.IGNORECASE)
_REFUSED = re.compile(
    r"not a supported wheel|not (?:compatible|supported) (?:with|on) (?:this|the current)", re.IGNORECASE
)
_SOURCE = "the compatibility tags of Python's packaging (platform compatibility tags specification)"
_SHOW = ("python3 -m pip debug --verbose | head -40", "ldd --version | head -1")
#: The first glibc of the older names.
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}

_PYTHON = Signature(
    "PYTHON_UNSUPPORTED",
    _REFUSED.pattern,
    "a wheel that was built for another Python",
    "Make the environment with a Python that the wheel's name fits, or take the wheel for this one.",
    _SHOW,
    "install",
    _SOURCE,
)
_GLIBC = Signature(
    "GLIBC_TOO_OLD",
    _REFUSED.pattern,
    "a wheel whose tag asks for a newer glibc than this system has",
    "Take a container image or a newer distribution; or a release of which there are wheels for this glibc.",
    _SHOW,
    "install",
    _SOURCE,
)
_SYSTEM = Signature(
    "OS_UNSUPPORTED_BY_ENGINE",
    _REFUSED.pattern,
    "a wheel for another operating system",
    "Run it in WSL 2 or in a container of Linux.",
    ("wsl --install",),
    "install",
    _SOURCE,
)


def symptoms_of_tags(said: str, stated: Mapping[str, Any], facts: Facts) -> tuple[Symptom, ...]:
    """What keeps a wheel from being installed: one that a text says is refused, or one that is stated as `wheel`."""
    lines = [line[:2000] for line in said.split("\n") if _REFUSED.search(line[:2000])]
    named = text(first(stated, "wheel", "wheel_file"))
    found = tuple(_judged([*lines, *([named] if _FILE.search(named) else [])], facts))[:1]
    if found or facts.interpreter.value is not None or facts.host.value is not None:
        return found
    # Nothing to hold it against: most often it is the Python.
    bare = [line for line in lines if _FILE.search(line)][:1]
    return tuple(Symptom(dataclasses.replace(_PYTHON, sure="hint"), line.strip()[:500]) for line in bare)


def _judged(lines: Iterable[str], facts: Facts) -> Iterator[Symptom]:
    for line in lines:
        file = _FILE.search(line)
        tags = _tags(file[0]) if file else frozenset()
        row = _obstacle(tags, facts) if tags else None
        if row is not None:
            yield Symptom(row, line.strip()[:500])


def _tags(name: str) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(name.replace("%2B", "+"))[3]
    except InvalidWheelFilename:
        return frozenset()


def _obstacle(tags: frozenset[Tag], facts: Facts) -> Signature | None:
    """The first that the facts tell; None where they tell none."""
    host, python = facts.host.value, facts.interpreter.value
    version = number(python.version) if python is not None else None
    if host is not None and host.system == "Windows" and not any(_for_windows(one.platform) for one in tags):
        return _SYSTEM
    if version is not None and not any(_runs(one, version) for one in tags):
        return _PYTHON
    return _GLIBC if host is not None and _asks_for_more(tags, host) else None


def _for_windows(platform: str) -> bool:
    return platform == "any" or platform.startswith("win")


def _runs(tag: Tag, python: Version) -> bool:
    """Whether CPython takes what was built for an interpreter; of abi3 any later one as well."""
    built = re.fullmatch(r"(cp|py)(\d)(\d*)", tag.interpreter)
    if built is None or int(built[2]) != python.major:
        return built is None  # PyPy's and others' are not judged
    if not built[3]:
        return True
    if built[1] == "py" or tag.abi in ("abi3", "none"):
        return int(built[3]) <= python.minor
    return int(built[3]) == python.minor


def _asks_for_more(tags: frozenset[Tag], host: Host) -> bool:
    glibc = number(host.glibc)
    asked = [_glibc_of(one.platform) for one in tags]
    if host.system != "Linux" or glibc is None or not asked:
        return False
    return all(one is not None and one > (glibc.major, glibc.minor) for one in asked)


def _glibc_of(platform: str) -> tuple[int, int] | None:
    named = re.match(r"manylinux_(\d+)_(\d+)_", platform)
    if named:
        return int(named[1]), int(named[2])
    return next((least for name, least in _LEGACY.items() if platform.startswith(f"{name}_")), None)
