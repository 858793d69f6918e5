"""What each command may import and open. Starts are short because of this; how short, `benchmarks/startup.py` tells."""

from __future__ import annotations

import gc
import json
import os
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from autoglm_doctor.domain import conflicts
from autoglm_doctor.facts import Distribution, Packages
from autoglm_doctor.probes import safetensors_header

READING = str(Path(__file__).parent / "machines/4090-small-model.json")

#: Runs a command in a fresh interpreter and writes what was imported and opened.
WATCH = """
import sys
before, opened = set(sys.modules), []
sys.addaudithook(lambda event, values: opened.append(str(values[0])) if event == "open" else None)
out, module, *sys.argv[1:] = sys.argv[1:]
code = 0
try:
    if module == "doctor":
        from autoglm_doctor.__main__ import main
        main()
    else:
        from importlib import import_module
        from autoglm_doctor.probes.protocol import run
        run(import_module(module).probe)
except SystemExit as end:
    code = end.code
imported, files = sorted(set(sys.modules) - before), list(opened)
import json
json.dump({"imported": imported, "opened": files, "code": code}, open(out, "w"))
"""


def watch(folder: Path, module: str, *words: str) -> dict[str, Any]:
    out = folder / "watched.json"
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(out), module, *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        check=False,
    )
    assert out.exists(), done.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def heavy(imported: list[str], forbidden: tuple[str, ...]) -> list[str]:
    """The modules that are, or lie in, one of these."""
    return [m for m in imported if any(m == f or m.startswith(f"{f}.") for f in forbidden)]


def test_the_version_costs_nothing(tmp_path: Path) -> None:
    seen = watch(tmp_path, "doctor", "--version")
    assert set(seen["imported"]) <= {"autoglm_doctor", "autoglm_doctor.__main__", "gc"}


MODELS = ("torch", "transformers", "numpy", "huggingface_hub", "safetensors", "tokenizers", "vllm", "PIL")
PROBES = ("psutil", "pynvml", "autoglm_doctor.probes", "ctypes")
READS = ("autoglm_doctor.preflight", "autoglm_doctor.plan", "autoglm_doctor.collect", "autoglm_doctor.nursery", "yaml")
JUDGES = ("autoglm_doctor.registry", "autoglm_doctor.checks", "autoglm_doctor.domain", "packaging")
FACTS = ("autoglm_doctor.facts", "autoglm_doctor.finding", "autoglm_doctor.redact", "pydantic")
REPORTS = ("rich", "autoglm_doctor.report.terminal", "autoglm_doctor.report.json_report")


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        pytest.param(("--help",), (*MODELS, *PROBES, *READS, *JUDGES, *REPORTS, *FACTS), id="help"),
        pytest.param(("check", "--help"), (*MODELS, *PROBES, *READS, *JUDGES, *REPORTS, *FACTS), id="help of check"),
        pytest.param(("list",), (*MODELS, *PROBES, *READS, *REPORTS), id="list"),
        pytest.param(("explain", "VRM003"), (*MODELS, *PROBES, *READS), id="explain"),
        pytest.param(
            ("check", "--facts", READING, "--format", "json"), (*MODELS, *PROBES, *REPORTS[:2]), id="a saved reading"
        ),
        pytest.param(
            ("check", "--python", sys.executable, "--select", "HST,PKG,GPU,MEM", "--final-stage", "none"),
            (*MODELS, *PROBES),
            id="this machine",
        ),
    ],
)
def test_what_is_not_needed_is_not_imported(words: tuple[str, ...], forbidden: tuple[str, ...], tmp_path: Path) -> None:
    seen = watch(tmp_path, "doctor", *words)
    assert seen["code"] in (0, 1, 4)
    assert "autoglm_doctor.cli.app" in seen["imported"]  # it did run
    assert heavy(seen["imported"], forbidden) == []


def test_the_nursery_brings_no_probe_with_it(tmp_path: Path) -> None:
    """Its children pay for what they need; a psutil in it would delay the first of them."""
    code = "import sys, autoglm_doctor.probes.nursery; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    imported = done.stdout.split()
    assert "autoglm_doctor.probes.nursery" in imported
    assert heavy(imported, ("psutil", "pynvml", "ctypes", "rich", "typer", "packaging", *MODELS)) == []


def install(site: Path, name: str, requires: str = "") -> None:
    place = site / f"{name}-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}\nText\n")


def test_metadata_is_read_once(tmp_path: Path) -> None:
    """Each file once, though the same folder stands on the path twice and through a link."""
    site, other = tmp_path / "site", tmp_path / "other"
    for i in range(30):
        install(site, f"package{i}", "Requires-Dist: package1\n")
    install(site, "torch", "Requires-Dist: package2\n")
    install(other, "package1")
    (tmp_path / "link").symlink_to(site)
    sys_path = [str(site), str(other), str(tmp_path / "link"), str(site)]
    result = tmp_path / "answers.jsonl"
    seen = watch(tmp_path, "autoglm_doctor.probes.packages", str(result), json.dumps({"sys_path": sys_path}))
    assert len(json.loads(result.read_text().splitlines()[0])["value"]["distributions"]) == 31
    opened = Counter(os.path.realpath(f) for f in seen["opened"] if f.endswith("METADATA"))
    assert len(opened) == 32
    assert set(opened.values()) == {1}


def test_the_doctor_itself_reads_no_metadata_of_the_target(tmp_path: Path) -> None:
    """The probe did, in a process of its own."""
    seen = watch(tmp_path, "doctor", "check", "--python", sys.executable, "--select", "PKG", "--final-stage", "none")
    assert seen["code"] in (0, 1, 4)
    assert [f for f in seen["opened"] if f.endswith(("METADATA", "PKG-INFO", "requires.txt"))] == []


def a_package(name: str, *requires: str) -> Distribution:
    return Distribution(name=name, version="1.0", location="/site", requires=requires)


def test_requirements_are_parsed_once_for_all_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three checks ask about the same environment; with more lines than any cache holds."""
    parsed: Counter[str] = Counter()

    def counting(line: str) -> Requirement:
        parsed[line] += 1
        return Requirement(line)

    monkeypatch.setattr(conflicts, "Requirement", counting)
    many = [a_package(f"once{i}", *(f"once{i + 1}>={k}.{i}" for k in range(10))) for i in range(900)]
    packages = Packages(distributions=tuple(many))
    conflicts.survey(packages, "3.11.7", None)
    conflicts.demand(packages, "once1", "3.11.7", None)
    conflicts.disagreement(packages, "once1", ("once2",), "3.11.7", None)
    assert len(parsed) == 9000
    assert set(parsed.values()) == {1}


@pytest.mark.parametrize(
    ("specifier", "possible"),
    [
        pytest.param(",".join(f">={i}.0" for i in range(2, 402)), True, id="only lower bounds"),
        pytest.param(",".join([*(f">={i}.0" for i in range(2, 402)), "<3"]), False, id="an upper bound below them"),
        pytest.param(",".join(f"<={i}.0" for i in range(2, 402)), True, id="only upper bounds"),
        pytest.param(",".join([*(f"<={i}.0" for i in range(2, 402)), ">7"]), False, id="a lower bound above them"),
    ],
)
def test_a_thousand_demands_are_not_compared_with_each_other(
    specifier: str, possible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    contains = SpecifierSet.contains
    monkeypatch.setattr(
        SpecifierSet, "contains", lambda self, item, **more: tried.append(item) or contains(self, item, **more)
    )
    conflicts.satisfiable.cache_clear()
    assert conflicts.satisfiable(specifier) is possible
    assert len(tried) < 10


EXTRAS = [f'other{i}>=1 ; extra == "e{i}"' for i in range(60)]
EVERYTHING = [f'big[E_{i}] ; extra == "all"' for i in range(60)]


def test_the_lines_of_one_extra_are_not_tried_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[str] = []
    applies = conflicts._Walk._applies
    monkeypatch.setattr(
        conflicts._Walk,
        "_applies",
        lambda self, marker, extra: evaluated.append(extra) or applies(self, marker, extra),
    )
    big = a_package("big", *(line.replace('"e', '"E.') for line in EXTRAS), *EVERYTHING)
    found = conflicts.survey(Packages(distributions=(big, a_package("user", "big[all]"))), "3.11.7", None)
    assert [c.name for c in found.conflicts] == [f"other{i}" for i in range(60)]
    assert len(evaluated) == 60 + 60 + 1


@pytest.mark.parametrize("enabled", [pytest.param(True, id="on"), pytest.param(False, id="off")])
def test_the_collector_rests_while_a_header_is_read(
    enabled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made a header of 99 MB take 5 s instead of 2; afterwards it is as it was, also after a fault."""
    states = []
    loads = json.loads
    monkeypatch.setattr(safetensors_header.json, "loads", lambda text: states.append(gc.isenabled()) or loads(text))
    for name, text in (("good", b"{}"), ("bad", b"{no JSON")):
        (tmp_path / name).write_bytes(struct.pack("<Q", len(text)) + text)
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        faults = [safetensors_header.read_header(tmp_path / name, name).file.fault for name in ("good", "bad")]
        after = gc.isenabled()
    finally:
        (gc.enable if was else gc.disable)()
    assert faults == [None, "header"]
    assert states == [False, False]
    assert after is enabled
