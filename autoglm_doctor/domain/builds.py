"""What the version of an engine says of a build that is no release."""

from __future__ import annotations

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
