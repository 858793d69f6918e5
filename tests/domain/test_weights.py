"""Weights on one GPU, against the line "Model loading took" of public start-up logs."""

import pytest

from autoglm_doctor.domain.memory.quantization import DOUBLE_QUANT, read_quantization
from autoglm_doctor.domain.memory.weights import (
    allocator_bytes,
    dequantized_bytes,
    lora_bytes,
    mxfp4_padding,
    unused,
    weights_per_gpu,
)
from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.profiles import PROFILES
from tests.domain.model_configs import FAMILIES
from tests.domain.test_shape import LLAMA, QWEN2, QWEN3
from tests.domain.test_shape_families import DEEPSEEK_LITE, GPT_OSS, QWEN25_VL

MIB = 2**20
AUTOGLM = PROFILES["autoglm-phone-9b"].config
QWEN2_32B = {
    **QWEN2,
    "hidden_size": 5120,
    "num_hidden_layers": 64,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "intermediate_size": 27648,
}


@pytest.mark.parametrize(
    ("size", "rest"),
    [
        pytest.param(112 * MIB, 0, id="whole steps"),
        pytest.param(129 * MIB, MIB, id="half a step stays"),
        pytest.param(129 * MIB - 2, 0, id="more than half a step is cut off"),
        pytest.param(129 * MIB + 1, MIB - 1, id="less stays"),
        pytest.param(9 * MIB, 0, id="small tensors share a block"),
    ],
)
def test_ends_of_blocks(size, rest):
    assert unused(size) == rest


@pytest.mark.parametrize(
    ("config", "gpus", "stages", "gib"),
    [
        pytest.param(LLAMA, 1, 1, 14.99, id="Llama-3.1-8B"),
        pytest.param(LLAMA, 4, 1, 3.77, id="Llama-3.1-8B on four"),
        pytest.param(LLAMA, 1, 4, 4.26, id="Llama-3.1-8B in four stages"),
        pytest.param(QWEN2, 1, 1, 14.25, id="Qwen2.5-7B, 57 MiB of ends"),
        pytest.param(QWEN2, 4, 1, 3.55, id="Qwen2.5-7B on four"),
        pytest.param(QWEN2_32B, 2, 1, 30.71, id="Qwen2.5-32B on two, 192 MiB of ends"),
        pytest.param(QWEN3, 1, 1, 7.56, id="Qwen3-4B"),
        pytest.param(QWEN25_VL, 1, 1, 15.627, id="Qwen2.5-VL-7B, four times the positions"),
        pytest.param(AUTOGLM, 2, 1, 9.7069, id="GLM-4.1V-9B on two"),
    ],
)
def test_weights_in_public_logs(config, gpus, stages, gib):
    shape = read_shape(config)
    span = weights_per_gpu(shape, shape.parameters.total * 2, tensor_parallel=gpus, pipeline_parallel=stages)
    assert span.likely / GIB == pytest.approx(gib, rel=0.004)
    assert span.low <= gib * GIB * 1.002
    assert span.high >= gib * GIB * 0.998


def test_a_model_of_whole_steps_wastes_nothing():
    shape = read_shape(LLAMA)
    assert allocator_bytes(shape, shape.parameters.total * 2) == 0


def test_without_a_shape_the_span_is_wide():
    span = weights_per_gpu(None, 10 * GIB)
    assert (span.low, span.high) == (10 * GIB, int(10 * GIB * 1.012))


def test_quantized_latent_attention_keeps_kv_b_twice():
    shape = read_shape(DEEPSEEK_LITE)
    plain = shape.parameters.total * 2
    packed = shape.parameters.linear + shape.parameters.experts
    assert dequantized_bytes(shape, plain) == 0
    assert dequantized_bytes(shape, plain - packed) == 27 * 512 * 16 * 256 * 2


@pytest.mark.parametrize(
    ("card", "factor"),
    [
        pytest.param("NVIDIA GeForce RTX 5090", 2944 / 2880 * 3072 / 2880, id="Marlin"),
        pytest.param("NVIDIA H100 80GB HBM3", 1.0, id="Triton"),
        pytest.param("NVIDIA B200", (3072 / 2880) ** 2, id="TRT-LLM"),
    ],
)
def test_kernels_pad_the_experts_of_gpt_oss(card, factor):
    assert mxfp4_padding(read_shape(GPT_OSS), 1, card) == pytest.approx(factor)


def test_lora_buffers_grow_with_rank_and_adapters():
    shape = read_shape(LLAMA)
    assert lora_bytes(shape, 32, 2) == 4 * lora_bytes(shape, 16, 1)


@pytest.mark.parametrize(
    ("said", "size"),
    [
        pytest.param({"quant_method": "fp8"}, 1.0, id="fp8"),
        pytest.param({"quant_method": "gptq", "bits": 4, "group_size": 128}, 0.5 + 2.5 / 128, id="gptq"),
        pytest.param({"quant_method": "gptq", "bits": 8, "group_size": -1}, 1.0, id="gptq, one group"),
        pytest.param({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, 0.5 + 2.5 / 64, id="awq, its own names"),
        pytest.param({"quant_method": "bitsandbytes", "load_in_4bit": True}, 0.5625, id="nf4"),
        pytest.param(
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True},
            DOUBLE_QUANT,
            id="nf4, scales quantized as well",
        ),
        pytest.param({"quant_method": "bitsandbytes", "load_in_8bit": True}, 1.0, id="int8"),
        pytest.param({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 0.5625, id="nvfp4"),
        pytest.param({"quant_method": "modelopt", "quant_algo": "FP8"}, 1.0, id="modelopt fp8"),
        pytest.param(
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"a": {"weights": {"num_bits": 4, "group_size": 128, "symmetric": True}}},
            },
            0.5 + 2 / 128,
            id="w4a16",
        ),
        pytest.param(
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"a": {"weights": {"num_bits": 4, "group_size": 16, "type": "float"}}},
            },
            0.5625,
            id="nvfp4 of compressed-tensors",
        ),
    ],
)
def test_bytes_of_a_quantized_parameter(said, size):
    form = read_quantization(said)
    assert form.linear == form.experts == pytest.approx(size)


def test_mxfp4_leaves_attention_alone():
    form = read_quantization({"quant_method": "mxfp4"})
    assert (form.linear, form.experts) == (None, 0.53125)


@pytest.mark.parametrize("said", [{"quant_method": "new"}, {}, {"quant_method": "gptq", "bits": 5}], ids=str)
def test_forms_that_are_not_known(said):
    assert read_quantization(said) is None


@pytest.mark.parametrize("name", FAMILIES, ids=str)
@pytest.mark.parametrize(("gpus", "stages"), [(1, 1), (2, 1), (8, 1), (1, 2), (2, 3)])
def test_more_gpus_never_hold_more_each(name, gpus, stages):
    shape = read_shape(FAMILIES[name])
    whole = shape.parameters.total * 2
    one = weights_per_gpu(shape, whole).likely
    assert 0 < weights_per_gpu(shape, whole, tensor_parallel=gpus, pipeline_parallel=stages).likely <= one
