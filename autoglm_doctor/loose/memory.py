"""`ram_gib`, `shm`, `container_memory_gib` -> main memory and shared memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Memory, Reading, SharedMemory, known
from autoglm_doctor.loose.container import default_shared_memory
from autoglm_doctor.loose.values import first, size

GIB = 1 << 30

#: What container runtimes mount at /dev/shm when told nothing.
DEFAULT_SHM_BYTES = 64 << 20


def read_memory(facts: Mapping[str, Any]) -> Reading[Memory] | None:
    """Main memory in bytes; None when its size is not stated. What is not said to be taken is free."""
    total = size(first(facts, "ram_gib", "ram_gb"), GIB)
    free = size(first(facts, "ram_available_gib", "ram_free_gib"), GIB)
    limit = size(first(facts, "container_memory_gib", "cgroup_limit_gib"), GIB)
    if total is None and free is None:
        return None
    whole = total if total is not None else free or 0
    memory = Memory(
        total_bytes=whole, available_bytes=whole if free is None else min(free, whole), cgroup_limit_bytes=limit
    )
    return known(memory, source="stated")


def read_shared_memory(facts: Mapping[str, Any]) -> Reading[SharedMemory] | None:
    """The size of /dev/shm; None when it is not stated."""
    total = size(first(facts, "shm", "shm_size", "dev_shm"))
    if total is None and default_shared_memory(facts.get("container")):
        total = DEFAULT_SHM_BYTES
    if not total:
        return None
    return known(SharedMemory(total_bytes=total, free_bytes=total), source="stated")
