"""The model's files: all there, whole, and with what a chat server needs beside the weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from autoglm_doctor.api import (
    Findings,
    Fix,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Reading,
    Text,
    Threshold,
    WeightFile,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.downloads import CACHE, download, file_fixes, path_fixes, wrong_path
from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.matrix.numbers import within

#: safetensors refuses a longer header (MAX_HEADER_SIZE in its source).
HEADER_LIMIT = 100_000_000

#: Names in a message; the whole list is in the evidence.
SHOWN = 3

#: The probe's progress at its time limit, in a reading's `why`: what was read by then.
_READ_BY_THEN = re.compile(r"no answer within ([\d.e+-]+) s, while reading weight files, (\d+) of (\d+) done")

#: fault of a file -> (cause, words). The order is that of the findings.
FAULTS: dict[str, tuple[str, str]] = {
    "missing": ("MODEL_SHARD_MISSING", "{n} of {all} weight files are missing: {names}"),
    "lfs_pointer": ("MODEL_FILES_LFS_POINTER", "{n} of {all} weight files are git-lfs pointers: {names}"),
    "header": ("MODEL_FILES_LFS_POINTER", "{n} of {all} weight files hold something else: {names}"),
    "empty": ("MODEL_FILE_TRUNCATED", "{n} of {all} weight files are empty: {names}"),
    "truncated": ("MODEL_FILE_TRUNCATED", "{n} of {all} weight files are cut off: {names}"),
    "oversized": ("MODEL_FILE_TRUNCATED", "{n} of {all} weight files are longer than they say: {names}"),
    "header_limit": ("SAFETENSORS_HEADER_LIMIT", "the header of {names} is longer than the library takes"),
    "unreadable": ("MODEL_FILE_UNREADABLE", "{n} of {all} weight files cannot be read: {names}"),
}


@check("MDL001", "model-complete", cause="MODEL_SHARD_MISSING", required=True)
def model_complete(model_files: Reading[ModelFiles], intent: Intent) -> Findings:
    """The model's files are all there and whole.

    A download that broke off, a clone without git-lfs and a page of a proxy saved as weights only show after minutes of
    loading, with messages such as HeaderTooLarge. So config.json and the index are parsed and the header of every
    safetensors file is read: its offsets must end exactly at the end of the file. No tensor is read, so a flipped bit
    inside of one is not found. Weights that are not on this machine yet are not judged, unless --require-model; a path
    where no folder is cannot be downloaded and is red.

    So is storage that gives no answer at all within the time limit, as a network mount without its server
    (MODEL_STORAGE_HANGS; docs/sick-machines.md tells the limits, `--timeout` multiplies them). Where some files were
    read by then, the storage is slow and the rest is not known: that is no fault, and no pass.

    Threshold: 100,000,000 bytes for a header (limit of the safetensors library).

    ## Fix

    Download the named files again; after `git clone`, run `git lfs pull`. Where the storage hangs, see to the mount;
    where it is slow, give it time with `--timeout 4`.
    """
    files = model_files.value
    if wrong_path(model_files, intent):
        text = Text("{why}: no engine can load that", {"why": model_files.why or f"there is no folder {intent.model}"})
        yield fail(text, fix=path_fixes(model_files, intent), subject=intent.model, cause="MODEL_PATH_WRONG")
    elif model_files.outcome == "absent" and not intent.require_model:
        yield not_applicable(Text("the weights are not on this machine: {why}", {"why": model_files.why}))
    elif model_files.outcome == "timeout":
        yield _hanging(model_files, intent)
    elif files is None:
        yield unknown(Text("the model's files were not read: {why}", {"why": model_files.why or model_files.outcome}))
    elif _only_begun(files) and not intent.require_model:
        yield not_applicable(Text("the cache holds the model's small files only, the weights are not on this machine"))
    else:
        yield from list(_faults(files, intent)) or [_whole(files)]


def _hanging(model_files: Reading[ModelFiles], intent: Intent) -> Judgement:
    """A look at a folder takes milliseconds; an engine would wait for ever, and could not even be killed."""
    read = _READ_BY_THEN.search(model_files.why)
    if read is not None:
        said = {"limit": float(read[1]), "n": int(read[2]), "all": int(read[3])}
        words = "the storage is slow: {n} of {all} weight files were read within {limit:s}; `--timeout 4` gives it more"
        return unknown(Text(words, said), evidence={"why": model_files.why})
    look = Fix(
        text=Text("see which mount it is, and bring its server back (a forced, lazy umount frees what waits for it)"),
        commands=("findmnt -o TARGET,SOURCE,FSTYPE -t nfs,nfs4,cifs,ceph,lustre,fuse", "sudo dmesg --ctime | tail -20"),
        effort="restart",
        needs_root=True,
    )
    elsewhere = Fix(
        text=Text("put the weights on a disk of this machine, and start the server with that folder"),
        commands=("df -h -l",),
    )
    text = Text("the storage of {model} does not answer: {why}", {"model": intent.model, "why": model_files.why})
    return fail(text, fix=(look, elsewhere), cause="MODEL_STORAGE_HANGS", subject=intent.model)


def _only_begun(files: ModelFiles) -> bool:
    """A cache with a config and no weight file: the engine downloads the rest, as with an empty cache."""
    return files.found_by == CACHE and all(file.fault == "missing" for file in files.weights) and not _other(files)


def _other(files: ModelFiles) -> bool:
    return bool(files.index_error and "not looked into" in files.index_error)


def _whole(files: ModelFiles) -> Judgement:
    said = {"n": len(files.weights), "bytes": sum(file.size_bytes for file in files.weights)}
    if not files.weights:
        return unknown(Text("{error}", {"error": files.index_error or "there are no safetensors files"}))
    return ok(Text("{n} weight file(s), {bytes:GB}, all whole", said), observed=said["bytes"])


def _faults(files: ModelFiles, intent: Intent) -> Iterator[Judgement]:
    # A GGUF file is its own config: where the file is damaged, that is the fault.
    if files.config is None and not (files.found_by == "gguf" and any(w.fault for w in files.weights)):
        text = Text("{error}", {"error": files.config_error or "config.json is missing"})
        yield fail(
            text, fix=download(files, intent, ["config.json"]), subject="config.json", cause="MODEL_CONFIG_BROKEN"
        )
    if files.index_error and not _other(files):
        yield _index(files, intent)
    for fault, (cause, words) in FAULTS.items():
        bad = [file for file in files.weights if file.fault == fault]
        if bad:
            yield _bad_files(files, intent, bad, cause, words)


def _index(files: ModelFiles, intent: Intent) -> Judgement:
    """vLLM and SGLang take every safetensors file of a folder; transformers wants the index."""
    name = "model.safetensors.index.json"
    text = Text("{error}", {"error": files.index_error})
    whole = bool(files.weights) and not any(file.fault for file in files.weights)
    judge = warn if whole and intent.engine != "transformers" and "is missing" in (files.index_error or "") else fail
    names = [name] if files.weights else []
    return judge(text, fix=download(files, intent, names), subject=name)


def _bad_files(files: ModelFiles, intent: Intent, bad: Sequence[WeightFile], cause: str, words: str) -> Judgement:
    names = [file.name for file in bad]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    details = [f"{file.name} ({file.detail})" if file.detail else file.name for file in bad[:SHOWN]]
    said = {"n": len(bad), "all": len(files.weights), "names": ", ".join(details) + more}
    resumes = bad[0].fault == "missing" and files.found_by == CACHE and not intent.require_model
    judge = warn if resumes else fail  # the engine's own download goes on where it broke off
    limit = Threshold(value=HEADER_LIMIT, unit="bytes", source="safetensors, MAX_HEADER_SIZE")
    return judge(
        Text(words, said),
        fix=file_fixes(files, intent, bad[0].fault or "", names),
        subject=names[0] if len(names) == 1 else "",
        cause=cause,
        threshold=limit if bad[0].fault == "header_limit" else None,
        evidence={"files": ", ".join(names)},
    )


@check("MDL002", "tokenizer-and-processor", cause="MODEL_TOKENIZER_MISSING", explained_by=("MDL001",))
def tokenizer_and_processor(model_files: Reading[ModelFiles], packages: Packages | None, intent: Intent) -> Findings:
    """The tokenizer, the image processor and the chat template are there.

    Without a tokenizer the server does not start; without the processor's configuration a vision model takes no
    picture; without a chat template /v1/chat/completions answers every request with an error (give --chat-template
    then; transformers before 4.44 puts a template of its own in its place, and a model that only embeds or scores needs
    none). Every small JSON file must parse.

    ## Fix

    Download the named files.
    """
    files = model_files.value
    if model_files.outcome == "absent" or (files is not None and _only_begun(files)):
        yield not_applicable(Text("the model is not on this machine"))
        return
    if files is None:
        yield unknown(Text("the model's files were not read: {why}", {"why": model_files.why or model_files.outcome}))
        return
    findings = list(_small_faults(files, packages, intent))
    yield from findings or [ok(Text("tokenizer, processor and chat template are there"))]


def _small_faults(files: ModelFiles, packages: Packages | None, intent: Intent) -> Iterator[Judgement]:
    if files.missing_files:
        text = Text("missing: {names}", {"names": ", ".join(files.missing_files)})
        yield fail(text, fix=download(files, intent, files.missing_files), cause=_missing_cause(files.missing_files))
    for broken in files.broken_files:
        name, _, fault = broken.partition(": ")
        pointer = "lfs" in fault
        cause = "MODEL_FILES_LFS_POINTER" if pointer else "MODEL_CONFIG_BROKEN"
        fixes = file_fixes(files, intent, "lfs_pointer" if pointer else "", [name])
        yield fail(Text("{name} is {fault}", {"name": name, "fault": fault}), fix=fixes, subject=name, cause=cause)
    if not (files.has_chat_template or intent.launch.chat_template is not None or _needs_none(packages, intent)):
        yield warn(
            Text("there is no chat template: the chat API will refuse every request"),
            fix=download(files, intent, ["chat_template.jinja", "tokenizer_config.json"]),
            cause="CHAT_TEMPLATE_MISSING",
        )


def _needs_none(packages: Packages | None, intent: Intent) -> bool:
    """A server that does not chat, or a transformers that makes up for it (4.44 says so when it refuses)."""
    task = stated_flag(intent.command, "task") or ""
    pools = task not in ("", "auto", "generate") or stated_flag(intent.command, "runner", "convert") == "pooling"
    installed = installed_version(packages, "transformers") if packages is not None else None
    return pools or "--is-embedding" in intent.command or within(installed, "<4.44")


def _missing_cause(names: Sequence[str]) -> str:
    return "MODEL_TOKENIZER_MISSING" if any(n.startswith("tokenizer") for n in names) else "MODEL_PROCESSOR_MISSING"
