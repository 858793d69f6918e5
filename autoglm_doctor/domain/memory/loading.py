"""Main memory that loading takes: one engine process and its part for every copy of the model."""

from __future__ import annotations

from dataclasses import dataclass

from autoglm_doctor.domain.memory.named_size import LEAST, named_parameters
from autoglm_doctor.domain.model import checkpoint_bytes, weight_bytes
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import SMOKE, Intent

#: Python, torch, CUDA and an engine's processes before the first weight; our own number.
BASE_BYTES = 4 * GIB

#: The usual size of a shard (the default of save_pretrained), where the real ones are not known.
SHARD_BYTES = 5 * GIB

#: torch and transformers with the smoke model.
SMOKE_BYTES = 2 * GIB


#: Names round: a model has up to 1.14 times the parameters that its name says (named_size), of 2 bytes each.
MOST_OF_NAME = 1.3


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
    whole = checkpoint_bytes(intent, files) or _by_name(intent.model)
    shard = SHARD_BYTES if whole is None else min(SHARD_BYTES, whole)  # no file is larger than the model
    part = "the largest weight file" if sizes else "all weights" if shard < SHARD_BYTES else "a weight file of 5 GiB"
    why = f"{part} and {engines}" + (", and what --cpu-offload-gb keeps" if offload else "")
    return Need(max(sizes, default=shard) + replicas * BASE_BYTES + offload, why)


def _by_name(model: str) -> int | None:
    """The most that the weights of a name such as "Qwen2.5-0.5B" take in 16 bits."""
    named = named_parameters(model)
    return None if named is None else int(named / LEAST * MOST_OF_NAME * 2)
