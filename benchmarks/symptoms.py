"""Reading a log for known failures: with the words that spare patterns, against every pattern on every line.

    python benchmarks/symptoms.py [--rounds 7] [--lines 400]

Both run by turns in one process, on lines of which none is a known failure; the ratio of the medians is the result.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from unittest import mock

from autoglm_doctor.domain.signatures import matching, symptoms_of

LINES = (
    "INFO 10-21 09:11:57 [model_runner.py:1120] Loading model weights took 18.22 GiB and 6.1 seconds",
    '  File "/usr/lib/python3.10/site-packages/vllm/v1/engine/core.py", line 387, in run_engine_core',
    "    self.model_executor = executor_class(vllm_config)",
    "(EngineCore pid=12) ERROR 10-21 09:11:58 [core.py:387] RuntimeError: something odd happened while it was running",
)


def seconds(lines: list[str]) -> float:
    """Processor time of one reading."""
    started = time.process_time()
    symptoms_of(lines, "vllm")
    return time.process_time() - started


def main() -> None:
    """Print both medians per line, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lines", type=int, default=400)
    asked = parser.parse_args()
    lines = [f"{line} {number}" for number, line in zip(range(asked.lines), itertools.cycle(LINES), strict=False)]
    every = mock.patch.object(matching, "may_match", return_value=True)
    with every:
        symptoms_of(lines, "vllm")  # compiles them all
    ours, theirs = [], []
    for _ in range(asked.rounds):
        ours.append(seconds(lines))
        with every:
            theirs.append(seconds(lines))
    words, patterns = (statistics.median(one) / asked.lines * 1e6 for one in (ours, theirs))
    print(f"words first {words:.0f} us a line, all patterns {patterns:.0f} us: {words / patterns:.2f}")


if __name__ == "__main__":
    main()
