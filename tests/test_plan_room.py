"""What fits: every answer holds, its neighbour does not, and more of anything never turns fit into no fit."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_doctor.capacity.cards import all_cards
from autoglm_doctor.domain.capacity.answer import make_plan
from autoglm_doctor.domain.capacity.grid import FORMATS, make_grid
from autoglm_doctor.domain.capacity.place import Place
from autoglm_doctor.domain.capacity.room import kv_tokens, margin
from autoglm_doctor.domain.memory.fits import estimates, verdict
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import load_matrix
from tests.plan_cases import GIB, README, SMALL, place, vllm

CARDS = all_cards(load_matrix())


def answer(where: Place, **launch: Any) -> str:
    intent = dataclasses.replace(where.intent, launch=dataclasses.replace(where.intent.launch, **launch))
    return verdict(estimates(intent, where.files, where.card, where.version))  # type: ignore[arg-type]


PLACES = [
    pytest.param(place(), id="AutoGLM on 24 GB"),
    pytest.param(place(version=None), id="AutoGLM on 24 GB, any version"),
    pytest.param(place(31.3), id="AutoGLM on 32 GB"),
    pytest.param(place(79.18, name="H100"), id="AutoGLM on 80 GB"),
    pytest.param(place(9.7, intent=vllm(), config=SMALL), id="small model on 10 GB"),
    pytest.param(place(23.52, intent=dataclasses.replace(README, engine="sglang", command=())), id="SGLang"),
]


@pytest.mark.parametrize("where", PLACES)
def test_the_longest_context_fits_and_a_block_more_does_not(where: Place) -> None:
    room = make_plan(where, ()).room
    assert room.max_model_len % 16 == 0
    if room.max_model_len:
        assert answer(where, max_model_len=room.max_model_len) == "yes"
    if room.max_model_len < room.model_limit:
        assert answer(where, max_model_len=room.max_model_len + 16) != "yes"


@pytest.mark.parametrize("where", PLACES)
def test_the_smallest_share_fits_and_a_percent_less_does_not(where: Place) -> None:
    share = make_plan(where, ()).room.utilization
    if share is None:
        assert answer(where, gpu_memory_utilization=0.95) != "yes"
    else:
        assert answer(where, gpu_memory_utilization=share) == "yes"
        assert answer(where, gpu_memory_utilization=round(share - 0.01, 2)) != "yes"


@pytest.mark.parametrize("where", PLACES)
def test_the_smallest_card_fits_and_every_smaller_one_does_not(where: Place) -> None:
    room = make_plan(where, CARDS).room
    assert room.cards
    assert room.cards[0] in load_matrix().gpus
    for card, _ in CARDS:
        if card.total_bytes < room.card_bytes:
            assert answer(dataclasses.replace(where, card=card)) != "yes", card.name
        elif card.name == room.cards[0]:
            assert answer(dataclasses.replace(where, card=card)) == "yes"


@pytest.mark.parametrize("tokens", [None, 16, 1000, 8192, 25480])
def test_so_many_requests_fit_into_what_is_left(tokens: int | None) -> None:
    made = make_plan(place(79.18, name="H100"), (), tokens)
    shown = made.estimates[0]
    each = estimates(
        vllm(f"--max-model-len {tokens or 25480}", "zai-org/AutoGLM-Phone-9B"), None, made.place.card, "0.33"
    )[0]  # type: ignore[arg-type]
    assert made.room.sequence_tokens == (tokens or 25480)
    assert made.room.sequences * each.kv_needed <= shown.kv_available.low
    assert (made.room.sequences + 1) * each.kv_needed > shown.kv_available.low


def test_pictures_by_the_processors_own_limit() -> None:
    """`size` makes them smaller, `max_pixels` does not; 1080x2400 gives 3,354 tokens, and 3,108 with the limit."""
    plain = make_plan(place(79.18), ()).room.pictures
    size = '{"size":{"shortest_edge":12544,"longest_edge":5000000}}'
    small = make_plan(
        place(79.18, intent=vllm(f"--max-model-len 25480 --mm-processor-kwargs {size}", README.model)), ()
    )
    assert plain is not None
    assert (plain.screenshot_tokens, plain.largest_tokens, plain.screenshots, plain.largest) == (3354, 6084, 7, 4)
    assert small.room.pictures is not None
    assert (small.room.pictures.screenshot_tokens, small.room.pictures.screenshots) == (3108, 8)


@pytest.mark.parametrize(
    ("flags", "screenshots"),
    [
        pytest.param("--max-model-len 65536", 19, id="by the context"),
        pytest.param("--max-model-len 65536 --limit-mm-per-prompt.image 3", 3, id="by the limit of the launch"),
        pytest.param("--max-model-len 2048", 0, id="not one"),
    ],
)
def test_pictures_per_prompt(flags: str, screenshots: int) -> None:
    room = make_plan(place(79.18, intent=vllm(flags, README.model)), ()).room
    assert room.pictures is not None
    assert room.pictures.screenshots == screenshots


def test_no_pictures_where_they_are_switched_off_or_not_seen() -> None:
    off = vllm('--limit-mm-per-prompt {"image":0,"video":0}', README.model)
    assert make_plan(place(79.18, intent=off), ()).room.pictures is None
    assert make_plan(place(79.18, intent=vllm(), config=SMALL), ()).room.pictures is None


def test_the_margin_is_what_is_left_after_one_request() -> None:
    for gib in (23.52, 79.18):
        shown = make_plan(place(gib), ()).shown
        assert shown is not None
        assert margin(shown) == shown.kv_available.likely - shown.kv_needed
        assert (margin(shown) >= 0) is (kv_tokens(shown) >= shown.tokens)


def test_the_grid() -> None:
    wanted = [(card, capability) for card, capability in CARDS if card.name in ("GeForce RTX 4090", "H200 SXM")]
    rows = make_grid(place(), [*wanted, (dataclasses.replace(CARDS[0][0], name="T4"), "7.5")])
    by_card = {row.card.name: {cell.format: cell for cell in row.cells} for row in rows}
    assert all(list(cells) == list(FORMATS) for cells in by_card.values())
    assert by_card["GeForce RTX 4090"]["bf16"].fits == "no"
    assert by_card["GeForce RTX 4090"]["4-bit"].fits == "yes"
    assert by_card["H200 SXM"]["bf16"].fits == "yes"
    assert not by_card["T4"]["fp8"].supported
    tokens = [by_card["H200 SXM"][name].kv_tokens for name in FORMATS]
    assert tokens == sorted(tokens)


def test_a_checkpoint_that_is_quantized_has_one_column() -> None:
    config = {**SMALL, "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
    [row] = make_grid(place(intent=vllm(), config=config), [CARDS[0]])
    assert [cell.format for cell in row.cells] == ["awq"]


# --- properties

CONFIGS = st.fixed_dictionaries(
    {
        "model_type": st.sampled_from(["llama", "qwen2", "qwen3", "mistral", "gemma2", "nonsense"]),
        "hidden_size": st.sampled_from([512, 2048, 4096, 8192]),
        "intermediate_size": st.sampled_from([1024, 11008, 28672]),
        "num_hidden_layers": st.integers(1, 80),
        "num_attention_heads": st.sampled_from([8, 16, 32, 64]),
        "num_key_value_heads": st.sampled_from([1, 2, 8]),
        "vocab_size": st.sampled_from([1000, 32000, 151936]),
        "max_position_embeddings": st.sampled_from([0, 512, 4096, 131072]),
    }
)
LAUNCHES = st.fixed_dictionaries(
    {},
    optional={
        "max_model_len": st.integers(1, 200_000),
        "max_num_seqs": st.integers(1, 2000),
        "gpu_memory_utilization": st.sampled_from([0.01, 0.5, 0.9, 1.0]),
        "tensor_parallel": st.sampled_from([1, 2, 3, 8]),
        "quantization": st.sampled_from(["fp8", "bitsandbytes", "unheard-of"]),
        "dtype": st.sampled_from(["half", "float32"]),
        "kv_cache_dtype": st.sampled_from(["auto", "fp8"]),
        "enforce_eager": st.booleans(),
    },
)
ENGINES = st.sampled_from(["vllm", "sglang", "transformers"])


def _anything(
    config: dict[str, Any], launch: dict[str, Any], engine: Any, gib: float, count: int, version: str
) -> None:
    base = Intent(model="/m", engine=engine)
    intent = dataclasses.replace(base, launch=dataclasses.replace(base.launch, **launch))
    where = place(gib, count=count, intent=intent, config=config, version=version or None)
    made = make_plan(where, CARDS[:3])
    assert made.fits in ("yes", "no", "unknown")
    for one in made.lines:
        card = where.card if one.kind != "hardware" else None
        if card is not None:
            assert verdict(estimates(one.intent, where.files, card, where.version)) == "yes"
            assert one.intent.gpus_needed <= card.count
    more = make_plan(
        dataclasses.replace(where, card=dataclasses.replace(where.card, total_bytes=int((gib + 1) * GIB))), ()
    )  # type: ignore[type-var]
    if made.fits == "yes" and gib + 1 < 70:  # above, the default batch of vLLM is a larger one
        assert more.fits == "yes"
        assert more.room.max_model_len >= made.room.max_model_len
        assert more.room.sequences >= made.room.sequences


ARGUMENTS: dict[str, Any] = {
    "config": CONFIGS,
    "launch": LAUNCHES,
    "engine": ENGINES,
    "gib": st.floats(1, 150),
    "count": st.sampled_from([1, 2, 8]),
    "version": st.sampled_from(["", "0.9.0", "0.19.0", "0.33.0", "0.33.0.dev1+gabc"]),
}


@settings(max_examples=25, deadline=None)
@given(**ARGUMENTS)
def test_any_model_and_launch_get_an_answer(**arguments: Any) -> None:
    _anything(**arguments)


@pytest.mark.slow
@settings(max_examples=2500, deadline=None)
@given(**ARGUMENTS)
def test_thousands_of_models_and_launches_get_an_answer(**arguments: Any) -> None:
    _anything(**arguments)
