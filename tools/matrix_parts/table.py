"""Sections of compat_matrix.yaml as text: JSON in the place of a YAML value, one row per line.

JSON is YAML, every version is a quoted string, and the standard library reads a section in a millisecond.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def written(name: str, section: Mapping[str, Any]) -> str:
    """`name:` and its value, ending in a newline."""
    head = [f"{json.dumps(key)}: {_plain(value)}" for key, value in section.items() if key != "rows"]
    rows = section["rows"]
    if isinstance(rows, dict) and all(isinstance(value, str) for value in rows.values()):
        body = "{\n" + ",\n".join(_packed(rows)) + "\n  }"
    elif isinstance(rows, dict):
        body = "{\n" + ",\n".join(f"    {json.dumps(key)}: {_plain(row)}" for key, row in rows.items()) + "\n  }"
    else:
        body = "[\n" + ",\n".join(f"    {_plain(row)}" for row in rows) + "\n  ]"
    lines = [*(f"  {line}" for line in head), f'  "rows": {body}']
    return f"{name}: {{\n" + ",\n".join(lines) + "\n  }\n"


def replaced(text: str, sections: Mapping[str, Mapping[str, Any]], day: str) -> str:
    """The file with these sections exchanged, and its date; what stands between sections stays."""
    for name, section in sections.items():
        pattern = re.compile(rf"^{name}:.*?(?=^[^\s]|\Z)", re.MULTILINE | re.DOTALL)
        found = pattern.search(text)
        if not found:
            raise SystemExit(f"compat_matrix.yaml has no section {name}")
        gap = "\n" if found[0].endswith("\n\n") else ""  # the line that sets the next section off
        text = text[: found.start()] + written(name, section) + gap + text[found.end() :]
    return re.sub(r"^generated: .*$", f'generated: "{day}"', text, count=1, flags=re.MULTILINE)


def _packed(rows: Mapping[str, str], width: int = 118) -> list[str]:
    """Short pairs, several to a line."""
    lines, line = [], "   "
    for key, value in rows.items():
        pair = f" {json.dumps(key)}: {json.dumps(value)},"
        if len(line) + len(pair) > width:
            lines.append(line.rstrip(","))
            line = "   "
        line += pair
    return [*lines, line.rstrip(",")]


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
