"""`container` -> the kind of container, and the engine that its image holds."""

from __future__ import annotations

import re
from typing import Any

from autoglm_doctor.loose.values import table, text
from autoglm_doctor.matrix import Matrix

_KINDS = (
    ("kubernetes", r"kubernetes|\bk8s\b|\bpods?\b|kuberay"),
    ("podman", r"podman"),
    ("docker", r"docker|compose|[\w.-]+/[\w.-]+:[\w.-]+|\bNGC\b"),
)
_IMAGES = (
    ("vllm", r"vllm-openai:v(\d+(?:\.\d+)+\w*)(?:-(cu\d{3}))?"),
    ("sglang", r"sglang:v(\d+(?:\.\d+)+(?:\.post\d+)?)(?:-(cu\d{3}))?"),
)
#: NVIDIA's own, on which one builds.
_CUDA_IMAGE = re.compile(r"\bnvidia/cuda:(\d+\.\d+)", re.IGNORECASE)
_NAMES = (("vllm", r"\bvllm\b"), ("sglang", r"\bsglang\b"))


def _said(container: Any) -> str:
    """The sentence; of an object, its values."""
    return text(container) or " ".join(text(value) for value in table(container).values())


def kind_of(container: Any) -> str:
    """ "docker", "podman", "kubernetes", "container" of another kind; "" when there is none."""
    said = _said(container)
    if not said or said.lower() in ("no", "none"):
        return ""
    return next((kind for kind, pattern in _KINDS if re.search(pattern, said, re.IGNORECASE)), "container")


def image_engine(container: Any) -> tuple[str, str]:
    """The engine that the image is made for and its version by the tag, "0.15.1+cu130"; "" for what is not told."""
    said = _said(container)
    for name, pattern in _IMAGES:
        match = re.search(pattern, said, re.IGNORECASE)
        if match:
            return name, match[1] + (f"+{match[2]}" if match[2] else "")
    return next(((name, "") for name, pattern in _NAMES if re.search(pattern, said, re.IGNORECASE)), ("", ""))


def demand_of(container: Any, matrix: Matrix) -> str:
    """NVIDIA_REQUIRE_CUDA of the image that is named, as far as it is known; "" when it is not."""
    cuda = _CUDA_IMAGE.search(_said(container))
    if cuda:
        return matrix.image_demand(cuda[1])
    engine, version = image_engine(container)
    tag = re.search(r"\+cu(\d+)(\d)$", version)
    return matrix.image_demand(f"{tag[1]}.{tag[2]}" if tag else matrix.image_cuda(engine, version)) if version else ""


def required_cuda(container: Any) -> str:
    """The oldest CUDA that the image says it needs, "12.8"; "" when it does not."""
    match = re.search(
        r"(?:requires?|needs?) cuda\W{0,4}(\d+\.\d+)|cuda ?>= ?(\d+\.\d+)", _said(container), re.IGNORECASE
    )
    return (match[1] or match[2]) if match else ""


def default_shared_memory(container: Any) -> bool:
    """Whether it says that shared memory was left at the runtime's default."""
    return bool(re.search(r"default (?:/dev/)?shm|without --shm-size|no --shm-size", _said(container), re.IGNORECASE))
