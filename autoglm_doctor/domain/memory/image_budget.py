"""What vLLM sets aside for one picture, and what the processor then really makes of a phone's screenshot.

vLLM sizes the cache of its vision encoder once, at start: the largest of `--max-num-batched-tokens`, the largest
picture and the largest video that it plans for. A picture of more tokens than that is refused with HTTP 400, long
after the server said that it is ready. The plan of vLLM and the work of the processor follow different flags.

Sources: vllm/v1/core/encoder_cache_manager.py and vllm/model_executor/models/glm4_1v.py of 0.12 and 0.33, vLLM pull
request 34483; the numbers for 0.32 were read off its own code on the CPU, with this processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.memory.vllm import parse_version
from autoglm_doctor.domain.shape import vision_tokens
from autoglm_doctor.domain.shape.read import Vision
from autoglm_doctor.intent import Launch

#: Screens of phones, in pixels: the usual one, and the largest in the shops.
SCREEN, LARGE_SCREEN = (1080, 2400), (1440, 3200)

#: From here on the plan for a picture reads max_pixels and counts two frames; before, a fixed limit over 16 frames
#: (pull request 34483; a release candidate of 0.16 still had the old plan, vLLM issue 34040 and GLM-OCR issue 106).
READS_MAX_PIXELS = (0, 17)
_OLD_PLAN = vision_tokens.VIDEO_MOST // 8  # 16 frames of a picture share the limit of a video; two is what they are

#: Stand for versions before and after that change.
BOTH_PLANS = ("0.12.0", "0.33.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBudget:
    """Tokens of vision that one deployment plans for, and those that a screenshot takes."""

    image: int  # the largest picture of the plan
    video: int  # the largest video of the plan; 0 without videos
    batch: int  # max_num_batched_tokens
    screenshot: int  # of SCREEN, as the processor really makes it
    large_screenshot: int  # of LARGE_SCREEN

    @property
    def tokens(self) -> int:
        """What one item may have."""
        return max(self.image, self.video, self.batch)

    @property
    def without_video(self) -> int:
        """The same once videos are switched off, as many guides advise."""
        return max(self.image, self.batch)


def image_budget(
    vision: Vision, launch: Launch, preprocessor: Mapping[str, Any], context: int, batch: int, version: str
) -> ImageBudget | None:
    """The budget of a Glm4v tower under vLLM; None when the launch takes no pictures.

    `context`: tokens of max_model_len; `batch`: of max_num_batched_tokens. Both bound what is planned.
    """
    if launch.limit_mm_per_prompt.get("image", 1) <= 0:
        return None
    real = real_limit(preprocessor, launch.mm_processor_kwargs)
    planned = _planned(preprocessor, launch.mm_processor_kwargs, version)
    image = vision_tokens.largest_image_tokens(planned[0], vision=vision)
    video = 0
    if launch.limit_mm_per_prompt.get("video", 1) > 0:
        video = vision_tokens.dummy_video_tokens(
            context - image, planned_image=planned[0], planned=planned[1], real=planned[2], vision=vision
        )
    screens = [vision_tokens.image_tokens(*screen, vision=vision, most=real) for screen in (SCREEN, LARGE_SCREEN)]
    return ImageBudget(image=image, video=video, batch=batch, screenshot=screens[0], large_screenshot=screens[1])


def real_limit(preprocessor: Mapping[str, Any], kwargs: Mapping[str, Any]) -> int:
    """The pixel area that the processor obeys: `size` of the flags, else its own. It does not know `max_pixels`."""
    heard = {name: value for name, value in kwargs.items() if name != "max_pixels"}
    return vision_tokens.pixel_limits(preprocessor, heard)[0]


def _planned(preprocessor: Mapping[str, Any], kwargs: Mapping[str, Any], version: str) -> tuple[int, int, int]:
    """Pixel areas of the plan for pictures and for videos, and the processor's for videos."""
    image, video, real = vision_tokens.pixel_limits(preprocessor, kwargs)
    if parse_version(version) >= READS_MAX_PIXELS:
        return image, video, real
    return _OLD_PLAN, vision_tokens.VIDEO_MOST, real
