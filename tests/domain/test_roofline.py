"""Yardsticks: what a card can do, and what a token costs."""

from __future__ import annotations

import dataclasses

import pytest

from autoglm_doctor.domain.roofline import card_of, work_of
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from tests.checks.vram_cases import files_of

README = default_intent()

#: Most tokens per second of AutoGLM-Phone-9B with an empty cache, worked out by hand from data sheets.
AT_MOST = {
    "NVIDIA H100 80GB HBM3": 191,
    "NVIDIA H100 PCIe": 116,
    "NVIDIA A100-SXM4-80GB": 116,
    "NVIDIA A100-SXM4-40GB": 89,
    "NVIDIA A100-PCIE-40GB": 89,
    "NVIDIA A100 80GB PCIe": 110,
    "NVIDIA GeForce RTX 4090": 57,
    "NVIDIA GeForce RTX 3090": 53,
    "NVIDIA L40S": 49,
    "NVIDIA A10": 34,
    "Tesla T4": 18,
    "NVIDIA H200": 273,
}


@pytest.mark.parametrize(("name", "tokens"), AT_MOST.items())
def test_the_roofline_of_autoglm(name: str, tokens: int) -> None:
    card, work = card_of(name, None, load_matrix()), work_of(README, None, 0)
    assert card is not None
    assert work is not None
    assert card.bandwidth / work.bytes == pytest.approx(tokens, abs=0.6)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("NVIDIA GeForce RTX 4090 Laptop GPU", id="a laptop's chip of the same name"),
        pytest.param("NVIDIA GeForce RTX 3080 Ti Laptop GPU", id="another"),
        pytest.param("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", id="a slower edition"),
        pytest.param("NVIDIA A100-SXM4-40GB MIG 3g.20gb", id="a slice"),
        pytest.param("GRID A100-10C", id="a virtual one"),
        pytest.param("NVIDIA GeForce RTX 6090", id="of tomorrow"),
        pytest.param("", id="no name"),
    ],
)
def test_what_is_not_in_the_table_has_no_yardstick(name: str) -> None:
    assert card_of(name, None, load_matrix()) is None


def with_launch(**values: object) -> Intent:
    return dataclasses.replace(README, launch=dataclasses.replace(README.launch, **values))  # type: ignore[arg-type]


def test_autoglm_reads_all_but_tower_and_table() -> None:
    work = work_of(README, None, 1000)
    assert work is not None
    assert work.weights == pytest.approx(17.56e9, rel=0.001)
    assert work.kv == 1000 * 2 * 40 * 2 * 128 * 2  # keys and values, layers, heads, width, bytes
    assert work.operations == pytest.approx(17.56e9, rel=0.001)  # two for each of half as many 16-bit numbers


def test_tensor_parallelism_divides_and_pipelines_do_not() -> None:
    one, two, staged = (
        work_of(with_launch(**v), None, 0) for v in ({}, {"tensor_parallel": 2}, {"pipeline_parallel": 2})
    )
    assert one is not None
    assert two is not None
    assert staged is not None
    assert two.weights == one.weights / 2
    assert staged.weights == one.weights


def test_eight_bits_are_half_of_the_linear_layers() -> None:
    one, half = work_of(README, None, 0), work_of(with_launch(quantization="fp8"), None, 0)
    assert one is not None
    assert half is not None
    assert 0.5 < half.weights / one.weights < 0.6  # the output layer stays
    assert half.operations == one.operations


def test_of_experts_only_those_that_are_asked() -> None:
    config = {
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "num_hidden_layers": 48,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "decoder_sparse_step": 1,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
    }
    work = work_of(Intent(model="Qwen/Qwen3-30B-A3B"), files_of(56.87, **config), 0)
    assert work is not None
    assert work.weights / 2 == pytest.approx(3.03e9, rel=0.02)  # 3.3 billion are active, 0.31 of them the table


def test_a_tied_table_is_read_as_the_output_layer() -> None:
    config = {
        "model_type": "qwen2",
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "intermediate_size": 4864,
        "vocab_size": 151936,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
    }
    work = work_of(Intent(model="Qwen/Qwen2.5-0.5B"), files_of(0.92, **config), 0)
    assert work is not None
    assert work.weights == pytest.approx(0.494e9 * 2, rel=0.01)


def test_nothing_is_said_of_unknown_models_and_of_weights_elsewhere() -> None:
    assert work_of(Intent(model="someone/unknown"), None, 0) is None
    assert work_of(with_launch(cpu_offload_gib=4.0), None, 0) is None
