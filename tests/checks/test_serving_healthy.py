"""Servers that are well, of all kinds: nothing is red, and yellow only what a careful engineer would say so of."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.api import Ask, Burst, EngineFigures, Reading, Serving, Speed
from autoglm_doctor.facts import Facts, known
from autoglm_doctor.finding import Finding
from autoglm_doctor.launch import parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.wording import render
from tests.checks.serving_cases import ASKS, IMAGE_TOKENS, THOUGHT, VLLM, ask, files_of, gpu, h100, serving
from tests.checks.test_serving import OF_SERVER, OF_TRANSFORMERS

ABSENT: Reading[Any] = Reading(outcome="absent")
INSTEAD: Reading[Any] = Reading(outcome="not_run", why="the command itself was run instead")

AUTOGLM = ("vllm", "serve", "zai-org/AutoGLM-Phone-9B", "--max-model-len", "16384")
QWEN = ("vllm", "serve", "Qwen/Qwen2.5-7B-Instruct")
VISION = ("vllm", "serve", "Qwen/Qwen2-VL-7B-Instruct")
SGLANG = ("python3", "-m", "sglang.launch_server", "--model-path", "zai-org/AutoGLM-Phone-9B")
TRANSFORMERS = ("transformers", "serve", "/models/tiny")
LLAMA = ("llama-server", "-m", "/m/x.gguf")

TEXT_MODEL = files_of(15.0, model_type="qwen2", architectures=["Qwen2ForCausalLM"])
VISION_MODEL = files_of(16.0, model_type="qwen2_vl", vision_config={"depth": 32})


def changed(asks: tuple[Ask, ...], **texts: Any) -> tuple[Ask, ...]:
    """These answers with other words or fields."""
    named = {name.replace("_", " "): value for name, value in texts.items()}
    return tuple(
        dataclasses.replace(one, **({"text": value} if isinstance(value, str) else value))
        if (value := named.get(one.name)) is not None
        else one
        for one in asks
    )


def speed(tokens_per_s: float, **changes: Any) -> Speed:
    base = serving().speed
    assert base is not None
    each = {"per_token_p50_seconds": 1 / tokens_per_s, "per_token_p95_seconds": 1.1 / tokens_per_s}
    return dataclasses.replace(base, decode_tokens_per_s=tokens_per_s, **{**each, **changes})


WORDS = ASKS[:3]
THINKING = {"finish_reason": "length", "text": "", "reasoning": "Got it, the user asks me to describe the screen of"}
BABBLE = "the cat sat the cat sat on a mat"


def server(line: tuple[str, ...], engine: str = "vllm", **changes: Any) -> Serving:
    base: dict[str, Any] = {"engine": engine, "command": (*line, "--port", "41234"), "figures": EngineFigures()}
    return serving(**{**base, **changes})


def burst(**changes: Any) -> tuple[Burst, ...]:
    values = {"concurrency": 64, "requests": 128, "failed": 0, "seconds": 30.0, "output_tokens": 9000}
    return (Burst(**{**values, **changes}),)


#: Name -> (command, the server, its GPUs, its files, codes that may be yellow, codes that may stay open).
Case = tuple[tuple[str, ...], Serving, Any, Any, str, str]
ONE_4090, ONE_H100 = (gpu(),), (h100(),)
CASES: dict[str, Case] = {
    "AutoGLM in vLLM 0.33 on a 4090": (AUTOGLM, server(AUTOGLM), ONE_4090, ABSENT, "", ""),
    "AutoGLM in vLLM 0.8 on an H100": (
        AUTOGLM,
        server(AUTOGLM, figures=EngineFigures(version="0.8.5"), speed=speed(140)),
        ONE_H100,
        ABSENT,
        "",
        "",
    ),
    "a reasoning parser hides the thought": (
        (*AUTOGLM, "--reasoning-parser", "glm45"),
        server(AUTOGLM, asks=changed(ASKS, agent={"text": 'do(action="Home")', "reasoning": THOUGHT})),
        ONE_4090,
        ABSENT,
        "INF008",
        "",
    ),
    "thoughts about both screens begin alike and are cut off": (
        VISION,
        server(VISION, asks=changed(ASKS[:6], picture=THINKING, other_picture=THINKING)),
        ONE_H100,
        VISION_MODEL,
        "",
        "INF007",
    ),
    "thoughts in the text begin alike and are cut off": (
        AUTOGLM,
        server(
            AUTOGLM,
            asks=changed(
                ASKS,
                picture={"finish_reason": "length", "text": "<think>The user asks"},
                other_picture={"finish_reason": "length", "text": "<think>The user asks"},
            ),
        ),
        ONE_4090,
        ABSENT,
        "",
        "INF007",
    ),
    "all of the tokens went into thoughts": (
        QWEN,
        server(QWEN, asks=tuple(dataclasses.replace(one, **THINKING) for one in WORDS)),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
    "a model of text": (QWEN, server(QWEN, asks=WORDS), ONE_H100, TEXT_MODEL, "", ""),
    "a model of text that answers in Japanese and English": (
        QWEN,
        server(
            QWEN, asks=changed(WORDS, text="パリ (Paris) は首都です。2+2=4。", text_again="パリ (Paris) は首都です。")
        ),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
    "a model that answers in Russian, with a formula": (
        QWEN,
        server(QWEN, asks=changed(WORDS, text="Париж (Paris), а 2 + 2 = 4, π ≈ 3.14", text_again="Париж (Paris)")),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
    "a model that greets with a picture sign": (
        QWEN,
        server(QWEN, asks=changed(WORDS, cold="👋😊")),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
    "a tiny model that is wrong": (
        TRANSFORMERS,
        server(TRANSFORMERS, "transformers", asks=changed(WORDS, cold="Once", text=BABBLE, text_again=BABBLE)),
        (),
        TEXT_MODEL,
        "",
        "",
    ),
    "a weak model that loops over one question": (
        QWEN,
        server(QWEN, asks=changed(WORDS, text="a a a a a a a a a a", text_again="a a a a a a a a a a")),
        ONE_H100,
        TEXT_MODEL,
        "INF006",
        "",
    ),
    "a base model without a chat template": (
        ("vllm", "serve", "/models/base"),
        server(
            QWEN,
            asks=(
                ask(
                    "cold", "", status=400, error="As of transformers v4.44, default chat template is no longer allowed"
                ),
            ),
            speed=None,
            bursts=(),
        ),
        ONE_H100,
        TEXT_MODEL,
        "INF006",
        "INF009",
    ),
    "random weights": (
        AUTOGLM,
        server(AUTOGLM, asks=tuple(dataclasses.replace(one, text="!!!!!!!!!!") for one in ASKS), random_weights=True),
        ONE_4090,
        ABSENT,
        "",
        "",
    ),
    "no usage": (
        VISION,
        server(
            VISION,
            asks=tuple(dataclasses.replace(one, prompt_tokens=None, completion_tokens=None) for one in ASKS[:6]),
            speed=Speed(requests=5, first_token_p50_seconds=0.1),
        ),
        ONE_H100,
        VISION_MODEL,
        "",
        "INF007",
    ),
    "llama.cpp on a CPU": (
        LLAMA,
        server(LLAMA, "llamacpp", asks=WORDS, speed=speed(3), log=("load_backend: loaded CPU backend",)),
        (),
        ABSENT,
        "",
        "INF010",
    ),
    "a very slow CPU: one question was not finished in time": (
        (*TRANSFORMERS, "--device", "cpu"),
        server(
            TRANSFORMERS,
            "transformers",
            asks=(WORDS[0], dataclasses.replace(WORDS[1], error="not finished after 90 s"), WORDS[2]),
            speed=None,
            bursts=(),
        ),
        (),
        TEXT_MODEL,
        "",
        "INF006 INF009",
    ),
    "a processor with its own limits, as the flags say": (
        (*AUTOGLM, "--mm-processor-kwargs", '{"size": {"shortest_edge": 12544, "longest_edge": 5000000}}'),
        server(AUTOGLM, asks=changed(ASKS, picture={"prompt_tokens": 3132}, other_picture={"prompt_tokens": 3132})),
        ONE_4090,
        ABSENT,
        "",
        "",
    ),
    "a template with words around the picture": (
        AUTOGLM,
        server(AUTOGLM, asks=changed(ASKS, picture={"prompt_tokens": 22 + IMAGE_TOKENS + 8})),
        ONE_4090,
        ABSENT,
        "",
        "",
    ),
    "a prefix cache rounds differently": (
        QWEN,
        server(QWEN, asks=changed(WORDS, text_again="Paris is the capital of France. And 2 + 2 = 4.")),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
    "batches differ: a short answer gets a full stop": (
        QWEN,
        server(QWEN, asks=changed(WORDS, text="Paris, 4", text_again="Paris, 4.")),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
    "speculative decoding: several tokens a piece": (
        QWEN,
        server(QWEN, asks=tuple(dataclasses.replace(a, chunks=5) for a in WORDS), speed=speed(320)),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
    "a burst that our own time cut short": (
        QWEN,
        server(QWEN, asks=WORDS, bursts=burst(cut_short=40)),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
    "a quantized model": (
        (*QWEN[:2], "Qwen/Qwen2.5-7B-Instruct-AWQ"),
        server(QWEN, asks=WORDS, speed=speed(150)),
        ONE_4090,
        files_of(5.2, model_type="qwen2", quantization_config={"quant_method": "awq", "bits": 4}),
        "",
        "",
    ),
    "two GPUs": ((*QWEN, "-tp", "2"), server(QWEN, asks=WORDS), (gpu(), gpu(index=1)), TEXT_MODEL, "", ""),
    "SGLang": (SGLANG, server(SGLANG, "sglang"), ONE_H100, ABSENT, "INF009", ""),
    "a server behind a URL": (AUTOGLM, server(AUTOGLM, command=(), start_seconds=None), (), ABSENT, "", ""),
    "a report of weights that are not needed": (
        TRANSFORMERS,
        server(
            TRANSFORMERS,
            "transformers",
            asks=WORDS,
            log=(
                "model.visual.extra.weight   | UNEXPECTED |  | ",
                "lm_head.weight | MISSING | ",
                "rotary_emb.inv_freq | MISSING |",
            ),
        ),
        (),
        TEXT_MODEL,
        "",
        "",
    ),
    "a busy GPU is held at its power": (
        AUTOGLM,
        server(
            AUTOGLM,
            gpus=(dataclasses.replace(serving().gpus[0], throttle_reasons=("power cap",), sm_clock_median_mhz=1200),),
        ),
        ONE_4090,
        ABSENT,
        "",
        "",
    ),
    "finish at once": (
        AUTOGLM,
        server(AUTOGLM, asks=changed(ASKS, agent=f'{THOUGHT}finish(message="done")')),
        ONE_4090,
        ABSENT,
        "",
        "",
    ),
    "warnings of old workers in the log": (
        QWEN,
        server(QWEN, asks=WORDS, log=("RuntimeError: CUDA out of memory", "INFO: Application startup complete.")),
        ONE_H100,
        TEXT_MODEL,
        "",
        "",
    ),
}


def judged(case: Case) -> list[Finding]:
    command, value, cards, files, _, _ = case
    gpus = known(cards) if cards else ABSENT
    model_files = files if isinstance(files, Reading) else known(files)
    facts = Facts(serving=known(value), inference=INSTEAD, gpus=gpus, packages=known(VLLM), model_files=model_files)
    intent = parse_command(list(command))
    if not cards:
        intent = dataclasses.replace(intent, device="cpu")
    return list(run_checks([*OF_SERVER, *OF_TRANSFORMERS], facts, intent, load_matrix()))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_healthy_server(case: Case) -> None:
    *_, yellow, still_open = case
    told = [(f.status, f.code, f.subject, render(f.text)) for f in judged(case)]
    assert [t for t in told if t[0] in ("fail", "error")] == []
    assert {t[1] for t in told if t[0] == "warn"} <= set(yellow.split()), told
    assert {t[1] for t in told if t[0] == "unknown"} - {"INF010"} <= set(still_open.split()), told
