"""CFG006: expandable segments where memory is handed on."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.override import variables_make_sense
from autoglm_doctor.domain.allocator import is_well_formed, without_segments
from autoglm_doctor.facts import Environment, Gpu, Host
from autoglm_doctor.launch import parse_command
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed
from tests.restraint.judged import judged

OLD, NEW = "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"
ON = {OLD: "expandable_segments:True"}
AMONG = {OLD: "max_split_size_mb:512,expandable_segments:True"}
OFF = {OLD: "expandable_segments:False,max_split_size_mb:512"}
SLEEP = "vllm serve m --enable-sleep-mode"
SAVER = "python3 -m sglang.launch_server --model-path m --enable-memory-saver"
LINUX = Host(system="Linux", machine="x86_64", kernel="6.8")


def told(variables: dict[str, str], line: str, host: Host = LINUX, gpus: tuple[str, ...] = (), **packages: str) -> Any:
    size = {"total_bytes": 1 << 36, "free_bytes": 1 << 36}
    cards = tuple(Gpu(index=n, name=name, compute_capability="8.6", **size) for n, name in enumerate(gpus))
    given: dict[str, Any] = {"gpus": cards} if cards else {}
    given |= {"packages": installed(**packages)} if packages else {}
    (found,) = judge(
        variables_make_sense,
        intent=parse_command(line.split()),
        environment=Environment(variables=variables),
        host=host,
        **given,
    )
    assert bool(found.fixes) == (found.status in ("fail", "warn"))
    return found


POOLS = [
    pytest.param(ON, SLEEP, {"vllm": "0.8.0"}, "fail", id="the first release that refuses it"),
    pytest.param(AMONG, SLEEP, {"vllm": "0.20.0"}, "fail", id="the last one, among other options"),
    pytest.param(ON, SLEEP, {"vllm": "0.20.1"}, "pass", id="a release that switches it off itself"),
    pytest.param(ON, SLEEP, {"vllm": "0.7.3"}, "warn", id="one that frees nothing"),
    pytest.param(ON, SLEEP, {"vllm": "0.8.0rc1"}, "warn", id="on the way to the first"),
    pytest.param(ON, SLEEP, {}, "warn", id="which release is not known"),
    pytest.param(OFF, SLEEP, {"vllm": "0.11.0"}, "pass", id="switched off"),
    pytest.param({}, SLEEP, {"vllm": "0.11.0"}, "pass", id="not set"),
    pytest.param({NEW: "expandable_segments:True"}, SLEEP, {"vllm": "0.19.0"}, "pass", id="a name that is not asked"),
    pytest.param(ON, "vllm serve m", {"vllm": "0.11.0"}, "pass", id="without sleep mode, on one GPU"),
    pytest.param(ON, SAVER, {"sglang": "0.5.4"}, "fail", id="SGLang, whose release pins its saver"),
    pytest.param(ON, SAVER, {"sglang": "0.4.9", "torch_memory_saver": "0.0.9.post1"}, "fail", id="a saver that asks"),
    pytest.param(ON, SAVER, {"sglang": "0.4.9", "torch_memory_saver": "0.0.8"}, "warn", id="one that frees nothing"),
    pytest.param(ON, SAVER, {}, "warn", id="a saver that is not known"),
    pytest.param(OFF, SAVER, {"sglang": "0.5.9"}, "pass", id="SGLang, switched off"),
    pytest.param(ON, "python3 -m sglang.launch_server --model-path m", {"sglang": "0.5.9"}, "pass", id="no saver"),
]


@pytest.mark.parametrize(("variables", "line", "packages", "status"), POOLS)
def test_memory_pools(variables: dict[str, str], line: str, packages: dict[str, str], status: str) -> None:
    assert told(variables, line, **packages).status == status


TP2, H100 = "vllm serve m --tensor-parallel-size 2", "NVIDIA H100 80GB HBM3"
NVLINK = dataclasses.replace(LINUX, nvlink=True)
REDUCE = [
    pytest.param(ON, TP2, LINUX, (H100,) * 2, "warn", id="two with NVLink"),
    pytest.param(ON, TP2, LINUX, ("RTX 5090",) * 2, "pass", id="two on PCIe: whether they read each other is open"),
    pytest.param(ON, TP2.replace("2", "4"), LINUX, (H100,) * 4, "warn", id="four with NVLink"),
    pytest.param(ON, TP2, NVLINK, ("NVIDIA GeForce RTX 3090",) * 2, "warn", id="3090s with a bridge"),
    pytest.param(ON, TP2, LINUX, ("NVIDIA GeForce RTX 3090",) * 2, "pass", id="3090s without one"),
    pytest.param(ON, TP2, LINUX, ("NVIDIA GeForce RTX 4090",) * 2, "pass", id="the driver keeps these apart"),
    pytest.param(ON, TP2.replace("2", "4"), LINUX, ("NVIDIA L40S",) * 4, "pass", id="four on PCIe: it does not run"),
    pytest.param(ON, TP2.replace("2", "3"), LINUX, (H100,) * 4, "pass", id="three: it does not run"),
    pytest.param(ON, f"{TP2} --enforce-eager", LINUX, (H100,) * 2, "pass", id="no CUDA graphs"),
    pytest.param(ON, f"{TP2} --disable-custom-all-reduce", LINUX, (H100,) * 2, "pass", id="switched off"),
    pytest.param(ON, f'{TP2} -O {{"cudagraph_mode":"NONE"}}', LINUX, (H100,) * 2, "pass", id="graphs of one's own"),
    pytest.param(ON, f"{TP2} --nnodes 2", LINUX, (H100,) * 2, "pass", id="in two machines"),
    pytest.param(ON, "vllm serve m", LINUX, (H100,) * 2, "pass", id="one of two GPUs"),
    pytest.param(ON, TP2, LINUX, (), "pass", id="no GPU is stated"),
    pytest.param(OFF, TP2, LINUX, (H100,) * 2, "pass", id="plain segments"),
    pytest.param(ON, TP2, dataclasses.replace(LINUX, wsl=True), (H100,) * 2, "pass", id="WSL has a check of its own"),
]


@pytest.mark.parametrize(("variables", "line", "host", "gpus", "status"), REDUCE)
def test_all_reduce(variables: dict[str, str], line: str, host: Host, gpus: tuple[str, ...], status: str) -> None:
    assert told(variables, line, host, gpus).status == status


@pytest.mark.parametrize(
    ("packages", "status"),
    [
        pytest.param({"vllm": "0.33.0"}, "warn", id="the newest release"),
        pytest.param({"vllm": "0.6.3"}, "pass", id="before graphs had such segments"),
        pytest.param({"torch": "2.4.1"}, "pass", id="a torch that keeps them out of graphs"),
    ],
)
def test_releases_of_the_all_reduce(packages: dict[str, str], status: str) -> None:
    assert told(ON, TP2, gpus=(H100, H100), **packages).status == status


def test_the_other_options_stay_and_the_flag_is_offered() -> None:
    found = told(AMONG, TP2, gpus=(H100, H100))
    assert found.fixes[0].commands == (f"export {OLD}=expandable_segments:False,max_split_size_mb:512",)
    assert found.fixes[1].commands == (f"{TP2} --disable-custom-all-reduce",)


def test_loose_facts() -> None:
    facts = {"engine": "vllm 0.11.0", "engine_args": {"enable_sleep_mode": True}, "env": ON}
    assert [cause.cause for cause in judged(facts).causes] == ["ENV_VAR_OVERRIDE_WRONG"]
    assert judged({**facts, "engine_args": {"enable_sleep_mode": False}}).causes == ()
    assert judged({**facts, "engine": "vllm 0.22.0"}).causes == ()


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        pytest.param("expandable_segments:True", "expandable_segments:False", id="nothing else"),
        pytest.param(
            "expandable_segments:True,roundup_power2_divisions:[256:1,512:2,>:8]",
            "'expandable_segments:False,roundup_power2_divisions:[256:1,512:2,>:8]'",
            id="a list in brackets, quoted for the shell",
        ),
        pytest.param(
            "expandable_segments:True, garbage_collection_threshold:0.8",
            "expandable_segments:False,garbage_collection_threshold:0.8",
            id="a space behind the comma",
        ),
        pytest.param(
            "max_split_size_mb : 512, expandable_segments : True",
            "expandable_segments:False,max_split_size_mb:512",
            id="spaces around the colon",
        ),
        pytest.param("expandable_segments on, as it was told", "expandable_segments:False", id="words"),
    ],
)
def test_all_else_stays(value: str, rest: str) -> None:
    assert without_segments(value) == rest


@pytest.mark.parametrize(
    ("value", "good"),
    [
        pytest.param("roundup_power2_divisions:[256:1,512:2,>:8],expandable_segments:true", False, id="behind a list"),
        pytest.param("roundup_power2_divisions:[256:1,512:2,>:8],expandable_segments:True", True, id="a list"),
    ],
)
def test_lists_are_one_option(value: str, good: bool) -> None:
    assert is_well_formed(value) == good
