"""`engine_arch_list`: the architectures that the engine's own library was compiled for, as cuobjdump lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.kernels import PACKAGES
from autoglm_doctor.facts import KernelLibrary, Reading, known
from autoglm_doctor.loose.values import first, text


def read_kernels(facts: Mapping[str, Any], engine: str) -> Reading[tuple[KernelLibrary, ...]] | None:
    """None where nothing is stated, or the engine has no library of its own."""
    stated = first(facts, "engine_arch_list", "engine_architectures")
    words = stated if isinstance(stated, list) else re.split(r"[\s,;]+", text(stated))
    listed = tuple(word for word in map(str, words) if re.fullmatch(r"(sm|compute)_\d{2,3}[af]?", word))
    package = PACKAGES.get(engine)
    if not listed or package is None:
        return None
    return known((KernelLibrary(package=package, name="its library", common=listed),), source="stated")
