"""`gpus` -> the GPUs. Memory is only what is stated: cards of one name are sold with different sizes.

A name that speaks of its memory states it as well: "NVIDIA A100-SXM4-80GB".
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Gpu, Reading, known
from autoglm_doctor.loose.amounts import folded
from autoglm_doctor.loose.gpu_memory import free_bytes, total_bytes
from autoglm_doctor.loose.values import answer, first, number, table, text
from autoglm_doctor.matrix import Matrix

#: More GPUs than this are no machine.
MOST = 64

#: "4 x RTX 4090", "2 GPUs", "RTX 4090 x 2".
_COUNT = re.compile(
    r"(?:^(?P<before>\d{1,3})\s*(?:[xX*×]\s*|(?=gpus?\b))(?P<rest>.*))|(?P<name>.*\S)\s*[xX*×]\s*(?P<after>\d{1,2})$",
    re.I,
)

#: As nvidia-smi -L lists them: "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-...)".
_LISTED = re.compile(r"^\s*GPU \d+:\s*|\s*\(UUID:[^)]*\)\s*$", re.IGNORECASE)

#: A slice of a GPU by its name: "NVIDIA A100-SXM4-80GB MIG 3g.40gb".
_SLICE = re.compile(r"\bMIG\b|\b\d+g\.\d+gb\b", re.IGNORECASE)

#: Keys beside the GPUs that speak of the memory of the only one.
_OF_ONE = re.compile(r"(?:vram|gpu_mem(?:ory)?|gpu_memory_(?:free|used|total)|vram_(?:free|used|total))(?:_[gm]i?b)?$")

#: Xids that mean that a GPU is no longer on the bus (NVIDIA's Xid catalogue).
_LOST = {79}


def read_gpus(facts: Mapping[str, Any], matrix: Matrix) -> Reading[tuple[Gpu, ...]] | None:
    """The GPUs in their order; None when nothing is said of them."""
    stated = first(facts, "gpus", "gpu")
    entries = stated if isinstance(stated, list) else text(stated).splitlines() or [stated]
    entries = _with_what_is_said_of_one(entries, facts)
    found: list[Gpu] = []
    for entry in entries:
        gpu, count = _one(entry, matrix)
        found += [gpu] * count if gpu is not None else []
    wanted = number(facts.get("gpu_count"))
    if len(found) == 1 and wanted and wanted <= MOST:
        found = found * int(wanted)
    gpus = tuple(dataclasses.replace(gpu, index=index) for index, gpu in enumerate(found))
    lost = number(facts.get("xid")) in _LOST
    if not gpus and not lost:
        return None
    why = "GPU 0 fell off the bus" if lost else ""
    return dataclasses.replace(known(gpus, source="stated"), why=why)


def _one(entry: Any, matrix: Matrix) -> tuple[Gpu | None, int]:
    if isinstance(entry, str):
        name, count = _counted(_LISTED.sub("", entry[:300]))
        return (_gpu({"name": name}, count, matrix), count) if name or count > 1 else (None, 0)
    stated = folded(table(entry))
    if not stated:
        return None, 0
    said = number(stated.get("count")) or 1
    count = int(said) if 1 <= said <= MOST else 1
    return _gpu(stated, count, matrix), count


def _with_what_is_said_of_one(entries: list[Any], facts: Mapping[str, Any]) -> list[Any]:
    """A single GPU with the keys about memory and MIG that stand beside it: `vram_gb`, `gpu_memory_used`, `mig`."""
    stated = folded(facts)
    mig = first(stated, "mig_mode", "mig", "mig_enabled")
    beside = {name: value for name, value in stated.items() if _OF_ONE.match(name) and name != "gpu_memory_utilization"}
    one = entries[0] if len(entries) == 1 else None
    if isinstance(one, str) and one.strip() and beside and _counted(one)[1] == 1:
        one = {"name": _LISTED.sub("", one).strip()}
    if isinstance(one, dict) and (number(one.get("count")) or 1) == 1:
        entries = [{**beside, **folded(one)}]
    return [_with_mig(entry) for entry in entries if entry] if answer(mig) is True else entries


def _with_mig(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, str):
        return {"mig": True, **folded(table(entry))}
    name, count = _counted(_LISTED.sub("", entry[:300]))
    return {"name": name, "count": count, "mig": True}


def _counted(words: str) -> tuple[str, int]:
    match = _COUNT.fullmatch(words.strip())
    if match is None:
        return words.strip(), 1
    count = int(match["before"] or match["after"])
    name = (match["name"] if match["after"] else match["rest"]).strip()
    return ("" if re.match(r"gpus?\b", name, re.IGNORECASE) else name), min(max(count, 1), MOST)


def _gpu(stated: Mapping[str, Any], count: int, matrix: Matrix) -> Gpu:
    name = text(first(stated, "name", "model", "gpu", "type"))
    total = total_bytes(stated, name, count, matrix)
    return Gpu(
        index=0,
        name=name or "a GPU",
        compute_capability=_capability(stated, name, matrix),
        total_bytes=total,
        free_bytes=free_bytes(stated, total),
        uuid=text(stated.get("uuid")),
        mig=any(answer(stated.get(one)) is True for one in ("mig_mode", "mig", "mig_enabled"))
        or bool(text(stated.get("mig_profile")))
        or _SLICE.search(name) is not None,
    )


def _capability(stated: Mapping[str, Any], name: str, matrix: Matrix) -> str:
    """As stated ("8.9", 8.9, "sm_89"), else of the card that the name means; "" when neither tells."""
    said = str(first(stated, "compute_capability", "capability") or "").strip()
    match = re.fullmatch(r"(?:sm_|compute_)?(\d{1,2})\.?(\d)[af]?", said, re.IGNORECASE)
    if match:
        return f"{match[1]}.{match[2]}"
    return matrix.capability_of(name) if name else ""
