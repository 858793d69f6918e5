"""How vLLM divides a GPU: the terms of its memory profile, by version.

At start vLLM claims `total x --gpu-memory-utilization`, loads the weights, runs the largest batch once to see the peak
and gives what is left to the KV cache. The structure of the terms is that of vLLM 0.12 to 0.33
(v1/worker/gpu_worker.py, utils/mem_utils.py, engine/arg_utils.py); the constants were fitted to public start-up logs,
against which benchmarks/memory_accuracy.py holds them. Ends of a span are the limits seen in those logs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain import vision_tokens
from autoglm_doctor.domain.shape import Shape, Vision
from autoglm_doctor.domain.spans import GIB, Span, exactly, gib, largest
from autoglm_doctor.intent import Launch

#: Tokens per block of the KV cache.
BLOCK = 16

#: Bytes per patch at the peak of a Glm4v tower. Likely: measured in transformers; low: a reading of vLLM's code.
VISION_LOW, VISION_LIKELY = 40_000, 53_264

#: Peak allowed for a tower we do not know, against Glm4v's per-patch figure at 16,384 tokens (Qwen2-VL's default).
UNKNOWN_TOWER_TOKENS = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The batch that decides the peak."""

    tokens: int  # max_num_batched_tokens
    sequences: int  # max_num_seqs


def parse_version(version: str) -> tuple[int, int]:
    """Major and minor. An unreadable version counts as the newest we know."""
    try:
        release = Version(version).release
    except InvalidVersion:
        return NEWEST
    return release[0], release[1] if len(release) > 1 else 0


NEWEST = (0, 33)


def default_utilization(version: str) -> float:
    """Default of --gpu-memory-utilization (source: vllm/config/cache.py of 0.14, 0.16, 0.18-0.21 and 0.33)."""
    return 0.92 if parse_version(version) >= (0, 20) else 0.90


def batch_of(launch: Launch, max_model_len: int, total_bytes: int, gpu_name: str) -> Batch:
    """Batch limits, with vLLM's defaults by card (engine/arg_utils.py, get_batch_defaults, API server)."""
    name = gpu_name.lower()
    if total_bytes >= 160 * GIB:
        tokens, sequences = 16_384, 1024
    elif total_bytes >= 70 * GIB and "a100" not in name and "gb10" not in name:
        tokens, sequences = 8192, 1024
    else:
        tokens, sequences = 2048, 256
    sequences = launch.max_num_seqs or sequences
    tokens = launch.max_num_batched_tokens or min(tokens, sequences * max_model_len)
    return Batch(tokens=max(1, tokens), sequences=max(1, sequences))


def sampler_factor(version: str) -> tuple[float, float, float]:
    """Copies of the logits (32 bits each) at the sampler's peak: low, likely, high.

    Fitted: 3.7 in logs of 0.11 and of 0.17 and later, 9.6 in those of 0.15, 0.16 and V0; between them not seen.
    """
    at = parse_version(version)
    if at >= (0, 17):
        return 3.6, 3.7, 3.9
    if at >= (0, 15) or at < (0, 8):
        return 9.0, 9.6, 9.8
    return (3.6, 9.6, 9.8) if at >= (0, 12) else (3.6, 3.7, 9.8)


def text_peak(
    shape: Shape,
    batch: Batch,
    factor: float,
    element: float = 2,
    tensor_parallel: int = 1,
    *,
    first_stage_only: bool = False,
    pipelined: bool = False,
) -> float:
    """Bytes at the peak of the decoder: either inside a layer or in the sampler.

    `first_stage_only`: a pipeline stage that has no sampler.
    """
    hidden = batch.tokens * shape.hidden * element
    wide = shape.experts_per_token * 3 * shape.expert_intermediate / tensor_parallel
    forward = 3 * batch.tokens * shape.intermediate / tensor_parallel * element + 4.25 * hidden
    forward += 2 * hidden if pipelined else 0
    if shape.experts_per_token:
        forward += batch.tokens * (wide + shape.experts_per_token * shape.hidden) * element
    sampler = factor * 4 * min(batch.sequences, batch.tokens) * shape.vocab + hidden
    return forward if first_stage_only else max(sampler, forward)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What vLLM's memory profile feeds to the vision tower."""

    patches: Span  # in one batch
    kept_tokens: int  # outputs that stay while the decoder runs


NO_PICTURES = Pictures(patches=exactly(0), kept_tokens=0)


def pictures(
    shape: Shape, launch: Launch, preprocessor: Mapping[str, Any], max_model_len: int, batch: Batch, version: str
) -> Pictures:
    """The dummy pictures of vLLM's profile for a Glm4v tower (multimodal/encoder_budget.py, models/glm4_1v.py)."""
    images = launch.limit_mm_per_prompt.get("image", 999)
    videos = launch.limit_mm_per_prompt.get("video", 1)
    if shape.vision is None or (images <= 0 and videos <= 0):
        return NO_PICTURES
    limits = vision_tokens.pixel_limits(preprocessor, launch.mm_processor_kwargs)
    image = vision_tokens.largest_image_tokens(limits[0], vision=shape.vision) if images > 0 else 0
    movies = _videos(shape.vision, image, limits, max_model_len, version) if videos > 0 else []
    least = max([image, *movies[:1]])  # the largest item that vLLM plans for
    if least == image:
        least = _fill(image, images, batch, max_model_len)
    most = max([least, *movies])
    likely = max([least, *movies[2:]])
    patches = [tokens * shape.vision.merge**2 for tokens in (least, likely, most)]
    return Pictures(patches=Span(*patches), kept_tokens=max([image, *movies[:1], batch.tokens]))


def _fill(item: int, images: int, batch: Batch, max_model_len: int) -> int:
    """Tokens of as many pictures of the largest size as the encoder's budget and the batch take."""
    per_prompt = max(1, min(images, max_model_len // item))
    return item * max(1, min(batch.tokens // item, batch.sequences * per_prompt))


def _videos(vision: Vision, image: int, limits: tuple[int, int, int], max_model_len: int, version: str) -> list[int]:
    """Tokens of the dummy video: planned beside a picture, profiled alone, and, before 0.17, as planned then.

    Until 0.17 the plan did not look at max_pixels, and took a picture for a video of 16 frames.
    """
    planned_image, planned, real = limits

    def tokens(room: int, picture: int, video: int) -> int:
        return vision_tokens.dummy_video_tokens(room, planned_image=picture, planned=video, real=real, vision=vision)

    found = [tokens(max_model_len - image, planned_image, planned), tokens(max_model_len, planned_image, planned)]
    if parse_version(version) < (0, 17):
        picture = vision_tokens.VIDEO_MOST // 8  # 16 frames instead of the 2 of a picture
        room = max_model_len - vision_tokens.largest_image_tokens(picture, vision=vision)
        found.append(tokens(room, picture, vision_tokens.VIDEO_MOST))
    return found


def activation(
    shape: Shape, batch: Batch, seen: Pictures, version: str, element: float, tensor_parallel: int, pipelined: bool
) -> Span:
    """Bytes at the peak of vLLM's profile run: decoder with the kept outputs, or vision tower, whichever is more."""
    kept = seen.kept_tokens * shape.hidden * element
    peaks = [
        text_peak(shape, batch, factor, element, tensor_parallel, pipelined=pipelined) + kept
        for factor in sampler_factor(version)
    ]
    text = Span(int(peaks[0] * 0.96), int(peaks[1]), int(peaks[2] * 1.04))
    vision = Span(
        seen.patches.low * VISION_LOW,
        seen.patches.likely * VISION_LIKELY,
        int(seen.patches.high * VISION_LIKELY * 1.05),
    )
    if shape.vision_unknown:
        most = UNKNOWN_TOWER_TOKENS * 4 * VISION_LIKELY
        vision = Span(0, most // 2, most)
    return largest(text, vision)


def non_torch(version: str, tensor_parallel: int, pipeline_parallel: int) -> Span:
    """Memory that CUDA and NCCL take outside of torch, in public logs."""
    at = parse_version(version)
    if tensor_parallel > 1:
        return gib(0.2, 0.55, 0.9) if at < (0, 17) else gib(0.5, 2.1, 2.4)
    if pipeline_parallel > 1:
        return gib(0.05, 0.07, 0.6)
    return gib(0.04, 0.13, 0.25) if at < (0, 18) else gib(0.1, 0.25, 0.35)


def graph_count(sequences: int) -> int:
    """CUDA graphs that vLLM captures: mixed batches up to twice the sequences, and decodes up to the sequences."""
    most = min(2 * sequences, 512)
    mixed = [*(n for n in (1, 2, 4) if n <= most), *range(8, min(most, 255) + 1, 8), *range(256, most + 1, 16)]
    return len(mixed) + sum(1 for n in mixed if n <= sequences)


def cuda_graphs(shape: Shape, batch: Batch, version: str, eager: bool) -> Span:
    """Memory set aside for CUDA graphs. Before 0.21 they came on top of the budget, where the peak had been."""
    if eager or parse_version(version) < (0, 21):
        return exactly(0)
    count, deep = graph_count(batch.sequences), max(0.6, shape.layers / 40)
    wide = 1.7 if shape.experts_per_token else 1.0
    return gib(0.02 + 0.0033 * count * deep, (0.1 + 0.0058 * count) * deep, (0.2 + 0.0085 * count) * deep * wide)


def kv_bytes(
    shape: Shape, tokens: int, element: float, tensor_parallel: int, pipeline_parallel: int, batch: Batch
) -> int:
    """Bytes of KV cache that one request of so many tokens needs on one GPU, in whole blocks."""
    layer = shape.kv_bytes_per_layer(element, tensor_parallel)
    whole = math.ceil(tokens / BLOCK) * BLOCK
    near = min(whole, math.ceil((shape.sliding_window + batch.tokens) / BLOCK) * BLOCK)
    seen = (shape.layers - shape.sliding_layers) * whole + shape.sliding_layers * near
    return math.ceil(layer * seen / pipeline_parallel)
