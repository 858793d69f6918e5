"""Do the installed packages agree? `pip check` on metadata alone, for another interpreter and another platform.

Markers are evaluated for the target. Requirements behind an extra are parsed only when somebody installed asks for
that extra: two thirds of all Requires-Dist lines are never looked at.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from autoglm_doctor.facts import Distribution, Host, Packages

Kind = Literal["missing", "version", "python"]

_EXTRA = re.compile(r"\bextra\s*[=!]=|\bextra\s+(?:not\s+)?in\b|=\s*extra\b")

_ONE_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)["']""")

#: Stands for the version of a distribution of which none is stated; no release is older.
NO_VERSION = "0"

#: What a line waits for when that is not one extra.
_SOME_EXTRA, _ASK_MARKER = "*", "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One requirement that does not hold."""

    kind: Kind
    parent: str  # the distribution that wants something, canonical name
    parent_version: str
    name: str  # what it wants, canonical name; "python" for Requires-Python
    specifier: str  # "<5,>=4.56"; "" when any version would do
    installed: str | None  # None: missing

    @property
    def requirement(self) -> str:
        """As pip would write it."""
        return f"{self.name}{self.specifier}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Everything that one pass over the metadata tells."""

    conflicts: tuple[Conflict, ...] = ()
    requirements: int = 0  # requirements that apply and were compared
    invalid_lines: int = 0  # Requires-Dist lines that no tool can read; skipped
    wanted: Mapping[str, str] = field(default_factory=dict)  # name in conflict -> all demands on it, joined


def conflicts(packages: Packages, python: str, platform: Host | None) -> tuple[Conflict, ...]:
    """The requirements that do not hold.

    Args:
        packages: what is installed.
        python: version of the target's interpreter, "3.11.7".
        platform: the target's; None takes the doctor's own.
    """
    return survey(packages, python, platform).conflicts


def survey(packages: Packages, python: str, platform: Host | None) -> Survey:
    """`conflicts` with the counts."""
    walk = _walk(packages, python, platform)
    found = [*_python_conflicts(packages, python), *walk.found]
    names = {conflict.name for conflict in found}
    wanted = {name: _joined(walk.demands[name]) for name in names & set(walk.demands)}
    return Survey(conflicts=tuple(found), requirements=walk.count, invalid_lines=walk.invalid, wanted=wanted)


def _joined(demands: Iterable[SpecifierSet]) -> str:
    """All demands in one; adding up sets one by one would copy the first of a thousand a thousand times."""
    return str(SpecifierSet(",".join(text for text in map(str, demands) if text)))


def demand(packages: Packages, name: str, python: str, platform: Host | None) -> str:
    """All that the installed packages demand of one distribution, joined: "<5,>=4.56"."""
    walk = _walk(packages, python, platform)
    return ",".join(sorted({str(one) for specifiers in walk.demands.get(name, []) for one in specifiers}))


def disagreement(
    packages: Packages, parent: str, names: Iterable[str], python: str, platform: Host | None
) -> Conflict | None:
    """The first demand of one distribution on some others that an installed version does not meet."""
    wanted, asker = {canonicalize_name(name) for name in names}, canonicalize_name(parent)
    found = (c for c in conflicts(packages, python, platform) if c.parent == asker and c.kind == "version")
    return next((c for c in found if c.name in wanted), None)


def marker_environment(python: str, platform: Host | None) -> dict[str, str]:
    """The variables of markers (PEP 508) for the target."""
    environment = {key: str(value) for key, value in default_environment().items()}
    parts = python.split(".")
    environment.update(
        python_version=".".join(parts[:2]),
        python_full_version=python,
        implementation_version=python,
        implementation_name="cpython",
        platform_python_implementation="CPython",
    )
    if platform is not None:
        environment.update(
            sys_platform={"Windows": "win32"}.get(platform.system, platform.system.lower()),
            os_name="nt" if platform.system == "Windows" else "posix",
            platform_system=platform.system,
            platform_machine=platform.machine,
            platform_release=platform.kernel,
            platform_version="",
        )
    return environment


def _python_conflicts(packages: Packages, python: str) -> Iterator[Conflict]:
    for one in packages.distributions:
        if one.requires_python and not _allows(_specifiers(one.requires_python), python):
            yield Conflict(
                kind="python",
                parent=canonicalize_name(one.name),
                parent_version=one.version,
                name="python",
                specifier=one.requires_python,
                installed=python,
            )


@functools.lru_cache(maxsize=2)
def _walk(packages: Packages, python: str, platform: Host | None) -> _Walk:
    """Several checks ask about the same environment: it is walked once."""
    return _Walk(packages, marker_environment(python, platform))


class _Walk:
    """All requirements that apply, extras followed as they are asked for."""

    def __init__(self, packages: Packages, environment: Mapping[str, str]) -> None:
        self.installed: dict[str, Distribution] = {canonicalize_name(d.name): d for d in packages.distributions}
        self.environment = environment
        self.demands: dict[str, list[SpecifierSet]] = {}
        self._sections: dict[str, dict[str, list[tuple[int, str]]]] = {}
        self.count = self.invalid = 0
        self.found = tuple(self._conflicts())

    def _conflicts(self) -> Iterator[Conflict]:
        queue = deque((name, "") for name in self.installed)
        asked = set(queue)
        while queue:
            parent, extra = queue.popleft()
            for requirement in self._requirements(parent, extra):
                name = canonicalize_name(requirement.name)
                self.count += 1
                self.demands.setdefault(name, []).append(requirement.specifier)
                yield from self._judge(parent, name, requirement)
                for wish in {(name, canonicalize_name(e)) for e in requirement.extras} - asked:
                    if name in self.installed:
                        asked.add(wish)
                        queue.append(wish)

    def _requirements(self, parent: str, extra: str) -> Iterator[Requirement]:
        """Those that hold because of `extra`; with "" those that hold anyway."""
        for line in self._lines(parent, extra):
            requirement = _parse(line)
            if requirement is None:
                self.invalid += not extra
            elif self._applies(requirement.marker, extra):
                yield requirement

    def _lines(self, parent: str, extra: str) -> list[str]:
        """Those that may be its requirements, in their order. "all" may ask for each of a hundred extras in turn."""
        if parent not in self._sections:
            self._sections[parent] = _by_extra(self.installed[parent].requires)
        possible = (extra, _SOME_EXTRA, _ASK_MARKER) if extra else (extra, _ASK_MARKER)
        found = [entry for key in possible for entry in self._sections[parent].get(key, ())]
        return [line for _, line in sorted(found)]

    def _applies(self, marker: Marker | None, extra: str) -> bool:
        if marker is None:
            return not extra
        try:
            return marker.evaluate({**self.environment, "extra": extra})
        except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
            return False

    def _judge(self, parent: str, name: str, requirement: Requirement) -> Iterator[Conflict]:
        there = self.installed.get(name)
        if there is not None and _allows(requirement.specifier, there.version):
            return
        yield Conflict(
            kind="version" if there else "missing",
            parent=parent,
            parent_version=self.installed[parent].version,
            name=name,
            specifier=str(requirement.specifier),
            installed=there.version if there else None,
        )


def _by_extra(lines: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """Lines with their places, by the extra that they wait for."""
    sections: dict[str, list[tuple[int, str]]] = {}
    for place, line in enumerate(lines):
        sections.setdefault(_waits_for(line), []).append((place, line))
    return sections


def _waits_for(line: str) -> str:
    """The extra that a line stands behind, "" for none, as far as its text tells."""
    if " or " in line:
        return _ASK_MARKER
    if not _EXTRA.search(line):
        return ""
    named = _ONE_EXTRA.findall(line)
    return canonicalize_name(named[0]) if len(named) == len(_EXTRA.findall(line)) == 1 else _SOME_EXTRA


@functools.lru_cache(maxsize=8192)
def _parse(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


@functools.lru_cache(maxsize=512)
def _specifiers(text: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return None


def _allows(specifier: SpecifierSet | None, version: str) -> bool:
    """Is the version allowed? What cannot be compared is no conflict."""
    if not specifier:
        return True
    parsed = version_of(version)
    return parsed is None or specifier.contains(parsed, prereleases=True)


# --- what to do about it ------------------------------------------------------------------------------------------


def too_new(specifier: str, version: str) -> bool:
    """Is the version above what the specifier allows (and not below it, or one it excludes by name)?"""
    found, parsed = _specifiers(specifier), version_of(version)
    if found is None or parsed is None:
        return False
    release = Version(parsed.base_version)  # 5.0.0rc0 is no "<5"
    return any(_above(release, one.operator, one.version.removesuffix(".*")) for one in found)


def _above(release: Version, operator: str, bound: str) -> bool:
    limit = version_of(bound)
    if limit is None:
        return False
    if operator == "<":
        return release >= limit
    if operator == "~=" or operator == "==":  # compared on the digits that the bound gives
        return release.release[: len(limit.release)] > limit.release
    return operator == "<=" and release > limit


def excluded_by_name(specifier: str, version: str) -> bool:
    """Does the specifier say "anything but this very release"?"""
    found = _specifiers(specifier) or SpecifierSet()
    failing = [one.operator for one in found if not one.contains(version, prereleases=True)]
    return bool(failing) and set(failing) == {"!="}


@functools.lru_cache(maxsize=4096)
def satisfiable(specifier: str) -> bool:
    """Can one version meet all of it? Only the versions it names are tried, which is enough for real metadata."""
    found = _specifiers(specifier)
    if found is None:
        return False
    named = [one.version.removesuffix(".*") for one in found if one.operator in ("==", "===", ">=", "~=", "<=")]
    lower = [one.version for one in found if one.operator == ">"]
    candidates = {*named, *(f"{version}.1" for version in [*named, *lower])}
    return not candidates or any(found.contains(one, prereleases=True) for one in _within(found, candidates))


def _within(found: SpecifierSet, candidates: Iterable[str]) -> Iterator[str]:
    """Those between the highest lower and the lowest upper bound: a thousand bounds name two thousand candidates."""
    floor = max((Version(one.version) for one in found if one.operator in (">=", "~=", ">")), default=None)
    ceiling = min((Version(one.version) for one in found if one.operator in ("<=", "<")), default=None)
    for candidate in candidates:
        version = version_of(candidate)
        if version is None or (floor is not None and version < floor):
            continue
        # "<=1.0" takes 1.0+cu128: its upper bound is one of public versions.
        if ceiling is None or Version(version.public) <= ceiling:
            yield candidate


@functools.lru_cache(maxsize=8192)
def version_of(text: str) -> Version | None:
    """A version that packaging understands; None for anything else."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def install_line(
    executable: str | None, requirements: Iterable[str], packages: Packages | None, options: Sequence[str] = ()
) -> str:
    """The line that installs into exactly that interpreter. An environment made by uv holds no pip: uv's own then."""
    python = executable or "python3"
    has_pip = not (executable and packages) or any(canonicalize_name(d.name) == "pip" for d in packages.distributions)
    words = [python, "-m", "pip", "install"] if has_pip else ["uv", "pip", "install", "--python", python]
    return shlex.join([*words, *options, *requirements])


def remove_line(executable: str | None, names: Iterable[str], packages: Packages | None) -> str:
    """The line that takes packages out of exactly that interpreter, by the tool of `install_line`."""
    said = install_line(executable, names, packages)
    return said.replace(" install ", " uninstall -y " if " -m pip " in said else " uninstall ", 1)


def installed_version(packages: Packages, name: str) -> str | None:
    """The version of an installed distribution; None when it is not there."""
    wanted = canonicalize_name(name)
    return next((d.version for d in packages.distributions if canonicalize_name(d.name) == wanted), None)
