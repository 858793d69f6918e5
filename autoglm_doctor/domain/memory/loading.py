"""Main memory that loading takes: one engine process and its part for every copy of the model."""

from __future__ import annotations

from dataclasses import dataclass

from autoglm_doctor.domain.model import weight_bytes
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import SMOKE, Intent

#: Python, torch, CUDA and an engine's processes before the first weight; our own number.
BASE_BYTES = 4 * GIB

#: The usual size of a shard (the default of save_pretrained), where the real ones are not known.
SHARD_BYTES = 5 * GIB

#: torch and transformers with the smoke model.
SMOKE_BYTES = 2 * GIB


@dataclass(frozen=True, slots=True)
class Need:
    """How much loading takes, and why."""

    total: int
    why: str


def needed(intent: Intent, files: ModelFiles | None, *, on_cpu: bool, replicas: int = 1) -> Need | None:
    """Bytes of main memory that loading takes; None when the model runs on the CPU and its size is not known.

    `replicas` are copies on this machine. Each is an engine of its own; the file that they read is in memory once, for
    it is mapped and its pages are shared. On the CPU each keeps all the weights.
    """
    if intent.model == SMOKE:
        return Need(SMOKE_BYTES, "the smoke model")
    engines = "4 GiB for the engine" if replicas == 1 else f"4 GiB for each of {replicas} engines"
    if on_cpu:
        weights = weight_bytes(intent, files)
        return None if weights is None else Need(replicas * (weights + BASE_BYTES), f"all weights and {engines}")
    sizes = [file.size_bytes for file in files.weights if file.size_bytes] if files else []
    offload = int(intent.launch.cpu_offload_gib * GIB) * intent.launch.tensor_parallel * replicas
    part = "the largest weight file" if sizes else "a weight file of 5 GiB"
    why = f"{part} and {engines}" + (", and what --cpu-offload-gb keeps" if offload else "")
    return Need(max(sizes, default=SHARD_BYTES) + replicas * BASE_BYTES + offload, why)
