"""The peak of vLLM's profile run: versions, and public logs that were not fitted to."""

import pytest

from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.memory.vllm import Batch, Setting
from autoglm_doctor.domain.memory.vllm_peak import processors, sampler_factor, second_runner
from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.domain.spans import GIB
from tests.domain.test_shape import LLAMA, QWEN2, QWEN3
from tests.domain.test_shape_families import DEEPSEEK_LITE, GPT_OSS

H100 = "NVIDIA H100 80GB HBM3"
BIG = Batch(tokens=8192, sequences=1024, context=8192)


@pytest.mark.parametrize(
    ("config", "version", "changes", "gib"),
    [
        pytest.param(LLAMA, "0.19.0", {}, 1.89, id="Llama-3.1-8B"),
        pytest.param(LLAMA, "0.19.0", {"element": 4}, 2.21, id="in 32 bits"),
        pytest.param(LLAMA, "0.19.0", {"tensor_parallel": 4}, 1.89, id="on four: the sampler is not split"),
        pytest.param(LLAMA, "0.16.0", {}, 4.76, id="before the top-k kernel"),
        pytest.param(QWEN2, "0.19.0", {}, 2.21, id="Qwen2.5-7B"),
        pytest.param(DEEPSEEK_LITE, "0.19.0", {}, 1.93, id="DeepSeek-V2-Lite: the experts' workspace stays"),
        pytest.param(GPT_OSS, "0.19.0", {"tensor_parallel": 2}, 2.87, id="gpt-oss: mxfp4 brings none"),
    ],
)
def test_peaks_in_public_logs(config, version, changes, gib):
    peak = vllm_memory.peak_of(read_shape(config), BIG, Setting(version=version, gpu_name=H100, **changes))
    assert peak.highest / GIB == pytest.approx(gib, rel=0.02)


@pytest.mark.parametrize(
    ("config", "version", "quantized", "second"),
    [
        pytest.param(LLAMA, "0.21.0", False, False, id="before"),
        pytest.param(QWEN3, "0.22.0", False, True, id="Qwen3 was first"),
        pytest.param(LLAMA, "0.22.0", False, False, id="Llama a version later"),
        pytest.param(LLAMA, "0.23.0", False, True, id="then"),
        pytest.param(LLAMA, "0.23.0", True, False, id="not when quantized"),
        pytest.param(QWEN2, "0.24.0", False, False, id="others wait"),
        pytest.param(QWEN2, "0.25.0", False, True, id="all dense models"),
        pytest.param(GPT_OSS, "0.28.0", False, False, id="experts wait"),
        pytest.param(GPT_OSS, "0.30.0", False, True, id="everything"),
    ],
)
def test_which_runner(config, version, quantized, second):
    assert second_runner(version, read_shape(config), quantized=quantized) is second


@pytest.mark.parametrize("version", ["0.6.4", "0.8.5", "0.11.0", "0.12.0", "0.16.0", "0.19.0", "0.27.0", "0.33.0", "x"])
def test_copies_of_the_logits_are_a_span(version):
    low, likely, high = sampler_factor(version, read_shape(LLAMA))
    assert 0 < low <= likely <= high


def test_from_0_27_on_what_stays_is_not_in_the_logged_peak():
    shape = read_shape(DEEPSEEK_LITE)
    for version, moved in (("0.26.0", False), ("0.27.0", True)):
        logged, elsewhere = vllm_memory.logged_activation(shape, BIG, vllm_memory.NO_PICTURES, Setting(version=version))
        assert (elsewhere > 0) is moved
        whole = vllm_memory.activation(shape, BIG, vllm_memory.NO_PICTURES, Setting(version=version))
        assert logged + elsewhere == whole.likely


def test_multiprocessors_by_name():
    assert processors("NVIDIA GeForce RTX 3090") == 82
    assert processors("a card to come") == 128


def test_a_hybrid_is_never_green_by_a_hair():
    from tests.domain.model_configs import FAMILIES

    shape = read_shape(FAMILIES["qwen3_next"])
    span = vllm_memory.activation(shape, BIG, vllm_memory.NO_PICTURES, Setting(version="0.33.0"))
    assert span.high >= span.likely + GIB // 2
