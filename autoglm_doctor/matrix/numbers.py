"""Versions, specifiers and compute capabilities, read without exceptions: what is none compares with nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version


class Since(Protocol):
    """A row that holds until the next."""

    @property
    def since(self) -> str: ...  # noqa: D102


Row = TypeVar("Row", bound=Since)


def number(text: str | None) -> Version | None:
    """A version without its local part ("2.9.0+cu128" is 2.9.0); None where it is none."""
    try:
        return Version((text or "").partition("+")[0])
    except InvalidVersion:
        return None


def line(text: str) -> str:
    """The release line of a version, "2.9"."""
    return ".".join(text.split("+")[0].split(".")[:2])


def cuda_of(tag: str) -> str:
    """The CUDA release of a build's tag: "cu128" is "12.8"."""
    digits = tag.removeprefix("cu")
    return f"{digits[:-1]}.{digits[-1]}"


def capability(text: str) -> tuple[int, int] | None:
    """ "8.9" as (8, 9); None where it is no compute capability."""
    major, _, minor = text.strip().partition(".")
    return (int(major), int(minor or 0)) if major.isdigit() and (minor or "0").isdigit() else None


#: Jetsons run code that was made for them, and nothing else runs theirs.
_OWN_CODE_ONLY = frozenset({(5, 3), (6, 2), (7, 2), (8, 7)})


def code_runs_on(code: str, gpu: str) -> bool:
    """Compiled code for one capability runs on another: on the same major from its own minor on.

    "10.0a" is code that runs on 10.0 alone, "10.0f" on what follows it in its family. (CUDA C++ Programming Guide,
    binary compatibility, also for Tegra; NVIDIA's page on family-specific architectures.)
    """
    made, has = capability(code.rstrip("af")), capability(gpu)
    if made is None or has is None:
        return False
    if code.endswith("a") or _OWN_CODE_ONLY & {made, has}:
        return made == has
    return made[0] == has[0] and made[1] <= has[1]


def within(version: str | None, specifier: str) -> bool:
    """A version lies within a specifier, pre-releases too. A bare version ("2.9.0") is a pin; "" admits all."""
    found = number(version)
    if found is None:
        return False
    try:
        return SpecifierSet(f"=={specifier}" if specifier[:1].isdigit() else specifier).contains(
            found, prereleases=True
        )
    except InvalidSpecifier:
        return False


def covering(rows: Sequence[Row], version: str) -> Row | None:
    """The row that a version falls under; None before the first row, or where it is no version."""
    wanted = number(version)
    if wanted is None:
        return None
    return next((row for row in reversed(rows) if Version(row.since) <= wanted), None)


def newest(versions: Iterable[str]) -> str:
    """The greatest version; "" of none."""
    return max(versions, key=Version, default="")
