"""The ways in which several GPUs may share a model, where nobody says how they do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from autoglm_doctor.domain.deployment import Case, read_case, variables_of, visible_gpus
from autoglm_doctor.domain.launch_line import can_change, changed, stated_flag
from autoglm_doctor.facts import Environment, Gpu, ModelFiles, Packages
from autoglm_doctor.intent import Intent

#: Up to so many GPUs every number of them is tried.
FEW = 8


def other_splits(
    gpus: tuple[Gpu, ...],
    intent: Intent,
    files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
) -> Iterator[Case]:
    """The deployment on all the GPUs together, then on fewer, the largest first; none where the split is certain.

    An engine that fills one GPU after the other (transformers' device_map="auto", the default of its server) has the
    sum of their memory.
    """
    visible = visible_gpus(gpus, variables_of(environment, intent))
    by_size = sorted(visible, key=lambda gpu: gpu.total_bytes, reverse=True)
    if len(by_size) < 2 or not _is_open(intent):
        return
    if not can_change(intent, "tensor_parallel"):
        every = all(gpu.memory_read for gpu in by_size)
        total = sum(gpu.total_bytes for gpu in by_size) if every else 0
        whole = dataclasses.replace(by_size[0], total_bytes=total, reserved_bytes=0)
        yield read_case((whole,), _alone(intent), files, packages, None, None)
        return
    for number in _numbers(len(by_size)):
        for tensor, pipeline in sorted({(number, 1), (1, number)}, reverse=True):
            sizes = {"tensor_parallel": tensor, "pipeline_parallel": pipeline, "data_parallel": 1}
            tried = changed(intent, {n: size for n, size in sizes.items() if getattr(intent.launch, n) != size})
            yield read_case(tuple(by_size[:number]), _alone(tried), files, packages, None, None)


def _is_open(intent: Intent) -> bool:
    if intent.engine == "transformers" and stated_flag(intent.command, "device") in (None, "auto"):
        return True
    return intent.split_open


def _alone(intent: Intent) -> Intent:
    """The GPUs are chosen already: what the variables hide is gone."""
    return dataclasses.replace(intent, environment={})


def _numbers(most: int) -> list[int]:
    """All of them and every smaller number (a pipeline goes over any); of a great many the powers of two."""
    fewer = range(most - 1, 0, -1) if most <= FEW else (1 << bit for bit in range(most.bit_length() - 1, -1, -1))
    return [most, *(number for number in fewer if number < most)]
