"""All rows, in the order in which they are tried: the first that matches a line wins, so narrow ones stand first."""

from __future__ import annotations

from autoglm_doctor.domain.signatures import (
    binaries,
    command,
    engine,
    gpu,
    machine,
    memory,
    network,
    processor,
    versions,
    weights,
)
from autoglm_doctor.domain.signatures.row import Signature

#: Subject -> rows.
SUBJECTS: dict[str, tuple[Signature, ...]] = {
    "memory": memory.ROWS,
    "machine": machine.ROWS,
    "GPU": gpu.ROWS,
    "binaries": binaries.ROWS,
    "versions": versions.ROWS,
    "weights": weights.ROWS,
    "processor": processor.ROWS,
    "command": command.ROWS,
    "network": network.ROWS,
    "engine": engine.ROWS,
}

TABLE: tuple[Signature, ...] = tuple(row for rows in SUBJECTS.values() for row in rows)
