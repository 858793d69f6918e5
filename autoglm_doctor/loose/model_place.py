"""Whether a model is said to be on the machine already, and in which folder it is looked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.downloads import names_a_path
from autoglm_doctor.loose.model import model_name
from autoglm_doctor.loose.values import answer, first, table, text, words

_FILES = ("model_files", "weights", "weight_files", "checkpoint_files")
_FOLDER = re.compile(r"--download-dir[= ]\s*(\S+)")
_THERE = re.compile(
    r"\b(?:all (?:files |shards )?(?:are )?(?:there|present)|complete\b|downloaded|cached|local(?:ly)?\b)",
    re.IGNORECASE,
)
#: Before such a word: it is not so, not yet, in part, or so of a file that holds no weights.
_BUT_NOT = re.compile(
    r"(?:\b(?:not?|none|never|nothing|partly|partially|half|to be|being|only)|n't)(?: [\w.-]+){0,2} $"
    r"|\.(?:json|txt|md|py|model|jinja)(?: \w+)? $",
    re.IGNORECASE,
)
_NO_FILE = ("missing", "absent", "not there", "not found", "no", "", "none", "false")


def is_a_folder(facts: Mapping[str, Any]) -> bool:
    """Whether the model is named by a path, or by an address that is none of the hub."""
    name = model_name(facts)
    return bool(text(facts.get("model_path"))) or names_a_path(name) or "://" in name


def is_here(facts: Mapping[str, Any]) -> bool:
    """Whether the weights are said to be on the machine already."""
    files = first(facts, *_FILES)
    cached = answer(first(facts, "model_cached", "model_downloaded"))
    return is_a_folder(facts) or cached is True or _says_here(text(files)) or _are_listed(files)


def _says_here(said: str) -> bool:
    return any(not _BUT_NOT.search(said[max(0, match.start() - 80) : match.start()]) for match in _THERE.finditer(said))


def _are_listed(files: Any) -> bool:
    """Files with what they have, none of them missing."""
    if isinstance(files, dict):
        return bool(files) and not any(str(one).strip().lower() in _NO_FILE for one in files.values())
    return isinstance(files, list) and bool(words(files))


def download_folder(facts: Mapping[str, Any]) -> str:
    """What --download-dir names; "" where it is not given."""
    flags = facts.get("engine_args")
    listed = table(flags)
    said = f"{' '.join(map(str, flags)) if isinstance(flags, list) else text(flags)} {text(facts.get('command'))}"
    match = _FOLDER.search(said)
    own = text(first(listed, "download_dir", "download-dir", "--download-dir")) or text(facts.get("download_dir"))
    return own or (match[1] if match else "")
