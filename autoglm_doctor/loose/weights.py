"""Which of the files that are named hold the weights that are loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autoglm_doctor.facts import WeightFile

#: Files of a trainer (scheduler.pt, training_args.bin) are small, and nobody serves them.
_WEIGHT = re.compile(
    r"(?:.*/)?(?:[^/]*\.(?:safetensors|gguf)|(?!(?:scheduler|optimizer|training|trainer|rng_state|scaler|random_states)"
    r"[\w.-]*$)[^/]*\.(?:bin|pth?))",
    re.IGNORECASE,
)
_OF_SEVERAL = re.compile(r"-(\d{5})-of-(\d{5})\.")
_LEFT_OVER = "a download that did not end"


def is_weight(name: str) -> bool:
    """Whether a file of this name may hold weights."""
    return _WEIGHT.fullmatch(name) is not None


def needs_no_index(names: Sequence[str]) -> bool:
    """Whether there are safetensors, and in one file."""
    files = [one for one in names if one.endswith(".safetensors")]
    return len(files) == 1 and not _OF_SEVERAL.search(files[0])


def those_that_load(files: tuple[WeightFile, ...]) -> tuple[WeightFile, ...]:
    """Without files of the older format beside safetensors, and without broken-off downloads beside a whole model."""
    safe = [one for one in files if one.name.endswith(".safetensors")]
    whole = {one.name for one in safe if one.fault is None}
    if not whole and any(one.fault is None for one in files):  # the older format alone: read where no other is there
        return tuple(one for one in files if one not in safe or one.fault != "missing")
    if not whole:
        return files
    files = tuple(one for one in files if not re.search(r"\.(?:bin|pth?)$", one.name, re.IGNORECASE))
    return files if not _is_whole(whole) else tuple(one for one in files if not _is_left_over(one))


def _is_whole(names: set[str]) -> bool:
    parts = [match for one in names if (match := _OF_SEVERAL.search(one))]
    return not parts or len({one[1] for one in parts}) == int(parts[0][2])


def _is_left_over(one: WeightFile) -> bool:
    return one.fault == "truncated" and one.detail == _LEFT_OVER
