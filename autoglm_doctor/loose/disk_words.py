"""What a sentence says of a disk: that it is full, how much is free, what kind of file system it is."""

from __future__ import annotations

import re

from autoglm_doctor.loose.values import size

_FULL = re.compile(
    r"no (?:more )?(?:disk )?space|out of (?:disk )?space|not enough (?:disk )?space|disk (?:is )?full|ENOSPC"
    r"|quota (?:is |was )?(?:exceeded|used up|reached|full|exhausted)|over (?:the |its )?quota"
    r"|100 ?% (?:full|used|in use)|(?:usage|used?)[:= ]{1,3}100 ?%"
    r"|\b0 ?(?:bytes|[kmgt]i?b?)? (?:are )?(?:free|left|available)",
    re.IGNORECASE,
)
#: What is told of other disks, and of those that are full by their making.
_OF_OTHERS = re.compile(r"/dev/loop\d|/snap\b|\bsquashfs\b|/boot\b|\bback-?ups?\b", re.IGNORECASE)
_ON_ANOTHER = re.compile(
    r"\b(?:model|weights|cache)s? (?:is |are |lies? |lives? )?(?:on|in) (?:an)?(?:other|a different|its own) "
    r"(?:disk|drive|volume|partition|mount)\b(?! *[?:=])",
    re.IGNORECASE,
)
#: What was so before, and is mended since.
_BEFORE = re.compile(r"\b(?:was|were|had been|used to be|previously|before)\b[^.;]*$", re.IGNORECASE)
_SINCE = re.compile(
    r"\b(?:now|since|cleaned|freed|after (?:clean|delet|free|mov|expand|resiz|prun)\w*)\b", re.IGNORECASE
)
_PATH = re.compile(r"(?<![\w/.])/[\w.-]+(?:/[\w.-]+)*")
_DENIED = re.compile(r"(?:\bnot|\bnever|n't|\bno)(?: \w+)? $", re.IGNORECASE)
_SIZE = r"\d[\d,.]{0,12}\s*[kmgt]i?b?\b"
#: Behind a size: what is not free.
_TAKEN = "(?:used|taken|occupied|needed|required|in use|big|large|model)"
_FREE = re.compile(
    rf"({_SIZE})(?: of (?:disk|space|room|storage)| (?:disk )?space)?"
    r" (?:is |are |was )?(?:free|left|available|remaining)"
    rf"|(?:free|available|avail|remaining|left)(?: (?:disk )?space)?(?: is| of|:|=| only)* ?({_SIZE})"
    rf"|\bonly (?:about )?({_SIZE})(?! (?:of|/|per|ram|(?:(?:is|are) )?{_TAKEN}))",
    re.IGNORECASE,
)
_QUOTA = re.compile(rf"quota(?: is| of|:|=)* ?({_SIZE})|({_SIZE}) (?:home |disk |user )?quota", re.IGNORECASE)

#: A file system in words -> its type. "network" stands for those of which only that is said.
_KINDS = (
    (r"\b(nfs4?|cifs|smb3?|ceph|lustre|glusterfs|beegfs|gpfs|9p|drvfs|virtiofs)\b", ""),
    (r"\b(fuse\.[\w-]+|sshfs|s3fs|gcsfuse|juicefs|goofys|geesefs|rclone|blobfuse2?|ossfs|cosfs)\b", ""),
    (r"\bnas\b|\bsamba\b|\bsmb share", "network"),
    (r"wsl file ?system|windows drive|host folder|windows folder", "9p"),
    (r"network|distributed|remote|shared storage", "network"),
)
#: A disk of the machine beside a share: which of them holds the model is not told.
_LOCAL = re.compile(r"\b(?:nvme|ssd|local (?:disk|drive|storage|folder)|tmpfs|ext4|xfs|/dev/sd)", re.IGNORECASE)
_CLAIMED = re.compile(r"presented as|shown as|looks like|network disk|pretend", re.IGNORECASE)
#: Where WSL shows the drives of Windows.
_DRIVE = re.compile(r"/mnt/[a-z](?:/|\b(?! */))", re.IGNORECASE)


def about_model(said: str) -> str:
    """What of a sentence is about the disk of the model; "" where that is another one."""
    if _ON_ANOTHER.search(said):
        return ""
    parts = re.split(r"\s*(?:[;\n]|, )\s*", said)
    return "; ".join(one for one in parts if not _OF_OTHERS.search(one)) if _OF_OTHERS.search(said) else said


def path_in(said: str) -> str:
    """The one folder that it names; "" for none, several, or a device."""
    found = {one for one in _PATH.findall(said) if not one.startswith("/dev/")}
    return found.pop() if len(found) == 1 else ""


def is_full(said: str) -> bool:
    """Whether it says that nothing fits any more."""
    match = _FULL.search(said)
    if match is None or _DENIED.search(said[: match.start()]):
        return False
    return not (_BEFORE.search(said[: match.start()]) and _SINCE.search(said[match.end() :]))


def free_in(said: str) -> int | None:
    """Bytes that it says are free; None where it names none, or several."""
    found = {size(one) for match in _FREE.findall(said) for one in match if one}
    return found.pop() if len(found) == 1 else None


def quota_in(said: str) -> int | None:
    """Bytes of a quota; None where it names none. More than that never fits."""
    match = _QUOTA.search(said)
    return size(match[1] or match[2]) if match else None


def fs_type(said: str) -> str:
    """The type of the file system that a sentence speaks of; "" for none, or beside a disk of the machine."""
    for pattern, kind in _KINDS:
        match = re.search(pattern, said, re.IGNORECASE)
        if match:
            return "" if _LOCAL.search(said) and not _CLAIMED.search(said) else kind or match[1].lower()
    return ""


def on_windows_drive(path: str) -> bool:
    """Whether a path of WSL lies on a drive of Windows."""
    return _DRIVE.match(path) is not None
