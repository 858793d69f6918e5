"""`model_files` -> what of the model's files is stated, by an object of names and sizes or in a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import ModelFiles, Reading, WeightFile, known
from autoglm_doctor.loose.amounts import amount, folded, sized, sizes
from autoglm_doctor.loose.file_words import absent, faults_in, says_no_index, says_no_template, says_template
from autoglm_doctor.loose.model import config_of, model_name
from autoglm_doctor.loose.values import answer, first, number, size, table, text, words
from autoglm_doctor.loose.weights import is_weight, needs_no_index, those_that_load

#: A git-lfs pointer is three lines of text: more than a hundred bytes, and the specification ends it at 1,024.
LEAST_POINTER_BYTES, POINTER_BYTES = 100, 1024

#: safetensors refuses a longer header.
HEADER_BYTES = 100_000_000

#: Of two sizes of one file, shares below which it is surely cut: they are rounded, and GB may stand for GiB.
_CUT, _CUT_IN_OTHER_UNITS = 0.995, 0.85

_KEYS = ("model_files", "weight_files", "checkpoint_files", "weights", "checkpoint")
_TEXTS = ("model_download", "download", "download_state", "shards", "safetensors", "model_state")
_WEIGHTS = re.compile(r".*\.(?:safetensors|gguf|bin|pth?)", re.IGNORECASE)
_SMALL = re.compile(r"[\w./-]+\.(?:json|model|jinja|txt)", re.IGNORECASE)
_POINTER = re.compile(
    r"^\s*version https://git-lfs"
    r"|^(?:(?:only |still )?an? )?(?:git-?)?lfs[- ]pointer(?: file)?(?:\s*\([^()]*\))?[.!]?$",
    re.IGNORECASE,
)
_PARTS = re.compile(r".*\.(?:incomplete|part|partial|aria2|crdownload|tmp)", re.IGNORECASE)
_OF = re.compile(r"\b(?:of|out of|instead of|expected|should be|but)\b|/", re.IGNORECASE)
_NAMED = re.compile(r"(\d{1,4})(?: \w+)? (?:shards|files|weights)", re.IGNORECASE)
_ENTRY = re.compile(r"\s*(\S+\.\w+)\s*[:=(,]?\s*(.*?)\)?\s*")


def read_model_files(facts: Mapping[str, Any]) -> Reading[ModelFiles] | None:
    """The files as far as they are stated; None when nothing is said of them or of the model's kind."""
    stated, config = _stated(facts), config_of(facts)
    weights, index_error = _weights(stated)
    weights = weights or _of_numbers(facts) or _of_other_words(facts)
    template, pointers = _has_template(facts, stated), _pointers(stated)
    if not (weights or index_error or config or pointers or template is False):
        return None
    files = ModelFiles(
        path=text(facts.get("model_path")) or model_name(facts),
        found_by="path" if weights or index_error else "config",
        config=config,
        weights=weights,
        index_error=index_error,
        broken_files=pointers,
        has_chat_template=template is not False,
    )
    return known(files, source="stated")


def _pointers(stated: Any) -> tuple[str, ...]:
    """The small files (tokenizer, configuration) of which the text of a pointer of git-lfs is stated, or its name."""
    small = {str(name): text(said) for name, said in table(stated).items() if _SMALL.fullmatch(str(name))}
    return tuple(f"{name}: a git-lfs pointer" for name, said in small.items() if _POINTER.search(said))


def _stated(facts: Mapping[str, Any]) -> Any:
    """An object of names, or a sentence; a list of "name (size)" is an object as well."""
    stated = first(facts, *_KEYS)
    if not isinstance(stated, list):
        return stated
    entries = [_ENTRY.fullmatch(one[:300]) for one in words(stated)]
    return {one[1]: one[2] for one in entries if one} if all(entries) else "; ".join(words(stated))


def _weights(stated: Any) -> tuple[tuple[WeightFile, ...], str | None]:
    if isinstance(stated, dict):
        files = [_file(str(name), said) for name, said in stated.items() if is_weight(str(name))]
        files += [_part(str(name)) for name in stated if _PARTS.fullmatch(str(name))]
        found = those_that_load(tuple(one for one in files if one is not None))
        return (*found, *_not_listed(stated)), _index(stated)
    said = text(stated)
    faulty = faults_in(said)
    return faulty, "model.safetensors.index.json is missing" if says_no_index(said) and not faulty else None


def _file(name: str, said: Any) -> WeightFile | None:
    parts = folded(table(said))
    there, wanted = _pair(said, parts)
    if there is not None and wanted is not None:
        fault = "truncated" if there < wanted else None
        return WeightFile(
            name=name, size_bytes=there, fault=fault, detail=f"{there} of {wanted} bytes" if fault else ""
        )
    if said is False or text(said).lower() in ("missing", "absent", "not there", "not found", "no"):
        return WeightFile(name=name, size_bytes=0, fault="missing")
    header = amount(parts, "header", "header_size", bare=False) or 0
    if header > HEADER_BYTES:
        return WeightFile(name=name, size_bytes=0, fault="header_limit", detail=f"a header of {header} bytes")
    faulty = faults_in(text(said), name)
    found = there if there is not None else size(said)
    if faulty and not found:
        return faulty[0]
    plain = number(said)
    if found is None or (plain is not None and 0 < plain < LEAST_POINTER_BYTES):  # a number of some other unit
        return None
    fault = None if found > POINTER_BYTES else "lfs_pointer" if found else "empty"
    return WeightFile(name=name, size_bytes=found, fault=fault, detail=f"{found} bytes" if fault else "")


def _pair(said: Any, parts: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Bytes on disk and as they should be; the latter only where the file is surely shorter, or as long."""
    there = amount(parts, "size", "actual", "have", "on_disk", "downloaded", bare=False)
    wanted = amount(parts, "expected", "should_be", "wanted", "index", "full", bare=False)
    there = there if there is not None else sized(first(parts, "size", "actual"))
    wanted = wanted if wanted is not None else sized(first(parts, "expected", "full"))
    units = {one.lower() for one in re.findall(r"\d\s*([a-z]+)", text(said), re.IGNORECASE) if one.lower() != "of"}
    both = sizes(text(said))
    if there is None and len(both) == 2 and _OF.search(text(said)):
        there, wanted = both
    if there is None or wanted is None:
        return there, None
    share = _CUT if len(units) < 2 or not both else _CUT_IN_OTHER_UNITS
    return there, wanted if there < share * wanted else there


def _part(name: str) -> WeightFile:
    return WeightFile(name=name, size_bytes=0, fault="truncated", detail="a download that did not end")


def _index(stated: Mapping[str, Any]) -> str | None:
    said = next((text(one) for name, one in stated.items() if str(name).endswith("index.json")), "")
    gone = said.lower() in ("missing", "absent", "not there") and not needs_no_index([str(one) for one in stated])
    return "model.safetensors.index.json is missing" if gone else None


def _not_listed(stated: Mapping[str, Any]) -> tuple[WeightFile, ...]:
    """Shards that the index names beside fewer files: without an index a list is never the whole one."""
    said = next((one for name, one in stated.items() if str(name).endswith("index.json")), None)
    match = _NAMED.search(text(said))
    named = int(match[1]) if match else int(number(said) or 0)
    listed = {str(name) for name in stated if _WEIGHTS.fullmatch(str(name))}
    if not listed or not len(listed) < named <= 1000:
        return ()
    every = absent(0, named)
    return tuple(one for one in every if one.name not in listed)[: named - len(listed)]


def _of_numbers(facts: Mapping[str, Any]) -> tuple[WeightFile, ...]:
    """`shards_present` beside `shards_expected`, and a header's length beside nothing."""
    stated = folded(facts)
    there = number(first(stated, "shards_present", "shards_on_disk", "shards_found", "shards_downloaded"))
    named = number(first(stated, "shards_expected", "shards_in_index", "index_shards", "shards_named", "shards_total"))
    if there is not None and named is not None and there < named <= 1000:
        return absent(int(there), int(named))
    header = amount(stated, "safetensors_header", "safetensors_header_size", "header_size", "header", bare=False)
    plain = number(first(stated, "safetensors_header_size", "safetensors_header_length", "header_length"))
    found = header or int(plain or 0)
    if found <= HEADER_BYTES:
        return ()
    detail = f"a header of {found} bytes"
    return (WeightFile(name="a weight file", size_bytes=0, fault="header_limit", detail=detail),)


def _of_other_words(facts: Mapping[str, Any]) -> tuple[WeightFile, ...]:
    """Sentences under other keys, and a clone of git without its extension for large files."""
    said = next((found for name in _TEXTS if (found := faults_in(text(facts.get(name))))), ())
    source = f"{text(facts.get('model_source'))} {text(facts.get('download'))} {text(facts.get('model_download'))}"
    without = answer(first(facts, "git_lfs", "git-lfs", "lfs")) is False
    if said or not (without and re.search(r"\bgit clone|cloned\b", source, re.IGNORECASE)):
        return said
    return (WeightFile(name="the weight files", size_bytes=0, fault="lfs_pointer"),)


def _has_template(facts: Mapping[str, Any], stated: Any) -> bool | None:
    """Whether there is a chat template; None where nothing is said of it."""
    said = first(facts, "chat_template", "has_chat_template")
    found = answer(said)
    if found is None and re.match(r"(?:none|no|not|missing|absent)\b", text(said), re.IGNORECASE):
        found = False
    parts = [stated, *table(stated).values(), facts.get("tokenizer_config"), facts.get("tokenizer"), said]
    own = [one for name, one in table(stated).items() if re.search(r"chat_template\.(?:jinja|json)$", str(name))]
    if any(size(one) or answer(one) for one in own) or any(says_template(text(one)) for one in parts):
        return True
    return False if found is None and any(says_no_template(text(one)) for one in parts) else found
