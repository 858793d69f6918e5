"""How many error texts of recorded cases the table of signatures names: tools/symptom_cases.py FOLDER [--misses].

A case is a JSON file with "symptom" (the text), "expect": {"cause", "also_ok", "status"}. A hit is a first symptom
whose cause is the expected one or one that the case accepts as well; for a case without a cause, no symptom at all.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from autoglm_doctor.domain.signatures import SUBJECTS, symptoms_of


def subject_of(cause: str | None) -> str:
    """The part of the table that a cause belongs to."""
    if cause is None:
        return "healthy"
    return next((name for name, rows in SUBJECTS.items() if any(r.cause == cause for r in rows)), "not in the table")


def judge(case: dict[str, Any]) -> tuple[str, bool, tuple[str, ...]]:
    """The subject of a case, whether it was hit, and the causes that were named."""
    expect = case["expect"]
    named = tuple(s.signature.cause for s in symptoms_of([case.get("symptom") or ""]))
    if expect.get("cause") is None:
        return "healthy", not named, named
    accepted = {expect["cause"], *(expect.get("also_ok") or ())}
    return subject_of(expect["cause"]), bool(named) and named[0] in accepted, named


def main() -> None:
    """Print a line per subject, and the misses if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--misses", action="store_true", help="print each miss")
    arguments = parser.parse_args()
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path in sorted(arguments.folder.glob("*.json")):
        case = json.loads(path.read_text())
        if not case.get("symptom") and case["expect"].get("cause"):
            continue
        subject, hit, named = judge(case)
        for key in (subject, "all"):
            counts[key][0] += hit
            counts[key][1] += 1
        if arguments.misses and not hit:
            print(
                f"{path.stem}: expected {case['expect'].get('cause')}, named {named}: {case.get('symptom', '')[:150]}"
            )
    for subject, (hits, total) in counts.items():
        print(f"{subject:20} {hits:4} of {total:4}  {hits / total:.1%}")


if __name__ == "__main__":
    main()
