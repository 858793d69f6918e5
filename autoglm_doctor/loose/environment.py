"""`env` -> the variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Environment, Reading, known
from autoglm_doctor.loose.container import demand_of, required_cuda
from autoglm_doctor.loose.image_start import is_asked
from autoglm_doctor.loose.values import table
from autoglm_doctor.matrix import Matrix

#: Set to nothing, or to something that is not told.
_NOTHING = ("unset", "not set", "set", "not stated", "value not stated")
#: "1 (in the compose file)": what stands in brackets at the end is about the value.
_REMARK = re.compile(r"\s+\([^()]*\)\s*$")


def read_environment(facts: Mapping[str, Any], matrix: Matrix) -> Reading[Environment] | None:
    """What is stated to be set; None when nothing is said of variables.

    "unset" and null mean that it is not set; "" that it is, and empty. An image that "requires CUDA 12.8" says so in
    NVIDIA_REQUIRE_CUDA, and so does a published one that is named, unless it has started or nobody may compare that.
    """
    stated = facts.get("env") if isinstance(facts.get("env"), dict) else facts.get("environment")
    found = {
        str(name): _REMARK.sub("", _value(value))
        for name, value in table(stated).items()
        if value is not None and str(value).strip().lower() not in _NOTHING
    }
    needed = required_cuda(facts.get("container"))
    demand = f"cuda>={needed}" if needed else demand_of(facts.get("container"), matrix)
    if demand and (needed or is_asked(facts)):
        found.setdefault("NVIDIA_REQUIRE_CUDA", demand)
    if not found and not isinstance(stated, dict):
        return None
    return known(Environment(variables=found), source="stated")


def _value(stated: Any) -> str:
    """true and false of JSON are the switches 1 and 0, and no words of the shell."""
    return str(int(stated) if isinstance(stated, bool) else stated)
