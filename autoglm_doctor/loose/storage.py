"""`disk` -> the storage of the model; `network` -> whether the hub can be reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import DiskSpeed, Download, Reading, Storage, known
from autoglm_doctor.intent import UNNAMED
from autoglm_doctor.loose.model import model_name
from autoglm_doctor.loose.values import number, size, table, text

GIB = 1 << 30

_FULL = r"no space|disk (?:is )?full|quota (?:is )?(?:exceeded|used up|reached)"
_CUT_OFF = (
    r"not? (?:reachable|accessible|available|internet|access)|unreachable|blocked|offline|air-?gapped|timed? ?out"
)


#: A file system in words -> its type. "network" stands for those of which only that is said.
_KINDS = (
    (r"\b(nfs4?|cifs|smb3?|ceph|lustre|glusterfs|beegfs|gpfs|9p|drvfs|virtiofs)\b", ""),
    (r"\b(fuse\.[\w-]+|sshfs|s3fs|gcsfuse|juicefs|goofys|geesefs|rclone|blobfuse2?|ossfs|cosfs)\b", ""),
    (r"wsl file ?system|windows drive|host folder", "9p"),
    (r"network|distributed|remote|shared storage", "network"),
)


def fs_type(said: str) -> str:
    """The type of the file system that a sentence speaks of; "" when it names none."""
    for pattern, kind in _KINDS:
        match = re.search(pattern, said, re.IGNORECASE)
        if match:
            return kind or match[1].lower()
    return ""


def read_storage(facts: Mapping[str, Any]) -> Reading[Storage] | None:
    """The file system for the weights; None when its room is not stated."""
    stated = facts.get("disk")
    said = text(stated)
    free = size(table(stated).get("free_gib"), GIB)
    full = re.search(_FULL, said, re.IGNORECASE)
    if free is None and not full:
        return None
    path = text(table(stated).get("path")) or "the folder of the cache"
    words = ("Disk quota exceeded" if "quota" in said.lower() else "No space left on device") if full else ""
    kind = text(table(stated).get("fs_type")) or fs_type(said)
    return known(
        Storage(path=path, wanted=path, fs_type=kind, free_bytes=free or 0, write_error=words), source="stated"
    )


def read_disk_speed(facts: Mapping[str, Any]) -> Reading[DiskSpeed] | None:
    """Measured rates and the type of the file system; None when neither is stated."""
    stated = table(facts.get("disk"))
    rate, iops = number(stated.get("sequential_mb_s")), number(stated.get("random_iops"))
    kind = text(stated.get("fs_type")) or fs_type(text(facts.get("disk"))) or fs_type(text(facts.get("model_path")))
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


def read_download(facts: Mapping[str, Any]) -> Reading[Download] | None:
    """That the hub cannot be reached; None when nothing is said of it."""
    said = text(facts.get("network"))
    about_hub = re.search(r"hugging ?face|\bhf\b|\bhub\b|internet", said, re.IGNORECASE)
    if not (about_hub and re.search(_CUT_OFF, said, re.IGNORECASE)):
        return None
    name = model_name(facts)
    return known(Download(repository="MODEL" if name == UNNAMED else name, error=said), source="stated")
