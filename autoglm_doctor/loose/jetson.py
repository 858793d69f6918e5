"""`gpus`, `os`, `kernel`, `container` that speak of a Jetson -> a host whose torch and driver are of its own system."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Host, Reading
from autoglm_doctor.loose.limits import with_fields
from autoglm_doctor.loose.values import as_list, first, table, text

JETSON = re.compile(
    r"\b(?:jetson|orin|(?:agx|nvidia) thor|xavier|tegra|l4t|jetpack)\b|^thor\b|-tegra\b|dustynv/", re.IGNORECASE
)
#: A wheel that was made for servers with Arm, on a Jetson: what is said of it decides.
_FOR_SERVERS = re.compile(r"\bsbsa\b|download\.pytorch\.org", re.IGNORECASE)


def with_board(host: Reading[Host] | None, facts: Mapping[str, Any]) -> Reading[Host] | None:
    """The host with the mark of a Jetson, where its GPU or its system names one."""
    return with_fields(host, {"tegra": True} if _is_jetson(facts) else {})


def _is_jetson(facts: Mapping[str, Any]) -> bool:
    if any(_FOR_SERVERS.search(text(facts.get(key))) for key in ("torch_origin", "torch_wheel", "torch_index")):
        return False
    gpus = as_list(first(facts, "gpus", "gpu"))
    names = [text(one) or text(table(one).get("name")) for one in gpus]
    said = [text(facts.get(key)) for key in ("os", "kernel", "container", "board", "machine_model")]
    return any(JETSON.search(one) for one in (*names, *said) if one)
