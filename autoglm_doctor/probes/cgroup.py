"""Main memory: what the kernel has, and what our control group still lets us take (version 1 and 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from autoglm_doctor.facts import Memory

#: Version 1 writes "no limit" as the largest multiple of the page size; nobody has 4 EiB.
_NO_LIMIT = 1 << 62


def read_memory(root: Path) -> Memory:
    """/proc/meminfo and the tightest control group from ours up.

    Raises:
        OSError: there is no /proc/meminfo; ValueError: it lacks MemTotal.
    """
    text = (root / "proc/meminfo").read_text(encoding="ascii", errors="replace")
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    if "MemTotal" not in kib:
        raise ValueError("/proc/meminfo names no MemTotal")
    # Kernels before 3.14 lack MemAvailable.
    available = kib.get("MemAvailable", kib.get("MemFree", 0) + kib.get("Cached", 0))
    limits = sorted(_limits(root), key=lambda pair: pair[0] - pair[1])
    limit, used = limits[0] if limits else (None, None)
    return Memory(
        total_bytes=kib["MemTotal"] * 1024,
        available_bytes=available * 1024,
        swap_free_bytes=kib.get("SwapFree", 0) * 1024,
        cgroup_limit_bytes=limit,
        cgroup_used_bytes=used,
    )


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used without what can be reclaimed) of every group with a limit, ours and its parents."""
    for version, path in _groups(root):
        mount = root / ("sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory")
        for folder in _upwards(mount, path):
            limit = _limit(folder, version)
            if limit is not None:
                yield limit, _used(folder, version)


def _groups(root: Path) -> Iterator[tuple[int, str]]:
    """Our control groups that govern memory: "0::/a/b" of version 2, "4:memory:/a/b" of version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = ["0::/", "0:memory:/"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield 1, path
        elif not controllers:
            yield 2, path


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """Folders from ours to the mount. In a container the path may be the host's: then only the mount is ours."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:count])
        if folder.is_dir():
            yield folder


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # not there, or "max"
        return None


def _limit(folder: Path, version: int) -> int | None:
    # memory.high does not kill, but above it the kernel slows a process down to a crawl.
    names = ("memory.max", "memory.high") if version == 2 else ("memory.limit_in_bytes",)
    found = [n for n in (_number(folder / name) for name in names) if n is not None and n < _NO_LIMIT]
    return min(found, default=None)


def _used(folder: Path, version: int) -> int:
    """Bytes that stay when the kernel takes back the page cache: weights read before are no hindrance.

    Shared memory counts as used: it lies on the lists of anonymous memory.
    """
    current = _number(folder / ("memory.current" if version == 2 else "memory.usage_in_bytes")) or 0
    prefix = "" if version == 2 else "total_"
    try:
        text = (folder / "memory.stat").read_text(encoding="ascii")
    except OSError:
        return current
    stat = dict(line.split() for line in text.splitlines() if line.count(" ") == 1)
    names = (prefix + "inactive_file", prefix + "active_file", "slab_reclaimable")
    return max(0, current - sum(int(stat.get(name, 0)) for name in names))


def oom_kills(root: Path = Path("/")) -> int:
    """How often the kernel has killed for memory, in our group or on the whole machine: only its growth says something.

    Sources: memory.events (version 2), memory.oom_control (version 1), /proc/vmstat (Linux 4.13).
    """
    places = [root / "proc/vmstat"]
    for version, path in _groups(root):
        mount = root / ("sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory")
        name = "memory.events" if version == 2 else "memory.oom_control"
        places += [folder / name for folder in list(_upwards(mount, path))[:1]]
    return sum(_count(place, "oom_kill") for place in places)


def _count(path: Path, name: str) -> int:
    try:
        found = re.search(rf"^{name} (\d+)$", path.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
