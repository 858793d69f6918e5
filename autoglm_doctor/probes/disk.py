"""How fast the storage of the model reads, past the page cache.

Real weights are only read; where there are none, a scratch file without a name is written, read, and gone. Random
4 KiB reads at queue depth 32, the same one by one, and 1 MiB reads at queue depth 8, through O_DIRECT. The page cache
is left alone: advice to drop pages would evict a model that somebody has warm.

Arguments: `path` (existing folder), `weights` (absolute paths of weight files), `write` (may a scratch file be made),
`seconds` (for all reads together; writing may take twice as long), `scratch_bytes`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import random
import stat
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.facts import DiskSpeed, Outcome, Reading, known
from autoglm_doctor.probes import aio
from autoglm_doctor.probes.protocol import Answers, run
from autoglm_doctor.probes.storage import mount_of, open_unnamed

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

#: Smaller samples sit in the cache of the device or of a controller.
_ENOUGH_WEIGHTS = 64 * MIB
_ENOUGH_SCRATCH = 16 * MIB
_SCRATCH_IN_MEMORY = 64 * MIB  # a file in tmpfs is somebody's RAM
_SPARE = GIB  # a preflight must not be what fills the disk
_MAX_FILES = 64
_RANDOM_PLACES = 32768
_RANDOM = random.Random()  # noqa: S311  it picks places and guards nothing

#: f_type of statfs(2), from linux/magic.h: tmpfs, ramfs, hugetlbfs.
_MEMORY_TYPES = (0x01021994, 0x858458F6, 0x958458F6)
#: OpenZFS before 2.3 takes O_DIRECT and answers from its own cache all the same.
_ZFS_TYPE = 0x2FC12FC1


class NotMeasured(Exception):
    """There is nothing that we may read, or too little; the message is the sentence for the user."""

    outcome: Outcome = "not_run"


class GaveUp(NotMeasured):
    """We tried to make a sample, and it did not come about."""

    outcome: Outcome = "failed"


@dataclass(slots=True, kw_only=True)
class Sample:
    """Open files to read from."""

    kind: str  # "weights" or "scratch"
    files: list[tuple[int, int]]  # descriptor, bytes
    direct: bool
    path: str  # for the name of the file system
    device_type: int = 0  # f_type

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)

    @property
    def cached(self) -> bool:
        """Whether the figures will be those of main memory."""
        return not self.direct or in_memory(self.device_type) or self.device_type == _ZFS_TYPE


def in_memory(f_type: int) -> bool:
    """Whether a statfs type is a file system without a disk."""
    return f_type in _MEMORY_TYPES


def f_type(fd: int) -> int:
    """Type of the file system of an open file; 0 when it does not say. (os.statvfs lacks it.)"""
    buffer = (ctypes.c_long * 64)()  # struct statfs begins with the type as a long on every 64-bit Linux
    if ctypes.CDLL(None).fstatfs(fd, ctypes.byref(buffer)) != 0:
        return 0
    return int(buffer[0]) & 0xFFFFFFFF


def set_direct(fd: int) -> bool:
    """Switch the page cache off for a file; False where the file system refuses or cannot read 4 KiB blocks."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
        os.preadv(fd, [mmap.mmap(-1, 4 * KIB)], 0)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_DIRECT)
        return False
    return True


def weights_sample(paths: Sequence[str], stack: ExitStack) -> Sample | None:
    """The weight files, opened for reading; None when they are too small to tell anything."""
    good = [path for path in paths if _is_whole(path)][:_MAX_FILES]
    if sum(os.stat(path).st_size for path in good) < _ENOUGH_WEIGHTS:
        return None
    files = []
    for path in good:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        files.append((fd, os.fstat(fd).st_size))
    direct = all(set_direct(fd) for fd, _ in files)
    return Sample(
        kind="weights", files=files, direct=direct, path=os.path.realpath(good[0]), device_type=f_type(files[0][0])
    )


def _is_whole(path: str) -> bool:
    """A regular file that we may read, not a pointer file and without holes (which would read at memory speed)."""
    try:
        state = os.stat(path)
    except OSError:
        return False
    blocks = state.st_blocks * 512
    holes = 0 < blocks < state.st_size // 2  # 0 blocks: network and FUSE file systems that do not count them
    return stat.S_ISREG(state.st_mode) and state.st_size >= MIB and not holes and os.access(path, os.R_OK)


def scratch_sample(folder: str, size: int, seconds: float, stack: ExitStack) -> Sample:
    """A file of ours, full of noise, on the disk.

    Raises:
        NotMeasured: no room or no permission.
        GaveUp: the disk is full or so slow that the time was over first.
    """
    try:
        fd = open_unnamed(folder)
    except OSError as error:
        raise NotMeasured(
            f"there are no weights to read yet, and a scratch file in {folder} cannot be made: {error.strerror}"
        ) from error
    stack.callback(os.close, fd)
    kind = f_type(fd)
    size = _scratch_size(folder, size, kind)
    direct = set_direct(fd)
    written = write_noise(fd, size, seconds, direct)
    direct = direct and set_direct(fd)  # only now is there a block to try it on
    return Sample(kind="scratch", files=[(fd, written)], direct=direct, path=folder, device_type=kind)


def _scratch_size(folder: str, wanted: int, kind: int) -> int:
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    size = min(wanted, free - _SPARE, _SCRATCH_IN_MEMORY if in_memory(kind) else wanted) // MIB * MIB
    if size < _ENOUGH_SCRATCH:
        raise NotMeasured(
            f"there are no weights to read yet, and only {free / GIB:.1f} GiB are free in {folder}: "
            "too little for a scratch file"
        )
    return size


def write_noise(fd: int, size: int, seconds: float, direct: bool) -> int:
    """Fill a file with bytes that no file system can compress or share between blocks; returns what was written.

    Stops early when the time is over or the disk, a quota or ulimit is full.

    Raises:
        GaveUp: less than 16 MiB came about.
    """
    deadline = time.perf_counter() + seconds
    step = 1013  # odd: every 4 KiB of the file begins elsewhere in the noise, so no two blocks are the same
    noise = os.urandom(MIB + size // MIB * step)
    chunk = mmap.mmap(-1, MIB)
    written, stopped = 0, f"writing took longer than {seconds:g} s"
    while written < size and time.perf_counter() < deadline:
        start = written // MIB * step
        chunk[:] = noise[start : start + MIB]
        try:
            if os.pwrite(fd, chunk, written) < MIB:
                stopped = "the disk is full"
                break
            if not direct and written % (8 * MIB) == 0:
                os.fdatasync(fd)  # else the page cache swallows it all and the last fsync takes for ever
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            stopped = error.strerror or str(error)
            break
        written += MIB
    os.fsync(fd)
    if written < min(size, _ENOUGH_SCRATCH):
        raise GaveUp(f"a scratch file could not be written, only {written // MIB} MiB: {stopped}")
    return written


def random_places(files: Sequence[tuple[int, int]], size: int) -> list[aio.Place]:
    """Aligned places all over the files, each file in proportion to its length."""
    blocks = [length // size for _, length in files]
    chosen = _RANDOM.choices(range(len(files)), weights=blocks, k=_RANDOM_PLACES)
    return [(files[i][0], _RANDOM.randrange(blocks[i]) * size) for i in chosen]


def places_in_order(files: Sequence[tuple[int, int]], size: int) -> list[aio.Place]:
    """All places of the files one after the other, from a random one on: not always what was read last time."""
    places = [(fd, offset) for fd, length in files for offset in range(0, length // size * size, size)]
    start = _RANDOM.randrange(len(places))
    return places[start:] + places[:start]


@dataclass(slots=True)
class _Depth:
    """Reads at a queue depth by the best way that this machine allows."""

    method: str = "libaio"

    def rate(self, places: Sequence[aio.Place], size: int, depth: int, seconds: float) -> float | None:
        """Reads per second; None when neither asynchronous I/O nor threads are allowed, or nothing came."""
        if self.method == "libaio":
            try:
                return aio.libaio(places, size, depth, seconds)
            except aio.Refused:
                self.method = "preadv in threads"
        try:
            return aio.threads(places, size, depth, seconds)
        except aio.Refused:
            self.method = "preadv one by one"
        return None


def measure(sample: Sample, seconds: float) -> DiskSpeed:
    """Two fifths of the time each for random and for sequential reads, one fifth for single ones.

    Raises:
        OSError: a read failed: a dying disk, a file that somebody is shortening.
    """
    started = time.perf_counter()
    places, ordered = random_places(sample.files, 4 * KIB), places_in_order(sample.files, MIB)
    depth = _Depth()
    iops = depth.rate(places, 4 * KIB, 32, 0.4 * seconds)
    single = aio.one_by_one(places, 4 * KIB, 0.2 * seconds)
    flow = depth.rate(ordered, MIB, 8, 0.4 * seconds)
    if depth.method == "preadv one by one":  # a floor is still worth something for 1 MiB reads
        flow = aio.one_by_one(ordered, MIB, 0.4 * seconds)
    mount = mount_of(sample.path)
    return DiskSpeed(
        sample=sample.kind,
        fs_type=mount.fs_type if mount else "",
        method=f"{depth.method}, {'O_DIRECT' if sample.direct else 'buffered'}",
        cached=sample.cached,
        random_iops=iops,
        random_latency_us=1e6 / single if single else None,
        sequential_bytes_per_s=flow * MIB if flow else None,
        sample_bytes=sample.size,
        seconds=time.perf_counter() - started,
    )


def _read(arguments: dict[str, Any]) -> Reading[DiskSpeed]:
    folder, seconds = str(arguments["path"]), float(arguments.get("seconds", 1.0))
    with ExitStack() as stack:
        sample = weights_sample(arguments.get("weights") or (), stack)
        if sample is None:
            if not arguments.get("write", False):
                raise NotMeasured("there are no weights to read yet, and no scratch file was allowed")
            size = int(arguments.get("scratch_bytes", 256 * MIB))
            sample = scratch_sample(folder, size, 2 * seconds, stack)
        speed = measure(sample, seconds)
        return known(speed, source=speed.method)


def probe(arguments: dict[str, Any]) -> Answers:
    """Yields `disk_speed`."""
    try:
        yield "disk_speed", _read(arguments)
    except NotMeasured as none:
        yield "disk_speed", Reading(outcome=none.outcome, why=str(none))
    except OSError as error:
        yield "disk_speed", Reading(outcome="failed", why=f"reading from the storage of the model failed: {error}")


if __name__ == "__main__":
    run(probe)
