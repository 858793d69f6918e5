"""`disk` -> the storage of the model: its room, its speed, its kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import DiskSpeed, Reading, Storage, known
from autoglm_doctor.loose.amounts import amount, folded
from autoglm_doctor.loose.disk_words import about_model, free_in, fs_type, is_full, on_windows_drive, path_in, quota_in
from autoglm_doctor.loose.model_place import download_folder, is_here
from autoglm_doctor.loose.values import answer, first, number, table, text

__all__ = ["fs_type", "read_disk_speed", "read_storage"]

_FREE = ("free", "available", "avail", "left", "remaining", "free_space", "space_free", "space_left")
_KEYS = ("disk", "storage", "disk_space", "filesystem", "file_system", "model_storage", "model_disk")
#: File systems that hold no weights.
_FOR_OTHERS = re.compile(r"/(?:tmp|boot|dev|run|var)(?:/|$)")
#: That these are full is how they are made, or hurts nothing that serves.
_FULL_AS_EVER = re.compile(r"/(?:boot|snap|dev/loop|mnt/backup|media)|/dev$", re.IGNORECASE)
#: File systems that count inodes; of btrfs, FAT and shares `df -i` says 0.
_COUNTS_INODES = re.compile(r"(?:ext[234]|xfs)?$", re.IGNORECASE)
_CACHES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "MODELSCOPE_CACHE", "XDG_CACHE_HOME")
_HOME = re.compile(r"(?:/home|/root|/users|~|\$HOME)(?:/|$)", re.IGNORECASE)


def read_storage(facts: Mapping[str, Any]) -> Reading[Storage] | None:
    """The file system for the weights; None when its room is not stated, or is that of another one."""
    stated = first(facts, *_KEYS)
    said, parts = about_model(text(stated)), folded(table(stated))
    path = text(first(parts, "path", "mount", "mount_point", "mountpoint"))
    full = is_full(said) or _is_full_by_figures(parts)
    free = _free(facts, said, parts)
    if _is_elsewhere(path or path_in(said), facts):
        return None
    if not full and (free is None or _FOR_OTHERS.match(path) or is_here(facts)):
        return None
    words = ("Disk quota exceeded" if "quota" in said.lower() else "No space left on device") if full else ""
    kind = text(first(parts, "fs_type", "type", "filesystem")) or fs_type(said)
    where = path or "the folder of the cache"
    storage = Storage(path=where, wanted=where, fs_type=kind, free_bytes=free or 0, write_error=words)
    return known(storage, source="stated")


def _free(facts: Mapping[str, Any], said: str, parts: Mapping[str, Any]) -> int | None:
    """What is free, or what is allowed in all: more than that does not fit."""
    total, used = amount(parts, "total", "size"), amount(parts, "used")
    left = max(0, total - used) if total is not None and used is not None else None
    quota = quota_in(said) if _is_in_home(facts) else None
    top = amount(folded(facts), *(f"disk_{one}" for one in _FREE), "free_disk", "free_disk_space", "disk_space_free")
    return next((one for one in (amount(parts, *_FREE), left, free_in(said), top, quota) if one is not None), None)


def _is_full_by_figures(parts: Mapping[str, Any]) -> bool:
    share = number(str(first(parts, "use_percent", "used_percent", "percent_used", "usage") or "").rstrip("% "))
    kind = text(first(parts, "fs_type", "type", "filesystem"))
    no_inodes = number(parts.get("inodes_free")) == 0 and number(parts.get("inodes_total")) != 0
    return answer(parts.get("full")) is True or share == 100 or (no_inodes and bool(_COUNTS_INODES.fullmatch(kind)))


def _cache(facts: Mapping[str, Any]) -> str:
    """Where a flag or the variables send downloads; "" where they say nothing of it."""
    if folder := download_folder(facts):
        return folder
    variables = table(first(facts, "env", "environment"))
    return next((path for name in _CACHES if (path := text(variables.get(name))).startswith(("/", "~"))), "")


def _is_elsewhere(path: str, facts: Mapping[str, Any]) -> bool:
    """Whether the disk is not that of the downloads, as far as both are told."""
    cache = _cache(facts)
    inside = path.rstrip("/") and (cache + "/").startswith(path.rstrip("/") + "/")
    return _FULL_AS_EVER.match(path) is not None or bool(cache and path and not inside)


def _is_in_home(facts: Mapping[str, Any]) -> bool:
    cache = _cache(facts)
    return not cache or _HOME.match(cache) is not None


def read_disk_speed(facts: Mapping[str, Any]) -> Reading[DiskSpeed] | None:
    """Measured rates and the type of the file system; None when neither is stated."""
    parts = folded(table(first(facts, *_KEYS)))
    rate = number(first(parts, "sequential_mb_s", "read_mb_s", "mb_s", "read_speed_mb_s", "throughput_mb_s"))
    iops = number(first(parts, "random_iops", "iops"))
    kind = _kind(facts, parts)
    if rate is None and iops is None and not kind:
        return None
    speed = DiskSpeed(
        sample="weights",
        fs_type=kind,
        method="stated",
        random_iops=iops,
        sequential_bytes_per_s=None if rate is None else rate * 1e6,
    )
    return known(speed, source="stated")


def _kind(facts: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    stated = text(first(parts, "fs_type", "type", "filesystem", "fs"))
    said = [text(facts.get(name)) for name in (*_KEYS, "fs_type", "model_path", "mount")]
    named = fs_type(stated) or stated or next((kind for one in said if (kind := fs_type(one))), "")
    return named or ("9p" if _is_windows_drive(facts) else "")


def _is_windows_drive(facts: Mapping[str, Any]) -> bool:
    """WSL, and a model or a cache below /mnt/c."""
    is_wsl = re.search(r"\bwsl|microsoft", f"{text(facts.get('os'))} {text(facts.get('kernel'))}", re.IGNORECASE)
    paths = (text(facts.get("model_path")), text(facts.get("model")), _cache(facts))
    return bool(is_wsl) and not text(facts.get("container")) and any(map(on_windows_drive, paths))
