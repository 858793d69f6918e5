"""The commands of a row, filled in for the user's own line."""

from __future__ import annotations

import dataclasses
import re
import shlex

import pytest

from autoglm_doctor.domain.signatures import TABLE, Signature, fix_for, symptoms_of
from autoglm_doctor.intent import UNNAMED, Engine, Intent
from autoglm_doctor.launch import parse_command

AUTOGLM = (
    "vllm serve zai-org/AutoGLM-Phone-9B --max-model-len 25480 --tensor-parallel-size 3 --port 8000 --quantization awq"
)
COMMANDS: dict[Engine, str] = {
    "vllm": AUTOGLM,
    "sglang": "python3 -m sglang.launch_server --model-path /models/m --port 30000",
    "transformers": "transformers serve /models/m --port 8000",
    "llamacpp": "llama-server -m /models/m.gguf -c 8192",
}


def intent(engine: Engine = "vllm") -> Intent:
    return parse_command(shlex.split(COMMANDS[engine]))


def commands(line: str, engine: Engine = "vllm") -> tuple[str, ...]:
    (symptom, *_) = symptoms_of([line], engine)
    return fix_for(symptom.signature, intent(engine), "/models/m", symptom.line).commands


@pytest.mark.parametrize("row", TABLE, ids=lambda r: f"{r.cause} {r.pattern[:30]}")
@pytest.mark.parametrize("engine", COMMANDS)
def test_every_row_gives_lines_that_can_be_pasted(row: Signature, engine: Engine) -> None:
    fix = fix_for(row, intent(engine), "/models/my model")
    assert fix.commands
    for command in fix.commands:
        assert command.strip()
        assert not re.search(r"\{\w+\}", command), "a placeholder stayed behind"
        assert shlex.split(command)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        pytest.param(
            "KV cache is needed, which is larger than the available KV cache memory (0.50 GiB). Based on the available memory, the estimated maximum model length is 13104.",
            "--max-model-len 13056",
            id="the context that fits, by the engine's own estimate",
        ),
        pytest.param(
            "The model's max seq len (25480) is larger than the maximum number of tokens that can be stored in KV cache (9328).",
            "--max-model-len 9216",
            id="the context that fits, by the size of the cache",
        ),
        pytest.param("No available memory for the cache blocks.", "--max-model-len 12740", id="half the context"),
        pytest.param("No available memory for the cache blocks.", "--gpu-memory-utilization 0.95", id="a larger share"),
        pytest.param(
            "ValueError: Free memory on device (15.00/24.00 GiB) on startup is less than desired GPU memory utilization (0.9, 21.6 GiB).",
            "--gpu-memory-utilization 0.61",
            id="a share that is free",
        ),
        pytest.param(
            "Bfloat16 is only supported on GPUs with compute capability of at least 8.0.", "--dtype half", id="dtype"
        ),
        pytest.param(
            "User-specified max_model_len (99999) is greater than the derived max_model_len (max_position_embeddings=65536 or",
            "--max-model-len 65536",
            id="the model's own length",
        ),
        pytest.param(
            "Total number of attention heads (32) must be divisible by tensor parallel size (3).",
            "--tensor-parallel-size 2",
            id="a number of GPUs that divides the heads",
        ),
        pytest.param("[Errno 98] Address already in use", "--port 8001", id="the next port"),
        pytest.param(
            "#error -- unsupported GNU version! gcc versions later than 13 are not supported!",
            'NVCC_PREPEND_FLAGS="-ccbin /usr/bin/g++-13"',
            id="the newest gcc that the message allows",
        ),
        pytest.param(
            "flashinfer-jit-cache version (0.6.13+cu130) does not match flashinfer version (0.6.14).",
            "uninstall -y flashinfer-jit-cache",
            id="the package that the line names",
        ),
        pytest.param(
            "Watchdog caught collective operation timeout: WorkNCCL", "NCCL_P2P_DISABLE=1 vllm serve", id="no P2P"
        ),
        pytest.param("At most 0 image(s) may be provided in one prompt.", "limit-mm-per-prompt", id="pictures"),
    ],
)
def test_the_users_line_is_changed_where_it_helps(line: str, wanted: str) -> None:
    assert any(wanted in command for command in commands(line)), commands(line)


def test_a_refused_flag_is_taken_out() -> None:
    (first, *_) = commands("vllm: error: unrecognized arguments: --quantization awq")
    assert first == AUTOGLM.replace(" --quantization awq", "")


def test_quantization_is_left_out_where_it_contradicts_the_checkpoint() -> None:
    (first, *_) = commands("Quantization method specified in the model config (gptq) does not match the one")
    assert "quantization" not in first


def test_what_the_engine_has_no_flag_for_is_left_out() -> None:
    for command in commands("No available memory for the cache blocks.", "transformers"):
        assert "max-model-len" not in command


def test_llamacpp_is_given_its_own_flag() -> None:
    lines = commands("llama_init_from_model: failed to allocate buffer for kv cache", "llamacpp")
    assert any("4096" in line and line.startswith("llama-server") for line in lines)


@pytest.mark.parametrize("row", TABLE, ids=lambda r: f"{r.cause} {r.pattern[:30]}")
def test_a_model_that_nobody_named_stands_in_no_line(row: Signature) -> None:
    fix = fix_for(row, Intent(model=UNNAMED, engine="transformers"), UNNAMED)
    assert not [command for command in fix.commands if UNNAMED in command]
    has_other = any("{download}" not in command for command in row.commands)
    assert not (has_other and any(command.startswith("hf download") for command in fix.commands))


def test_a_name_with_blanks_is_quoted() -> None:
    row = next(r for r in TABLE if r.cause == "MODEL_NEEDS_REMOTE_CODE")
    spaced = dataclasses.replace(intent(), model="/models/my model")
    assert fix_for(row, spaced, "/models/my model").commands == ("ls -l '/models/my model'/*.py",)
