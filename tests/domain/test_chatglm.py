"""ChatGLM2 to GLM-4-9B: a config.json with names of its own."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.profiles import PROFILES

GLM4 = dict(PROFILES["glm-4-9b-chat"].config)
CHATGLM2 = {**GLM4, "num_layers": 28, "padded_vocab_size": 65024, "seq_length": 32768}


def test_two_heads_of_keys_and_values_serve_them_all() -> None:
    shape = read_shape(GLM4)
    assert shape is not None
    assert (shape.kv_heads, shape.head_dim, shape.layers, shape.max_positions) == (2, 128, 40, 131072)
    assert shape.rotary_dim == 64


@pytest.mark.parametrize(
    ("config", "published"),
    [
        # Published totals count 32 rotary frequencies, which are a buffer.
        pytest.param(GLM4, 9_399_951_392, id="glm-4-9b-chat"),
        pytest.param(CHATGLM2, 6_243_584_032, id="chatglm2-6b"),
    ],
)
def test_the_parameters_are_the_published_ones(config: dict[str, object], published: int) -> None:
    shape = read_shape(config)
    assert shape is not None
    assert shape.parameters is not None
    assert shape.parameters.total == published - 32


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"padded_vocab_size": None}, id="the first ChatGLM-6B has no such key"),
        pytest.param({"add_bias_linear": True}, id="biases that no published model has"),
        pytest.param({"rmsnorm": False}, id="another norm"),
        pytest.param({"multi_query_group_num": 0}, id="no heads"),
    ],
)
def test_what_is_not_known_gives_no_number(change: dict[str, object]) -> None:
    assert read_shape({**GLM4, **change}) is None


def test_without_shared_heads_each_has_its_own() -> None:
    shape = read_shape({**GLM4, "multi_query_attention": False})
    assert shape is not None
    assert shape.kv_heads == 32


def test_the_pictures_of_glm_4v_9b_stay_open() -> None:
    shape = read_shape({**GLM4, "vision_config": {"image_size": 1120, "patch_size": 14}})
    assert shape is not None
    assert shape.vision_unknown
    assert shape.parameters is None
