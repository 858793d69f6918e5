"""INF010: what the server said it takes beside what was predicted."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest

from autoglm_doctor.api import EngineFigures, Serving
from autoglm_doctor.checks import serving_memory
from autoglm_doctor.checks.serving_causes import Place, read_place
from autoglm_doctor.checks.serving_memory import server_memory
from autoglm_doctor.domain.launch_line import changed
from autoglm_doctor.finding import Finding
from autoglm_doctor.launch import parse_command
from tests.checks.serving_cases import (
    ABSENT,
    GIB,
    HEALTHY,
    README,
    VLLM,
    died,
    findings,
    gpu,
    h100,
    render,
    serving,
)


def place(value: Serving = HEALTHY, card: Any = None) -> Place:
    return read_place(value, README, (card or h100(),), None, VLLM, None, None)


def as_predicted(version: str = "0.33.0", card: Any = None) -> EngineFigures:
    """The very figures that are predicted for the documented line."""
    value = serving(figures=EngineFigures(version=version))
    here = place(value, card)
    assert here.case.card is not None
    graphs = serving_memory._over(here.case.estimates, "graphs_built")
    room = serving_memory._kv_cache(here).likely
    figures = EngineFigures(
        version=version,
        weights_bytes=here.case.estimates[-1].weights.likely,
        activation_bytes=serving_memory._activation(here, here.case.card).likely,
        graph_bytes=graphs.likely,
        kv_cache_bytes=room,
    )
    tokens = serving_memory._kv_tokens(place(serving(figures=figures), card))
    assert tokens is not None
    return dataclasses.replace(figures, kv_cache_tokens=tokens.likely)


def found(figures: EngineFigures, **given: Any) -> dict[str, Finding]:
    given = {"gpus": (h100(),), **given}
    return {f.subject: f for f in findings(server_memory, serving(figures=figures), **given)}


@pytest.mark.parametrize("version", ["0.8.5", "0.12.0", "0.20.0", "0.33.0"])
def test_as_predicted(version: str) -> None:
    seen = found(as_predicted(version))
    assert {name: f.status for name, f in seen.items()} == dict.fromkeys(
        ("weights", "activation", "graphs", "kv cache", "kv tokens"), "pass"
    )
    assert seen["weights"].evidence["engine_version_assumed"] == version
    assert seen["weights"].evidence["gpu_peak_gib"] == 22.0


@pytest.mark.parametrize(
    ("field", "subject", "factor", "status"),
    [
        pytest.param("weights_bytes", "weights", 1.04, "pass", id="weights within 5 %"),
        pytest.param("weights_bytes", "weights", 1.2, "warn", id="heavier"),
        pytest.param("weights_bytes", "weights", 0.5, "warn", id="quantized without our knowing"),
        pytest.param("activation_bytes", "activation", 1.5, "warn", id="a higher peak"),
        pytest.param("graph_bytes", "graphs", 5.0, "warn", id="graphs five times as large"),
        pytest.param("kv_cache_bytes", "kv cache", 0.8, "warn", id="less left"),
        pytest.param("kv_cache_tokens", "kv tokens", 0.5, "warn", id="half of the tokens in the same bytes"),
        pytest.param("kv_cache_tokens", "kv tokens", 1.01, "pass", id="rounded to blocks"),
    ],
)
def test_apart(field: str, subject: str, factor: float, status: str) -> None:
    figures = as_predicted()
    finding = found(dataclasses.replace(figures, **{field: int(getattr(figures, field) * factor)}))[subject]
    assert finding.status == status
    assert finding.cause == ("MEMORY_NOT_AS_PREDICTED" if status == "warn" else "")
    if status == "warn":
        command = shlex.split(finding.fixes[0].commands[0])
        assert command[:2] == ["autoglm-doctor", "check"]
        assert ("less" if factor < 1 else "more") in render(finding.text)


def test_it_is_judged_for_the_version_that_the_engine_names() -> None:
    """Its log is nearer to the truth than the packages of an environment that may be another one."""
    old, new = as_predicted("0.12.0"), as_predicted("0.33.0")
    assert old.kv_cache_bytes != new.kv_cache_bytes
    assert found(dataclasses.replace(new, version=None))["kv cache"].evidence["engine_version_assumed"] == "0.33.0"


def test_public_start_up_log_of_a_4090() -> None:
    """Qwen2.5-7B-Instruct under 0.12-like defaults took 14.2488 GiB in public logs of several cards."""
    intent = parse_command(["vllm", "serve", "Qwen/Qwen2.5-7B-Instruct"])
    figures = EngineFigures(version="0.10.0", weights_bytes=int(14.2488 * GIB))
    assert found(figures, intent=intent, gpus=(gpu(),))["weights"].status == "pass"


@pytest.mark.parametrize(
    ("value", "given", "status"),
    [
        pytest.param(HEALTHY, {"intent": dataclasses.replace(README, device="cpu")}, "not_applicable", id="on the CPU"),
        pytest.param(serving(command=()), {"gpus": ABSENT}, "not_applicable", id="behind a URL"),
        pytest.param(serving(figures=EngineFigures()), {}, "unknown", id="the engine said nothing"),
        pytest.param(died("no"), {}, "unknown", id="no server"),
        pytest.param(
            HEALTHY, {"intent": parse_command(["vllm", "serve", "someone/unknown"])}, "unknown", id="not predicted"
        ),
        pytest.param(
            serving(engine="transformers"),
            {"intent": parse_command(["transformers", "serve", "zai-org/AutoGLM-Phone-9B"])},
            "not_applicable",
            id="transformers does not say",
        ),
    ],
)
def test_nothing_to_compare(value: Serving, given: Any, status: str) -> None:
    (finding,) = findings(server_memory, value, **given)
    assert finding.status == status


def test_pipelines_show_a_stage_without_the_sampler() -> None:
    figures = dataclasses.replace(as_predicted(), activation_bytes=1)
    staged = changed(README, {"pipeline_parallel": 2})
    assert "activation" not in found(figures, intent=staged, gpus=(h100(index=0), h100(index=1)))
