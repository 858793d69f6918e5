"""Our disk probe against fio, by turns on the same file, as ratios of medians.

    python benchmarks/disk_against_fio.py [--file FILE | --folder FOLDER] [--rounds 10] [--seconds 2.5]

Needs fio (Debian, Ubuntu: apt-get install fio). Without --file, 1 GiB of noise is written to the folder and removed
again. Judge by the medians: two runs of fio on a shared disk differ by more than 10 % three times of ten.
On a virtual disk the sequential line says little: with 1 MiB reads fio itself jumped between 1.2 and 3.8 GB/s from run
to run, by how contiguous its buffers happened to lie in memory; ours stay at the lower end, near a cold load.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from autoglm_doctor.probes import disk

#: name: (fio's flags, share of the probe's time)
JOBS = {
    "random 4 KiB, QD32 (IOPS)": (("--rw=randread", "--bs=4k", "--iodepth=32"), 0.4),
    "random 4 KiB, QD1 (us)": (("--rw=randread", "--bs=4k", "--iodepth=1"), 0.2),
    "sequential 1 MiB, QD8 (MB/s)": (("--rw=read", "--bs=1m", "--iodepth=8"), 0.4),
}


def by_fio(path: str, seconds: float) -> list[float]:
    """The three figures, each from its own run of fio as long as the probe's part."""
    return [_one_job(name, path, seconds) for name in JOBS]


def _one_job(name: str, path: str, seconds: float) -> float:
    flags, share = JOBS[name]
    command = ["fio", "--name=job", f"--filename={path}", "--readonly", "--ioengine=libaio", "--direct=1"]
    command += ["--time_based", f"--runtime={int(share * seconds * 1000)}ms", "--randrepeat=0", "--invalidate=0"]
    done = subprocess.run(
        [*command, "--output-format=json", *flags], check=True, capture_output=True, text=True, timeout=60
    )
    read = json.loads(done.stdout)["jobs"][0]["read"]
    return float(
        {"IOPS": read["iops"], "us": read["lat_ns"]["mean"] / 1e3, "MB/s": read["bw_bytes"] / 1e6}[_unit(name)]
    )


def _unit(name: str) -> str:
    return name.rpartition("(")[2].rstrip(")")


def by_probe(path: str, seconds: float) -> list[float]:
    """The three figures of the probe, through its own entry."""
    folder = os.path.dirname(path)
    _, reading = next(disk.probe({"path": folder, "weights": [path], "seconds": seconds}))
    speed = reading.value
    if speed is None or speed.cached:
        raise SystemExit(f"the probe did not reach the disk: {reading}")
    return [speed.random_iops, speed.random_latency_us, speed.sequential_bytes_per_s / 1e6]


@contextmanager
def noise(folder: str) -> Iterator[str]:
    """A file of 1 GiB that is gone afterwards."""
    with tempfile.NamedTemporaryFile(dir=folder) as stream:
        disk.write_noise(stream.fileno(), disk.GIB, 300, direct=False)
        yield stream.name


def compare(path: str, rounds: int, seconds: float) -> None:
    """Print medians, their ratio, and how many single rounds agree within 10 %."""
    pairs = [(by_probe(path, seconds), by_fio(path, seconds)) for _ in range(rounds)]
    print(f"{'':30} {'probe':>10} {'fio':>10} {'ratio':>6}  rounds within 10 %")
    for i, name in enumerate(JOBS):
        ours, theirs = [pair[0][i] for pair in pairs], [pair[1][i] for pair in pairs]
        near = sum(abs(a / b - 1) <= 0.1 for a, b in zip(ours, theirs, strict=True))
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{name:30} {a:10.1f} {b:10.1f} {a / b:6.2f}  {near} of {rounds}")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", help="read this file instead of writing one")
    parser.add_argument("--folder", default=".", help="where to write the file (default: here)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.5, help="for the probe's three parts together")
    options = parser.parse_args()
    if options.file:
        compare(os.path.abspath(options.file), options.rounds, options.seconds)
        return
    with noise(options.folder) as path:
        compare(os.path.abspath(path), options.rounds, options.seconds)


if __name__ == "__main__":
    main()
