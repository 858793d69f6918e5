"""Ten situations in which env-doctor was found wrong, it and us side by side in one run.

    python -m benchmarks.verdicts_against_env_doctor [--work FOLDER] [--newer-python PATH] [--markdown FILE]

Each situation is a machine that both see with their own probes (benchmarks/verdict_machines.py); the rows stand in
benchmarks/verdict_rows.py, the rule who is right in benchmarks/verdict_judgement.py. env-doctor is installed with pip
(what is newest there) into an environment of its own under FOLDER that also shows it the deployment's packages, as if
it were installed among them. It runs twice: `check` for its words, `check --ci` for its exit code. Ours is the wheel of
tools/dist.py and runs from its own environment.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from benchmarks.faults_against_peers import OURS, Tool, environment, mounted, show_packages
from benchmarks.verdict_installs import ASKED, SYSTEM, Asked, our_line, their_line
from benchmarks.verdict_judgement import Answer, clean, judged, ours, quoted, theirs, usual_lines
from benchmarks.verdict_machines import Simulated, simulate
from benchmarks.verdict_page import page
from benchmarks.verdict_rows import CONTROLS, ROWS, Row
from tests.faults.machine import Machine

THEM = Tool("env-doctor", "env-doctor", ("{env}/bin/env-doctor",))
THEM_NEWER = replace(THEM, name="env-doctor-newer-python")
US = Tool("autoglm-doctor", "", OURS, sees=False)

#: Nothing here hangs: the longest takes 3 s.
LIMIT_SECONDS = 120

#: For the row about living beside vLLM: what its metadata asks for, as of 2026-11-21.
BESIDE = Simulated(
    vllm="0.30.0",
    torch="2.13.0+cu130",
    transformers="5.17.0",
    others=(("mcp", "2.3.0"), ("packaging", "26.3"), ("requests", "2.32.5"), ("pyyaml", "6.0.3"), ("click", "8.3.1")),
)


class Bench:
    """The two doctors in their environments, and a folder for machines."""

    def __init__(self, work: Path, scratch: Path, newer_python: str) -> None:
        """Install what is not there yet."""
        self.scratch, self.work, self.newer_python = scratch, work, newer_python
        self.offline = False
        self.us, self.them = environment(US, work), environment(THEM, work)
        self.them_newer = environment(THEM_NEWER, work, newer_python) if newer_python else None
        self.usual: frozenset[str] = frozenset()
        self.usual = usual_lines(self._them(CONTROLS[0], self._machine(CONTROLS[0]), "check").stdout)

    def compare(self, row: Row) -> tuple[Answer, Answer]:
        """Theirs and ours."""
        machine = self._machine(row)
        try:
            text, gate = (self._them(row, machine, *words) for words in (("check",), ("check", "--ci")))
            self.offline = self.offline or "Offline" in text.stderr
            more = "".join(self._them(row, machine, *words).stdout for words in row.more)
            answer = theirs(text.stdout + more, text.stderr, text.returncode, gate.returncode, self.usual)
            return answer, self._us(machine)
        finally:
            shutil.rmtree(machine.root.parent, ignore_errors=True)

    def _machine(self, row: Row) -> Machine:
        what = replace(row.machine, python=self.newer_python) if row.machine.python else row.machine
        return simulate(what, Path(tempfile.mkdtemp(dir=self.scratch)) / "one")

    def _them(self, row: Row, machine: Machine, *words: str) -> subprocess.CompletedProcess[str]:
        env = self.them_newer if row.machine.python and self.them_newer else self.them
        show_packages(env, machine)
        return run([str(env / "bin" / "env-doctor"), *words], machine)

    def _us(self, machine: Machine) -> Answer:
        words = [word.format(env=self.us) for word in US.command]
        words += [*machine.options, "--format", "json", *(["--", *machine.command] if machine.command else [])]
        done = run(words, machine)
        return ours(json.loads(done.stdout), done.returncode)

    def beside_vllm(self) -> tuple[str, str]:
        """What pip would do to the deployment's packages to install either doctor among them."""
        machine = simulate(BESIDE, Path(tempfile.mkdtemp(dir=self.scratch)) / "one")
        there = [folder.name.removesuffix(".dist-info") for folder in machine.site.glob("*.dist-info")]
        wheel = str(next((self.work / "dist").glob("autoglm_doctor-*.whl")))
        return self._would_move(machine, "env-doctor", there), self._would_move(machine, wheel, there)

    def _would_move(self, machine: Machine, wanted: str, there: list[str]) -> str:
        pip = [self.them / "bin" / "python", "-m", "pip", "--python", machine.venv / "bin" / "python"]
        words = [*pip, "install", "--quiet", "--dry-run", "--report", "-", wanted]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300, check=True)
        plan = {
            one["metadata"]["name"].lower(): one["metadata"]["version"] for one in json.loads(done.stdout)["install"]
        }
        names = {one.rpartition("-")[0]: one for one in there}
        return ", ".join(f"{names[name]} by {plan[name]}" for name in plan if name in names)

    def install(self, asked: Asked) -> tuple[str, str]:
        """The lines of both for a machine on which vLLM is to be installed."""
        machine = simulate(asked.machine, Path(tempfile.mkdtemp(dir=self.scratch)) / "one")
        show_packages(self.them, machine)
        them = run([str(self.them / "bin" / "env-doctor"), "install", "vllm"], machine)
        words = ["resolve", "--driver", asked.machine.driver, "--gpu", asked.machine.card, *SYSTEM]
        us = run([str(self.us / "bin" / "autoglm-doctor"), *words], machine)
        shutil.rmtree(machine.root.parent, ignore_errors=True)
        return their_line(them.stdout), our_line(us.stdout)

    def version(self, env: Path, package: str) -> str:
        """As the tool's own environment says it."""
        code = f"from importlib.metadata import version; print(version({package!r}))"
        return subprocess.check_output([env / "bin" / "python", "-c", code], text=True).strip()


def run(words: list[str], machine: Machine) -> subprocess.CompletedProcess[str]:
    """One command on this machine."""
    return subprocess.run(
        mounted(words, machine),
        env=machine.environ,
        cwd=machine.cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_SECONDS,
        check=False,
    )


def table(bench: Bench) -> Iterator[tuple[Row, list[str]]]:
    """The cells of each row, as they come."""
    for row in ROWS:
        truth = (
            f"{row.truth} ([source]({row.source}))" if row.source.startswith("http") else f"{row.truth} ({row.source})"
        )
        if row.machine.python and not bench.newer_python:
            yield row, [row.name, truth, "left out: no such Python was given", "", ""]
            continue
        them, us = bench.compare(row)
        right = f"env-doctor: {judged(row, them)}<br>we: {judged(row, us)}" + (
            f"<br>{row.remark}" if row.remark else ""
        )
        cells = [f"{quoted(them)}<br>`--ci`: {them.gate}", f"{quoted(us)}<br>exit code {us.gate}"]
        yield row, [clean(row.name), truth, *cells, right]


def main() -> None:
    """Run all rows, print them, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for environments, kept and used again")
    parser.add_argument("--newer-python", default="", help="a Python 3.13, for the row about it")
    parser.add_argument("--markdown", type=Path, help="also write the page to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench((given.work or Path(scratch)).resolve(), Path(scratch), given.newer_python)
        rows = []
        for row, cells in table(bench):
            rows.append((row, cells))
            print(" | ".join([row.kind, cells[0], cells[-1]]), flush=True)
        installs = [(asked, *bench.install(asked)) for asked in ASKED]
        print(*(" | ".join(lines) for _, *lines in installs), sep="\n")
        moved = bench.beside_vllm()
        print("beside vLLM 0.30.0:", *moved, sep="\n  ")
        text = page(
            rows,
            installs,
            moved,
            day=date.today().isoformat(),
            python=sys.version.split()[0],
            versions=(bench.version(bench.us, "autoglm-doctor"), bench.version(bench.them, "env-doctor")),
            offline=bench.offline,
        )
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
