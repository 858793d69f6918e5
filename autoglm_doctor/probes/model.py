"""The model's files on this machine: found, and judged by headers and JSON alone. No tensor is read."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_doctor.domain.downloads import BY_PATH, IS_FILE, names_a_path
from autoglm_doctor.facts import ModelFiles, Reading, known
from autoglm_doctor.intent import SMOKE
from autoglm_doctor.probes.gguf import files_of_gguf, is_gguf
from autoglm_doctor.probes.modelcache import expand, find_model
from autoglm_doctor.probes.protocol import Answers, enter, run
from autoglm_doctor.probes.regular import open_regular
from autoglm_doctor.probes.safetensors_header import Header, collector_paused, is_lfs_pointer, read_header
from autoglm_doctor.probes.tensor_groups import added

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

#: One of these is enough to make a tokenizer (tekken.json and *.model: Mistral, SentencePiece, tiktoken).
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "spiece.model")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
#: How often the progress is told. A check takes storage of which files were read for slow, other storage for hung.
TELL_SECONDS = 0.5

_NUMBERED = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")


def probe(arguments: dict[str, Any]) -> Answers:
    """Answer `model_files`.

    Arguments: model (name of a hub, folder or GGUF file), environment (variables of the deployment; our own when
    missing), download_dir (vLLM's flag), cwd (where the server will be started: relative paths count from there).
    """
    enter(arguments.get("cwd"))
    model = str(arguments["model"])
    if model == SMOKE:
        yield "model_files", Reading(outcome="absent", why="the smoke model is made on the spot")
        return
    environ = arguments.get("environment")
    environ = dict(os.environ) if environ is None else environ
    file = Path(expand(model, environ))
    if is_gguf(model) and file.is_file():
        yield "model_files", known(files_of_gguf(file.absolute()), source="gguf")
        return
    found = find_model(model, environ, arguments.get("download_dir"))
    if found is None:
        yield "model_files", _not_here(model, environ)
        return
    try:
        files = yield from _reading(found[0].absolute(), found[1])
        yield "model_files", known(files, source=found[1])
    except OSError as error:
        yield "model_files", Reading(outcome="failed", why=f"{found[0]} cannot be read: {error.strerror}")


def _not_here(model: str, environ: Mapping[str, str]) -> Reading[ModelFiles]:
    """A name of a hub can still be downloaded; a path cannot, and neither can a file that bears the name."""
    if os.path.lexists(expand(model, environ)):
        return Reading(outcome="absent", why=f"{model} is a file, not a model's folder", source=IS_FILE)
    if names_a_path(model):
        return Reading(outcome="absent", why=f"there is no folder {model}", source=BY_PATH)
    return Reading(outcome="absent", why=f"{model} is not on this machine")


def read_folder(folder: Path, found_by: str) -> ModelFiles:
    """Everything about one model folder.

    Raises:
        OSError: the folder cannot be listed.
    """
    steps = _reading(folder, found_by)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            files: ModelFiles = end.value
            return files


def _reading(folder: Path, found_by: str) -> Generator[tuple[str, Reading[Any]], None, ModelFiles]:
    """Reads a folder and says how far it is."""
    told = time.monotonic()
    names = sorted(os.listdir(folder))
    broken = _broken(folder, names)
    config = _load(folder / "config.json")
    wanted, index_error = _weights(folder, names)
    headers: list[Header] = []
    for name in wanted:
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            why = f"reading weight files, {len(headers)} of {len(wanted)} done"
            yield "progress", Reading(outcome="not_run", why=why)
        headers.append(read_header(folder / name, name))
    return ModelFiles(
        path=str(folder),
        found_by=found_by,
        config=config.value,
        config_error=config.error,
        preprocessor=_preprocessor(folder),
        weights=tuple(header.file for header in headers),
        index_error=index_error,
        dtype_bytes=added([header.dtype_bytes for header in headers]),
        groups=added([header.groups for header in headers]),
        missing_files=_missing(names, config.value or {}),
        broken_files=broken,
        has_chat_template=_has_chat_template(folder, names),
        custom_code="auto_map" in (config.value or {}),
        pooling=_pools(folder, names),
    )


@dataclass(frozen=True, slots=True)
class _Json:
    value: dict[str, Any] | None
    error: str | None


def _load(path: Path) -> _Json:
    try:
        with open_regular(path) as stream, collector_paused():
            value = json.loads(stream.read())
    except FileNotFoundError:
        return _Json(None, f"{path.name} is missing")
    except OSError as error:
        return _Json(None, f"{path.name} cannot be read: {error.strerror}")
    except (ValueError, RecursionError):
        is_pointer = is_lfs_pointer(path)
        return _Json(None, f"{path.name} is {'a git-lfs pointer' if is_pointer else 'no valid JSON'}")
    return _Json(value, None) if isinstance(value, dict) else _Json(None, f"{path.name} is no JSON object")


def _broken(folder: Path, names: list[str]) -> tuple[str, ...]:
    """Small files that are not what they should be. The index and config.json have fields of their own."""
    faults = []
    for name in names:
        path = folder / name
        if name.endswith((".json", ".jinja", ".model", ".txt")) and is_lfs_pointer(path):
            faults.append(f"{name}: a git-lfs pointer")
        elif name.endswith(".json") and name not in (INDEX, "config.json") and path.is_file():
            faults += [f"{name}: {fault}" for fault in _json_fault(path)]
    return tuple(faults)


def _json_fault(path: Path) -> list[str]:
    try:
        with open_regular(path) as stream, collector_paused():
            json.loads(stream.read())
    except OSError as error:
        return [f"cannot be read: {error.strerror}"]
    except (ValueError, RecursionError):
        return ["empty" if path.stat().st_size == 0 else "no valid JSON"]
    return []


def _weights(folder: Path, names: list[str]) -> tuple[list[str], str | None]:
    """The names of the files that a loader would take, and what is wrong with their list."""
    if INDEX in names:
        index = _load(folder / INDEX)
        shards = (index.value or {}).get("weight_map")
        if isinstance(shards, dict) and set(map(type, shards.values())) == {str}:
            wanted = sorted(set(shards.values()))
            if any(os.path.isabs(name) or ".." in name.split("/") for name in wanted):
                return [], f"{INDEX} names files outside of the folder"
            return wanted, None
        return _unlisted(names), index.error or f"{INDEX} has no weight_map"
    if SINGLE in names:
        return [SINGLE], None
    unlisted = _unlisted(names)
    if unlisted:
        return unlisted, f"{INDEX} is missing" if len(unlisted) > 1 else None
    return [], _other_formats(names)


def _unlisted(names: list[str]) -> list[str]:
    """Without an index: what lies there, and the gaps in "-00003-of-00005" names."""
    present = [name for name in names if name.endswith(".safetensors")]
    wanted = set(present)
    for name in present:
        numbered = _NUMBERED.search(name)
        if numbered and int(numbered[2]) < 10_000:
            stem, total = name[: numbered.start()], numbered[2]
            wanted |= {f"{stem}-{i:05d}-of-{total}.safetensors" for i in range(1, int(total) + 1)}
    return sorted(wanted)


def _other_formats(names: list[str]) -> str:
    for ending in (".gguf", ".bin", ".pt", ".pth"):
        found = [name for name in names if name.endswith(ending) and not name.startswith("training_args")]
        if found:
            return f"the weights are {ending} files ({found[0]}), which are not looked into"
    return "the folder holds no weights"


def _preprocessor(folder: Path) -> Mapping[str, Any] | None:
    """preprocessor_config.json; transformers 5 writes it as a part of processor_config.json."""
    own = _load(folder / "preprocessor_config.json").value
    if own is not None:
        return own
    part = (_load(folder / "processor_config.json").value or {}).get("image_processor")
    return part if isinstance(part, dict) else None


def _missing(names: list[str], config: Mapping[str, Any]) -> tuple[str, ...]:
    """What this kind of model cannot do without."""
    missing = []
    has_tokenizer = any(name in names for name in _TOKENIZERS) or any(n.endswith(".tiktoken") for n in names)
    if not has_tokenizer:
        missing.append("tokenizer.json")
    elif "tokenizer_config.json" not in names and "tekken.json" not in names:
        missing.append("tokenizer_config.json")
    if "vision_config" in config and not any(name in names for name in _PROCESSORS):
        missing.append("preprocessor_config.json")
    return tuple(missing)


def _pools(folder: Path, names: list[str]) -> bool:
    """What vLLM asks before the architecture (get_pooling_config): such a model makes vectors, whatever it was."""
    if "modules.json" not in names:
        return False
    try:
        with open_regular(folder / "modules.json") as stream, collector_paused():
            modules = json.loads(stream.read())
    except (OSError, ValueError, RecursionError):
        return False
    entries = modules if isinstance(modules, list) else []
    return any(isinstance(one, dict) and str(one.get("type")).endswith(".Pooling") for one in entries)


def _has_chat_template(folder: Path, names: list[str]) -> bool:
    if any(name in names for name in ("chat_template.jinja", "chat_template.json", "tekken.json")):
        return True
    return any((_load(folder / n).value or {}).get("chat_template") for n in ("tokenizer_config.json", *_PROCESSORS))


if __name__ == "__main__":
    run(probe)
