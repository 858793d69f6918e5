"""How many tokens a picture or a video becomes in a Glm4v model.

A token is a square of 28 x 28 pixels (patch 14, merged 2 x 2). The pixel limits of the processor count both temporal
copies of a still picture (2 x height x width); source: Glm4v's image processor in transformers, with which these
functions are compared in tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from autoglm_doctor.domain.shape.read import Vision

#: Defaults of the processors (both temporal copies counted); source: the checkpoints' preprocessor_config.json and
#: transformers' Glm4vVideoProcessor.
IMAGE_LEAST, IMAGE_MOST, VIDEO_MOST = 12_544, 9_633_792, 47_040_000

#: vLLM tries its dummy video with up to so many frames (vllm/model_executor/models/glm4_1v.py).
MAX_FRAMES = 600

GLM4V = Vision(patch=14, merge=2, temporal=2)


def smart_resize(
    frames: int, height: int, width: int, *, vision: Vision = GLM4V, least: int = IMAGE_LEAST, most: int = IMAGE_MOST
) -> tuple[int, int]:
    """Height and width in pixels after the processor's resize.

    Raises:
        ValueError: a side is not positive, or the picture is more than 200 times as long as wide.
    """
    if height <= 0 or width <= 0:
        raise ValueError("a picture has at least one pixel")
    factor, temporal = vision.factor, vision.temporal
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    if max(height, width) / min(height, width) > 200:
        raise ValueError("a picture may be 200 times as long as wide, no more")
    tall, wide = round(height / factor) * factor, round(width / factor) * factor
    depth = round(frames / temporal) * temporal
    if depth * tall * wide > most:
        shrink = math.sqrt(frames * height * width / most)
        tall = max(factor, math.floor(height / shrink / factor) * factor)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
    elif depth * tall * wide < least:
        grow = math.sqrt(least / (frames * height * width))
        tall, wide = math.ceil(height * grow / factor) * factor, math.ceil(width * grow / factor) * factor
    return tall, wide


def image_tokens(
    width: int, height: int, *, vision: Vision = GLM4V, least: int = IMAGE_LEAST, most: int = IMAGE_MOST
) -> int:
    """Tokens of one picture of so many pixels."""
    tall, wide = smart_resize(vision.temporal, height, width, vision=vision, least=least, most=most)
    return (tall // vision.factor) * (wide // vision.factor)


def largest_image_tokens(most: int = IMAGE_MOST, *, vision: Vision = GLM4V) -> int:
    """Tokens of the largest square picture, as vLLM plans for it."""
    return image_tokens(9_999_999, 9_999_999, vision=vision, most=most)


def video_tokens(frames: int, side: int, most: int, *, vision: Vision = GLM4V) -> int:
    """Tokens of a square video of so many frames."""
    tall, wide = smart_resize(max(frames, vision.temporal), side, side, vision=vision, most=most)
    steps = -(-frames // vision.temporal)
    return steps * (tall // vision.factor) * (wide // vision.factor)


@lru_cache(maxsize=512)  # hundreds of resizes each time, and a plan asks for dozens of settings
def dummy_video_tokens(room: int, *, planned_image: int, planned: int, real: int, vision: Vision = GLM4V) -> int:
    """Tokens of the video that vLLM measures its memory with.

    vLLM picks the number of frames by its own plan (pixel limits `planned_image` and `planned`, at most `room` tokens
    of context); the processor then resizes by its limit `real`, which ignores `max_pixels`.
    """
    side, _ = smart_resize(vision.temporal, 9_999_999, 9_999_999, vision=vision, most=planned_image)
    best, frames = 0, 1
    for count in range(1, MAX_FRAMES + 1):
        tokens = video_tokens(count, side, planned, vision=vision)
        if best < tokens <= room:
            best, frames = tokens, count
    return video_tokens(frames, side, real, vision=vision)


def pixel_limits(preprocessor: Mapping[str, Any], kwargs: Mapping[str, Any]) -> tuple[int, int, int]:
    """Pixel areas (planned for images, planned for videos, real for videos) under --mm-processor-kwargs.

    `size` moves all of them. `max_pixels` only moves vLLM's plan: the processor does not know the word.
    """
    size = preprocessor.get("size")
    image = _edge(size) or IMAGE_MOST
    video = VIDEO_MOST
    if edge := _edge(kwargs.get("size")):
        image = video = edge
    real = video
    pixels = kwargs.get("max_pixels")
    if isinstance(pixels, (int, float)) and pixels > 0:
        image = video = int(pixels)
    return image, video, real


def _edge(size: object) -> int | None:
    edge = size.get("longest_edge") if isinstance(size, Mapping) else None
    return int(edge) if isinstance(edge, (int, float)) and edge > 0 else None
