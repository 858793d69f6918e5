"""CFG003 and CFG005: what a split divides, and whether copies would serve more."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest

from autoglm_doctor.checks.kv_cache import kv_cache_fits
from autoglm_doctor.checks.memory import ram_for_loading
from autoglm_doctor.checks.parallel import parallelism_divides_heads, split_serves_best
from autoglm_doctor.checks.vram import gpu_memory_free, weights_fit
from autoglm_doctor.domain.memory.loading import BASE_BYTES, needed
from autoglm_doctor.facts import Driver, Memory, ModelFiles, Reading
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import SMOKE, Intent, Launch
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.checks.vram_cases import GIB, NOTEBOOK, files_of, gpu, h100, vllm

README = default_intent()
ABSENT: Reading[Any] = Reading(outcome="absent")
LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}


def with_launch(intent: Intent = README, **values: Any) -> Intent:
    return dataclasses.replace(intent, launch=dataclasses.replace(intent.launch, **values), command=())


def autoglm(flags: str) -> Intent:
    return parse_command([*README.command, *shlex.split(flags)])


def node(count: int = 8, card: Any = h100, **rest: Any) -> tuple[Any, ...]:
    return tuple(card(index=i, **rest) for i in range(count))


def one(check: Any, intent: Intent, **given: Any) -> Finding:
    facts: dict[str, Any] = {"gpus": node(), "packages": vllm(), "model_files": ABSENT, **given}
    [finding] = judge(check, intent=intent, **facts)
    assert "{" not in render(finding.text)
    return finding


# --- CFG003


@pytest.mark.parametrize(
    ("heads", "kv", "size", "status", "says"),
    [
        pytest.param(28, 4, 2, "pass", "28 attention heads on 2", id="both divide"),
        pytest.param(28, 4, 7, "fail", "4 key and value heads", id="4 key heads on 7"),
        pytest.param(48, 8, 12, "fail", "8 key and value heads", id="8 key heads on 12"),
        pytest.param(32, 2, 8, "pass", "held 4 times over", id="2 key heads on 8 are copied"),
        pytest.param(32, 8, 8, "pass", "32 attention heads on 8", id="one key head each"),
        pytest.param(30, 4, 4, "fail", "30 attention heads", id="the heads come first"),
    ],
)
def test_key_and_value_heads(heads: int, kv: int, size: int, status: str, says: str) -> None:
    config = {"model_type": "x", "num_attention_heads": heads, "num_key_value_heads": kv}
    files = ModelFiles(path="/m", config=config)
    intent = parse_command(["vllm", "serve", "/m", "-tp", str(size)])
    finding = one(parallelism_divides_heads, intent, model_files=files)
    assert finding.status == status
    assert says in render(finding.text)
    for fix in finding.fixes:
        again = one(parallelism_divides_heads, parse_command(shlex.split(fix.commands[0])), model_files=files)
        assert again.status in ("pass", "not_applicable")


@pytest.mark.parametrize(
    ("tower", "size", "status"),
    [
        pytest.param("", 8, "pass", id="documented line: a whole tower each"),
        pytest.param("--mm-encoder-tp-mode weights", 8, "fail", id="12 heads on 8"),
        pytest.param("--mm-encoder-tp-mode weights", 4, "pass", id="12 heads on 4"),
    ],
)
def test_the_tower_of_autoglm(tower: str, size: int, status: str) -> None:
    assert one(parallelism_divides_heads, autoglm(f"{tower} -tp {size}")).status == status


# --- CFG005


@pytest.mark.parametrize(
    ("intent", "gpus", "status"),
    [
        pytest.param(autoglm("-tp 8"), node(), "warn", id="AutoGLM over 8 H100"),
        pytest.param(autoglm("-tp 2"), node(2), "pass", id="AutoGLM over 2 H100"),
        pytest.param(autoglm("-tp 4"), node(4), "pass", id="AutoGLM over 4 H100: a trade"),
        pytest.param(autoglm("-tp 2"), node(2, gpu), "not_applicable", id="two 24 GB cards need the split"),
        pytest.param(autoglm("-dp 8"), node(), "not_applicable", id="copies already"),
        pytest.param(autoglm(""), node(), "not_applicable", id="one GPU"),
        pytest.param(autoglm("-tp 4 -pp 2"), node(), "not_applicable", id="a pipeline"),
        pytest.param(Intent(model=SMOKE), node(), "not_applicable", id="smoke model"),
        pytest.param(autoglm("-tp 8"), (), "unknown", id="no GPU is seen"),
        pytest.param(
            parse_command(["vllm", "serve", "some/thing", "-tp", "8"]), node(), "unknown", id="an unknown model"
        ),
    ],
)
def test_split_against_copies(intent: Intent, gpus: Any, status: str) -> None:
    finding = one(split_serves_best, intent, gpus=gpus)
    assert finding.status == status
    assert finding.cause == ("REPLICAS_WOULD_SERVE_MORE" if status == "warn" else "")


def test_eight_key_heads_over_eight_gpus_are_no_waste() -> None:
    files = files_of(14.96, **LLAMA_8B)
    intent = parse_command(["vllm", "serve", "/models/x", "-tp", "8", "--max-model-len", "32768"])
    assert one(split_serves_best, intent, model_files=files).status == "pass"


def test_copies_are_offered_behind_one_port_and_on_ports_of_their_own() -> None:
    finding = one(split_serves_best, autoglm("-tp 8"))
    together, alone = finding.fixes
    pasted = parse_command(shlex.split(together.commands[0]))
    assert (pasted.launch.tensor_parallel, pasted.launch.data_parallel, pasted.port) == (1, 8, 8000)
    each = [parse_command(shlex.split(command)) for command in alone.commands]
    assert [intent.port for intent in each] == list(range(8000, 8008))
    assert [intent.environment["CUDA_VISIBLE_DEVICES"] for intent in each] == [str(n) for n in range(8)]
    assert {intent.gpus_needed for intent in each} == {1}
    for intent in (pasted, *each):
        assert one(split_serves_best, intent).status == "not_applicable"
        assert one(kv_cache_fits, intent).status == "pass"
    need = needed(pasted, None, on_cpu=False, replicas=8)
    assert need is not None
    assert together.text.params["ram"] == need.total
    assert "8000 to 8007" in render(alone.text)


def test_a_copy_may_need_several_gpus() -> None:
    finding = one(split_serves_best, autoglm("-tp 8"), gpus=node(8, gpu))
    assert finding.evidence["gpus_of_a_copy"] == 2
    assert finding.evidence["copies"] == 4
    for found in (finding.fixes[0].commands[0], *finding.fixes[1].commands) if finding.fixes else ():
        assert parse_command(shlex.split(found)).launch.tensor_parallel == 2


def test_the_gpus_that_the_line_names_are_dealt_out() -> None:
    line = ["CUDA_VISIBLE_DEVICES=7,6,5,4,3,2,1,0", *autoglm("-tp 8").command]
    finding = one(split_serves_best, parse_command(line))
    firsts = [command.split()[0] for command in finding.fixes[1].commands]
    assert firsts == [f"CUDA_VISIBLE_DEVICES={n}" for n in range(7, -1, -1)]
    assert all(command.count("CUDA_VISIBLE_DEVICES") == 1 for command in finding.fixes[1].commands)


# --- copies: memory is counted for each


def test_every_copy_must_find_its_memory_free() -> None:
    gpus = (*node(7), h100(index=7, free=10.0, processes=NOTEBOOK))
    findings = judge(gpu_memory_free, intent=autoglm("-dp 8"), gpus=gpus, packages=vllm())
    assert [f.status for f in findings] == ["pass"] * 7 + ["fail"]
    findings = judge(gpu_memory_free, intent=autoglm("-dp 7"), gpus=gpus, packages=vllm())
    assert [f.status for f in findings] == ["pass"] * 7


def test_copies_do_not_share_the_weights() -> None:
    for check in (weights_fit, kv_cache_fits):
        alone = one(check, autoglm(""), gpus=node(1, gpu))
        assert one(check, autoglm("-dp 8"), gpus=node(8, gpu)).evidence == alone.evidence
    smallest = (*node(7), gpu(16.0, index=7))
    assert one(weights_fit, autoglm("-dp 8"), gpus=smallest).status == "fail"


def free(gib: float) -> Memory:
    return Memory(total_bytes=512 * GIB, available_bytes=int(gib * GIB))


@pytest.mark.parametrize(
    ("flags", "copies"),
    [
        pytest.param("-dp 8", 8, id="eight here"),
        pytest.param("-dp 16 --data-parallel-size-local 8", 8, id="sixteen on two machines"),
        pytest.param("-tp 8", 1, id="a split is one copy"),
        pytest.param("-dp 8 --cpu-offload-gb 4", 8, id="each keeps what it offloads"),
    ],
)
def test_main_memory_is_counted_for_every_copy(flags: str, copies: int) -> None:
    intent = autoglm(flags)
    need = needed(intent, None, on_cpu=False, replicas=copies)
    assert need is not None
    assert need.total >= copies * (BASE_BYTES + int(intent.launch.cpu_offload_gib * GIB))
    driver = Driver(version="570.26", nvml_code=0)
    given: dict[str, Any] = {"model_files": ABSENT, "driver": driver}
    [enough] = judge(ram_for_loading, intent=intent, memory=free(need.total / GIB), **given)
    [short] = judge(ram_for_loading, intent=intent, memory=free(need.total / GIB - 0.01), **given)
    assert (enough.status, short.status) == ("pass", "fail")


def test_on_the_cpu_every_copy_keeps_all_weights() -> None:
    one_copy, two = (needed(with_launch(), None, on_cpu=True, replicas=n) for n in (1, 2))
    assert one_copy is not None
    assert two is not None
    assert two.total == 2 * one_copy.total
    assert needed(Intent(model="a/b", launch=Launch()), None, on_cpu=True, replicas=2) is None
