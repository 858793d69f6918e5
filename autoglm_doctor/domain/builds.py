"""What the version of an engine says of a build that is no release."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from packaging.version import Version

from autoglm_doctor.domain.wheels import number

#: setuptools_scm writes 0.1.devN for a checkout without tags (vLLM), SGLang's branch says 0.0.0.dev0: such a build may
#: be of any age. Both engines' own releases of those numbers were no development versions.
_NO_TAG = Version("0.2")


def release_of(version: str | None) -> Version | None:
    """The release that a version is or is near to: 0.14.0 of "0.14.0rc1.dev500+g1234"; None where it does not tell."""
    found = number(version)
    if found is None or found.release in ((0,), (0, 0), (0, 0, 0)) or _has_no_tag(found):
        return None
    return Version(found.base_version) if found.is_prerelease else Version(found.public)


def tells_no_release(version: str | None) -> bool:
    """Whether a version is there and says nothing of the build's age."""
    return version is not None and release_of(version) is None


def is_early(version: str | None) -> bool:
    """Whether it is a build on the way to a release."""
    found = number(version)
    return found is not None and found.is_prerelease


def is_before(version: str | None, release: Version) -> bool:
    """Whether a build is on the way to exactly this release: it may have what the release has, or not yet."""
    return is_early(version) and release_of(version) == release


def as_new_as(version: str | None) -> Version | None:
    """The newest release whose code a development build may hold; None of what is no such build.

    Its own; and the next minor release where it was counted on from a candidate or a patch, whose branch that does not
    come from: 0.17 of "0.16.0rc2.dev245+g1234", 5.1 of "5.0.1.dev0".
    """
    found = number(version)
    if found is None or not found.is_devrelease:
        return None
    base = Version(found.base_version)
    return max(base, Version(f"{base.major}.{base.minor + 1}")) if found.pre is not None or base.micro else base


def _has_no_tag(found: Version) -> bool:
    return found.is_devrelease and Version(found.base_version) < _NO_TAG


def is_line(version: str | None) -> bool:
    """ "4.57": a line of releases, and none of them; every project that is judged here writes three numbers."""
    found = number(version)
    return found is not None and str(found) == found.base_version and len(found.release) < 3


def newest_of_line(version: str, releases: Iterable[str]) -> Version | None:
    """The newest of these releases in the line that "4.57" names; None where none is."""
    found = Version(version).release
    within = (one for one in map(Version, releases) if one.release[: len(found)] == found)
    return max(within, default=None)


def standing(
    version: str | None, first: str, releases: Iterable[str], candidate: str = ""
) -> Literal["has", "lacks", "open"]:
    """Whether a version has what came with the release `first`; None of a version counts as open.

    Open are a line ("4.57") whose newest release has it, a build from the sources that may hold it, and a candidate of
    just that release, of which one does not know `candidate`, the first that has it. Releases are those of the package.
    """
    found, needed, known = number(version), Version(first), list(releases)
    if found is None or tells_no_release(version):
        return "open"
    if found >= needed:
        return "has"
    if is_line(version):
        return "open" if (newest_of_line(str(found), known) or needed) >= needed else "lacks"
    if found.is_devrelease:
        if Version(found.base_version) >= needed:
            return "has"
        return "open" if (as_new_as(version) or found) >= needed else "lacks"
    if not found.is_prerelease or _next_release(found, known) < needed:
        return "lacks"
    return "open" if not candidate else "has" if found >= Version(candidate) else "lacks"


def _next_release(found: Version, releases: Iterable[str]) -> Version:
    """What a candidate became: 0.5.0rc2 of SGLang became 0.5.1."""
    base = Version(found.base_version)
    return min((one for one in map(Version, releases) if one >= base), default=base)
