"""Tokens of pictures and videos, against transformers' processor and what vLLM 0.32 answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.domain.shape.vision_tokens import (
    IMAGE_MOST,
    VIDEO_MOST,
    dummy_video_tokens,
    image_tokens,
    largest_image_tokens,
    pixel_limits,
    smart_resize,
)
from autoglm_doctor.profiles import PROFILES

AUTOGLM = PROFILES["autoglm-phone-9b"]
PHONE_LIMIT = 5_000_000


@pytest.mark.parametrize(
    ("width", "height", "most", "tokens"),
    [
        pytest.param(720, 1600, IMAGE_MOST, 1482, id="small phone"),
        pytest.param(1080, 2400, IMAGE_MOST, 3354, id="usual phone"),
        pytest.param(1440, 3200, IMAGE_MOST, 5814, id="large phone"),
        pytest.param(1080, 2400, PHONE_LIMIT, 3108, id="usual phone under the README's limit"),
        pytest.param(1, 1, IMAGE_MOST, 9, id="one pixel grows to the least area"),
    ],
)
def test_tokens_of_a_screenshot(width, height, most, tokens):
    assert image_tokens(width, height, most=most) == tokens


def test_largest_pictures():
    assert largest_image_tokens() == 6084
    assert largest_image_tokens(PHONE_LIMIT) == 3136


@pytest.mark.parametrize(
    ("image", "planned", "tokens"),
    [
        pytest.param(PHONE_LIMIT, PHONE_LIMIT, 6272, id="README flags: the processor makes two frames' worth"),
        pytest.param(IMAGE_MOST, VIDEO_MOST, 18252, id="no flags"),
    ],
)
def test_the_dummy_video_of_vllm_at_25480_tokens(image, planned, tokens):
    room = 25_480 - largest_image_tokens(image)
    assert dummy_video_tokens(room, planned_image=image, planned=planned, real=VIDEO_MOST) == tokens


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        pytest.param({}, (IMAGE_MOST, VIDEO_MOST, VIDEO_MOST), id="nothing said"),
        pytest.param(
            {"max_pixels": 5_000_000}, (5_000_000, 5_000_000, VIDEO_MOST), id="max_pixels moves the plan only"
        ),
        pytest.param({"size": {"longest_edge": 5_000_000}}, (5_000_000,) * 3, id="size moves everything"),
        pytest.param({"max_pixels": "many"}, (IMAGE_MOST, VIDEO_MOST, VIDEO_MOST), id="no number"),
    ],
)
def test_pixel_limits(kwargs, expected):
    assert pixel_limits({"size": {"longest_edge": IMAGE_MOST}}, kwargs) == expected


@pytest.mark.parametrize(("height", "width"), [(0, 10), (10, -1), (28, 28 * 300)])
def test_impossible_pictures(height, width):
    with pytest.raises(ValueError):
        smart_resize(2, height, width)


@given(
    st.integers(28, 4000),
    st.integers(28, 4000),
    st.sampled_from([PHONE_LIMIT, IMAGE_MOST]),
)
def test_never_more_tokens_than_the_limit_allows(width, height, most):
    if max(width, height) / min(width, height) > 200:
        return
    assert 1 <= image_tokens(width, height, most=most) <= most / (2 * 28 * 28)


def test_a_screenshot_from_the_config_alone():
    vision = read_shape(AUTOGLM.config).vision
    most, _, _ = pixel_limits(AUTOGLM.preprocessor, {})
    assert image_tokens(1080, 2400, vision=vision, most=most) == 3354


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(720, 1600), (1080, 2400), (1440, 3200), (333, 77)])
def test_as_many_tokens_as_the_processor_makes(width, height):
    module = pytest.importorskip("transformers.models.glm4v.image_processing_pil_glm4v")
    image = pytest.importorskip("PIL.Image").new("RGB", (width, height))
    processor = module.Glm4vImageProcessorPil(size=AUTOGLM.preprocessor["size"])
    frames, tall, wide = (int(n) for n in processor(images=[image], return_tensors="np")["image_grid_thw"][0])
    assert frames * tall * wide // 4 == image_tokens(width, height)


@pytest.mark.slow
def test_the_same_resize_as_the_processor():
    module = pytest.importorskip("transformers.models.glm4v.image_processing_pil_glm4v")
    for height in range(10, 3300, 173):
        for width in range(10, 3300, 211):
            if max(width, height) / min(width, height) > 200:
                continue
            for most in (PHONE_LIMIT, IMAGE_MOST):
                theirs = module.smart_resize(
                    num_frames=2, height=height, width=width, min_pixels=12_544, max_pixels=most
                )
                assert smart_resize(2, height, width, most=most) == theirs
