"""What `diagnose` says of one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autoglm_doctor.finding import Cause, Fix


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One input and its causes, the root first."""

    input: str  # the path as it was given
    status: Literal["fail", "warn", "pass"]
    causes: tuple[Cause, ...] = ()
    fixes: tuple[Fix | None, ...] = ()  # the best one of each cause
