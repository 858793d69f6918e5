"""What the tests of packages beside each other share."""

from __future__ import annotations

from autoglm_doctor.facts import Distribution, Packages


def installed(**versions: str) -> Packages:
    """These packages, of which no more than the version is known; "_" in a name stands for "-"."""
    rows = (Distribution(name=name.replace("_", "-"), version=version) for name, version in versions.items())
    return Packages(distributions=tuple(rows))
