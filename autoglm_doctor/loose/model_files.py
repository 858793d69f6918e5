"""`model_files` -> what of the model's files is stated, by an object of names and sizes or in a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import ModelFiles, Reading, WeightFile, known
from autoglm_doctor.loose.model import config_of, model_name
from autoglm_doctor.loose.values import answer, first, size, text

#: A git-lfs pointer is three lines of text; the specification ends it at 1,024 bytes.
POINTER_BYTES = 1024

_POINTERS = r"without git[- ]?lfs|lfs pointer|git[- ]?lfs (?:was )?not installed|no git[- ]?lfs"
_NO_INDEX = r"without \S*index\.json|\bno \S*index\.json|index\.json \S* ?missing|missing \S*index\.json"
_SHARDS = re.compile(
    r"(?P<there>\d+) \D{0,40}(?:present|exist|there|on disk|found)\D+(?P<named>\d+)"
    r"|index (?:names|lists|expects) (?P<wanted>\d+)\D+(?P<found>\d+)"
)
_WEIGHTS = re.compile(r".*\.(?:safetensors|gguf|bin|pth?)", re.IGNORECASE)


def read_model_files(facts: Mapping[str, Any]) -> Reading[ModelFiles] | None:
    """The files as far as they are stated; None when nothing is said of them or of the model's kind."""
    stated, config = facts.get("model_files"), config_of(facts)
    weights, index_error = _weights(stated)
    if not (weights or index_error or config):
        return None
    template = answer(first(facts, "chat_template", "has_chat_template"))
    files = ModelFiles(
        path=text(facts.get("model_path")) or model_name(facts),
        found_by="path" if weights or index_error else "config",
        config=config,
        weights=weights,
        index_error=index_error,
        has_chat_template=template is not False,
    )
    return known(files, source="stated")


def _weights(stated: Any) -> tuple[tuple[WeightFile, ...], str | None]:
    if isinstance(stated, dict):
        files = [_file(str(name), said) for name, said in stated.items() if _WEIGHTS.fullmatch(str(name))]
        return tuple(one for one in files if one is not None), None
    said = text(stated)
    if re.search(_POINTERS, said, re.IGNORECASE):
        return (WeightFile(name="the weight files", size_bytes=0, fault="lfs_pointer"),), None
    if re.search(_NO_INDEX, said, re.IGNORECASE):
        return (), "model.safetensors.index.json is missing"
    return _missing(said), None


def _file(name: str, said: Any) -> WeightFile | None:
    if text(said).lower() in ("missing", "absent", "not there"):
        return WeightFile(name=name, size_bytes=0, fault="missing")
    found = size(said)
    if found is None:
        return None
    fault = None if found > POINTER_BYTES else "lfs_pointer" if found else "empty"
    return WeightFile(name=name, size_bytes=found, fault=fault, detail=f"{found} bytes" if fault else "")


def _missing(said: str) -> tuple[WeightFile, ...]:
    """Files of a sentence such as "15 present, index names 30": those in between are missing."""
    match = _SHARDS.search(said)
    if match is None:
        return ()
    there, named = int(match["there"] or match["found"]), int(match["named"] or match["wanted"])
    names = (f"model-{n:05}-of-{named:05}.safetensors" for n in range(there + 1, min(named, there + 1000) + 1))
    return tuple(WeightFile(name=name, size_bytes=0, fault="missing") for name in names)
