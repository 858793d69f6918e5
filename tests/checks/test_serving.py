"""INF005: does the command start a server that answers; and who steps aside for whom."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.api import Check, Ending, Memory, Reading, ServingFailure
from autoglm_doctor.checks.inference import model_loads
from autoglm_doctor.checks.inference_memory import memory_as_predicted
from autoglm_doctor.checks.inference_output import answers_make_sense
from autoglm_doctor.checks.inference_speed import inference_speed
from autoglm_doctor.checks.serving import server_starts
from autoglm_doctor.checks.serving_agent import agent_answer
from autoglm_doctor.checks.serving_answers import server_answers
from autoglm_doctor.checks.serving_memory import server_memory
from autoglm_doctor.checks.serving_picture import picture_seen
from autoglm_doctor.checks.serving_speed import server_speed
from autoglm_doctor.domain.launch_line import line
from autoglm_doctor.facts import Facts, known
from autoglm_doctor.launch import parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.verdict import decide
from autoglm_doctor.wording import render
from tests.checks.serving_cases import ABSENT, ASKS, GIB, HEALTHY, README, VLLM, died, findings, gpu, h100, one, serving

OF_SERVER = (server_starts, server_answers, picture_seen, agent_answer, server_speed, server_memory)
OF_TRANSFORMERS = (model_loads, answers_make_sense, inference_speed, memory_as_predicted)
INSTEAD: Reading[Any] = Reading(outcome="not_run", why="the command itself was run instead")

OOM = (
    "INFO 11-21 gpu_model_runner.py:3338] Model loading took 19.3 GiB memory and 13.6 seconds",
    "ERROR torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 5.13 GiB. GPU 0 has a total capacity of 23.53 "
    "GiB of which 2.20 GiB is free.",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
)
KV = (
    "ValueError: To serve at least one request with the model's max seq len (25480), (0.97 GiB KV cache is needed, which "
    "is larger than the available KV cache memory (0.41 GiB). Based on the available memory, the estimated maximum model "
    "length is 10720.",
    "RuntimeError: Engine core initialization failed. See root cause above.",
)


def test_a_healthy_start_says_where_the_time_went() -> None:
    finding = one(server_starts, HEALTHY)
    assert (finding.status, finding.required) == ("pass", True)
    assert render(finding.text) == "vLLM 0.33.0 was ready in 83.0 s: importing 12.0 s, loading weights 41.0 s"


@pytest.mark.parametrize(
    ("value", "cause", "says", "command"),
    [
        pytest.param(
            died(*OOM), "KV_CACHE_TOO_SMALL", "CUDA out of memory", "--max-num-seqs 8", id="out of GPU memory"
        ),
        pytest.param(died(*KV), "KV_CACHE_TOO_SMALL", "0.41 GiB", "--max-model-len", id="KV cache too small"),
        pytest.param(
            died(
                "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use"
            ),
            "PORT_IN_USE",
            "address already in use",
            "--port",
            id="port taken",
        ),
        pytest.param(
            died("loading", "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata"),
            "MODEL_FILE_TRUNCATED",
            "incomplete metadata",
            "hf download",
            id="a damaged file",
        ),
        pytest.param(
            died("loading", signal="SIGKILL", oom=True),
            "RAM_TOO_SMALL",
            "the kernel killed it",
            "free -h",
            id="OOM kill",
        ),
        pytest.param(died("loading", code=137), "RAM_TOO_SMALL", "most often", "free -h", id="exit code 137"),
        pytest.param(died("x", signal="SIGILL"), "SERVER_DOES_NOT_START", "SIGILL", "lscpu", id="illegal instruction"),
        pytest.param(
            died("It never rains but it pours"),
            "SERVER_DOES_NOT_START",
            "It never rains but it pours",
            "2>&1 | tee server.log",
            id="unknown last words",
        ),
        pytest.param(died(), "SERVER_DOES_NOT_START", "it said nothing", "tee server.log", id="silence"),
        pytest.param(
            died("Loading safetensors checkpoint shards:  25%", kind="not_ready"),
            "SLOW_MODEL_STORAGE",
            "for 41.0 s it has been at the phase 'loading weights'",
            "findmnt",
            id="time is up while it loads",
        ),
        pytest.param(
            dataclasses.replace(died("waiting", kind="not_ready"), phases=()),
            "SERVER_NOT_READY",
            "not ready",
            "--timeout 3",
            id="time is up, nothing known",
        ),
        pytest.param(
            dataclasses.replace(
                died(), failure=ServingFailure(stage="start", kind="cannot_run", message="python3: No such file")
            ),
            "COMMAND_NOT_FOUND",
            "python3: No such file",
            "command -v python3",
            id="no such program",
        ),
        pytest.param(
            died("INFO loading", *KV, kind="doomed"),
            "KV_CACHE_TOO_SMALL",
            "does not start",
            "",
            id="doomed",
        ),
        pytest.param(
            serving(
                failure=ServingFailure(stage="measure", kind="died"),
                log=("torch.AcceleratorError: CUDA error: an illegal memory access was encountered",),
            ),
            "GPU_HARDWARE_ERROR",
            "started and then failed",
            "nvidia-smi",
            id="dies at work",
        ),
        pytest.param(
            serving(
                failure=ServingFailure(stage="ask", kind="died"), ending=Ending(exit_code=1), log=("So long", "bye")
            ),
            "SERVER_DIED",
            "vLLM started and then failed (exit code 1): its last words: bye",
            "tee server.log",
            id="dies at a question, in unknown words",
        ),
        pytest.param(
            died("x" * 900), "SERVER_DOES_NOT_START", "(exit code 1): its last words: xxx", "", id="long last words"
        ),
    ],
)
def test_failures_are_named(value: Any, cause: str, says: str, command: str) -> None:
    finding = one(server_starts, value)
    assert (finding.status, finding.cause) == ("fail", cause)
    assert says in render(finding.text)
    assert command in "\n".join(c for fix in finding.fixes for c in fix.commands)
    assert all("{" not in render(fix.text) for fix in finding.fixes)
    assert len(render(finding.text)) < 450


def test_a_container_limit_is_named_where_there_is_one() -> None:
    memory = Memory(total_bytes=64 * GIB, available_bytes=50 * GIB, cgroup_limit_bytes=8 * GIB)
    finding = one(server_starts, died("x", signal="SIGKILL", oom=True), memory=memory)
    assert finding.cause == "CGROUP_MEMORY_LIMIT"
    assert "8.00 GiB" in render(finding.text)


def test_the_kernels_count_is_worth_more_than_what_the_log_says_of_it() -> None:
    finding = one(server_starts, died(*OOM, signal="SIGKILL", oom=True))
    assert finding.cause == "RAM_TOO_SMALL"


def test_the_words_of_the_log_are_worth_more_than_a_bare_signal() -> None:
    assert one(server_starts, died(*OOM, signal="SIGKILL")).cause == "KV_CACHE_TOO_SMALL"


@pytest.mark.parametrize("card", [pytest.param(gpu(), id="a 4090, predicted"), pytest.param(h100(), id="an H100, not")])
def test_what_ran_out_of_memory_is_not_offered_again(card: Any) -> None:
    """Also where the memory model had said that the line fits."""
    finding = one(server_starts, died(*OOM), gpus=(card,))
    best = finding.fixes[0].commands[0]
    assert "--max-num-seqs 8" in best
    assert best != line(README)


def test_without_a_gpu_there_are_no_lines_of_the_memory_model() -> None:
    finding = one(server_starts, died(*KV), gpus=ABSENT)
    assert finding.cause == "KV_CACHE_TOO_SMALL"
    assert finding.fixes


def test_leftovers_are_yellow_beside_the_start() -> None:
    left = serving(leftovers=("process 123", "/dev/shm/psm_1 2"))
    start, rest = findings(server_starts, left)
    assert (start.status, rest.status, rest.subject) == ("pass", "warn", "leftovers")
    assert rest.fixes[0].commands == ("kill -9 123", "rm -r '/dev/shm/psm_1 2'")


def test_behind_a_url_there_is_no_start() -> None:
    there = serving(command=(), start_seconds=None, phases=())
    assert one(server_starts, there).status == "pass"
    gone = serving(
        command=(), asks=(), failure=ServingFailure(stage="ask", kind="no_answer", message="Connection refused")
    )
    finding = one(server_starts, gone)
    assert finding.status == "fail"
    assert "http://127.0.0.1:41234 gives no answer" in render(finding.text)
    assert "curl" in finding.fixes[0].commands[0]


def test_one_question_without_an_answer_is_no_missing_server() -> None:
    slow = serving(failure=ServingFailure(stage="ask", kind="no_answer", message="no word within 100 s"))
    assert one(server_starts, slow).status == "pass"


@pytest.mark.parametrize("check", OF_SERVER, ids=lambda c: c.code)
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        pytest.param("not_run", "skipped", id="nobody tried"),
        pytest.param("absent", "skipped", id="absent"),
        pytest.param("failed", "unknown", id="the trial broke"),
        pytest.param("timeout", "unknown", id="the trial hung"),
    ],
)
def test_what_was_not_tried_is_quiet_and_what_broke_is_open(check: Check, outcome: Any, status: str) -> None:
    assert one(check, Reading(outcome=outcome, why="--final-stage none")).status == status


@pytest.mark.parametrize("check", OF_TRANSFORMERS, ids=lambda c: c.code)
@pytest.mark.parametrize("why", ["the command itself was run instead", "the server at http://x was asked instead"])
def test_transformers_checks_step_aside_where_the_server_was_tried(check: Check, why: str) -> None:
    (finding,) = judge(check, inference=Reading(outcome="not_run", why=why))
    assert (finding.status, finding.because) == ("skipped", "")


CASES = {
    "the server is fine": (HEALTHY, "ready"),
    "the server does not start": (died("oh"), "not_ready"),
    "the trial broke": (Reading(outcome="failed", why="killed by SIGSEGV"), "incomplete"),
    "neither was run": (Reading(outcome="not_run", why="--final-stage none"), "ready"),
}


@pytest.mark.parametrize(("value", "status"), CASES.values(), ids=CASES.keys())
def test_the_verdict(value: Any, status: str) -> None:
    """Two reds of one fault would be two causes; and a check that is fine must stand beside, or nothing ran."""
    reading = value if isinstance(value, Reading) else known(value)
    tried = INSTEAD if reading.outcome == "known" else Reading(outcome="not_run", why="--final-stage none")
    facts = Facts(serving=reading, inference=tried, gpus=known((gpu(),)), packages=known(VLLM))
    found = run_checks([*OF_SERVER, *OF_TRANSFORMERS], facts, README, load_matrix())
    (sound,) = judge(server_starts, serving=HEALTHY)
    verdict = decide([*found, dataclasses.replace(sound, code="DRV001")], README, facts)
    assert verdict.status == status
    assert len(verdict.causes) == (1 if status == "not_ready" else 0)
    quiet = [f for f in found if f.code in ("INF001", "INF002", "INF003", "INF004")]
    assert not any(f.status in ("fail", "warn") for f in quiet)


def test_llama_cpp_is_judged_as_well() -> None:
    intent = parse_command(["llama-server", "--model", "/m/x.gguf", "--port", "8080"])
    value = serving(engine="llamacpp", asks=ASKS[:3])
    finding = one(server_starts, value, intent=intent)
    assert finding.status == "pass"
    assert "llama.cpp's server" in render(finding.text)
