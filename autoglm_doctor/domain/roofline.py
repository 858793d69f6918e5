"""How fast a GPU could decode and read a prompt, by its data sheet: the yardsticks for a server's speed.

One request at a time is bound by memory: every new token reads all weights that take part, once, and the cache of what
came before. A prompt is bound by arithmetic: two operations per parameter and token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from autoglm_doctor.domain.memory.fits import kv_element_bytes
from autoglm_doctor.domain.memory.weights import quantized_size
from autoglm_doctor.domain.model import element_bytes, model_shape, weight_bytes
from autoglm_doctor.domain.shape.read import Parameters, Shape
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

#: Name as the driver writes it (lower case, without maker and line) -> GB/s of memory, and dense TFLOPS in 16 bits with
#: sums in 32; None: not published like that. Source: the makers' data sheets. A laptop's chip of the same name has
#: other memory, so a whole name must match.
_CARDS: tuple[tuple[str, float, float | None], ...] = (
    (r"b200|gb200", 8000, 2250),
    (r"b300|gb300", 8000, None),
    (r"h200( 141gb hbm3e)?", 4800, 989),
    (r"h200 nvl", 4800, 835),
    (r"h[18]00 80gb hbm3|h[18]00 sxm5?( 80gb)?", 3352, 989),
    (r"h[18]00 pcie", 2039, 756),
    (r"h100 nvl", 3938, 835),
    (r"h20( 96gb hbm3| 141gb hbm3e)?", 4000, 148),
    (r"gh200.*", 4000, 989),
    (r"a[18]00 sxm4? 80gb", 2039, 312),
    (r"a[18]00 80gb pcie|a[18]00 pcie 80gb", 1935, 312),
    (r"a[18]00 (sxm4?|pcie) 40gb", 1555, 312),
    (r"a30", 933, 165),
    (r"a40", 696, 150),
    (r"a10", 600, 125),
    (r"a10g", 600, 70),
    (r"l40s", 864, 362),
    (r"l40", 864, 181),
    (r"l20", 864, 120),
    (r"l4", 300, 121),
    (r"t4", 320, 65),
    (r"v100s.*", 1134, 130),
    (r"v100 (sxm2|pcie|fhhl).*", 900, 112),
    (r"p100.*16gb", 732, None),
    (r"p40", 346, None),
    (r"gb10", 273, None),
    (r"rtx pro 6000 blackwell (workstation|server) edition", 1792, None),
    (r"rtx 5090( d)?", 1792, 210),
    (r"rtx 5080", 960, None),
    (r"rtx 5070 ti", 896, None),
    (r"rtx 5070", 672, None),
    (r"rtx 5060( ti)?", 448, None),
    (r"rtx 4090( d)?", 1008, 147),
    (r"rtx 4080 super", 736, None),
    (r"rtx 4080", 717, None),
    (r"rtx 4070 ti super", 672, None),
    (r"rtx 4070( ti| super)?", 504, None),
    (r"rtx 4060 ti", 288, None),
    (r"rtx 4060", 272, None),
    (r"rtx 3090 ti", 1008, 80),
    (r"rtx 3090", 936, 71),
    (r"rtx 3080 ti", 912, None),
    (r"rtx 3080", 760, None),
    (r"rtx 3070 ti", 608, None),
    (r"rtx 30(70|60 ti)", 448, None),
    (r"rtx 3060", 360, None),
    (r"rtx 2080 ti", 616, None),
    (r"titan rtx|rtx [68]000", 672, None),
    (r"rtx 6000 ada generation", 960, 364),
    (r"rtx 5000 ada generation", 576, None),
    (r"rtx a6000", 768, 155),
    (r"rtx a5[05]00", 768, None),
    (r"rtx a4500", 640, None),
    (r"rtx a4000", 448, None),
)


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


def card_of(name: str) -> Card | None:
    """The data sheet of a GPU by the driver's name for it; None: not in the table."""
    words = re.sub(r"\b(nvidia|geforce|tesla|quadro)\b", " ", name.lower()).replace("-", " ")
    plain = " ".join(words.split())
    for pattern, bandwidth, tera in _CARDS:
        if re.fullmatch(pattern, plain):
            return Card(bandwidth * 1e9, None if tera is None else tera * 1e12)
    return None


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
