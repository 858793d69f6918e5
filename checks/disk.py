"""The disk under the model: room for the weights, and how fast they can be read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from autoglm_doctor.api import (
    SMOKE,
    DiskSpeed,
    Findings,
    Fix,
    Intent,
    Judgement,
    ModelFiles,
    Reading,
    Storage,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.downloads import wrong_path
from autoglm_doctor.domain.model import checkpoint_bytes, folder_complete

#: Tokenizer, configuration and a download's own temporary files come on top of the weights.
DOWNLOAD_FACTOR = 1.1
#: vLLM's compile cache, Triton's and FlashInfer's kernels and the logs of the first day.
LEFT_BYTES = 5 * 2**30
#: A snapshot of a hub model is some dozen files and links; with fewer inodes than that it breaks off.
INODES = 200
SLOW_IOPS = 1000
SLOW_BYTES_PER_S = 200e6

MEMORY_FS = ("tmpfs", "ramfs", "hugetlbfs")
NETWORK_FS = ("nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "glusterfs", "beegfs", "gpfs", "afs", "fuse.sshfs")
HOST_FS = ("9p", "drvfs", "virtiofs", "vboxsf")
#: Of those, the ones that are slow more often than not. "network" is one of which only that is known; Lustre and its
#: kind are built for this, and virtiofs is nearly as fast as the host.
SLOW_FS = ("nfs", "nfs3", "nfs4", "cifs", "smb3", "afs", "network", "9p", "drvfs", "vboxsf")
#: In user space, over the network to an object store or another machine. Others there lie on a local disk.
REMOTE_FUSE = re.compile(
    r"(?:fuse\.)?(?:sshfs|s3fs|mount-s3|s3backer|gcsfuse|juicefs|goofys|geesefs|rclone|blobfuse2?|ossfs2?|cosfs|davfs2?"
    r"|glusterfs|ceph|ceph-fuse|moosefs|seaweedfs|alluxio(?:-fuse)?|hf-mount)(?:\..*)?",
    re.IGNORECASE,
)

OURS = "ours: to be judged against your own disks"


@check("DSK001", "space-for-weights", cause="DISK_FULL", left_open_by=("MDL001",))
def space_for_weights(storage: Reading[Storage], model_files: Reading[ModelFiles], intent: Intent) -> Findings:
    """There is room for the weights that still have to be downloaded.

    A download that fills the disk breaks off after many minutes, takes down whatever else writes there, and leaves
    half a model that the engine then stumbles over.

    Looked at is the file system that really will hold the weights (--download-dir, HF_HOME, the cache of ModelScope,
    with links followed): free bytes for an ordinary user, free inodes, whether it may be written, and a test write of
    4 KiB, which alone shows a used-up quota.

    Red: less than 1.1 times the bytes that are still missing, a file system that cannot be written, or fewer than 200
    free inodes. Yellow: less than 5 GiB would be left for compile caches and logs. The numbers are ours. A model that
    is complete on this machine needs no room.

    ## Fix
    Send the download elsewhere: `export HF_HOME=/data/huggingface` (vLLM and SGLang also take `--download-dir`), or
    make room. `df -h` shows the file systems, `du -xhd2 / | sort -h | tail` what fills one.
    """
    if intent.model == SMOKE or intent.launch.load_format == "dummy":
        yield not_applicable(Text("no weights are needed"))
    elif wrong_path(model_files, intent):
        yield not_applicable(Text("a path is named as the model, so nothing is downloaded"))
    elif folder_complete(model_files.value):
        yield not_applicable(Text("all weights are on this machine already"))
    elif storage.value is None:
        yield unknown(Text("the storage for the weights could not be read: {why}", {"why": storage.why}))
    else:
        yield from _room(storage.value, model_files.value, intent)


def _room(storage: Storage, files: ModelFiles | None, intent: Intent) -> Iterator[Judgement]:
    where = {"path": storage.path, "why": f" ({storage.why})" if storage.why else ""}
    blocked = _cannot_write(storage)
    if blocked:
        yield fail(
            Text("the weights cannot be downloaded to {path}{why}: " + blocked, where),
            fix=_elsewhere(storage, intent),
            observed=blocked,
            evidence={"mount_point": storage.mount_point, "fs_type": storage.fs_type},
        )
        return
    total = checkpoint_bytes(intent, files)
    if total is None:
        text = "{free:GiB} are free in {path}{why}, but the size of this model is not known"
        yield unknown(Text(text, {"free": storage.free_bytes, **where}))
        return
    where["path"] = storage.wanted or storage.path
    there = sum(weight.size_bytes for weight in files.weights if not weight.fault) if files else 0
    yield _compare(storage, intent, int(DOWNLOAD_FACTOR * max(total - there, 0)), where)


def _cannot_write(storage: Storage) -> str:
    if storage.read_only:
        return "the file system is mounted read-only"
    if storage.write_error:
        return f"nothing can be written there ({storage.write_error})"
    if not storage.writable:
        return "this user may not write there"
    if storage.free_inodes is not None and storage.free_inodes < INODES:
        return f"only {storage.free_inodes} free inodes are left, so no more files fit"
    return ""


def _compare(storage: Storage, intent: Intent, need: int, where: dict[str, str]) -> Judgement:
    free, left = storage.free_bytes, storage.free_bytes - need
    values = {"free": free, "need": need, "left": max(left, 0), **where}
    threshold = Threshold(value=need, unit="bytes", source="1.1 x the missing bytes of the model")
    if left < 0:
        return fail(
            Text("the download needs {need:GiB}, and {path}{why} has {free:GiB} free", values),
            fix=_elsewhere(storage, intent),
            observed=free,
            expected=need,
            threshold=threshold,
            evidence={"mount_point": storage.mount_point, "fs_type": storage.fs_type},
        )
    if left < LEFT_BYTES:
        return warn(
            Text(
                "after the download only {left:GiB} would be left in {path}{why}, for compile caches and logs", values
            ),
            fix=_elsewhere(storage, intent),
            observed=left,
            expected=LEFT_BYTES,
            threshold=Threshold(value=LEFT_BYTES, unit="bytes", source=OURS),
        )
    text = "the download needs {need:GiB}, and {path}{why} has {free:GiB} free"
    return ok(Text(text, values), observed=free, expected=need, threshold=threshold)


def _elsewhere(storage: Storage, intent: Intent) -> tuple[Fix, ...]:
    modelscope = str(intent.environment.get("VLLM_USE_MODELSCOPE", "")).lower() in ("1", "true")
    redirect = f"export {'MODELSCOPE_CACHE=/data/modelscope' if modelscope else 'HF_HOME=/data/huggingface'}"
    if intent.launch.download_dir and intent.command:  # the flag beats the variable, and the last flag wins
        redirect = shlex.join((*intent.command, "--download-dir", "/data/models"))
    place = shlex.quote(storage.mount_point or storage.path)
    return (
        Fix(
            text=Text("download to a file system with room: the first line shows them, put its mount point for /data"),
            commands=("df -h -x tmpfs -x devtmpfs -x squashfs", redirect),
        ),
        Fix(
            text=Text("see what can go from {place}", {"place": place}),
            commands=(f"du -xhd2 {place} 2>/dev/null | sort -h | tail -n 20",),
        ),
    )


@check("DSK002", "random-reads", cause="SLOW_MODEL_STORAGE")
def random_reads(disk_speed: DiskSpeed, model_files: ModelFiles | None, intent: Intent) -> Findings:
    """The storage of the model answers small random reads quickly.

    Starting an engine reads tens of thousands of small pieces: Python modules, tokenizer, and weights through mapped
    memory. A hard disk manages 100 to 300 of them a second, a throttled cloud volume a few hundred, an SSD 10,000 and
    more; start-up then takes minutes instead of seconds.

    Measured: random reads of 4 KiB with 32 under way (libaio, O_DIRECT, past the page cache), for under half a second,
    on the real weight files where they are there, else on a scratch file. What is already warm in the page cache stays
    there.

    Yellow: fewer than 1,000 reads a second (ours). Never red: slow is not broken. Figures that come from main memory
    because the file system takes no direct reads are not judged.

    ## Fix
    Copy the model to a local SSD or NVMe disk, or give the volume more IOPS.
    """
    known = _judgeable(disk_speed, intent, disk_speed.random_iops)
    if known:
        yield known
        return
    iops = disk_speed.random_iops or 0.0
    text = Text(
        "{iops:count} random 4 KiB reads a second{place}",
        {"iops": iops, "place": _place(disk_speed)},
    )
    threshold = Threshold(value=SLOW_IOPS, unit="reads/s", source=OURS)
    if iops >= SLOW_IOPS:
        yield ok(text, observed=round(iops), expected=SLOW_IOPS, threshold=threshold, evidence=_evidence(disk_speed))
        return
    yield warn(
        Text("only " + text.template + ": starting the engine will take long", text.params),
        fix=_faster(disk_speed, model_files, intent),
        observed=round(iops),
        expected=SLOW_IOPS,
        threshold=threshold,
        evidence=_evidence(disk_speed),
    )


@check("DSK003", "sequential-reads", cause="SLOW_MODEL_STORAGE")
def sequential_reads(disk_speed: DiskSpeed, model_files: ModelFiles | None, intent: Intent) -> Findings:
    """The weights can be read in reasonable time.

    Every start of the server reads all weights once, unless they are still in the page cache: 20 GB take 20 s from an
    SSD at 1 GB/s and more than three minutes at 100 MB/s. Network and host-shared file systems are often slower still
    for an engine than the figure here, because mapped memory is read in small pieces.

    Measured: reads of 1 MiB, 8 under way (libaio, O_DIRECT), for under half a second, on the real weight files where
    they are there, else on a scratch file. On such files it foretold a cold load within 7 to 20 %, always too quick.

    Yellow: below 200 MB/s (ours). Never red: slow is not broken. Figures that come from main memory because the file
    system takes no direct reads are not judged. Where there is none, NFS, SMB, a folder of the Windows host (9p) and an
    object store mounted through FUSE are yellow as well: engines read them many times slower than a disk (258 s against
    32 s for one model in sglang's pull request 7469), unless the command has the flag below.

    ## Fix
    Copy the model to a local SSD or NVMe disk. From a network file system, read the files in one go instead of through
    mapped memory: vLLM `--safetensors-load-strategy eager`, SGLang `--weight-loader-disable-mmap` (both need main
    memory for a whole file).
    """
    rate = disk_speed.sequential_bytes_per_s
    known = _judgeable(disk_speed, intent, rate)
    if known is not None and known.status == "unknown" and _is_slow_kind(disk_speed) and not _reads_whole(intent):
        yield warn(
            Text(
                "the weights come" + _place(disk_speed) + ", and how fast it is was not measured: loading may be slow"
            ),
            fix=_faster(disk_speed, model_files, intent),
            observed=disk_speed.fs_type,
            evidence=_evidence(disk_speed),
        )
        return
    if known or rate is None:
        yield known or unknown(Text("no read ended in time"))
        return
    size = checkpoint_bytes(intent, model_files)
    values = {"rate": rate, "place": _place(disk_speed), "size": size, "time": (size or 0) / rate}
    text = "{rate:MB/s} of sequential reads{place}" + (": at least {time:s} for {size:GB} of weights" if size else "")
    threshold = Threshold(value=int(SLOW_BYTES_PER_S), unit="bytes/s", source=OURS)
    if rate >= SLOW_BYTES_PER_S:
        yield ok(
            Text(text, values),
            observed=round(rate),
            expected=int(SLOW_BYTES_PER_S),
            threshold=threshold,
            evidence=_evidence(disk_speed),
        )
        return
    yield warn(
        Text("only " + text, values),
        fix=_faster(disk_speed, model_files, intent),
        observed=round(rate),
        expected=int(SLOW_BYTES_PER_S),
        threshold=threshold,
        evidence=_evidence(disk_speed),
    )


#: What makes an engine read a file in one go.
_WHOLE = {"vllm": "--safetensors-load-strategy eager", "sglang": "--weight-loader-disable-mmap"}


def _judgeable(speed: DiskSpeed, intent: Intent, figure: float | None) -> Judgement | None:
    """What to say instead of comparing; None when the figure may be compared.

    A file system in memory is what it measures: the model lies there and will be read at that speed.
    """
    if intent.launch.load_format == "dummy":
        return not_applicable(Text("no weights are read"))
    if figure is None:
        return unknown(Text("no figure: reading by {method} gave none", {"method": speed.method}))
    if speed.cached and speed.fs_type not in MEMORY_FS:
        text = "{fs_type} takes no direct reads: what was measured is main memory and says nothing of the disk"
        return unknown(Text(text, {"fs_type": speed.fs_type or "the file system"}), evidence=_evidence(speed))
    return None


def _is_slow_kind(speed: DiskSpeed) -> bool:
    return speed.fs_type in SLOW_FS or REMOTE_FUSE.fullmatch(speed.fs_type) is not None


def _reads_whole(intent: Intent) -> bool:
    """Whether the command reads whole files already, and not the small pieces of mapped memory."""
    return (_WHOLE.get(intent.engine) or "no such flag") in " ".join(intent.command).replace("=", " ")


def _place(speed: DiskSpeed) -> str:
    if speed.fs_type in MEMORY_FS:
        return f" from main memory ({speed.fs_type})"
    if speed.fs_type == "network":
        return " over a network file system"
    if speed.fs_type in NETWORK_FS:
        return f" over a network file system ({speed.fs_type})"
    if speed.fs_type in HOST_FS:
        return f" from a folder of the host ({speed.fs_type})"
    if speed.fs_type.startswith("fuse"):
        return f" through a user-space file system ({speed.fs_type})"
    return f" from {speed.fs_type}" if speed.fs_type else ""


def _evidence(speed: DiskSpeed) -> dict[str, str | int | float | bool | None]:
    return {
        "fs_type": speed.fs_type,
        "sample": speed.sample,
        "sample_bytes": speed.sample_bytes,
        "method": speed.method,
        "latency_us": round(speed.random_latency_us, 1) if speed.random_latency_us else None,
    }


def _faster(speed: DiskSpeed, files: ModelFiles | None, intent: Intent) -> tuple[Fix, ...]:
    source = shlex.quote(files.path) if files else ""
    copy = (f"mkdir -p /data/models && cp -rL {source} /data/models/",) if source else ()
    local = Fix(
        text=Text("keep the model on a local SSD: the first line shows the disks, put its mount point for /data"),
        commands=("lsblk -o NAME,ROTA,SIZE,MODEL,MOUNTPOINT", *copy),
    )
    flag = _WHOLE.get(intent.engine)
    remote = speed.fs_type in (*NETWORK_FS, "network") or speed.fs_type in HOST_FS or speed.fs_type.startswith("fuse")
    if not (remote and flag and intent.command) or _reads_whole(intent):
        return (local,)
    eager = Fix(
        text=Text("read whole files instead of mapped memory, if main memory holds one"),
        commands=(f"{shlex.join(intent.command)} {flag}",),
        effort="flag",
    )
    return (eager, local)
