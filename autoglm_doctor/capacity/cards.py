"""Which GPU a name means, and how much memory an amount is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from autoglm_doctor.domain.memory.fits import Card
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.matrix import Matrix

_GIB = 1 << 30
_UNITS: Mapping[str, int] = {"": _GIB, "gib": _GIB, "gb": _GIB, "g": _GIB, "mib": 1 << 20, "mb": 1 << 20}


def parse_bytes(text: str, option: str) -> int:
    """`22.5GiB`, `24564MiB`, `24`: a number without a unit and GB count as GiB, as cards are sold.

    Raises:
        DoctorError: no amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    amount = float(match[1]) * _UNITS[match[2]] if match and match[2] in _UNITS else 0.0
    if not 0 < amount < math.inf:
        raise DoctorError(f"{option}: an amount such as 22.5GiB expected, got {text!r}")
    return int(amount)


def find_card(name: str, matrix: Matrix, option: str = "--gpu") -> tuple[Card, str]:
    """The card of a loosely written name, and its compute capability.

    Raises:
        DoctorError: the matrix has no such card, or several that differ; with those that are near.
    """
    model = matrix.find_gpu(name)
    if model is None:
        near = matrix.near_gpus(name)
        hint = f"near: {', '.join(near[:8])}" if near else f"it knows {', '.join(sorted(matrix.gpus))}"
        raise DoctorError(f"{option}: the matrix has no GPU {name!r}, or several that differ; {hint}")
    row = matrix.gpu_name(name) or name
    same = matrix.gpus[row].memory_gib == model.memory_gib
    return Card(name=row if same else name, total_bytes=model.total_bytes), model.capability


def all_cards(matrix: Matrix) -> tuple[tuple[Card, str], ...]:
    """Every card of the table that multiplies bfloat16, with its capability."""
    rows = ((row, model) for row, model in matrix.gpus.items() if float(model.capability) >= 8.0)
    return tuple((Card(name=row, total_bytes=model.total_bytes), model.capability) for row, model in rows)
