"""`ram_gib`, `shm`, `container_memory_gib` -> main memory and shared memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Memory, Reading, SharedMemory, known
from autoglm_doctor.loose.amounts import amount, folded, sized
from autoglm_doctor.loose.container import default_shared_memory, kind_of
from autoglm_doctor.loose.values import first, table, text

#: What container runtimes mount at /dev/shm when told nothing.
DEFAULT_SHM_BYTES = 64 << 20

#: A machine of which only the limit of a container is stated: that is what binds.
_UNSTATED = 1 << 60

_TOTAL = ("ram", "ram_total", "total_ram", "system_ram", "host_ram", "system_memory", "host_memory", "main_memory")
#: Not the free ones: the column of that name in `free` leaves out the page cache, which is given back when asked for.
_FREE = ("ram_available", "available_ram", "memory_available", "mem_available", "memavailable")
_LIMIT = (
    *("container_memory", "container_memory_limit", "cgroup_limit", "cgroup_memory_limit", "memory_limit"),
    *("mem_limit", "pod_memory_limit", "docker_memory", "docker_memory_limit", "memory_max"),
)
_SHARED = ("shm", "shm_size", "dev_shm", "dev_shm_size", "shared_memory", "shared_memory_size")

_SIZE = r"[=: ]{1,3}[\"']?(\d[\d.]*\s?[kmgt]?i?b?)\b"
_MEMORY_FLAG = re.compile(rf"(?:--memory|(?<!\S)-m|\bmemory[- _]limit(?: of| is)?){_SIZE}", re.IGNORECASE)
_SHARED_FLAG = re.compile(rf"(?:shm[-_]size){_SIZE}", re.IGNORECASE)
_OF_HOST = re.compile(r"--ipc[= ]host|ipc(?:_?mode)?[\"']?\s*[:=]\s*[\"']?host|hostipc", re.IGNORECASE)
#: Who mounts 64 MiB. Others hand over the host's /dev/shm (Apptainer) or half of the memory (LXC).
_MOUNTS_LITTLE = ("docker", "podman", "kubernetes")
_MOUNTS_MUCH = re.compile(
    r"\b(?:apptainer|singularity|lx[cd]|enroot|pyxis|charliecloud|nspawn|shifter|sarus)\b|\.sif\b", re.I
)
_DEFAULT = re.compile(
    r"(?:the |docker'?s? |container )*default(?: size| of docker)?|not (?:set|given|raised)|unset", re.I
)


def read_memory(facts: Mapping[str, Any]) -> Reading[Memory] | None:
    """Main memory in bytes; None when no size is stated. What is not said to be taken is free."""
    stated = folded(facts)
    total, free = amount(stated, *_TOTAL), amount(stated, *_FREE)
    total = total if total is not None else amount(stated, "wslconfig_memory", "wsl_memory")
    limit = amount(stated, *_LIMIT)
    limit = limit if limit is not None else _of_container(facts, _MEMORY_FLAG, "memory", "mem_limit")
    if not (total or free or limit):
        return None
    whole = total or free or _UNSTATED
    memory = Memory(
        total_bytes=whole, available_bytes=whole if free is None else min(free, whole), cgroup_limit_bytes=limit or None
    )
    return known(memory, source="stated")


def read_shared_memory(facts: Mapping[str, Any]) -> Reading[SharedMemory] | None:
    """The size of /dev/shm; None when it is not stated."""
    total = _shared(facts)
    if not total:
        return None
    return known(SharedMemory(total_bytes=total, free_bytes=total), source="stated")


def _shared(facts: Mapping[str, Any]) -> int | None:
    stated, container = folded(facts), facts.get("container")
    found = amount(stated, *_SHARED, bare=False)
    if found is None:  # a bare number is of bytes, as docker inspect tells it; fewer than the default mean another unit
        plain = sized(first(stated, *_SHARED))
        found = plain if plain is not None and plain >= DEFAULT_SHM_BYTES else None
    if found is None:
        found = _of_container(facts, _SHARED_FLAG, "shm", "shm_size")
    said = text(first(stated, *_SHARED))
    is_default = default_shared_memory(container) or (kind_of(container) in _MOUNTS_LITTLE and _DEFAULT.fullmatch(said))
    is_default = is_default and not _MOUNTS_MUCH.search(str(container)[:4000])
    shares = _OF_HOST.search(f"{container} {said} {text(facts.get('command'))}"[:4000])
    return DEFAULT_SHM_BYTES if found is None and is_default and not shares else found


def _of_container(facts: Mapping[str, Any], flag: re.Pattern[str], *keys: str) -> int | None:
    """A size of the container's own line or object: "--memory=16g", {"shm_size": "1g"}."""
    stated = facts.get("container")
    found = amount(folded(table(stated)), *keys, bare=False)
    match = flag.search(text(stated))
    return found if found is not None or match is None else sized(match[1])
