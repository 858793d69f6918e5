"""Command lines that users really type -> what they mean."""

from __future__ import annotations

import pytest

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.intent import SMOKE, Engine
from autoglm_doctor.launch import default_intent, intent_from_options, parse_command


def words(line: str) -> list[str]:
    import shlex

    return shlex.split(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("vllm serve org/m", {"engine": "vllm", "model": "org/m", "port": 8000}, id="vllm serve"),
        pytest.param("vllm serve --model org/m --port 9", {"model": "org/m", "port": 9}, id="model as a flag"),
        pytest.param(
            "python -m vllm.entrypoints.openai.api_server --model org/m",
            {"engine": "vllm", "model": "org/m"},
            id="vllm as a module",
        ),
        pytest.param(
            "/opt/env/bin/vllm serve org/m --enforce-eager --host 127.0.0.1",
            {"model": "org/m", "host": "127.0.0.1"},
            id="a path and a switch",
        ),
        pytest.param("vllm serve --enforce-eager org/m", {"model": "org/m"}, id="a switch before the model"),
        pytest.param(
            "CUDA_VISIBLE_DEVICES=1 uv run vllm serve org/m",
            {"model": "org/m", "environment": {"CUDA_VISIBLE_DEVICES": "1"}},
            id="an assignment and uv run",
        ),
        pytest.param("env A=b vllm serve org/m", {"environment": {"A": "b"}}, id="env"),
        pytest.param(
            "python3 -m sglang.launch_server --model-path org/m", {"engine": "sglang", "port": 30000}, id="sglang"
        ),
        pytest.param("transformers serve org/m", {"engine": "transformers", "model": "org/m"}, id="transformers serve"),
        pytest.param("vllm serve org/m --frobnicate 3", {"unknown_flags": ("--frobnicate",)}, id="an unknown flag"),
        pytest.param("vllm serve zai-org/AutoGLM-Phone-9B", {"profile": "autoglm-phone-9b"}, id="a known model"),
    ],
)
def test_command(line: str, expected: dict[str, object]) -> None:
    intent = parse_command(words(line))
    assert {name: getattr(intent, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        pytest.param("--max-model-len 25480", "max_model_len", 25480, id="plain"),
        pytest.param("--max-model-len=25480", "max_model_len", 25480, id="equals sign"),
        pytest.param("--max_model_len 4k", "max_model_len", 4000, id="underscores and 4k"),
        pytest.param("--max-model-len 4K", "max_model_len", 4096, id="4K is binary"),
        pytest.param("--max-model-len auto", "max_model_len", None, id="auto is the engine's own choice"),
        pytest.param("--max-model-len -1", "max_model_len", None, id="minus one too"),
        pytest.param("--gpu-memory-utilization .95", "gpu_memory_utilization", 0.95, id="a share"),
        pytest.param("-tp 2", "tensor_parallel", 2, id="short tp"),
        pytest.param("""--limit-mm-per-prompt '{"image":10}'""", "limit_mm_per_prompt", {"image": 10}, id="JSON"),
        pytest.param(
            "--limit-mm-per-prompt image=2,video=0", "limit_mm_per_prompt", {"image": 2, "video": 0}, id="old"
        ),
        pytest.param("--limit-mm-per-prompt.image 3", "limit_mm_per_prompt", {"image": 3}, id="dotted"),
        pytest.param(
            """--limit-mm-per-prompt '{"image":{"count":4}}'""", "limit_mm_per_prompt", {"image": 4}, id="with options"
        ),
        pytest.param("--enforce-eager --dtype half", "dtype", "half", id="a switch takes no value"),
    ],
)
def test_flag(flags: str, field: str, value: object) -> None:
    assert getattr(parse_command(words(f"vllm serve org/m {flags}")).launch, field) == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("nginx -g daemon", "no serving command", id="no engine"),
        pytest.param("vllm serve", "names no model", id="no model"),
        pytest.param("vllm serve m --max-model-len many", "--max-model-len: a whole number", id="no number"),
        pytest.param("vllm serve m --gpu-memory-utilization most", "a number expected", id="no share"),
        pytest.param("vllm serve m --limit-mm-per-prompt [1]", "a JSON object", id="no object"),
    ],
)
def test_mistakes_are_named(line: str, message: str) -> None:
    with pytest.raises(DoctorError) as error:
        parse_command(words(line))
    assert message in str(error.value)


def test_the_default_is_what_open_autoglm_documents() -> None:
    intent = default_intent()
    assert (intent.launch.max_model_len, intent.launch.mm_processor_kwargs) == (25480, {"max_pixels": 5000000})
    assert intent.unknown_flags == ()


def test_an_option_replaces_the_flag_of_the_profile() -> None:
    intent = intent_from_options(model=None, engine=None, overrides={"max_model_len": 4096, "port": None})
    assert intent.launch.max_model_len == 4096
    assert intent.command.count("--max-model-len") == 1
    assert intent.stated_by == "options"


def test_another_engine_drops_the_flags_of_vllm() -> None:
    intent = intent_from_options(model="org/m", engine="sglang", overrides={"gpu_memory_utilization": 0.8})
    assert intent.command[-2:] == ("--mem-fraction-static", "0.8")


def test_smoke_needs_no_command() -> None:
    assert intent_from_options(model=SMOKE, engine=None, overrides={}).engine == "transformers"


@pytest.mark.parametrize(
    "flags",
    [
        *(f"--gpu-memory-utilization {v}" for v in ("0", "1.01", "90", "-0.5", "nan", "inf", "")),
        *(f"--max-model-len {v}" for v in ("0", "-5", "0.5")),
        *(f"--max-num-seqs {v}" for v in ("0", "-1", "auto")),
        *(f"--max-num-batched-tokens {v}" for v in ("0", "-1")),
        *(f"{flag} {v}" for flag in ("-tp", "-pp", "-dp") for v in ("0", "-1", "auto")),
        *(f"--port {v}" for v in ("0", "65536", "-1", "http")),
        *(f"--cpu-offload-gb {v}" for v in ("-1", "nan", "inf")),
        *(f"--dtype {v}" for v in ("banana", "BF16", "int8", "")),
    ],
)
def test_values_that_no_engine_takes(flags: str) -> None:
    flag = flags.split()[0]
    with pytest.raises(DoctorError, match=f"^{flag}:"):
        parse_command(words(f"vllm serve org/m {flags}"))


@pytest.mark.parametrize(
    "flags",
    [
        "--gpu-memory-utilization 1",
        "--gpu-memory-utilization 0.01",
        "--max-model-len 1",
        "--max-model-len -1",
        "--max-model-len auto",
        "--port 1",
        "--port 65535",
        "--cpu-offload-gb 0",
        *(f"--dtype {v}" for v in ("auto", "half", "float16", "bfloat16", "float", "float32")),
    ],
)
def test_the_ends_of_what_engines_take(flags: str) -> None:
    parse_command(words(f"vllm serve org/m {flags}"))


def test_sglang_switches_chunked_prefill_off() -> None:
    line = "python -m sglang.launch_server --model-path org/m --chunked-prefill-size -1"
    assert parse_command(words(line)).launch.max_num_batched_tokens is None


@pytest.mark.parametrize(
    "given",
    [
        {"gpu_memory_utilization": 1.5},
        {"gpu_memory_utilization": float("nan")},
        {"max_model_len": 0},
        {"max_num_seqs": -3},
        {"tensor_parallel": 0},
        {"tensor_parallel": -1},
        {"port": 70000},
        {"dtype": "banana"},
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_our_own_options_are_no_softer(given: dict[str, object], engine: Engine) -> None:
    with pytest.raises(DoctorError, match="expected"):
        intent_from_options(model=None, engine=engine, overrides=given)
