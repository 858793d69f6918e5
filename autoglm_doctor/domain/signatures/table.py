"""All rows, in the order in which they are tried: the first that matches a line wins, so narrow ones stand first."""

from __future__ import annotations

from autoglm_doctor.domain.signatures import (
    binaries,
    command,
    container,
    driver,
    engine,
    extensions,
    gpu,
    kernels,
    machine,
    memory,
    network,
    packages,
    processor,
    resolvers,
    system,
    toolchain,
    versions,
    weights,
)
from autoglm_doctor.domain.signatures.row import Signature

#: Subject -> rows.
SUBJECTS: dict[str, tuple[Signature, ...]] = {
    "memory": memory.ROWS,
    "container": container.ROWS,
    "driver": driver.ROWS,
    "machine": machine.ROWS,
    "GPU": gpu.ROWS,
    "kernels": kernels.ROWS,
    "system": system.ROWS,
    "toolchain": toolchain.ROWS,
    "extensions": extensions.ROWS,
    "resolvers": resolvers.ROWS,
    "binaries": binaries.ROWS,
    "versions": versions.ROWS,
    "packages": packages.ROWS,
    "weights": weights.ROWS,
    "processor": processor.ROWS,
    "command": command.ROWS,
    "network": network.ROWS,
    "engine": engine.ROWS,
}

TABLE: tuple[Signature, ...] = tuple(row for rows in SUBJECTS.values() for row in rows)
