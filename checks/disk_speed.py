"""DSK: how fast the weights can be read."""

from __future__ import annotations

import re
import shlex

from autoglm_doctor.api import (
    DiskSpeed,
    Findings,
    Fix,
    Intent,
    Judgement,
    ModelFiles,
    Text,
    Threshold,
    check,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.disk import OURS
from autoglm_doctor.domain.model import checkpoint_bytes

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
