"""Which server is really started, and when none is: the trial of the intended command."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.facts import Facts, Gpu, ModelFiles, Reading, TorchRun, WeightFile, known
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import parse_command
from autoglm_doctor.options import Options
from autoglm_doctor.steps import STEPS
from autoglm_doctor.trial import serving_arguments
from tests.test_safety import DESKTOP, SERVER, facts, gpu

VLLM = "vllm serve /srv/models/x --max-model-len 8192 --max-num-seqs 8 --gpu-memory-utilization 0.9"
GGUF = "llama-server -m /srv/models/m.gguf --n-gpu-layers 0"


def machine(*gpus: Gpu, **changes: Any) -> Facts:
    return facts(*(gpus or (gpu(),)), **changes)


def decide(some: Facts, command: str = VLLM, **options: Any) -> Any:
    intent = parse_command(command.split())
    return serving_arguments(some, intent, Options(missing_program="", environ={}, **options))


def test_the_command_that_somebody_gave_is_run() -> None:
    arguments = decide(machine())
    assert arguments["command"] == VLLM.split()
    assert (arguments["engine"], arguments["concurrency"], arguments["context"]) == ("vllm", 8, 8192)
    assert arguments["gpus"] == [0]
    assert arguments["names"][0] == "/srv/models/x"


def test_the_desktop_is_no_hindrance() -> None:
    assert decide(machine(gpu(0, 22, DESKTOP)))["command"]


@pytest.mark.parametrize(
    ("some", "command", "options", "why"),
    [
        pytest.param(machine(), VLLM, {"final_stage": "none"}, "--final-stage none", id="not asked for"),
        pytest.param(machine(), VLLM, {"final_stage": "transformers"}, "--final-stage transformers", id="another form"),
        pytest.param(machine(model_files=Reading(outcome="absent")), VLLM, {}, "not on this machine", id="no weights"),
        pytest.param(
            machine(
                model_files=known(ModelFiles(path="/m", weights=(WeightFile(name="a", size_bytes=1, fault="empty"),)))
            ),
            VLLM,
            {},
            "not whole",
            id="damaged weights",
        ),
        pytest.param(machine(gpu(0, 22, SERVER)), VLLM, {}, "in use by vllm (7)", id="somebody computes there"),
        pytest.param(
            machine(gpu(0, 22), gpu(1, 22, SERVER), cuda=Reading(outcome="not_run")),
            VLLM + " --tensor-parallel-size 2",
            {},
            "GPU 1 is in use",
            id="on the second GPU that it takes",
        ),
        pytest.param(
            machine(torch_run=known(TorchRun(cuda_available=False))), VLLM, {}, "torch cannot use", id="no CUDA"
        ),
        pytest.param(machine(), "docker run -it x vllm serve /srv/models/x", {}, "docker would", id="in a container"),
        pytest.param(machine(), f"sudo -E {VLLM}", {}, "sudo would", id="as somebody else"),
        pytest.param(machine(), f"env -i docker exec x {VLLM}", {}, "docker would", id="in a container, behind env"),
        pytest.param(machine(), f"{VLLM} --headless", {}, "opens no API", id="a node without an API"),
        pytest.param(machine(), f"{VLLM} --nnodes 2", {}, "other nodes", id="one of several nodes"),
        pytest.param(
            machine(),
            "transformers serve /srv/models/x",
            {"weights": "random"},
            "cannot make random",
            id="not this one",
        ),
    ],
)
def test_no_server_is_started(some: Facts, command: str, options: dict[str, Any], why: str) -> None:
    reading = decide(some, command, **options)
    assert isinstance(reading, Reading)
    assert reading.outcome == "not_run"
    assert why in reading.why


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("/opt/docker/bin/vllm serve /srv/models/ssh --nnodes 1", id="a folder, a model"),
        pytest.param("conda run -n docker vllm serve /srv/models/x", id="an environment of conda"),
        pytest.param("python3 -m vllm.entrypoints.openai.api_server --model screen", id="a model of a module"),
    ],
)
def test_a_name_is_no_program(command: str) -> None:
    assert not isinstance(decide(machine(), command), Reading)


def test_a_missing_program_is_named() -> None:
    intent = parse_command(VLLM.split())
    reading = serving_arguments(machine(), intent, Options(missing_program="vllm", environ={}))
    assert isinstance(reading, Reading)
    assert reading.why == "vllm is not there"


@pytest.mark.parametrize(("final_stage", "runs"), [("auto", False), ("command", True)])
def test_a_line_that_nobody_typed_is_run_only_when_asked_for(final_stage: Any, runs: bool) -> None:
    command = tuple(VLLM.split())
    intent = Intent(model="/srv/models/x", command=command, stated_by="profile")
    answer = serving_arguments(machine(), intent, Options(missing_program=None, final_stage=final_stage, environ={}))
    assert isinstance(answer, Reading) is not runs


def test_force_starts_it_on_a_gpu_in_use() -> None:
    assert decide(machine(gpu(0, 22, SERVER)), force=True)["command"]


def test_random_weights_are_the_engine_s_own_way() -> None:
    files = known(ModelFiles(path="/m", config={"model_type": "llama"}))
    arguments = decide(machine(model_files=files), weights="random")
    assert arguments["command"][-2:] == ["--load-format", "dummy"]
    assert arguments["random_weights"]
    command = f"{VLLM} --load-format=runai_streamer --model-loader-extra-config {{}}"
    assert decide(machine(model_files=files), command, weights="random")["command"] == arguments["command"]


def test_without_a_gpu_a_server_of_another_kind_runs_on_the_cpu() -> None:
    files = known(ModelFiles(path="/srv/models", weights=(WeightFile(name="m.gguf", size_bytes=9),), found_by="gguf"))
    some = Facts(gpus=known(()), model_files=files)
    assert decide(some, GGUF)["gpus"] == []


def test_a_server_that_is_there_needs_neither_gpu_nor_weights() -> None:
    arguments = serving_arguments(Facts(), parse_command(VLLM.split()), Options(endpoint="http://x:1", environ={}))
    assert not isinstance(arguments, Reading)
    assert arguments["command"] is None
    assert arguments["endpoint"] == "http://x:1"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param({}, "the command itself was run instead", id="the command is run"),
        pytest.param({"endpoint": "http://x:1"}, "the server at http://x:1 was asked instead", id="a server is there"),
        pytest.param({"final_stage": "command", "force": False}, "the command itself was run", id="asked for"),
    ],
)
def test_transformers_steps_aside(options: dict[str, Any], why: str) -> None:
    load = next(step for step in STEPS if step.probe.name == "load")
    reading = load.arguments(machine(), parse_command(VLLM.split()), Options(missing_program="", environ={}, **options))
    assert isinstance(reading, Reading)
    assert (reading.outcome, why in reading.why) == ("not_run", True)


def test_a_command_that_was_asked_for_is_not_replaced_by_transformers() -> None:
    load = next(step for step in STEPS if step.probe.name == "load")
    options = Options(missing_program="", final_stage="command", environ={})
    reading = load.arguments(machine(gpu(0, 22, SERVER)), parse_command(VLLM.split()), options)
    assert isinstance(reading, Reading)
    assert "in use by" in reading.why


def test_a_model_that_does_not_fit_beside_the_rest_is_left_alone() -> None:
    tight = machine(gpu(0, 1.2))
    reading = decide(tight, "transformers serve /srv/models/x")
    assert isinstance(reading, Reading)
    assert "GiB free on GPU 0" in reading.why or "not known" in reading.why
