"""How a probe answers.

A probe is started with two arguments: the path of its result file and a JSON object of arguments. It appends one JSON
object a line to the result file as soon as it knows something, so that what it knew survives its death:

    {"fact": "driver", "outcome": "known", "value": {...}, "why": "", "source": "NVML", "seconds": 0.01}
    {"progress": "loading weights"}

Its standard output and error belong to whatever it loads and count for nothing but a last message.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from autoglm_doctor.facts import Reading
from autoglm_doctor.jsonio import encode

Answers = Iterator[tuple[str, Reading[Any]]]


def run(probe: Callable[[dict[str, Any]], Answers]) -> None:
    """Run a probe of the doctor's own interpreter: write each reading as it comes, with the time it took."""
    result, arguments = sys.argv[1], json.loads(sys.argv[2])
    with open(result, "a", encoding="utf-8") as stream:
        started = time.perf_counter()
        for fact, reading in probe(arguments):
            line = {"progress": reading.why} if fact == "progress" else {"fact": fact, **encode(reading)}
            line["seconds"] = round(time.perf_counter() - started, 6)
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            started = time.perf_counter()


def enter(folder: str | None) -> None:
    """Look from where the server will be started, so that relative paths mean the same; not there: stay."""
    with suppress(OSError):
        if folder:
            os.chdir(folder)
