"""VRM003 near the edge, and the engine's own words beside ours."""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import Any

import pytest

from autoglm_doctor.checks import kv_cache
from autoglm_doctor.checks.kv_cache import THIN, kv_cache_fits
from autoglm_doctor.checks.vram import weights_fit
from autoglm_doctor.domain.memory import engine_words
from autoglm_doctor.domain.memory.fits import Card, Estimate, estimates
from autoglm_doctor.domain.memory.terms import margins, terms
from autoglm_doctor.domain.spans import GIB, Span, exactly, gib
from autoglm_doctor.intent import Engine, Intent, Launch
from autoglm_doctor.wording import render
from tests.checks.vram_cases import files_of, gpu, one, vllm

#: One decoder without a tower: few terms, so the edge is where we put it.
QWEN = {
    "model_type": "qwen2",
    "hidden_size": 2048,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "intermediate_size": 11008,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
}
FILES = files_of(5.75, **QWEN)
PLAIN = Intent(model="/models/x", launch=Launch(max_model_len=16384, gpu_memory_utilization=0.9))


def edge(version: str) -> Span:
    """Bytes that a card needs for PLAIN: for no, most probably, and for yes."""
    need = estimates(PLAIN, FILES, Card(name="x", total_bytes=24 * GIB), version)[-1].need
    return Span(*(int(end / 0.9) for end in (need.low, need.likely, need.high)))


def judged(total_bytes: int, intent: Intent = PLAIN, version: str = "0.33.0") -> Any:
    card = dataclasses.replace(gpu(24.0, reserved=0.0), total_bytes=total_bytes, free_bytes=total_bytes)
    return one(kv_cache_fits, gpus=(card,), intent=intent, model_files=FILES, packages=vllm(version))


@pytest.mark.parametrize("version", ["0.12.0", "0.33.0"])
def test_the_edge(version: str) -> None:
    at = edge(version)
    mib = 2**20
    assert judged(at.low - 8 * mib, version=version).status == "fail"
    assert judged(at.low + 8 * mib, version=version).status == "unknown"
    assert judged(at.likely, version=version).status == "unknown"
    assert judged(at.high - 8 * mib, version=version).status == "unknown"
    assert judged(at.high + 8 * mib, version=version).status == "pass"


def test_near_the_edge_it_names_the_margin_and_what_to_do() -> None:
    finding = judged(edge("0.33.0").likely)
    words = render(finding.text)
    short, spare = (float(n) for n in re.findall(r"up to ([\d.]+) GiB", words))
    assert short > 0
    assert spare > 0
    assert str(finding.evidence["margin_gib"]).endswith(f"({-short} to {spare})")
    flags = words.partition("it surely fits with ")[2]
    assert flags.startswith("--")
    assert flags in str(finding.evidence["line_that_fits"])
    assert "--" in shlex.split(flags)[0]


def test_where_no_flag_helps_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv_cache, "launch_that_fits", lambda *_, **__: ())
    finding = judged(edge("0.33.0").likely)
    assert finding.status == "unknown"
    assert "no flag makes it sure" in render(finding.text)
    assert "line_that_fits" not in finding.evidence


def test_a_thin_margin_is_said_and_a_wide_one_is_not() -> None:
    at = edge("0.33.0").high
    thin = judged(at + 16 * 2**20)
    assert thin.status == "pass"
    assert "a thin margin" in render(thin.text)
    wide = judged(int(at * (1 + 2 * THIN)))
    assert wide.status == "pass"
    assert "thin" not in render(wide.text)


def test_margins_take_in_every_version() -> None:
    near = estimate(kv=1.0, weights=10.0)
    far = estimate(kv=1.0, weights=12.0)
    assert margins((near, far)) == Span(
        far.kv_available.low - GIB, far.kv_available.likely - GIB, near.kv_available.high - GIB
    )
    assert terms(near)["margin_gib"] == f"{round((near.kv_available.likely - GIB) / GIB, 2)}"


# --- the engines' words


def estimate(kv: float, weights: float, version: str = "0.33.0", total: float = 24.0, load: float = 0.0) -> Estimate:
    return Estimate(
        version=version,
        utilization=0.9,
        requested=int(total * 0.9 * GIB),
        weights=gib(weights, weights, weights),
        activation=exactly(0),
        non_torch=exactly(0),
        graphs=exactly(0),
        kv_needed=int(kv * GIB),
        tokens=25480,
        load_peak=int(load * GIB),
        total_bytes=int(total * GIB),
    )


@pytest.mark.parametrize(
    ("engine", "found", "words"),
    [
        pytest.param(
            "vllm",
            estimate(2.0, 20.6),
            "with the model's max seq len (25480), (2.00 GiB KV cache is needed, which is larger than the available KV "
            "cache memory (1.00 GiB). Based on the available memory, the estimated maximum model length is 12740.",
            id="vLLM 0.33",
        ),
        pytest.param("vllm", estimate(2.0, 20.6, "0.12.0"), "with the models's max seq len (25480)", id="vLLM 0.12"),
        pytest.param(
            "vllm", estimate(2.0, 20.6, "0.6.3"), "tokens that can be stored in KV cache (12740)", id="the V0 engine"
        ),
        pytest.param("vllm", estimate(2.0, 22.0), "No available memory for the cache blocks", id="nothing left"),
        pytest.param("vllm", estimate(2.0, 9.0, load=30.0), "CUDA out of memory", id="it does not get through loading"),
        pytest.param("sglang", estimate(2.0, 22.0), "under --mem-fraction-static=0.9. Raise", id="SGLang"),
        pytest.param("sglang", estimate(2.0, 20.6), "", id="SGLang starts with a small cache"),
        pytest.param("transformers", estimate(2.0, 20.6), "CUDA out of memory", id="transformers"),
    ],
)
def test_what_the_engine_says_about_the_cache(engine: Engine, found: Estimate, words: str) -> None:
    said = engine_words.no_room_for_cache(engine, found)
    assert words in said
    assert bool(words) == bool(said)


@pytest.mark.parametrize(
    ("engine", "found", "words"),
    [
        pytest.param("vllm", estimate(2.0, 22.0), "No available memory", id="vLLM: they load, and nothing is left"),
        pytest.param("vllm", estimate(2.0, 30.0), "total capacity of 24.00 GiB", id="vLLM: they do not load"),
        pytest.param("sglang", estimate(2.0, 23.0), "above 0.979", id="SGLang names the share that would do"),
        pytest.param("sglang", estimate(2.0, 30.0), "CUDA out of memory", id="SGLang: they do not load"),
        pytest.param("transformers", estimate(2.0, 30.0), "CUDA out of memory", id="transformers"),
    ],
)
def test_what_the_engine_says_about_weights(engine: Engine, found: Estimate, words: str) -> None:
    assert words in engine_words.no_room_for_weights(engine, found)


def test_the_numbers_of_the_quote_are_those_of_the_finding() -> None:
    at = edge("0.33.0")
    finding = judged(at.low - 8 * 2**20)
    said = str(finding.evidence["what_the_engine_says"])
    assert "(16384), " in said
    assert f"({finding.evidence['kv_needed_gib']:.2f} GiB KV cache is needed" in said
    assert "what_the_engine_says" not in judged(at.high + 8 * 2**20).evidence


def test_weights_that_do_not_fit_quote_the_engine_too() -> None:
    assert one(weights_fit, gpus=(gpu(16.0),)).evidence["what_the_engine_says"]
    unknown = files_of(60, model_type="brand_new")
    finding = one(weights_fit, gpus=(gpu(),), intent=Intent(model="/models/x"), model_files=unknown)
    assert "CUDA out of memory" in str(finding.evidence["what_the_engine_says"])
