"""The file system that holds the model, or will hold it once it is downloaded.

Arguments: `model` (name of a hub or folder; null: none in particular), `download_dir` (vLLM's flag), `cwd` (where the
server will be started: relative paths count from there), `root` (where /proc is, for tests), `scratch` (true: also
write 4 KiB to a file without a name, which alone shows a used-up quota). The deployment's variables are our own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.facts import Reading, Storage, known
from autoglm_doctor.probes.protocol import Answers, enter, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of mountinfo."""

    point: str
    fs_type: str


def mounts(root: str = "/") -> list[Mount]:
    """All mounts that this process sees, in the order of mounting; empty where /proc cannot be read."""
    try:
        with open(os.path.join(root, "proc/self/mountinfo"), encoding="utf-8", errors="surrogateescape") as lines:
            return [mount for line in lines if (mount := _parse(line))]
    except OSError:
        return []


def _parse(line: str) -> Mount | None:
    """The optional fields end at a lone "-"; the kernel writes blanks in names as octal (proc_pid_mountinfo(5))."""
    before, separator, after = line.partition(" - ")
    left, right = before.split(" "), after.split(" ")
    if not separator or len(left) < 6:
        return None
    return Mount(point=_unescape(left[4]), fs_type=_unescape(right[0]))


def _unescape(text: str) -> str:
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), text.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")


def mount_of(path: str, root: str = "/") -> Mount | None:
    """The mount that holds an absolute path without links: the longest mount point, the last one mounted there."""
    best: Mount | None = None
    for mount in mounts(root):
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def weights_folder(model: str | None, download_dir: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """Where the weights are or would be downloaded to, and why there."""
    if model and os.path.isdir(path := os.path.expanduser(model)):
        return os.path.abspath(path), "the model's folder"
    if download_dir:
        return os.path.abspath(os.path.expanduser(download_dir)), "--download-dir"
    for name, below in (("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")):
        if environ.get(name):
            return os.path.abspath(os.path.join(os.path.expanduser(environ[name]), below)), name
    return os.path.expanduser("~/.cache/huggingface/hub"), "the default cache of Hugging Face"


def nearest_folder(path: str) -> str:
    """The folder itself, or the closest one above it that exists; links are resolved first, since they may lead to
    another disk."""
    folder = os.path.realpath(os.path.expanduser(path))
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder


def in_the_way(path: str) -> str:
    """The file where a folder on the way to this path should be; "" when folders can be made all the way."""
    place = os.path.realpath(os.path.expanduser(path))
    while not os.path.lexists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    return "" if os.path.isdir(place) or not os.path.lexists(place) else place


def open_unnamed(folder: str) -> int:
    """A new file for reading and writing that vanishes with this process, even when it is killed.

    Raises:
        OSError: nothing can be made in this folder.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(folder, flags | os.O_TMPFILE, 0o600)  # never had a name
    except OSError:
        pass  # not every file system can: NFS, FUSE, old overlayfs
    name = os.path.join(folder, f".autoglm-doctor-{os.urandom(8).hex()}")
    fd = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(name)
    return fd


def _write_error(folder: str) -> str:
    """Why nothing can be written here; "" when 4 KiB went through."""
    try:
        fd = open_unnamed(folder)
        try:
            os.write(fd, b"\0" * 4096)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def probe(arguments: dict[str, Any]) -> Answers:
    """Yields `storage`."""
    enter(arguments.get("cwd"))
    wanted, why = weights_folder(arguments.get("model"), arguments.get("download_dir"), os.environ)
    root = str(arguments.get("root", "/"))
    folder = nearest_folder(wanted)
    try:
        state = os.statvfs(folder)
    except OSError as error:
        yield "storage", Reading(outcome="failed", why=f"{folder}: {error.strerror}", source="statvfs")
        return
    read_only = bool(state.f_flag & os.ST_RDONLY)
    obstacle = in_the_way(wanted)
    write_error = f"{obstacle} is a file, no folder" if obstacle else ""
    if arguments.get("scratch") and not read_only and not obstacle:
        write_error = _write_error(folder)
    mount = mount_of(folder, root)
    value = Storage(
        path=folder,
        wanted=wanted,
        why=why,
        fs_type=mount.fs_type if mount else "",
        mount_point=mount.point if mount else "",
        total_bytes=state.f_blocks * state.f_frsize,
        free_bytes=state.f_bavail * state.f_frsize,
        free_inodes=state.f_favail if state.f_files else None,
        read_only=read_only,
        writable=not read_only and not write_error and os.access(folder, os.W_OK | os.X_OK),
        write_error=write_error,
    )
    yield "storage", known(value, source="statvfs, mountinfo")


if __name__ == "__main__":
    run(probe)
