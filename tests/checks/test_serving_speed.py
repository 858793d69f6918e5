"""INF009: speed beside what the hardware allows; yellow at most."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.api import Burst, EngineFigures, GpuUnderLoad, Phase, Serving, ServingFailure
from autoglm_doctor.checks.serving_speed import server_speed
from autoglm_doctor.domain.launch_line import changed
from autoglm_doctor.finding import Finding
from autoglm_doctor.launch import parse_command
from tests.checks.serving_cases import (
    ABSENT,
    GIB,
    HEALTHY,
    README,
    SPEED,
    died,
    findings,
    gpu,
    h100,
    render,
    serving,
)

EAGER = changed(README, {"enforce_eager": True})
TRANSFORMERS = dataclasses.replace(
    parse_command(["transformers", "serve", "zai-org/AutoGLM-Phone-9B"]), profile="autoglm-phone-9b"
)
H200 = gpu(141.0, name="NVIDIA H200", capability="9.0")


def speed(tokens: float | None = 40.0, **changes: Any) -> Serving:
    per_token = None if tokens is None else 1 / tokens
    values = {"per_token_p50_seconds": per_token, "per_token_p95_seconds": per_token, **changes}
    return serving(speed=dataclasses.replace(SPEED, decode_tokens_per_s=tokens, **values))


def found(value: Any, **rest: Any) -> dict[str, Finding]:
    return {f.subject: f for f in findings(server_speed, value, **rest)}


def test_a_healthy_server_is_green_with_its_figures() -> None:
    seen = found(HEALTHY)
    assert {f.status for f in seen.values()} == {"pass"}
    text = render(seen["decoding"].text)
    for figure in ("40.0 tokens/s for one request", "70 % of the 57.4"):
        assert figure in text
    assert len(text) < 120, 'the other figures stand under "Measured"'


@pytest.mark.parametrize(
    ("tokens", "intent", "card", "status"),
    [
        pytest.param(40.0, README, gpu(), "pass", id="4090 at 70 %"),
        pytest.param(26.5, README, gpu(), "pass", id="4090 just above 45 %"),
        pytest.param(24.0, README, gpu(), "warn", id="4090 just below 45 %"),
        pytest.param(24.0, EAGER, gpu(), "pass", id="without graphs it is enough"),
        pytest.param(12.0, EAGER, gpu(), "warn", id="slow even without graphs"),
        pytest.param(8.0, TRANSFORMERS, gpu(), "pass", id="transformers on a 4090 at 14 %"),
        pytest.param(5.0, TRANSFORMERS, gpu(), "warn", id="transformers below 12 %"),
        pytest.param(20.0, TRANSFORMERS, H200, "not_applicable", id="transformers on an H200: Python decides"),
        pytest.param(60.0, README, h100(), "warn", id="H100 at 31 %"),
        pytest.param(140.0, README, h100(), "pass", id="H100 at 73 %"),
        pytest.param(400.0, README, h100(), "pass", id="faster than possible: speculative decoding"),
        pytest.param(3.0, README, gpu(name="NVIDIA GeForce RTX 4090 Laptop GPU"), "not_applicable", id="unknown card"),
        pytest.param(3.0, README, gpu(mig=True), "not_applicable", id="a slice"),
        pytest.param(None, README, gpu(), "not_applicable", id="tokens are not counted"),
    ],
)
def test_decoding(tokens: float | None, intent: Any, card: Any, status: str) -> None:
    assert found(speed(tokens), intent=intent, gpus=(card,))["decoding"].status == status


def test_far_too_slow_has_stronger_words() -> None:
    assert "far too slow" in render(found(speed(5.0))["decoding"].text)
    assert "far too slow" not in render(found(speed(20.0))["decoding"].text)


def test_what_throttles_the_gpu_is_named_in_the_fix() -> None:
    hot = GpuUnderLoad(index=0, samples=50, throttle_reasons=("power cap",))
    finding = found(dataclasses.replace(speed(10.0), gpus=(hot,)))["decoding"]
    assert "power cap" in render(finding.fixes[0].text)


def test_graphs_are_offered_where_they_are_left_out() -> None:
    finding = found(speed(12.0), intent=EAGER)["decoding"]
    assert "--enforce-eager" not in finding.fixes[-1].commands[0]


@pytest.mark.parametrize(
    ("figures", "phases", "status"),
    [
        pytest.param(EngineFigures(weights_bytes=19 * GIB, load_seconds=14.0), (), "pass", id="1.5 GB/s"),
        pytest.param(EngineFigures(weights_bytes=19 * GIB, load_seconds=100.0), (), "warn", id="0.2 GB/s"),
        pytest.param(
            EngineFigures(weights_bytes=19 * GIB),
            (Phase(name="loading weights", seconds=90.0),),
            "warn",
            id="by its phase",
        ),
        pytest.param(EngineFigures(weights_bytes=GIB // 2, load_seconds=9.0), (), None, id="too small to tell"),
        pytest.param(EngineFigures(load_seconds=100.0), (), None, id="size not known"),
    ],
)
def test_loading(figures: EngineFigures, phases: Any, status: str | None) -> None:
    finding = found(serving(figures=figures, phases=phases)).get("loading")
    assert (finding.status if finding else None) == status
    if status == "warn":
        assert finding is not None
        assert finding.cause == "SLOW_MODEL_STORAGE"


def test_random_weights_and_weights_made_smaller_say_nothing_of_the_disk() -> None:
    slow = serving(figures=EngineFigures(weights_bytes=19 * GIB, load_seconds=100.0))
    assert "loading" not in found(dataclasses.replace(slow, random_weights=True))
    assert "loading" not in found(slow, intent=changed(README, {"quantization": "fp8"}))


@pytest.mark.parametrize(
    ("rate", "intent", "status"),
    [
        pytest.param(4500.0, README, "pass", id="more than half of a 4090"),
        pytest.param(900.0, README, "warn", id="11 %"),
        pytest.param(900.0, changed(README, {"quantization": "fp8"}), None, id="quantized"),
        pytest.param(900.0, TRANSFORMERS, None, id="another engine"),
        pytest.param(None, README, None, id="not measured"),
    ],
)
def test_prompts(rate: float | None, intent: Any, status: str | None) -> None:
    finding = found(speed(prefill_tokens_per_s=rate, prefill_tokens=4000), intent=intent).get("prompts")
    assert (finding.status if finding else None) == status


@pytest.mark.parametrize(
    ("late", "requests", "status"),
    [
        pytest.param(0.026, 5, "pass", id="steady"),
        pytest.param(0.060, 5, "warn", id="more than twice as long"),
        pytest.param(0.060, 4, None, id="too few to tell"),
        pytest.param(None, 5, None, id="not measured"),
    ],
)
def test_steadiness(late: float | None, requests: int, status: str | None) -> None:
    value = speed(per_token_p95_seconds=late, requests=requests)
    finding = found(value).get("steadiness")
    assert (finding.status if finding else None) == status


def test_a_jitter_of_a_millisecond_is_none() -> None:
    assert found(speed(1000.0, per_token_p95_seconds=0.003), gpus=(h100(),))["steadiness"].status == "pass"


def test_requests_that_fail_together_are_yellow() -> None:
    finding = found(serving(bursts=(Burst(concurrency=8, requests=16, failed=3, seconds=9.0, output_tokens=9),)))[
        "8 at once"
    ]
    assert (finding.status, finding.cause) == ("warn", "SERVER_FAILS_UNDER_LOAD")
    assert "--max-num-seqs 4" in finding.fixes[-1].commands[0]


@pytest.mark.parametrize(
    ("reasons", "clock", "status"),
    [
        pytest.param(("hardware thermal slowdown",), 2900, "warn", id="heat"),
        pytest.param(("power brake",), None, "warn", id="the power supply"),
        pytest.param(("software thermal slowdown",), 1500, "warn", id="warm, and slow"),
        pytest.param(("software thermal slowdown",), 2900, None, id="warm, and hardly slower"),
        pytest.param(("power cap", "application clocks"), 1500, None, id="held at its power"),
    ],
)
def test_throttling(reasons: tuple[str, ...], clock: int | None, status: str | None) -> None:
    one = GpuUnderLoad(index=0, samples=50, throttle_reasons=reasons, sm_clock_median_mhz=clock, sm_clock_max_mhz=3105)
    finding = found(serving(gpus=(one,))).get("gpu:0")
    assert (finding.status if finding else None) == status


@pytest.mark.parametrize(
    ("value", "given"),
    [
        pytest.param(speed(0.5), {"intent": dataclasses.replace(README, device="cpu")}, id="on the CPU"),
        pytest.param(dataclasses.replace(speed(0.5), command=()), {"gpus": ABSENT}, id="behind a URL"),
    ],
)
def test_figures_without_judgement(value: Serving, given: Any) -> None:
    (finding,) = found(value, **given).values()
    assert finding.status == "not_applicable"
    assert "0.5 tokens/s" in render(finding.text)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(serving(speed=None, bursts=()), id="no time left"),
        pytest.param(died("no"), id="no server"),
        pytest.param(serving(speed=None, failure=ServingFailure(stage="ask", kind="endless")), id="trial cut short"),
    ],
)
def test_what_was_not_measured_is_open(value: Serving) -> None:
    assert "unknown" in {f.status for f in found(value).values()}


def test_several_gpus_share_the_work() -> None:
    two = changed(README, {"tensor_parallel": 2})
    pair = (gpu(index=0), gpu(index=1))
    assert found(speed(40.0), intent=two, gpus=pair)["decoding"].status == "warn"
    assert found(speed(70.0), intent=two, gpus=pair)["decoding"].status == "pass"


@pytest.mark.parametrize(
    ("layers", "status"),
    [
        pytest.param([], "not_applicable", id="as many layers as it likes"),
        pytest.param(["-ngl", "20"], "not_applicable", id="half of the layers"),
        pytest.param(["-ngl", "99"], "warn", id="all layers"),
    ],
)
def test_llama_cpp_is_judged_when_all_layers_are_on_the_gpu(layers: list[str], status: str) -> None:
    intent = parse_command(["llama-server", "--model", "/m/x.gguf", *layers])
    intent = dataclasses.replace(intent, profile="autoglm-phone-9b")
    value = dataclasses.replace(speed(5.0), engine="llamacpp")
    assert found(value, intent=intent)["decoding"].status == status


@given(tokens=st.floats(0.01, 1000), faster=st.floats(1, 10))
def test_faster_is_never_judged_worse_and_nothing_is_red(tokens: float, faster: float) -> None:
    order = {"warn": 0, "pass": 1}
    slow, fast = found(speed(tokens))["decoding"].status, found(speed(tokens * faster))["decoding"].status
    assert order[slow] <= order[fast]
