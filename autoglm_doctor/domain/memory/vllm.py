"""How vLLM divides a GPU: the terms of its memory profile, by version.

At start vLLM claims `total x --gpu-memory-utilization`, loads the weights, runs the largest batch once to see the peak
and gives what is left to the KV cache. The structure of the terms is that of vLLM 0.12 to 0.33
(v1/worker/gpu_worker.py, utils/mem_utils.py, engine/arg_utils.py). Read off the sources: the claim, the batches, the
pictures, the KV blocks, and most of the decoder's peak (`vllm_peak`). Fitted to public start-up logs, against which
benchmarks/memory_accuracy.py holds them: what lies outside of torch, and the CUDA graphs (TP 1 and 2 to 8, H100, L40S
and GeForce; nothing is known of Blackwell's data-centre cards). Ends of a span are the limits seen in those logs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.memory.vllm_peak import NEWEST as NEWEST
from autoglm_doctor.domain.memory.vllm_peak import TRANSIENT_ONLY, Peak, sampler_factor, text_peak
from autoglm_doctor.domain.memory.vllm_peak import Batch as Batch
from autoglm_doctor.domain.memory.vllm_peak import parse_version as parse_version
from autoglm_doctor.domain.shape import vision_tokens
from autoglm_doctor.domain.shape.read import Shape, Vision
from autoglm_doctor.domain.spans import GIB, Span, exactly, gib, largest
from autoglm_doctor.intent import Launch

#: Tokens per block of the KV cache.
BLOCK = 16

#: Bytes per patch at the peak of a Glm4v tower. Likely: measured in transformers; low: a reading of vLLM's code.
VISION_LOW, VISION_LIKELY = 40_000, 53_264

#: Peak allowed for a tower we do not know, against Glm4v's per-patch figure at 16,384 tokens (Qwen2-VL's default).
UNKNOWN_TOWER_TOKENS = 16_384


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
    return Batch(tokens=max(1, tokens), sequences=max(1, sequences), context=max_model_len)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What vLLM's memory profile feeds to the vision tower."""

    patches: Span  # in one batch
    kept_tokens: int  # outputs that stay while the decoder runs
    patch_bytes: int = 0  # of a tower that is not Glm4v's; 0: not known


NO_PICTURES = Pictures(patches=exactly(0), kept_tokens=0)


def pictures(
    shape: Shape, launch: Launch, preprocessor: Mapping[str, Any], max_model_len: int, batch: Batch, version: str
) -> Pictures:
    """The dummy pictures of vLLM's profile for a Glm4v tower (multimodal/encoder_budget.py, models/glm4_1v.py)."""
    images = launch.limit_mm_per_prompt.get("image", 999)
    videos = launch.limit_mm_per_prompt.get("video", 1)
    if images <= 0 and videos <= 0:
        return NO_PICTURES
    if shape.vision is None:
        return _other_tower(shape, preprocessor, batch) if shape.vision_unknown else NO_PICTURES
    limits = vision_tokens.pixel_limits(preprocessor, launch.mm_processor_kwargs)
    image = vision_tokens.largest_image_tokens(limits[0], vision=shape.vision) if images > 0 else 0
    movies = _videos(shape.vision, image, limits, max_model_len, version) if videos > 0 else []
    least = max([image, *(movies[2:] or movies[:1])])  # the largest item that this version plans for
    if least == image:
        least = _fill(image, images, batch, max_model_len)
    most = max([least, *movies])
    likely = max([least, *movies[2:]])
    patches = [tokens * shape.vision.merge**2 for tokens in (least, likely, most)]
    return Pictures(patches=Span(*patches), kept_tokens=max([image, *movies[:1], batch.tokens]))


def _other_tower(shape: Shape, preprocessor: Mapping[str, Any], batch: Batch) -> Pictures:
    """One picture of the largest size that the processor lets through; what a video would take is not known."""
    size = preprocessor.get("size")
    said = preprocessor.get("max_pixels") or (size.get("longest_edge") if isinstance(size, Mapping) else None)
    tokens = UNKNOWN_TOWER_TOKENS
    if isinstance(said, int) and 0 < shape.token_pixels < said:
        tokens = min(said // shape.token_pixels, 4 * UNKNOWN_TOWER_TOKENS)
    patches = exactly(tokens * shape.token_patches)
    return Pictures(patches=patches, kept_tokens=max(tokens, batch.tokens), patch_bytes=shape.patch_bytes)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the peak depends on beside the model and the batch."""

    version: str
    element: float = 2  # bytes of a number of the running model
    tensor_parallel: int = 1
    pipelined: bool = False
    gpu_name: str = ""
    quantization: str = ""  # "" for plain weights


def activation(shape: Shape, batch: Batch, seen: Pictures, setting: Setting) -> Span:
    """Bytes at the peak of vLLM's profile run: decoder with the kept outputs, or vision tower, whichever is more.

    All of it, also what 0.27 and later count as consumed and not as peak (see `logged_activation`).
    """
    return largest(_text(shape, batch, seen, setting), vision_peak(shape, seen))


def vision_peak(shape: Shape, seen: Pictures) -> Span:
    """Bytes at the peak of the vision tower. Wide for all towers but Glm4v's, which was measured in transformers."""
    patches = seen.patches
    if shape.vision is not None or not patches.high:
        most = int(patches.high * VISION_LIKELY * 1.05)
        return Span(patches.low * VISION_LOW, patches.likely * VISION_LIKELY, most)
    if seen.patch_bytes:
        likely = patches.likely * seen.patch_bytes
        return Span(likely // 2, likely, likely * 3 // 2)
    most = patches.high * VISION_LIKELY
    return Span(0, most // 2, most)


def logged_activation(shape: Shape, batch: Batch, seen: Pictures, setting: Setting) -> tuple[int, int]:
    """The peak as the log of that version counts it, and what it counts elsewhere (persistent buffers)."""
    whole = activation(shape, batch, seen, setting).likely
    if parse_version(setting.version) < TRANSIENT_ONLY:
        return whole, 0
    kept = int(peak_of(shape, batch, setting).persistent)
    return max(0, whole - kept), kept


def peak_of(shape: Shape, batch: Batch, setting: Setting, factor: float | None = None) -> Peak:
    """The decoder's peak in its parts; `factor`: copies of the logits, None for the likely ones."""
    return text_peak(
        shape,
        batch,
        setting.version,
        factor=factor,
        element=setting.element,
        tensor_parallel=setting.tensor_parallel,
        pipelined=setting.pipelined,
        gpu_name=setting.gpu_name,
        quantization=setting.quantization,
    )


def _text(shape: Shape, batch: Batch, seen: Pictures, setting: Setting) -> Span:
    """The decoder's span; experts of other kernels may do without a workspace, a hybrid's kernels are not known."""
    kept = seen.kept_tokens * shape.hidden * setting.element
    quantized = bool(setting.quantization)
    factors = sampler_factor(setting.version, shape, setting.element, quantized=quantized)
    low, likely, high = (peak_of(shape, batch, setting, factor) for factor in factors)
    most = high.highest + kept
    if shape.hybrid:
        most = most * 1.5 + GIB // 2
    least = max(low.sampler, low.forward) + kept
    return Span(int(least * 0.96), int(likely.highest + kept), math.ceil(most * 1.04))


def non_torch(version: str, tensor_parallel: int, pipeline_parallel: int) -> Span:
    """Memory that CUDA and NCCL take outside of torch: read off public logs (H100, L40S, 3090, 4090).

    0.6.4 and 0.8 subtract everything on the card that torch did not allocate, so the CUDA context (0.5 GiB) and what
    torch holds in reserve are in it (vllm/worker/worker.py and v1/worker/gpu_worker.py of those versions; 1.79 GiB in
    the one log of 0.6.4); from 0.9 on, and in 0.6.5 to 0.7, only what came after the start.
    """
    at = parse_version(version)
    if tensor_parallel > 1:
        return gib(0.2, 0.55, 0.9) if at < (0, 17) else gib(0.5, 2.1, 2.4)
    if pipeline_parallel > 1:
        return gib(0.05, 0.07, 0.6)
    if at < (0, 7) or at == (0, 8):
        return gib(0.04, 1.2, 1.9) if at < (0, 7) else gib(0.04, 0.6, 1.2)
    return gib(0.04, 0.13, 0.25) if at < (0, 18) else gib(0.1, 0.25, 0.35)


def graph_count(sequences: int) -> int:
    """CUDA graphs that vLLM captures: mixed batches up to twice the sequences, and decodes up to the sequences."""
    most = min(2 * sequences, 512)
    mixed = [*(n for n in (1, 2, 4) if n <= most), *range(8, min(most, 255) + 1, 8), *range(256, most + 1, 16)]
    return len(mixed) + sum(1 for n in mixed if n <= sequences)


def counts_graphs(version: str) -> bool:
    """Whether the budget knows of the CUDA graphs. Before 0.21 they came on top of it, where the peak had been."""
    return parse_version(version) >= (0, 21)


def built_graphs(shape: Shape, batch: Batch, version: str, eager: bool) -> Span:
    """Memory that the CUDA graphs really take, as the log tells, whether or not the budget knows of them.

    Fitted to logs of 0.8 to 0.33; the engine before 0.8 captured more of them and took 1.4 to 1.9 GiB.
    """
    if eager:
        return exactly(0)
    if parse_version(version) < (0, 8):
        return gib(0.3, 1.6, 2.0)
    count, deep = graph_count(batch.sequences), max(0.6, shape.layers / 40)
    wide = 1.7 if shape.experts_per_token else 1.0
    wide *= 1.0 if parse_version(version) >= (0, 21) else 1.2  # 0.91 seen with 0.19, where 0.85 would be the most
    return gib(0.02 + 0.0033 * count * deep, (0.1 + 0.0058 * count) * deep, (0.2 + 0.0085 * count) * deep * wide)


def kv_bytes(
    shape: Shape, tokens: int, element: float, tensor_parallel: int, pipeline_parallel: int, batch: Batch
) -> int:
    """Bytes of KV cache that one request of so many tokens needs on one GPU, in whole blocks.

    Layers with a sliding window keep the window and a batch; the state of a hybrid model's other layers has one size.
    """
    layer = shape.kv_bytes_per_layer(element, tensor_parallel)
    whole = math.ceil(tokens / BLOCK) * BLOCK
    near = min(whole, math.ceil((shape.sliding_window + batch.tokens) / BLOCK) * BLOCK)
    sliding = min(shape.sliding_layers, shape.attention_layers)
    seen = (shape.attention_layers - sliding) * whole + sliding * near
    share = math.ceil(shape.layers / pipeline_parallel) / shape.layers  # the fullest stage
    return math.ceil((layer * seen + shape.state_numbers * 2 / tensor_parallel) * share)
