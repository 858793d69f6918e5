"""`ulimit_nofile`, `ulimit_nproc`, `ulimits`, `ulimit_memlock` with a unit -> the limits of a process."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Host, Reading, known
from autoglm_doctor.loose.values import first, number, size, table, text

_TABLES = ("ulimits", "ulimit", "limits", "rlimits")
_FILES = ("ulimit_nofile", "ulimit_n", "nofile", "nofile_soft", "open_files_limit", "open_files", "rlimit_nofile")
_HARD = ("ulimit_nofile_hard", "ulimit_hn", "nofile_hard", "hard_nofile", "rlimit_nofile_hard")
_PROCESSES = ("ulimit_nproc", "ulimit_u", "nproc_limit", "max_user_processes", "rlimit_nproc")
_MEMLOCK = ("ulimit_memlock", "ulimit_l", "memlock", "max_locked_memory", "rlimit_memlock")
_ENDLESS = re.compile(r"unlimited|infinity|-1", re.IGNORECASE)
#: "1024 (soft), 4096 (hard)", "soft 1024 / hard 524288", "1024:4096" as docker writes it.
_BOTH = re.compile(
    r"(?:soft\D{0,3})?(\d+)(?:\s*\(soft\))?\s*(?:[:/,]|and|hard\D)\s*(?:hard\D{0,3})?(\d+|unlimited)(?:\s*\(hard\))?",
    re.I,
)
#: "65,535" and "65 535" are one number each.
_THOUSANDS = re.compile(r"(?<![\d,])\d{1,3}(?:[, ]\d{3})+(?![\d,])")


def with_limits(host: Reading[Host] | None, facts: Mapping[str, Any]) -> Reading[Host] | None:
    """The host with the limits that are stated; a host of nothing else where only they are."""
    found = {"open_files": _open_files(facts), "processes": _processes(facts)}
    if host is None or host.value is None or host.value.memlock_bytes is None:
        found["memlock_bytes"] = _memory(_said(facts, _MEMLOCK, "memlock"))
    stated = {name: value for name, value in found.items() if value is not None}
    return with_fields(host, stated)


def with_fields(host: Reading[Host] | None, stated: Mapping[str, Any]) -> Reading[Host] | None:
    """The host with more fields; one of a Linux of which nothing else is known where there is none yet."""
    if not stated:
        return host
    one = host.value if host is not None and host.value is not None else Host(system="Linux", machine="", kernel="")
    return known(dataclasses.replace(one, **stated), source="stated")


def _said(facts: Mapping[str, Any], keys: tuple[str, ...], name: str) -> Any:
    for group in _TABLES:
        listed = table(facts.get(group))
        found = first(listed, name, *keys)
        if found is not None:
            return found
    return first(facts, *keys)


def _open_files(facts: Mapping[str, Any]) -> tuple[int, int] | None:
    """Soft and hard; a number alone is the soft one, as `ulimit -n` prints it, and the hard one is not known (0)."""
    said = _said(facts, _FILES, "nofile")
    plain = _joined(said)
    said = plain or said
    both = _BOTH.fullmatch(plain)
    if both:
        first_, second = int(both[1]), -1 if not both[2].isdigit() else int(both[2])
        return None if 0 <= second < first_ else (first_, second)
    listed = table(said)
    soft, hard = _count(listed.get("soft") if listed else said), _count(first(listed, "hard"))
    hard = hard if hard is not None else _count(_said(facts, _HARD, "nofile_hard"))
    if soft is None:
        return None if hard is None else (hard, hard)
    return soft, 0 if hard is None else hard


def _processes(facts: Mapping[str, Any]) -> int | None:
    """The kernel counts nothing against root, of this machine and not of a user namespace."""
    found = _count(_said(facts, _PROCESSES, "nproc"))
    user = first(facts, "user", "euid", "uid")
    return -1 if found is not None and str(user).strip().lower() in ("root", "0") else found


def _joined(said: Any) -> str:
    """A text with its numbers in one piece; "" of anything else."""
    return _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match[0]), text(said))


def _count(said: Any) -> int | None:
    if _ENDLESS.fullmatch(str(said).strip()):
        return -1
    found = number(_joined(said) or said)
    return int(found) if found is not None and found >= 1 else None


def _memory(said: Any) -> int | None:
    """Bytes of a text with its unit ("64 KiB", "8 MB"); a bare number is left to who knows its unit."""
    if _ENDLESS.fullmatch(text(said)):
        return -1
    return size(said) if re.search(r"[a-z]", text(said), re.IGNORECASE) else None
