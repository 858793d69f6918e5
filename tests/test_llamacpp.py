"""llama.cpp as an engine: its command line, what it takes of a GPU, and lines in its own flags."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.capacity.cards import all_cards
from autoglm_doctor.cli.app import run
from autoglm_doctor.domain.capacity.answer import make_plan
from autoglm_doctor.domain.capacity.place import Place
from autoglm_doctor.domain.launch_line import set_flag
from autoglm_doctor.domain.memory.estimate import Card
from autoglm_doctor.domain.memory.explain import explain
from autoglm_doctor.domain.memory.fits import estimates, verdict
from autoglm_doctor.domain.memory.llamacpp import compute_buffer, kv_bytes, weights
from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import ALL_LAYERS, intent_from_options, parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.probes.gguf import files_of_gguf
from autoglm_doctor.report import plan_text
from tests.domain.test_shape import LLAMA
from tests.llamacpp_cases import EMBEDDING, EVERYTHING, LAYERS, gguf_file

GIB = 1 << 30
FOLDER = Path(__file__).parent / "plans"
ANSWERS = ("no", "unknown", "yes")

#: 2 x 36 layers x 8 heads x 128 numbers of 2 bytes.
TOKEN_BYTES = 147_456


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return files_of_gguf(gguf_file(tmp_path_factory.mktemp("gguf")))


def server(flags: str = "", model: str = "m.gguf") -> Intent:
    return parse_command(["llama-server", "-m", model, *shlex.split(flags)])


def there(intent: Intent, files: ModelFiles, gib: float, *, count: int = 1, free: float | None = None) -> Place:
    return Place(
        intent=intent,
        files=files,
        card=Card(name="GPU", total_bytes=int(gib * GIB), count=count),
        version=None,
        capability="8.9",
        free_bytes=None if free is None else int(free * GIB),
        origin="named",
    )


# --- the command line


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param("-c 8192", {"max_model_len": 8192}, id="short name"),
        pytest.param("--ctx-size 8192", {"max_model_len": 8192}, id="long name"),
        pytest.param("--ctx_size 8192", {"max_model_len": 8192}, id="underscores"),
        pytest.param("-c 0", {"max_model_len": None}, id="the model's own context"),
        pytest.param("-np 4", {"max_num_seqs": 4}, id="slots"),
        pytest.param("-np -1 -c 1024", {"max_num_seqs": None, "max_model_len": 1024}, id="automatic slots"),
        pytest.param("-ngl 0", {"gpu_layers": 0}, id="no layer on the GPU"),
        pytest.param("-ngl 99 -ngl 12", {"gpu_layers": 12}, id="the last flag wins"),
        pytest.param("--gpu-layers all", {"gpu_layers": ALL_LAYERS}, id="all layers by name"),
        pytest.param("-ngl auto", {"gpu_layers": None}, id="automatic layers by name"),
        pytest.param("--n-gpu-layers -1", {"gpu_layers": None}, id="automatic layers by number"),
        pytest.param("-ctk q8_0 -ctv q4_0", {"kv_cache_dtype": "q8_0", "kv_cache_dtype_v": "q4_0"}, id="cache types"),
        pytest.param("-fa -c 512", {"flash_attn": "on", "max_model_len": 512}, id="flash attention as a switch"),
        pytest.param("-fa off", {"flash_attn": "off"}, id="flash attention with a value"),
        pytest.param("--flash-attn 1", {"flash_attn": "on"}, id="flash attention as a number"),
        pytest.param("--mmproj p.gguf", {"mmproj": "p.gguf"}, id="vision tower"),
        pytest.param("-ub 1024", {"max_num_batched_tokens": 1024}, id="micro-batch"),
    ],
)
def test_flags(flags: str, expected: dict[str, Any]) -> None:
    intent = server(flags)
    assert (intent.engine, intent.model, intent.host, intent.port) == ("llamacpp", "m.gguf", "127.0.0.1", 8080)
    assert {name: getattr(intent.launch, name) for name in expected} == expected
    assert not intent.unknown_flags


@pytest.mark.parametrize(
    ("flags", "unknown"),
    [
        pytest.param("--gpu-memory-utilization 0.9", ("--gpu-memory-utilization",), id="a flag of vLLM"),
        pytest.param("--ctx-size=8192", ("--ctx-size=",), id="a value behind an equals sign"),
    ],
)
def test_what_llama_server_does_not_take(flags: str, unknown: tuple[str, ...]) -> None:
    assert server(flags).unknown_flags == unknown
    assert server(flags).launch.max_model_len is None


def test_assignments_and_a_path_before_the_program() -> None:
    intent = parse_command(["CUDA_VISIBLE_DEVICES=1", "/opt/llama/llama-server", "-m", "m.gguf", "--port", "9000"])
    assert (intent.engine, intent.port, intent.environment) == ("llamacpp", 9000, {"CUDA_VISIBLE_DEVICES": "1"})


@pytest.mark.parametrize("flags", ["-c x", "-ngl half", "-np 0", "--port 0"])
def test_values_that_it_refuses(flags: str) -> None:
    with pytest.raises(DoctorError):
        server(flags)


def test_a_gguf_file_implies_llama_cpp() -> None:
    assert intent_from_options(model="a/M.GGUF", engine=None, overrides={"max_model_len": 512}).command == (
        "llama-server",
        "--model",
        "a/M.GGUF",
        "--ctx-size",
        "512",
    )
    assert intent_from_options(model="m.gguf", engine="vllm", overrides={}).engine == "vllm"
    with pytest.raises(DoctorError, match="GGUF"):
        intent_from_options(model="org/model", engine="llamacpp", overrides={})


# --- memory


def test_all_layers_leave_the_table_of_tokens_in_main_memory(files: ModelFiles) -> None:
    [shown] = estimates(server("-c 8192 -ngl 99"), files, Card(name="x", total_bytes=24 * GIB), None)
    assert shown.weights.low == shown.weights.high == EVERYTHING - EMBEDDING
    assert shown.kv_needed == 8192 * TOKEN_BYTES


def test_half_of_the_layers_take_about_half(files: ModelFiles) -> None:
    card = Card(name="x", total_bytes=24 * GIB)
    [whole] = estimates(server("-c 8192 -ngl 99"), files, card, None)
    [half] = estimates(server(f"-c 8192 -ngl {LAYERS // 2}"), files, card, None)
    assert half.kv_needed == whole.kv_needed // 2
    assert 0.5 < half.weights.likely / whole.weights.likely < 0.6  # the output layer is there in any case
    assert half.weights.low < half.weights.likely < half.weights.high


def test_no_layers_take_nothing_but_buffers(files: ModelFiles) -> None:
    [shown] = estimates(server("-c 8192 -ngl 0"), files, Card(name="x", total_bytes=24 * GIB), None)
    assert (shown.weights.high, shown.kv_needed) == (0, 0)


@pytest.mark.parametrize(
    ("gib", "fits"), [pytest.param(2, "no", id="neither"), pytest.param(4, "unknown", id="only some layers"),
                      pytest.param(24, "yes", id="all of them")]
)  # fmt: skip
def test_builds_that_choose_the_layers_themselves(gib: int, fits: str, files: ModelFiles) -> None:
    card = Card(name="x", total_bytes=gib * GIB)
    expected = "unknown" if gib == 2 else fits  # nothing on the GPU still is a start
    assert verdict(estimates(server("-c 8192"), files, card, None)) == expected
    assert verdict(estimates(server("-c 8192 -fit off"), files, card, None)) == ("yes" if gib == 24 else "no")


def test_two_gpus_share_the_layers(files: ModelFiles) -> None:
    intent = server("-c 8192 -ngl 99")
    [one] = estimates(intent, files, Card(name="x", total_bytes=24 * GIB), None)
    [two] = estimates(intent, files, Card(name="x", total_bytes=24 * GIB, count=2), None)
    [alone] = estimates(server("-c 8192 -ngl 99 -sm none"), files, Card(name="x", total_bytes=24 * GIB, count=2), None)
    assert two.need.high < one.need.high == alone.need.high
    assert two.weights.high * 2 > one.weights.high


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param("-nkvo", id="cache in main memory"),
        pytest.param("-ctk q8_0 -ctv q8_0", id="cache in 8 bits"),
        pytest.param("-fa on", id="no scores"),
        pytest.param("-ub 128", id="small micro-batch"),
    ],
)
def test_what_saves_memory(flags: str, files: ModelFiles) -> None:
    card = Card(name="x", total_bytes=24 * GIB)
    [given_], [less] = (estimates(server(f"-c 8192 -ngl 99 {f}"), files, card, None) for f in ("", flags))
    assert less.need.high < given_.need.high


def test_a_file_that_is_not_there_gives_no_estimate() -> None:
    assert estimates(server(), None, Card(name="x", total_bytes=24 * GIB), None) == ()


@given(
    gib=st.floats(1, 40),
    more=st.floats(0, 20),
    layers=st.one_of(st.none(), st.integers(0, 40)),
    fewer=st.integers(0, 10),
    tokens=st.integers(256, 131_072),
    shorter=st.integers(0, 131_072),
    count=st.integers(1, 4),
)
def test_more_memory_and_less_work_are_never_worse(
    files: ModelFiles,
    gib: float,
    more: float,
    layers: int | None,
    fewer: int,
    tokens: int,
    shorter: int,
    count: int,
) -> None:
    def judged(gib: float, layers: int | None, tokens: int) -> int:
        base = server()
        intent = dataclasses.replace(
            base, launch=dataclasses.replace(base.launch, max_model_len=tokens, gpu_layers=layers)
        )
        card = Card(name="x", total_bytes=int(gib * GIB), count=count)
        return ANSWERS.index(verdict(estimates(intent, files, card, None)))

    first = judged(gib, layers, tokens)
    assert judged(gib + more, layers, tokens) >= first
    assert judged(gib, layers, max(1, tokens - shorter)) >= first
    if layers is not None:
        assert judged(gib, max(0, layers - fewer), tokens) >= first


# --- lines


def kinds(where: Place) -> dict[str, str]:
    return {one.kind: one.line for one in make_plan(where, all_cards(load_matrix())).lines}


@pytest.mark.parametrize(
    ("flags", "gib", "kind", "line"),
    [
        pytest.param(
            "-c 16384 -np 4 -ngl 99 -fa",
            6.5,
            "slots",
            "llama-server -m m.gguf --ctx-size 4096 --parallel 1 -ngl 99 -fa",
            id="fewer slots with the same context each",
        ),
        pytest.param(
            "-c 8192 -ngl 99 -fa on",
            6.3,
            "narrow_cache",
            "llama-server -m m.gguf -c 8192 -ngl 99 -fa on --cache-type-k q8_0 --cache-type-v q8_0",
            id="cache in 8 bits",
        ),
        pytest.param(
            "-c 32768 -ngl 99 -fa on",
            7,
            "context",
            "llama-server -m m.gguf --ctx-size 8192 -ngl 99 -fa on",
            id="shorter context",
        ),
    ],
)
def test_lines_in_its_own_flags(flags: str, gib: float, kind: str, line: str, files: ModelFiles) -> None:
    assert kinds(there(server(flags), files, gib)).get(kind) == line


@given(gib=st.floats(1.5, 12), tokens=st.integers(512, 65_536), slots=st.integers(1, 8), free=st.floats(0.5, 1))
def test_every_line_fits_by_the_same_model(files: ModelFiles, gib: float, tokens: int, slots: int, free: float) -> None:
    intent = server(f"-c {tokens} -np {slots} -ngl 99")
    made = make_plan(there(intent, files, gib, free=gib * free), ())
    for one in made.lines:
        again = parse_command(shlex.split(one.line))
        assert again.launch == one.intent.launch
        assert not again.unknown_flags
        card = Card(name="x", total_bytes=int(gib * free * GIB) if one.kind != "given" else int(gib * GIB))
        assert verdict(estimates(again, files, card, None)) == "yes"


def test_the_layers_offered_are_the_most_that_surely_fit(files: ModelFiles) -> None:
    line = kinds(there(server("-c 8192 -ngl 99"), files, 4)).get("fewer_layers", "")
    most = parse_command(shlex.split(line)).launch
    assert most.gpu_layers is not None
    one_more = server(f"-c 8192 -ngl {most.gpu_layers + 1} -ctk q8_0 -ctv q8_0 -fa on")
    assert verdict(estimates(one_more, files, Card(name="x", total_bytes=4 * GIB), None)) != "yes"


def test_quantized_values_need_flash_attention(files: ModelFiles) -> None:
    made = make_plan(there(server("-c 8192 -ngl 99 -fa off -ctv q8_0"), files, 24), ())
    assert made.fits == "no"
    assert made.obstacle is not None
    assert "flash attention" in made.obstacle.template


# --- the command `plan`


def test_plan_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = gguf_file(tmp_path)
    assert run(["plan", "--no-redact", "--model", str(path), "--vram", "24GiB", "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["intent"]["engine"], data["fits"]) == ("llamacpp", "yes")
    assert data["terms"]["weights_bytes"] == EVERYTHING - EMBEDDING
    assert data["kv_needed_bytes"] == 4096 * TOKEN_BYTES
    assert data["launch_lines"][0]["line"] == f"llama-server --model {path}"


def test_plan_of_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = gguf_file(tmp_path)
    words = ["--vram", "6GiB", "--format", "json", "--", "llama-server", "-m", str(path), "-c", "32768", "-ngl", "99"]
    assert run(["plan", "--no-redact", *words]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["launch_lines"]
    assert all(one["line"].startswith(f"llama-server -m {path} ") for one in data["launch_lines"])
    assert not any("gpu-memory-utilization" in one["line"] for one in data["launch_lines"])


SHEETS = {"llamacpp-24gb": ("-c 16384 -np 4 -ngl 99", 24.0), "llamacpp-6gb": ("-c 16384 -np 4", 6.0)}


@pytest.mark.parametrize("name", SHEETS)
def test_golden_plans(name: str, files: ModelFiles) -> None:
    flags, gib = SHEETS[name]
    where = there(server(flags), files, gib)
    assert where.card is not None
    lines = explain(where.intent, where.files, where.card, None)
    made = make_plan(where, all_cards(load_matrix()))
    found = plan_text.render(made, lines, redactor=None, width=100, color=False, blocks=True)
    path = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_a_file_that_is_not_there_is_said_to_be_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--model", "nowhere.gguf", "--vram", "24GiB"]) == 2
    assert "nowhere.gguf" in capsys.readouterr().err


def test_a_flag_with_minus_one_is_replaced_with_its_value() -> None:
    assert set_flag(["llama-server", "-np", "-1", "-c", "512"], "llamacpp", "max_num_seqs", 2) == [
        "llama-server",
        "--parallel",
        "2",
        "-c",
        "512",
    ]


def test_llama_3_8b_as_public_logs_have_it() -> None:
    """CUDA0 model buffer 4155.99 MiB (281.81 on the CPU), KV 1024 MiB, compute buffer 258.5 to 304 MiB by build."""
    mib = 1 << 20
    shape = read_shape(LLAMA)
    assert shape is not None
    groups = {"embedding": int(281.8125 * mib), "head": int(410.98 * mib), "linear": 3744 * mib + 65 * 4096 * 4}
    whole = sum(groups.values())
    assert weights(shape, groups, whole, shape.layers + 1).likely / mib == pytest.approx(4155.99, abs=0.05)
    assert kv_bytes(shape, 8192) == 1024 * mib
    buffer = compute_buffer(shape, 8192, flash="on")
    assert buffer.low / mib <= 258.5 < 304 <= buffer.high / mib
    without = compute_buffer(shape, 8192, flash="off")
    assert without.low / mib <= 560 <= without.high / mib
