"""How fast a GPU could decode and read a prompt, by its data sheet: the yardsticks for a server's speed.

One request at a time is bound by memory: every new token reads all weights that take part, once, and the cache of what
came before. A prompt is bound by arithmetic: two operations per parameter and token.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoglm_doctor.domain.memory.fits import kv_element_bytes
from autoglm_doctor.domain.memory.weights import quantized_size
from autoglm_doctor.domain.model import element_bytes, model_shape, weight_bytes
from autoglm_doctor.domain.shape.read import Parameters, Shape
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import Matrix


@dataclass(frozen=True, slots=True)
class Card:
    """What one GPU can do at most; bytes and operations per second."""

    bandwidth: float
    operations: float | None


@dataclass(frozen=True, slots=True)
class Work:
    """What one token costs one GPU."""

    weights: float  # bytes that are read for every new token
    kv: float  # bytes of cache that are read with it, for the context that was asked about
    operations: float  # for one token of a prompt

    @property
    def bytes(self) -> float:
        """All that is read."""
        return self.weights + self.kv


def card_of(name: str, total_bytes: int | None, matrix: Matrix) -> Card | None:
    """The data sheet of a GPU by the driver's name for it; None: the matrix has not exactly that one."""
    sheet = matrix.data_sheet(name, total_bytes)
    if sheet is None or sheet.bandwidth_gb_s is None:
        return None
    tera = sheet.bf16_tflops or sheet.fp16_tflops
    return Card(sheet.bandwidth_gb_s * 1e9, None if tera is None else tera * 1e12)


def work_of(intent: Intent, files: ModelFiles | None, context: int) -> Work | None:
    """What a token costs, with so many tokens before it; None: the model is not understood, or not all on the GPU.

    The table of input vectors is looked up and not read, unless it is the output layer as well; the vision tower rests
    while text is made; of experts those that are asked. Tensor parallelism divides; pipeline stages wait in turn.
    """
    shape, whole = model_shape(intent, files), weight_bytes(intent, files)
    launch = intent.launch
    if shape is None or shape.parameters is None or whole is None or launch.cpu_offload_gib:
        return None
    element = element_bytes(intent, files)
    found, active = shape.parameters, _active(shape, shape.parameters)
    packed = quantized_size(shape, whole, element)
    read = found.linear * packed + active * packed + (found.head or found.embedding) * element + found.other * element
    numbers = found.linear + active + (found.head or found.embedding) + found.other
    gpus = launch.tensor_parallel
    kv = shape.kv_bytes_per_token(kv_element_bytes(intent, element), gpus) * context
    return Work(weights=read / gpus, kv=kv, operations=2 * numbers / gpus)


def _active(shape: Shape, found: Parameters) -> float:
    """Parameters of the experts that one token goes through."""
    return found.experts * shape.experts_per_token / shape.experts if shape.experts else 0.0
