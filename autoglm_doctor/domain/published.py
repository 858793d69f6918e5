"""Is a version one that its project published, or a build of one's own?"""

from __future__ import annotations

import re

from autoglm_doctor.domain.wheels import number

#: Local parts of what the projects publish themselves; any other is a build of one's own or of a vendor.
PUBLISHED = re.compile(r"cu\d{2,3}|cpu")


def published(version: str | None) -> bool:
    """A release as the project publishes it: no development version, no build of one's own or of a vendor."""
    found = number(version)
    if found is None or found.is_prerelease:
        return False
    return found.local is None or PUBLISHED.fullmatch(found.local) is not None
