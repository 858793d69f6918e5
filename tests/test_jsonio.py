"""Facts survive JSON; what is wrong is named with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoglm_doctor.errors import DecodeError
from autoglm_doctor.facts import Driver, Facts, Gpu, GpuProcess, Reading, known
from autoglm_doctor.jsonio import decode, encode

GPU = Gpu(
    index=0,
    name="NVIDIA GeForce RTX 4090",
    compute_capability="8.9",
    total_bytes=25_757_220_864,
    free_bytes=25_000_000_000,
    processes=(GpuProcess(pid=12, name="python"),),
)
FACTS = Facts(
    gpus=known((GPU,), source="NVML"),
    driver=Reading(outcome="timeout", why="no answer within 30 s"),
)


def test_facts_survive_a_round_trip() -> None:
    assert decode(Facts, json.loads(json.dumps(encode(FACTS)))) == FACTS


def test_not_a_number_survives() -> None:
    reading = known(float("nan"))
    back = decode(Reading[float], json.loads(json.dumps(encode(reading), allow_nan=False)))
    assert back.value != back.value


def _broken(change: Any) -> Any:
    data = encode(FACTS)
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda d: d["gpus"]["value"][0].update(index="0"),
            "$.gpus.value[0].index: int expected, got '0'",
            id="a number as a string",
        ),
        pytest.param(
            lambda d: d["gpus"]["value"][0].pop("name"), "$.gpus.value[0].name: missing", id="a missing field"
        ),
        pytest.param(lambda d: d["gpus"].update(outcome="fine"), "$.gpus.outcome: one of", id="an unknown outcome"),
        pytest.param(lambda d: d["gpus"].update(value={}), "$.gpus.value: array expected", id="an object for an array"),
        pytest.param(lambda d: d.update(gpus=[]), "$.gpus: object expected", id="an array for an object"),
        pytest.param(lambda d: d["gpus"]["value"][0].update(index=True), "int expected, got True", id="a truth value"),
    ],
)
def test_wrong_data_is_named_with_its_place(change: Any, message: str) -> None:
    with pytest.raises(DecodeError) as error:
        decode(Facts, _broken(change))
    assert message in str(error.value)


def test_unknown_keys_are_ignored() -> None:
    assert decode(Facts, {**encode(FACTS), "new_fact": {"outcome": "known"}}) == FACTS


def test_every_fact_can_be_decoded() -> None:
    """The type of each field is one that the decoder understands."""
    assert decode(Driver, {"version": "570.26", "read_by": ["NVML"]}).read_by == ("NVML",)
