"""The command `plan`: its inputs, its JSON, its exit codes, and that its suggestions pass `check`."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.capacity.cards import find_card, parse_bytes
from autoglm_doctor.cli.app import run
from autoglm_doctor.domain.capacity.answer import make_plan
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.launch import parse_command
from autoglm_doctor.matrix import load_matrix
from tests.plan_cases import GIB, README, SMALL, checked, config_file, place, planned
from tests.test_imports import MODELS, PROBES, heavy, watch

READINGS = Path(__file__).parent / "machines"
TERMS = ["weights_bytes", "activation_bytes", "non_torch_bytes", "cuda_graph_bytes", "kv_cache_bytes"]


# --- the contract


def test_the_json_of_a_config_and_bare_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--config", str(config_file(tmp_path)), "--engine", "vllm==0.19.0", "--vram", "79.19GiB")
    code, data = planned(capsys, *words, "--", "--max-model-len", "8192", "--gpu-memory-utilization", "0.95")
    assert (code, data["fits"]) == (0, "yes")
    assert list(data["terms"]) == TERMS
    low, high = data["terms"]["cuda_graph_bytes"]
    assert low <= high
    assert data["requested_bytes"] == -(-int(79.19 * GIB) * 95 // 100)
    spent = sum(data["terms"][name] for name in TERMS if name != "cuda_graph_bytes")
    assert abs(data["requested_bytes"] - spent) <= high + 1
    assert data["context_tokens"] == 8192
    assert data["kv_cache_tokens"] % 16 == 0
    assert data["margin_bytes"] == data["terms"]["kv_cache_bytes"] - data["kv_needed_bytes"]
    assert data["intent"]["command"][-4:] == ["--max-model-len", "8192", "--gpu-memory-utilization", "0.95"]


def test_kv_tokens_are_the_bytes_by_the_bytes_of_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """40,960 bytes in 16 bits: 2 x 40 layers x 2 heads x 128 x 2 bytes."""
    _, data = planned(capsys, "--config", str(config_file(tmp_path)), "--vram", "80GiB", "--engine", "vllm==0.33.0")
    expected = data["terms"]["kv_cache_bytes"] // (2 * 40 * 2 * 128 * 2)
    assert 0 <= expected - data["kv_cache_tokens"] < 16


@pytest.mark.parametrize(
    ("words", "code", "fits"),
    [
        pytest.param(("--gpu", "H100"), 0, "yes", id="fits"),
        pytest.param(("--gpu", "RTX 4090"), 1, "no", id="does not"),
        pytest.param(("--vram", "80GiB", "--model", "org/nobody-knows-it"), 4, "unknown", id="unknown model"),
        pytest.param(("--gpu", "H100", "--gpus", "1", "--tensor-parallel-size", "2"), 1, "no", id="too few GPUs"),
        pytest.param(("--gpu", "H100", "--tensor-parallel-size", "3"), 1, "no", id="heads do not divide"),
        pytest.param(("--compare", "RTX 3090", "H100"), 0, None, id="a grid with a card that fits"),
        pytest.param(("--compare", "RTX 2060", "--dtype", "half"), 1, None, id="a grid without one"),
    ],
)
def test_exit_codes(words: tuple[str, ...], code: int, fits: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    found, data = planned(capsys, "--engine", "vllm==0.33.0", *words)
    assert (found, data.get("fits")) == (code, fits)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("--gpu", "RTX 4091"), "near: ", id="unknown card"),
        pytest.param(("--vram", "a lot"), "--vram: an amount such as", id="no amount"),
        pytest.param(("--vram", "0GiB"), "--vram: an amount such as", id="nothing"),
        pytest.param(("--engine", "vlm"), "--engine: one of", id="unknown engine"),
        pytest.param(("--engine", "vllm==new"), "--engine: a version such as", id="no version"),
        pytest.param(("--gpus", "0"), "--gpus: 1 or more", id="no GPUs"),
        pytest.param(("--tokens", "-1"), "--tokens: 1 or more", id="no tokens"),
        pytest.param(("--format", "yaml"), "--format: one of", id="unknown format"),
        pytest.param(("--config", "/nowhere/config.json", "--vram", "8GiB"), "No such file", id="no config"),
        pytest.param(("--model", "./nowhere", "--vram", "8GiB"), "there is no folder", id="no folder"),
        pytest.param(("--model", "a", "--config", "b"), "one of them expected", id="model and config"),
        pytest.param(("vllm", "serve", "x"), "behind `--`", id="a command without dashes"),
        pytest.param(("--compare",), "--compare: names of GPUs", id="nothing to compare"),
        pytest.param(("--compare", "RTX 4091"), "--compare: the matrix has no GPU", id="unknown card in a grid"),
        pytest.param(
            ("--engine", "sglang", "--vram", "8GiB", "--", "vllm", "serve", "x"), "not sglang", id="two engines"
        ),
        pytest.param(("--vram", "8GiB", "--", "--max-model-len", "many"), "a whole number expected", id="bad flag"),
        pytest.param(("--dtype", "half", "--", "vllm", "serve", "x"), "says it all", id="options and a command"),
        pytest.param(("--out", "/nowhere/plan.txt"), "--out: there is no folder", id="no folder for the plan"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert not said.out


@pytest.mark.parametrize(
    "text",
    [pytest.param("{", id="no JSON"), pytest.param("[]", id="no object"), pytest.param("{}", id="nothing in it")],
)
def test_a_config_that_is_none(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    assert run(["plan", "--config", str(path), "--vram", "24GiB"]) == (4 if text == "{}" else 2)
    assert "Traceback" not in capsys.readouterr().err


# --- the inputs


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("22.5GiB", 22.5 * GIB),
        ("22.5", 22.5 * GIB),
        ("24 GB", 24 * GIB),
        ("24564MiB", 24564 * 2**20),
        ("79.19gib", int(79.19 * GIB)),
    ],
)
def test_amounts(text: str, amount: float) -> None:
    assert parse_bytes(text, "--vram") == amount


@pytest.mark.parametrize("text", ["", "nan", "inf", "-3GiB", "24 TiB", "1e9", "24GiB of memory"])
def test_no_amounts(text: str) -> None:
    with pytest.raises(DoctorError, match="--vram"):
        parse_bytes(text, "--vram")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("RTX 4090", "GeForce RTX 4090"),
        ("4090", "GeForce RTX 4090"),
        ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090"),
        ("l40s", "L40S"),
        ("NVIDIA A100-SXM4-80GB", "A100 SXM 80GB"),
    ],
)
def test_loose_names(name: str, row: str) -> None:
    card, _ = find_card(name, load_matrix())
    assert card.name == row
    assert card.total_bytes == load_matrix().gpus[row].total_bytes


def test_flags_on_top_replace_those_of_the_profile(capsys: pytest.CaptureFixture[str]) -> None:
    _, data = planned(capsys, "--gpu", "H100", "--", "--max-model-len=4096", "--mm-processor-kwargs", '{"size":{}}')
    command = data["intent"]["command"]
    assert command.count("--model") == 1
    assert [word for word in command if "max-model-len" in word] == ["--max-model-len=4096"]
    assert not [word for word in command if "max_pixels" in word]
    assert data["context_tokens"] == 4096


def test_names_before_the_dashes_and_flags_behind_them(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--engine", "vllm==0.33.0", "--compare", "RTX 4090", "L40S", "--", "--max-model-len", "1024")
    code, data = planned(capsys, *words)
    assert code == 0
    assert [row["card"]["name"] for row in data["grid"]] == ["GeForce RTX 4090", "L40S"]
    assert data["intent"]["command"][-2:] == ["--max-model-len", "1024"]


def test_a_whole_command_behind_the_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["env", "VLLM_USE_V1=1", "vllm", "serve", "zai-org/AutoGLM-Phone-9B", "--max-model-len", "4096"]
    code, data = planned(capsys, "--gpu", "H100", "--", *words)
    assert (code, data["intent"]["command"]) == (0, words)


def test_the_config_counts_and_the_command_names_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config_file(tmp_path, SMALL)
    words = ("--config", str(path), "--vram", "24GiB", "--engine", "vllm==0.33.0")
    _, data = planned(capsys, *words, "--", "vllm", "serve", "zai-org/AutoGLM-Phone-9B")
    assert data["intent"]["model"] == "zai-org/AutoGLM-Phone-9B"
    assert data["terms"]["weights_bytes"] < 8 * GIB


def test_a_named_gpu_combines_with_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    _, data = planned(capsys, "--gpu", "A100", "--vram", "70.5GiB", "--gpus", "4")
    card = data["card"]
    assert (card["total_bytes"], card["capability"], card["count"]) == (int(70.5 * GIB), "8.0", 4)


def test_a_saved_reading_gives_gpu_version_and_intent(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = planned(capsys, "--facts", str(READINGS / "4090-autoglm-documented-flags.json"))
    assert (code, data["fits"]) == (1, "no")
    assert data["intent"]["version"] == "0.12.0"
    assert data["card"]["origin"] == "saved"
    assert data["card"]["free_bytes"] < data["card"]["total_bytes"]


def test_memory_that_others_hold_is_an_obstacle_with_a_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = planned(capsys, "--facts", str(READINGS / "gpu-held-by-another.json"))
    assert (code, data["fits"]) == (1, "no")
    assert "3.00 GiB are free" in data["text"]
    assert data["margin_bytes"] > 0  # the card itself would do
    assert any("nvidia-smi" in note for note in data["notes"])


def test_without_a_gpu_the_smallest_card_is_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = planned(capsys, "--facts", str(READINGS / "no-driver.json"))
    assert (code, data["fits"], data["card"]) == (4, "unknown", None)
    assert data["terms"] == dict.fromkeys(TERMS)
    assert data["what_fits"]["cards"]


def test_a_plan_is_redacted_like_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--gpu", "H100", "--", "vllm", "serve", "/home/jane/AutoGLM-Phone-9B", "--api-key", "sk-verysecret0"]
    for form in ("json", "terminal"):
        run(["plan", "--format", form, "--config", str(READINGS.parent / "plans" / "autoglm.json"), *words])
        said = capsys.readouterr().out
        assert said
        assert "verysecret" not in said
        assert "jane" not in said
    run(["plan", "--no-redact", "--config", str(READINGS.parent / "plans" / "autoglm.json"), *words])
    assert "sk-verysecret0" in capsys.readouterr().out


def test_the_plan_goes_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--gpu", "H100", "--format", "json", "--out", str(tmp_path / "plan.json")]) == 0
    assert not capsys.readouterr().out
    assert json.loads((tmp_path / "plan.json").read_text())["fits"] == "yes"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "autoglm_doctor", "plan", "--gpu", "H100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


# --- quick, and without a look at the machine

READS = ("autoglm_doctor.plan", "autoglm_doctor.collect", "autoglm_doctor.nursery", "autoglm_doctor.checks", "psutil")


@pytest.mark.parametrize("form", ["json", "terminal"])
def test_a_named_gpu_and_a_config_load_nothing_that_reads_the_machine(form: str, tmp_path: Path) -> None:
    config = config_file(tmp_path, SMALL)
    seen = watch(tmp_path, "doctor", "plan", "--config", str(config), "--vram", "24GiB", "--format", form)
    assert seen["code"] == 0
    allowed = ("autoglm_doctor.probes", "autoglm_doctor.probes.regular")
    found = heavy(seen["imported"], (*MODELS, *PROBES, *READS, "rich"))
    assert [name for name in found if name not in allowed] == []
    assert not [path for path in seen["opened"] if path.startswith(("/proc/driver", "/dev/nvidia"))]


def test_the_help_stays_light(tmp_path: Path) -> None:
    seen = watch(tmp_path, "doctor", "plan", "--help")
    assert heavy(seen["imported"], ("autoglm_doctor.capacity", "autoglm_doctor.domain", "yaml", "rich", *MODELS)) == []


# --- its suggestions pass `check`

CARDS: list[Any] = [
    pytest.param({"gib": 23.52}, id="24 GB"),
    pytest.param({"gib": 23.52, "version": "0.12.0"}, id="24 GB, old vLLM"),
    pytest.param({"gib": 23.52, "version": None}, id="24 GB, any vLLM"),
    pytest.param({"gib": 22.03, "name": "NVIDIA L4"}, id="22 GB"),
    pytest.param({"gib": 15.7, "count": 4}, id="4 x 16 GB"),
    pytest.param({"gib": 79.18, "count": 8, "name": "NVIDIA H100 80GB HBM3", "capability": "9.0"}, id="8 x 80 GB"),
    pytest.param({"gib": 11.6, "config": SMALL, "intent": parse_command(["vllm", "serve", "/m"])}, id="small model"),
]


@pytest.mark.parametrize("card", CARDS)
def test_every_suggested_line_passes_the_checks_on_memory_and_flags(card: dict[str, Any]) -> None:
    where = place(**card)
    made = make_plan(where, ())
    assert made.lines
    for one in made.lines:
        found = checked(where, parse_command(shlex.split(one.line)))
        passed = {finding.code for finding in found.get("pass", [])}
        assert found.get("fail", []) + found.get("error", []) == [], one.line
        assert {"VRM001", "VRM002", "VRM003"} <= passed, one.line


def test_autoglm_on_24_gb_starts_in_several_ways() -> None:
    made = make_plan(place(), ())
    assert made.fits == "no"
    kinds = [one.kind for one in made.lines]
    assert {"small_batch", "fp8", "four_bit", "hardware"} <= set(kinds)
    assert len(kinds) == len(set(kinds)) >= 4
    assert all(one.intent.launch.max_model_len == README.launch.max_model_len for one in made.lines)


def test_the_whole_circle_through_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """plan on a saved reading, each line of it judged by check on the same reading."""
    path = str(READINGS / "4090-autoglm-documented-flags.json")
    _, data = planned(capsys, "--facts", path)
    lines = [one["line"] for one in data["launch_lines"] if one["kind"] != "hardware"]
    assert lines
    for line in lines:
        words = shlex.split(line)
        code = run(["check", "--facts", path, "--final-stage", "none", "--format", "json", "--", *words])
        report = json.loads(capsys.readouterr().out)
        assert [r["text"] for r in report["results"] if r["status"] == "fail"] == [], line
        assert code == 0, line


@pytest.mark.parametrize(
    ("flags", "kind", "expected"),
    [
        pytest.param("--tensor-parallel-size 8", "whole_towers", "--mm-encoder-tp-mode data", id="heads of the tower"),
        pytest.param("--tensor-parallel-size 3", "fewer_gpus", "--tensor-parallel-size 2", id="heads"),
        pytest.param("--tensor-parallel-size 16", "fewer_gpus", "--tensor-parallel-size 8", id="too few GPUs"),
    ],
)
def test_a_split_that_cannot_start_gets_one_that_does(flags: str, kind: str, expected: str) -> None:
    intent = parse_command(["vllm", "serve", "zai-org/AutoGLM-Phone-9B", *flags.split()])
    where = place(79.18, count=8, name="NVIDIA H100 80GB HBM3", capability="9.0", intent=intent)
    made = make_plan(where, ())
    assert (made.fits, made.lines[0].kind) == ("no", kind)
    assert expected in made.lines[0].line
    assert checked(where, parse_command(shlex.split(made.lines[0].line))).get("fail", []) == []


@pytest.mark.parametrize(
    ("flags", "config"),
    [
        pytest.param("--pipeline-parallel-size 4", SMALL, id="more stages than GPUs"),
        pytest.param("", {**SMALL, "num_attention_heads": 24, "num_key_value_heads": 3}, id="3 key and value heads"),
    ],
)
def test_nothing_is_suggested_that_the_engine_refuses(flags: str, config: dict[str, Any]) -> None:
    words = ["vllm", "serve", "/m", *flags.split()]
    where = place(5.0, count=2, capability="7.0", intent=parse_command(words), config=config)
    made = make_plan(where, ())
    assert made.fits == "no"
    assert [one.kind for one in made.lines if one.kind in ("more_gpus", "hardware")] == []
    assert all(one.intent.gpus_needed <= 2 for one in made.lines)


def test_idle_gpus_are_offered_copies_and_not_a_split() -> None:
    made = make_plan(place(79.18, count=8, name="NVIDIA H100 80GB HBM3", capability="9.0"), ())
    assert [one.kind for one in made.lines] == ["given", "replicas"]
    assert "--data-parallel-size 8" in made.lines[1].line


def test_what_is_free_bounds_the_share() -> None:
    where = place(23.52, free=12.0, config=SMALL, intent=parse_command(["vllm", "serve", "/m"]))
    made = make_plan(where, ())
    assert made.fits == "no"
    assert made.lines
    for one in made.lines:
        share = one.intent.launch.gpu_memory_utilization
        assert share is not None
        assert share * 23.52 <= 12.0
        assert checked(where, one.intent).get("fail", []) == []
    assert dataclasses.replace(where, free_bytes=None) != where
