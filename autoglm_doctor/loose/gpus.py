"""`gpus` -> the GPUs. Memory is only what is stated: cards of one name are sold with different sizes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Gpu, Reading, known
from autoglm_doctor.loose.values import answer, first, number, size, table, text
from autoglm_doctor.matrix import USABLE_SHARE, Matrix

GIB, MIB = 1 << 30, 1 << 20

#: Free memory that nobody stated. A GPU of which it is not told is neither empty nor in use.
NOT_STATED = -1

#: More GPUs than this are no machine.
MOST = 64

#: "4 x RTX 4090", "2 GPUs", "RTX 4090 x 2".
_COUNT = re.compile(
    r"(?:^(?P<before>\d{1,3})\s*(?:[xX*×]\s*|(?=gpus?\b))(?P<rest>.*))|(?P<name>.*\S)\s*[xX*×]\s*(?P<after>\d{1,2})$",
    re.I,
)

#: Xids that mean that a GPU is no longer on the bus (NVIDIA's Xid catalogue).
_LOST = {79}


def read_gpus(facts: Mapping[str, Any], matrix: Matrix) -> Reading[tuple[Gpu, ...]] | None:
    """The GPUs in their order; None when nothing is said of them."""
    stated = first(facts, "gpus", "gpu")
    entries = stated if isinstance(stated, list) else [stated]
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
        name, count = _counted(entry)
        return (_gpu({"name": name}, matrix), count) if name or count > 1 else (None, 0)
    stated = table(entry)
    if not stated:
        return None, 0
    said = number(stated.get("count")) or 1
    return _gpu(stated, matrix), int(said) if 1 <= said <= MOST else 1


def _counted(words: str) -> tuple[str, int]:
    match = _COUNT.fullmatch(words.strip())
    if match is None:
        return words.strip(), 1
    count = int(match["before"] or match["after"])
    name = (match["name"] if match["after"] else match["rest"]).strip()
    return ("" if re.match(r"gpus?\b", name, re.IGNORECASE) else name), min(max(count, 1), MOST)


def _gpu(stated: Mapping[str, Any], matrix: Matrix) -> Gpu:
    name = text(stated.get("name"))
    total = _total(stated, name, matrix)
    return Gpu(
        index=0,
        name=name or "a GPU",
        compute_capability=_capability(stated, name, matrix),
        total_bytes=total,
        free_bytes=_free(stated, total),
        uuid=text(stated.get("uuid")),
        mig=answer(stated.get("mig_mode")) is True or bool(text(stated.get("mig_profile"))),
    )


def _capability(stated: Mapping[str, Any], name: str, matrix: Matrix) -> str:
    """As stated ("8.9", 8.9, "sm_89"), else of the card that the name means; "" when neither tells."""
    said = str(first(stated, "compute_capability", "capability") or "").strip()
    match = re.fullmatch(r"(?:sm_|compute_)?(\d{1,2})\.?(\d)[af]?", said, re.IGNORECASE)
    if match:
        return f"{match[1]}.{match[2]}"
    return matrix.capability_of(name) if name else ""


def _total(stated: Mapping[str, Any], name: str, matrix: Matrix) -> int:
    """What CUDA counts, in bytes; 0 when not stated. Round figures are the nominal ones that a card is sold with."""
    exact = _gib(stated, "total_gpu_memory") or _gib(stated, "total")
    if exact:
        return exact
    mib = size(first(stated, "memory_mib", "memory_total_mib"), MIB)
    if mib:
        return mib
    nominal = size(first(stated, "memory_gb", "memory_gib", "memory", "vram_gb", "vram"), GIB)
    if not nominal:
        return 0
    model = matrix.find_gpu(name) if name else None
    if model is not None and round(model.memory_gib * GIB) == nominal:
        return model.total_bytes
    return int(nominal * USABLE_SHARE) if nominal % GIB == 0 else nominal


def _free(stated: Mapping[str, Any], total: int) -> int:
    """Bytes that are free, as stated or as left by what is stated to be in use; NOT_STATED when neither is."""
    free, used = _gib(stated, "free"), _gib(stated, "used")
    if free is None and used is not None and total:
        free = max(0, total - used)
    return NOT_STATED if free is None else min(free, total)


def _gib(stated: Mapping[str, Any], what: str) -> int | None:
    gib = size(first(stated, f"{what}_gib", f"memory_{what}_gib"), GIB)
    return gib if gib is not None else size(first(stated, f"{what}_mib", f"memory_{what}_mib"), MIB)
