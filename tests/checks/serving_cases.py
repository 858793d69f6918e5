"""What the tests of a real server's checks share: a healthy one, and ways to make it ill."""

from __future__ import annotations

import dataclasses
from typing import Any

from autoglm_doctor.api import (
    Ask,
    Burst,
    Check,
    Distribution,
    Ending,
    EngineFigures,
    GpuUnderLoad,
    Packages,
    Phase,
    Reading,
    Serving,
    ServingFailure,
    Speed,
)
from autoglm_doctor.finding import Finding
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.checks.vram_cases import GIB, files_of, gpu, h100

README = default_intent()
VLLM = Packages(distributions=(Distribution(name="vllm", version="0.33.0"),))
QWEN = parse_command(["vllm", "serve", "Qwen/Qwen2.5-7B-Instruct"])
ABSENT: Reading[Any] = Reading(outcome="absent")
NOT_RUN: Reading[Any] = Reading(outcome="not_run", why="no probe read this")
SCREEN = (1080, 2400)
THOUGHT = "当前屏幕显示了系统桌面，我需要打开设置。"

#: A screenshot of 1080x2400 takes 3,354 tokens in AutoGLM, and two more around it.
IMAGE_TOKENS = 3354


def ask(name: str, text: str, prompt: int = 30, **rest: Any) -> Ask:
    values = {"status": 200, "finish_reason": "stop", "completion_tokens": 24, "chunks": 24, "prompt_tokens": prompt}
    return Ask(name=name, text=text, **{**values, **rest})


ASKS = (
    ask("cold", "Hello! How can I help you today?", 9),
    ask("text", "Paris is the capital of France, and 2 + 2 is 4."),
    ask("text again", "Paris is the capital of France, and 2 + 2 is 4."),
    ask("picture", "Settings, Camera, Mail.", 22 + IMAGE_TOKENS + 2, picture=SCREEN),
    ask("other picture", "Music, Maps, Clock.", 22 + IMAGE_TOKENS + 2, picture=SCREEN),
    ask("no picture", "I cannot see a screen.", 22),
    ask("agent", f'<think>{THOUGHT}</think>\n<answer>do(action="Launch", app="设置")', 5000, picture=SCREEN),
)
SPEED = Speed(
    requests=5,
    prompt_tokens=200,
    completion_tokens=128,
    first_token_cold_seconds=1.2,
    first_token_p50_seconds=0.05,
    first_token_max_seconds=0.06,
    first_token_picture_seconds=0.6,
    per_token_p50_seconds=1 / 40,
    per_token_p95_seconds=1 / 39,
    prefill_tokens_per_s=4500.0,
    decode_tokens_per_s=40.0,
)
HEALTHY = Serving(
    engine="vllm",
    url="http://127.0.0.1:41234",
    model="autoglm-phone-9b",
    command=("vllm", "serve", "zai-org/AutoGLM-Phone-9B", "--port", "41234"),
    phases=(Phase(name="importing", seconds=12.0), Phase(name="loading weights", seconds=41.0)),
    start_seconds=83.0,
    figures=EngineFigures(version="0.33.0", weights_bytes=int(19.29 * GIB), load_seconds=14.0),
    log=("INFO: Application startup complete.",),
    asks=ASKS,
    speed=SPEED,
    bursts=(Burst(concurrency=4, requests=8, failed=0, seconds=9.0, output_tokens=1024, output_tokens_per_s=113.0),),
    gpus=(
        GpuUnderLoad(
            index=0,
            samples=100,
            used_peak_bytes=22 * GIB,
            sm_clock_median_mhz=2520,
            sm_clock_max_mhz=3105,
            power_median_w=310.0,
            temperature_max_c=67,
            throttle_reasons=("power cap",),
        ),
    ),
    stop_seconds=2.0,
)


def serving(base: Serving = HEALTHY, **changes: Any) -> Serving:
    return dataclasses.replace(base, **changes)


def answering(**texts: Any) -> Serving:
    """The healthy server with other answers, by the names of the questions (a text, or fields of Ask)."""
    changed = {name.replace("_", " "): value for name, value in texts.items()}
    asks = []
    for one in ASKS:
        value = changed.get(one.name, one)
        asks.append(dataclasses.replace(one, text=value) if isinstance(value, str) else value)
        if isinstance(value, dict):
            asks[-1] = dataclasses.replace(one, **value)
    return serving(asks=tuple(asks))


def without(*names: str) -> Serving:
    """The healthy server, not asked these questions."""
    return serving(asks=tuple(one for one in ASKS if one.name not in names))


def died(*log: str, kind: str = "died", code: int | None = 1, signal: str = "", oom: bool = False) -> Serving:
    """A start that failed, with what the log said."""
    return Serving(
        engine="vllm",
        url=HEALTHY.url,
        command=HEALTHY.command,
        phases=HEALTHY.phases,
        log=log,
        ending=Ending(exit_code=None if signal else code, signal=signal, oom_killed=oom) if kind == "died" else None,
        failure=ServingFailure(stage="start", kind=kind, message=log[-1] if log else ""),
    )


def findings(check: Check, value: Any, **given: Any) -> list[Finding]:
    facts = {"gpus": (gpu(),), "packages": VLLM, "model_files": ABSENT, **given}
    found = judge(check, serving=value, **{"intent": README, **facts})
    for finding in found:
        assert "{" not in render(finding.text)
        assert finding.status not in ("warn", "fail") or finding.fixes
    return found


def one(check: Check, value: Any, **given: Any) -> Finding:
    (finding,) = findings(check, value, **given)
    return finding


__all__ = ["ABSENT", "GIB", "files_of", "gpu", "h100", "render"]
