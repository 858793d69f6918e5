"""How long the doctor takes to start and to check, beside its floors. Runs take turns; quote the medians.

    python benchmarks/startup.py [--doctor AUTOGLM_DOCTOR] [--cuda-doctor CUDA_DOCTOR]
                                 [--peer ENV_DOCTOR --python PYTHON_WITHOUT_TORCH] [--torch PYTHON_WITH_TORCH]

Floors: `python -c pass` for `--version`, `cuda-doctor --help` for help, for a check `env-doctor check` where there is
no torch and `python -c "import torch"` where there is. The time given to the disk is what the disk probe itself
reports, and is subtracted. `--doctor` names the console script of an installed wheel, which is what users have; without
it, everything runs in the Python that runs this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

#: Starts take milliseconds: so many runs of them for one of a check.
STARTS = 5


def seconds(command: list[str]) -> tuple[float, str]:
    """Wall time and output of one run; it must have said something, unless it is the bare interpreter."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if not done.stdout and command[1:2] != ["-c"]:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode} and no output\n{done.stderr[-1000:]}")
    return taken, done.stdout


def start(name: str, ours: list[str], floor: list[str], runs: int) -> None:
    """Alternate two short commands and print medians and the ratio."""
    pairs = [(seconds(ours)[0], seconds(floor)[0]) for _ in range(runs + 1)][1:]  # the first is the warm-up
    ratio = [a / b for a, b in pairs]
    print(
        f"{name}: {1000 * statistics.median(a for a, _ in pairs):.0f} ms; "
        f"floor {1000 * statistics.median(b for _, b in pairs):.0f} ms; "
        f"ratio {statistics.median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})",
        flush=True,
    )


def starts(script: list[str], module: list[str], cuda_doctor: str | None, runs: int) -> None:
    """`--version` and the helps."""
    bare = [module[0], "-c", "pass"]
    start("--version, console script, against python -c pass", [*script, "--version"], bare, runs)
    start("--version, python -m, against python -c pass", [*module, "--version"], bare, runs)
    if cuda_doctor:
        for words in (["--help"], ["check", "--help"]):
            name = f"{' '.join(words)}, against cuda-doctor --help"
            start(name, [*script, *words], [cuda_doctor, "--help"], runs)


def check(doctor: list[str], python: str) -> tuple[float, float]:
    """Wall seconds of a check without the disk's share, and that share."""
    command = [*doctor, "check", "--final-stage", "none", "--format", "json"]
    wall, out = seconds([*command, "--python", python])
    disk = json.loads(out)["facts"]["disk_speed"]["seconds"]
    return wall - disk, disk


def compare(name: str, doctor: list[str], python: str, floor: list[str], runs: int) -> None:
    """Alternate a check and its floor and print medians and the ratio."""
    ours, disks, floors = [], [], []
    for _ in range(runs + 1):
        wall, disk = check(doctor, python)
        ours.append(wall)
        disks.append(disk)
        floors.append(seconds(floor)[0])
    ours, disks, floors = ours[1:], disks[1:], floors[1:]  # the first is the warm-up
    ratio = statistics.median(a / b for a, b in zip(ours, floors, strict=True))
    print(
        f"{name}: check {statistics.median(ours):.2f} s + disk {statistics.median(disks):.2f} s; "
        f"floor {statistics.median(floors):.2f} s; ratio {ratio:.2f}",
        flush=True,
    )


def main() -> None:
    """Run the comparisons that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--doctor", type=Path, help="the installed autoglm-doctor, beside its python")
    parser.add_argument("--cuda-doctor", help="path of cuda-doctor, in an environment of its own")
    parser.add_argument("--peer", help="path of env-doctor, in an environment of its own")
    parser.add_argument("--python", help="an interpreter without torch")
    parser.add_argument("--torch", default=sys.executable, help="an interpreter with torch")
    parser.add_argument("--runs", type=int, default=7, help="of a check; starts are run five times as often")
    given = parser.parse_args()
    script = given.doctor or Path(sys.executable).with_name("autoglm-doctor")
    doctor, module = [str(script)], [str(script.with_name("python")), "-m", "autoglm_doctor"]
    starts(doctor, module, given.cuda_doctor, STARTS * given.runs)
    if given.peer and given.python:
        name = "without torch, against env-doctor check"
        compare(name, doctor, given.python, [given.peer, "check"], given.runs)
    if given.torch:
        name = "with torch, against import torch"
        compare(name, doctor, given.torch, [given.torch, "-c", "import torch"], given.runs)


if __name__ == "__main__":
    main()
