"""How long `check --final-stage none` takes, beside its two floors. Ratios from one run; quote the medians.

    python benchmarks/startup.py [--peer ENV_DOCTOR --python PYTHON_WITHOUT_TORCH] [--torch PYTHON_WITH_TORCH]

Floors: `env-doctor check` where there is no torch, `python -c "import torch"` where there is. The time given to the
disk is what the disk probe itself reports, and is subtracted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time


def seconds(command: list[str]) -> tuple[float, str]:
    """Wall time and output of one run."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return time.perf_counter() - started, done.stdout


def doctor(python: str) -> tuple[float, float]:
    """Wall seconds of a check without the disk's share, and that share."""
    command = [sys.executable, "-m", "autoglm_doctor", "check", "--final-stage", "none", "--format", "json"]
    wall, out = seconds([*command, "--python", python])
    disk = json.loads(out)["facts"]["disk_speed"]["seconds"]
    return wall - disk, disk


def compare(name: str, python: str, floor: list[str], runs: int) -> None:
    """Alternate the two and print medians and the ratio."""
    ours, disks, floors = [], [], []
    for _ in range(runs + 1):
        wall, disk = doctor(python)
        ours.append(wall)
        disks.append(disk)
        floors.append(seconds(floor)[0])
    ours, disks, floors = ours[1:], disks[1:], floors[1:]  # the first is the warm-up
    ratio = statistics.median(a / b for a, b in zip(ours, floors, strict=True))
    print(
        f"{name}: check {statistics.median(ours):.2f} s + disk {statistics.median(disks):.2f} s; "
        f"floor {statistics.median(floors):.2f} s; ratio {ratio:.2f}"
    )


def main() -> None:
    """Run the comparisons that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="path of env-doctor, in an environment of its own")
    parser.add_argument("--python", help="an interpreter without torch")
    parser.add_argument("--torch", default=sys.executable, help="an interpreter with torch")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    if given.peer and given.python:
        compare("without torch, against env-doctor check", given.python, [given.peer, "check"], given.runs)
    compare("with torch, against import torch", given.torch, [given.torch, "-c", "import torch"], given.runs)


if __name__ == "__main__":
    main()
