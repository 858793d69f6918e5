"""PKG003: what a release of an engine is known to demand."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.engine_pins import engine_pins
from autoglm_doctor.facts import Distribution, Packages
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed

CASES = [
    pytest.param("vllm", {"vllm": "0.12.0", "transformers": "4.57.1", "torch": "2.9.0"}, [], id="as pinned"),
    pytest.param(
        "vllm", {"vllm": "0.17.1", "transformers": "5.3.0"}, ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"], id="5 early"
    ),
    pytest.param("vllm", {"vllm": "0.11.0", "transformers": "5.0.0"}, ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"], id="a pair"),
    pytest.param("vllm", {"vllm": "0.12.0", "transformers": "4.40.0"}, ["TRANSFORMERS_TOO_OLD_FOR_ENGINE"], id="old"),
    pytest.param("vllm", {"vllm": "0.17.1", "torch": "2.8.0"}, ["VLLM_TORCH_MISMATCH"], id="another torch"),
    pytest.param("vllm", {"vllm": "0.17.1+cu129", "torch": "2.8.0+cu128"}, ["VLLM_TORCH_MISMATCH"], id="with tags"),
    pytest.param("vllm", {"vllm": "0.12.0", "torch": "2.9.1"}, [], id="the same line of torch"),
    pytest.param("vllm", {"vllm": "0.17.1+g1234", "torch": "2.8.0"}, [], id="a vLLM of one's own"),
    pytest.param("vllm", {"vllm": "0.17.1", "torch": "2.9.0a0+nv25.10"}, [], id="a vendor's torch"),
    pytest.param("vllm", {"vllm": "0.17.2.dev3", "torch": "2.8.0"}, [], id="a development version"),
    pytest.param("vllm", {"vllm": "99.0", "torch": "2.8.0a0"}, [], id="newer than the table"),
    pytest.param(
        "sglang", {"sglang": "0.5.5.post3", "transformers": "4.57.3", "torch": "2.9.1+cu130"}, [], id="CUDA 13"
    ),
    pytest.param(
        "sglang",
        {"sglang": "0.5.6.post3.dev1178", "transformers": "5.0.0.dev0"},
        ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"],
        id="a development version that both neighbours refuse",
    ),
    pytest.param("transformers", {"vllm": "0.17.1", "torch": "2.8.0"}, [], id="vLLM is not what serves"),
]


@pytest.mark.parametrize(("engine", "versions", "causes"), CASES)
def test_pins(engine: Any, versions: dict[str, str], causes: list[str]) -> None:
    found = judge(engine_pins, packages=installed(**versions), intent=Intent(model="m", engine=engine))
    assert [f.cause for f in found if f.status in ("fail", "warn")] == causes
    assert all(f.fixes and f.fixes[0].commands for f in found if f.status == "fail")


def test_metadata_that_was_read_is_left_to_pkg001() -> None:
    engine = Distribution(name="vllm", version="0.17.1", requires=("torch==2.10.0", "transformers<5,>=4.56"))
    others = installed(torch="2.8.0", transformers="4.40.0").distributions
    (finding,) = judge(engine_pins, packages=Packages(distributions=(engine, *others)))
    assert finding.status == "not_applicable"
