"""The matrix beside what the record gives: which cells differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def differences(matrix: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[str]:
    """Every machine-kept cell that is not what the metadata says, by name: `vllm 0.12.0 torch: ...`."""
    for name, section in derived.items():
        found = matrix.get(name)
        if not isinstance(found, dict) or "rows" not in found:
            yield f"{name}: the section is missing"
            continue
        if found.get("hand") is not False:
            yield f"{name}: hand is {found.get('hand')!r}, a machine keeps it"
        yield from _rows(name, _by_key(found["rows"]), _by_key(section["rows"]))
    for name, found in matrix.items():
        if isinstance(found, dict) and name not in derived and found.get("hand") is not True:
            yield f"{name}: hand is {found.get('hand')!r}, and no metadata is known to hold it"


def by_hand(matrix: Mapping[str, Any]) -> list[str]:
    """Sections that have no witness but their source."""
    return [name for name, found in matrix.items() if isinstance(found, dict) and found.get("hand") is True]


def _by_key(rows: Any) -> dict[str, Any]:
    if isinstance(rows, dict):
        return rows
    if not isinstance(rows, list):
        return {}
    return {str(row.get("version", i)) if isinstance(row, dict) else str(i): row for i, row in enumerate(rows)}


def _rows(name: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*wanted, *found)):
        has, needs = found.get(key), wanted.get(key)
        if needs is None:
            yield f"{name} {key}: not in the metadata"
        elif has is None:
            yield f"{name} {key}: the row is missing"
        elif not isinstance(needs, dict) or not isinstance(has, dict):
            if has != needs:
                yield f"{name} {key}: {has!r}, the metadata says {needs!r}"
        else:
            for column in dict.fromkeys((*needs, *has)):
                if has.get(column, "") != needs.get(column, ""):
                    yield _cell(name, key, column, has.get(column, ""), needs.get(column, ""))


def _cell(name: str, key: str, column: str, has: object, needs: object) -> str:
    return f"{name} {key} {column}: {has!r}, the metadata says {needs!r}"
