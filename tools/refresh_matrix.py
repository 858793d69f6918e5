"""Refresh compat_matrix.yaml from package metadata, or find the cells of it that are wrong.

    refresh_matrix.py                 read new releases from the index, say what is new, write the machine's sections
    refresh_matrix.py --check         the same without writing: exit code 1 where there is drift
    refresh_matrix.py --verify        no network: every machine-kept cell against tools/matrix_metadata.json
    refresh_matrix.py --verify --fresh vllm torch   as --verify, and these packages' metadata against the index first

Sections with `hand: true` are never touched, and --verify names them (on stderr) as not looked at. A release's metadata
does not change, so what is recorded stays; --fresh reads it again and names what differs. After a refresh:
`python -m tests.machines.build`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from matrix_parts import compare, derive, index, members, table
from packaging.version import Version

CHECKOUT = Path(__file__).resolve().parent.parent
MATRIX = CHECKOUT / "compat_matrix.yaml"
METADATA = CHECKOUT / "tools" / "matrix_metadata.json"
#: pip and uv wait for the index most of the time: three at once keep two cores half busy.
WORKERS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: as it should be; 1: cells differ, or there is drift."""
    words = _parser().parse_args(arguments)
    recorded = json.loads(words.metadata.read_text())
    troubles = list(_changed(recorded, words.fresh)) if words.fresh else []
    if words.verify:
        matrix, derived = _parsed(words.matrix), derive.derive(recorded)
        troubles += compare.differences(matrix, derived)
        print("\n".join(troubles) or "every machine-kept cell is what the metadata says")
        print(f"kept by hand, and not looked at: {' '.join(compare.by_hand(matrix))}", file=sys.stderr)
        return 1 if troubles else 0
    drift = list(_read_new(recorded, words.only or list(index.PACKAGES)))
    print("\n".join([*troubles, *drift]) or "nothing new")
    if words.check:
        return 1 if drift or troubles else 0
    recorded["recorded"] = datetime.date.today().isoformat()
    words.metadata.write_text(dumped(recorded))
    text = table.replaced(words.matrix.read_text(), derive.derive(recorded), recorded["recorded"])
    words.matrix.write_text(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--verify", action="store_true", help="compare, offline, and name every wrong cell")
    parser.add_argument("--check", action="store_true", help="read new releases and write nothing")
    parser.add_argument("--fresh", nargs="*", default=[], metavar="PACKAGE", help="read recorded releases again")
    parser.add_argument("--only", nargs="*", default=[], metavar="PACKAGE", help="look for new releases of these only")
    parser.add_argument("--matrix", type=Path, default=MATRIX)
    parser.add_argument("--metadata", type=Path, default=METADATA)
    return parser


def _parsed(path: Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(), Loader=loader)


def _read_new(recorded: dict[str, Any], packages: Sequence[str]) -> Iterator[str]:
    """Put releases that are not recorded into the record, and name them."""
    wanted = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for package, versions in zip(packages, pool.map(index.read_versions, packages), strict=True):
            known = recorded["packages"].setdefault(package, {})
            wanted += [(package, v, python) for v, python in versions.items() if v not in known]
            yield from (f"{package} {v}: no longer on the index" for v in known if versions and v not in versions)
    for package, version, record in _releases(wanted):
        recorded["packages"][package][version] = record
        yield f"{package} {version}: new, of {record['released']}"
    yield from _new_members(recorded, wanted)


def _new_members(recorded: dict[str, Any], wanted: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Model types and architectures that new releases brought."""
    readers = (
        ("model_types", "transformers", members.model_types),
        ("vllm_architectures", "vllm", members.vllm_architectures),
        ("sglang_architectures", "sglang", members.sglang_architectures),
    )
    for section, package, read in readers:
        first = recorded.setdefault(section, {})
        news = {v for p, v, _ in wanted if p == package}
        if package == "transformers":
            news |= members.withdrawn(news, recorded["packages"][package])
        for version in sorted(news, key=Version):
            if package == "sglang" and Version(version).is_postrelease:
                continue
            for name in sorted(read(version)):
                if name not in first:
                    first[name] = version
                    yield f"{section} {name}: new in {package} {version}"


def _changed(recorded: Mapping[str, Any], packages: Sequence[str]) -> Iterator[str]:
    """Recorded metadata that the index tells differently."""
    wanted = []
    for package in packages:
        versions = index.read_versions(package)
        wanted += [(package, v, python) for v, python in versions.items() if v in recorded["packages"][package]]
    for package, version, record in _releases(wanted):
        known = recorded["packages"][package][version]
        for field in record:
            if record[field] != known.get(field):
                yield f"recorded {package} {version} {field}: {known.get(field)!r}, the index says {record[field]!r}"


def _releases(wanted: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, str, Any]]:
    with ThreadPoolExecutor(WORKERS) as pool:
        for found in pool.map(index.read_batch, index.batches(wanted)):
            yield from found


def dumped(recorded: Mapping[str, Any]) -> str:
    """The record as JSON, a release per line."""
    packages = {}
    for package, releases in sorted(recorded["packages"].items()):
        rows = [f"   {json.dumps(v)}: {json.dumps(releases[v])}" for v in sorted(releases, key=Version)]
        packages[package] = "{\n" + ",\n".join(rows) + "\n  }"
    body = ",\n".join(f"  {json.dumps(package)}: {rows}" for package, rows in packages.items())
    parts = [f' "recorded": {json.dumps(recorded["recorded"])}', ' "packages": {\n' + body + "\n }"]
    for name in ("model_types", "vllm_architectures", "sglang_architectures"):
        pairs = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(recorded.get(name, {}).items())]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(pairs) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.exit(main())
