"""How the time of a check grows with the machine: packages, checks, GPUs, weight files, findings, a long header.

    python -m benchmarks.growth [--doctor AUTOGLM_DOCTOR] [--rounds 5] [--only WORD]

Whole processes: the least wall time, and the median CPU time with all children. The sizes take turns, so that a busy
machine hurts them alike. The exponent is the slope of log(CPU time - base) over log(size): 1 is linear, and more than
1.1 is told. The base is the CPU time of the smallest size of its kind (none, or one); what stays under 20 ms above it
is flat.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import growth_machines as machines
from benchmarks.growth_machines import Job

#: Less than this above the base is noise on a shared machine.
FLAT_SECONDS = 0.020

#: A slope that noise can make out of a linear one.
LINEAR = 1.1


@dataclass(frozen=True)
class Case:
    """One thing that can be large. `make` builds a machine of a size in an empty folder."""

    name: str
    sizes: Sequence[int]  # the first is the base
    make: Callable[[Path, int], Job]


def run(program: Sequence[str], job: Job) -> tuple[float, float]:
    """Wall and CPU seconds of one run, children included."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [*program, *job.words], capture_output=True, text=True, check=False, env={**os.environ, **job.environ}
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1, 4, 5):  # a verdict, whichever
        raise SystemExit(f"{' '.join(job.words)[:200]}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float | None:
    """Slope of log(seconds - base) over log(size), the first being the base; None when it does not grow."""
    grown = [(n, s - seconds[0]) for n, s in zip(sizes[1:], seconds[1:], strict=True)]
    points = [(math.log(n), math.log(s)) for n, s in grown if s > FLAT_SECONDS / 4]
    if max(s for _, s in grown) < FLAT_SECONDS or len(points) < 2:
        return None
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def measure(case: Case, program: Sequence[str], rounds: int) -> None:
    """Build every size, run them in turn, print a line a size and the exponent."""
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        jobs = []
        for size in case.sizes:
            folder = Path(name) / str(size)
            folder.mkdir()
            jobs.append(case.make(folder, size))
        found = [[run(program, job) for job in jobs] for _ in range(rounds + 1)][1:]  # the first is the warm-up
    wall = [min(one[i][0] for one in found) for i in range(len(jobs))]
    cpu = [statistics.median(one[i][1] for one in found) for i in range(len(jobs))]
    slope = exponent(case.sizes, cpu)
    said = "flat" if slope is None else f"{slope:.2f}" + ("" if slope <= LINEAR else " WORSE THAN LINEAR")
    print(f"{case.name}: exponent {said}")
    for size, w, c in zip(case.sizes, wall, cpu, strict=True):
        print(f"  {size:>6}  {w:7.3f} s  cpu {c:7.3f} s", flush=True)


MANY = (0, 125, 250, 500, 1000)

CASES = (
    Case("packages that agree, 10 requirements each", MANY, machines.packages_that_agree),
    Case("packages that all disagree, 30 requirements each", MANY, machines.packages_that_all_disagree),
    Case("demands on one package", MANY, machines.demands_on_one_package),
    Case("packages that the engine misses", MANY, machines.demands_of_the_engine),
    Case("extras of one package, all asked for", (0, 25, 50, 100, 200), machines.extras_of_one_package),
    Case("checks of --checks-dir", (0, 25, 50, 100, 200), machines.many_checks),
    Case("GPUs, judged from a saved reading", (1, 2, 4, 8, 16, 64), machines.gpus_judged),
    Case("GPUs, read through a stand-in for NVML", (1, 2, 4, 8, 16), machines.gpus_read),
    Case("weight files of a model", (1, 125, 250, 500, 1000), machines.shards),
    Case("MB of one header", (0, 12, 25, 50, 99), machines.long_header),
    Case("findings, report for people", MANY, machines.many_findings("terminal")),
    Case("findings, report as JSON", MANY, machines.many_findings("json")),
)


def main() -> None:
    """Measure the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--doctor", help="an installed autoglm-doctor; the default is this checkout's module")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name holds this word")
    given = parser.parse_args()
    program = [given.doctor] if given.doctor else [sys.executable, "-m", "autoglm_doctor"]
    if shutil.which(program[0]) is None:
        raise SystemExit(f"there is no {program[0]}")
    for case in CASES:
        if given.only in case.name:
            measure(case, program, given.rounds)


if __name__ == "__main__":
    main()
