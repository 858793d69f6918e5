"""What transformers' `generate` takes beside the weights: one sequence, no pool, no profile, no CUDA graphs.

Read off transformers 5.23's model code by counting the tensors that live at the same time; nothing was measured on a
GPU. Good for one sequence, SDPA or flash attention, and the usual cache; "eager" attention keeps a square of scores
per head on top, which the far end does not hold.
"""

from __future__ import annotations

from autoglm_doctor.domain.memory.vllm import VISION_LIKELY, VISION_LOW
from autoglm_doctor.domain.shape.read import Shape
from autoglm_doctor.domain.shape.vision_tokens import largest_image_tokens
from autoglm_doctor.domain.spans import GIB, Span, gib

#: The gate and the other half of the MLP come out of one matrix: it stays alive while both are multiplied.
_PACKED = ("glm", "glm4", "glm4v", "phi3")

#: Hidden states alive inside an MLP: the embeddings, the residual and the normed input.
HIDDEN_COPIES = 3

#: The CUDA context and cuBLAS (0.5 GiB on H100 and L40S, 0.6 on a 3090).
NON_TORCH = gib(0.3, 0.55, 1.0)


def widths(shape: Shape) -> int:
    """Numbers of one token alive inside an MLP beside its hidden states."""
    if shape.experts_per_token:  # tokens are gathered by expert, layer by layer
        return max(3 * shape.intermediate, 3 * shape.expert_intermediate * shape.experts_per_token)
    return (4 if shape.model_type in _PACKED else 3) * shape.intermediate


def text_peak(shape: Shape, tokens: int, element: float) -> int:
    """Bytes inside the last layer while so many tokens are read at once, without their keys and values."""
    return int(tokens * (widths(shape) + HIDDEN_COPIES * shape.hidden) * element)


def vision_peak(shape: Shape, image_tokens: int) -> int:
    """Bytes of a Glm4v tower on one picture of so many tokens (measured on the CPU: linear in the patches)."""
    return image_tokens * (shape.vision.merge**2 if shape.vision else shape.token_patches) * VISION_LIKELY


def activation(shape: Shape, tokens: int, element: float) -> Span:
    """Bytes at the peak of one request of the whole context, with the largest picture where the model takes any.

    The near end is a decode step; the far end allows for what the allocator cannot give back.
    """
    text = text_peak(shape, tokens, element)
    image = 0
    if shape.vision is not None:
        image = vision_peak(shape, largest_image_tokens(vision=shape.vision))
    elif shape.vision_unknown:
        image = vision_peak(shape, 4096)
    low = max(text // 5, image * VISION_LOW // VISION_LIKELY // 5)
    return Span(low, max(text, image), max(text, image) + GIB // 2)
