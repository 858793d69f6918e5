"""DSK: room for the weights. How fast they can be read is in a file of its own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from autoglm_doctor.api import (
    SMOKE,
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
