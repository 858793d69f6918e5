"""The whole matrix, and its age."""

from __future__ import annotations

import datetime
from functools import cached_property

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.matrix.remote_code import RemoteCodes
from autoglm_doctor.matrix.rows import Origin

#: In any 60 days of 2026 vLLM had 4 to 8 releases, SGLang 2 to 7, transformers 4 to 13: an older table misses some.
OLD_AFTER_DAYS = 60


class Matrix(RemoteCodes):
    """All tables and all questions; immutable, and a section is read when it is first asked for."""

    @cached_property
    def generated(self) -> str:
        """The day of its last refresh, "2026-11-21"."""
        return str(self.raw("generated"))

    def age_days(self, today: datetime.date) -> int:
        """Days since the last refresh; below 0 where the machine's clock is behind.

        Raises:
            DoctorError: `generated` is no date.
        """
        try:
            return (today - datetime.date.fromisoformat(self.generated)).days
        except ValueError as error:
            raise DoctorError(f"compat_matrix.yaml: generated: {error}") from error

    def is_old(self, today: datetime.date) -> bool:
        """Old enough that releases of the last months are missing: say so beside a verdict about versions."""
        return self.age_days(today) > OLD_AFTER_DAYS

    def origin(self, section: str) -> Origin:
        """Source and date of a section, and whether a hand keeps it.

        Raises:
            DoctorError: no such section.
        """
        return self.about(Origin, section)
