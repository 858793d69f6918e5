"""What is stated of a GPU's memory: its size, by a key or in the name, and how much of it is free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.loose.amounts import GIB, MIB, amount, folded, sized, sizes
from autoglm_doctor.loose.values import number, table, text
from autoglm_doctor.matrix import USABLE_SHARE, Matrix

#: Free memory that nobody stated. A GPU of which it is not told is neither empty nor in use.
NOT_STATED = -1

#: A bare number above this is one of MiB: no GPU has a TiB.
_LARGEST_GIB = 1000

_EXACT = ("total_gpu_memory", "total", "memory_total", "total_memory", "vram_total", "total_vram")
_NOMINAL = ("memory", "vram", "mem", "gpu_memory", "memory_size", "vram_size", "capacity")
_FREE = (
    "free",
    "memory_free",
    "free_memory",
    "vram_free",
    "free_vram",
    "gpu_memory_free",
    "available",
    "memory_available",
)
_USED = ("used", "memory_used", "used_memory", "vram_used", "used_vram", "gpu_memory_used", "in_use", "memory_in_use")
_USAGE = ("memory_usage", "usage", "memory_used_total")

#: "A100-SXM4-80GB", "H100 80GB HBM3", "V100 (32G)", "RTX 3090, 24268 MiB".
_IN_NAME = re.compile(r"(?<![\w.])(?P<size>\d{1,6}(?:\.\d{1,2})?) ?(?P<unit>[GM]i?B|G)\b", re.IGNORECASE)
#: A part of a card, whose memory is another; several cards together.
_NOT_ONE_CARD = re.compile(
    r"\bMIG\b|\d+g\.\d+gb|\bslice|\bvGPU|\bGRID\b|\bshared?\b|\btotal\b|\btogether\b", re.IGNORECASE
)


def total_bytes(stated: Mapping[str, Any], name: str, count: int, matrix: Matrix) -> int:
    """What CUDA counts, in bytes; 0 when not stated. Round figures are the nominal ones that a card is sold with.

    `stated` has folded keys.
    """
    exact = next((found for one in _EXACT if (found := _with_unit(stated, one))), 0)
    mib = exact or sized(stated.get("memory_mib"), MIB) or sized(stated.get("memory_mb"), MIB) or _usage(stated)[1]
    if mib:
        return mib
    nominal = next((found for one in _NOMINAL if (found := _with_unit(stated, one))), 0)
    if nominal:
        return _usable(nominal, name, matrix)
    named = memory_in_name(name, count, matrix)
    # Of what only the name tells, the whole: a card keeps a little of it for itself, and how much is not told. Beside
    # what is free, a larger total would ask for more.
    return named if named % GIB or free_is_stated(stated) is None else _usable(named, name, matrix)


def _usable(nominal: int, name: str, matrix: Matrix) -> int:
    model = matrix.find_gpu(name) if name else None
    if model is not None and round(model.memory_gib * GIB) == nominal:
        return model.total_bytes
    return int(nominal * USABLE_SHARE) if nominal % GIB == 0 else nominal


def _with_unit(stated: Mapping[str, Any], stem: str, unit: int = GIB) -> int | None:
    """`unit` is that of a small number alone."""
    plain = number(stated.get(stem))
    if plain is not None and plain > _LARGEST_GIB:
        return int(plain * (MIB if plain < MIB else 1))
    return int(plain * unit) if plain is not None and unit != GIB else amount(stated, stem)


def _unit_of(stated: Mapping[str, Any]) -> int:
    """That of the total: who tells it in MiB, as nvidia-smi does, means MiB beside it as well."""
    stems = (*_EXACT, *_NOMINAL)
    if any(stated.get(f"{one}_{end}") is not None for one in stems for end in ("mib", "mb")):
        return MIB
    is_large = any((plain := number(stated.get(one))) and _LARGEST_GIB < plain < MIB for one in stems)
    return MIB if is_large or any(re.search(r"\dk?\s*Mi?B", text(stated.get(one))) for one in stems) else GIB


def memory_in_name(name: str, count: int, matrix: Matrix) -> int:
    """Bytes of the memory that a name speaks of; 0 for none, for a part of a card, and for what may be a sum.

    NVIDIA's own names tell it where a chip is sold with several ("NVIDIA A100-SXM4-80GB"), and people add it.
    """
    found = {_bytes(match) for match in _IN_NAME.finditer(name)}
    if len(found) != 1 or _NOT_ONE_CARD.search(name):
        return 0
    [one] = found
    row = matrix.gpu_name(name)
    is_sold = row is not None and round(matrix.gpus[row].memory_gib * GIB) == one
    bare = matrix.find_gpu(_IN_NAME.sub("", name)) if count > 1 and not is_sold else None
    is_sum = bare is not None and one > 1.1 * bare.memory_gib * GIB
    return 0 if is_sum or not GIB <= one <= _LARGEST_GIB * GIB else one


def _bytes(match: re.Match[str]) -> int:
    return int(float(match["size"]) * (GIB if match["unit"][0] in "gG" else MIB))


def free_bytes(stated: Mapping[str, Any], total: int) -> int:
    """Bytes that are free, as stated or as left by what is stated to be in use; NOT_STATED when neither is."""
    free, used = free_is_stated(stated, total), _used(stated, total)
    if free is None and used is not None and total:
        free = total - used
    if free is None:
        free = _little(stated, total)
    return NOT_STATED if free is None else min(free, total)


def _little(stated: Mapping[str, Any], total: int) -> int | None:
    """Of a number that is of MiB or of GiB, the more: where that is less than half, most is in use in any case."""
    plain = next((found for one in _FREE if (found := number(stated.get(one)))), None)
    return int(plain * GIB) if plain is not None and 2 * plain * GIB < total else None


def free_is_stated(stated: Mapping[str, Any], total: int = 0) -> int | None:
    """What is said to be free, in bytes. Of a number that is more than the whole in GiB, MiB are meant."""
    return next((found for one in _FREE if (found := _part(stated, one, total)) is not None), None)


def _part(stated: Mapping[str, Any], stem: str, total: int) -> int | None:
    plain = number(stated.get(stem))
    unit = _unit_of(stated)
    if plain is not None and total and unit == MIB:
        return _of_either(plain, total)
    found = _with_unit(stated, stem, unit)
    return int(plain * MIB) if found is not None and plain is not None and plain < MIB and 0 < total < found else found


def _of_either(plain: float, total: int) -> int | None:
    """Bytes of a number beside a total in MiB. None for one that may as well be of GiB: people mix the two.

    A card is sold with up to a tenth more than is counted, and nothing prints MiB with decimals.
    """
    in_gib = int(plain * GIB)
    if not plain or in_gib > 1.1 * total:
        return int(plain * (MIB if plain < MIB else 1))
    return in_gib if plain % 1 else None


def _used(stated: Mapping[str, Any], total: int) -> int | None:
    """None also where more is said to be in use than there is: then the number has another unit, or is a sum."""
    said = next((found for one in _USED if (found := _part(stated, one, total)) is not None), None)
    if said is None:
        said = _usage(stated)[0]
    processes = stated.get("processes")
    if said is None and isinstance(processes, list):
        said = _of_processes([folded(table(one)) for one in processes], total)
    if said is None or not total:
        return said
    return None if said > 1.02 * total else min(said, total)


def _of_processes(processes: list[dict[str, Any]], total: int) -> int | None:
    """Numbers alone are of MiB, as nvidia-smi prints them; None where all of them may as well be of GiB."""
    stems = (*_USED, "memory")
    plain = [next((found for one in stems if (found := number(each.get(one))) is not None), None) for each in processes]
    numbers = [one for one in plain if one]
    if numbers and all(_of_either(one, total) is None for one in numbers):
        return None
    bare = sum(_of_either(one, total) or int(one * MIB) for one in numbers)
    named = (amount(each, *stems) or 0 for each, one in zip(processes, plain, strict=True) if one is None)
    return bare + sum(named) or None


def _usage(stated: Mapping[str, Any]) -> tuple[int | None, int]:
    """Used and total of "22510MiB / 24564MiB", as nvidia-smi prints them."""
    for name in (*_USAGE, *_USED, "memory"):
        said = text(stated.get(name))
        both = sizes(said)
        if len(both) == 2 and re.search(r"/|\bof\b", said) and both[0] <= both[1]:
            return both[0], both[1]
    return None, 0
