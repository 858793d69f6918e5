"""MEM: enough main memory to load, whoever limits it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.checks.memory import GIB, ram_for_loading
from autoglm_doctor.domain.model import weight_bytes
from autoglm_doctor.facts import Driver, Host, Memory, ModelFiles, Reading, WeightFile
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.launch import default_intent
from autoglm_doctor.testing import judge

DRIVER = Driver(version="570.26", nvml_code=0)
ABSENT: Reading[Any] = Reading(outcome="absent", why="not here")
HOST = Host(system="Linux", machine="x86_64", kernel="6.8")
AUTOGLM = default_intent()
TEST_SMOKE = dataclasses.replace(AUTOGLM, model=SMOKE)
ON_CPU = dataclasses.replace(AUTOGLM, device="cpu")
OFFLOAD = dataclasses.replace(AUTOGLM, launch=dataclasses.replace(AUTOGLM.launch, cpu_offload_gib=10))


def free(gib: float, limit: float | None = None, used: float = 0, swap: float = 0) -> Memory:
    return Memory(
        total_bytes=64 * GIB,
        available_bytes=int(gib * GIB),
        swap_free_bytes=int(swap * GIB),
        cgroup_limit_bytes=None if limit is None else int(limit * GIB),
        cgroup_used_bytes=None if limit is None else int(used * GIB),
    )


def shards(*gib: float) -> ModelFiles:
    files = tuple(WeightFile(name=f"m{i}.safetensors", size_bytes=int(n * GIB)) for i, n in enumerate(gib))
    return ModelFiles(path="/m", weights=files)


CASES = {
    "plenty": (free(30), None, AUTOGLM, "pass", ""),
    "weights unknown, just enough": (free(9), None, AUTOGLM, "pass", ""),
    "weights unknown, just not": (free(8.99), None, AUTOGLM, "fail", "RAM_TOO_SMALL"),
    "small shards need less": (free(7), shards(2, 2, 2), AUTOGLM, "pass", ""),
    "the largest shard counts": (free(7), shards(2, 4), AUTOGLM, "fail", "RAM_TOO_SMALL"),
    "less than the weights is no alarm": (free(10), shards(5, 5, 5, 5), AUTOGLM, "pass", ""),
    "swap makes up for it": (free(6, swap=8), None, AUTOGLM, "warn", "RAM_TOO_SMALL"),
    "a little swap does not": (free(6, swap=1), None, AUTOGLM, "fail", "RAM_TOO_SMALL"),
    "the control group binds": (free(50, limit=10, used=4), None, AUTOGLM, "fail", "CGROUP_MEMORY_LIMIT"),
    "swap is no way out of a control group": (free(50, limit=6, swap=20), None, AUTOGLM, "fail", "CGROUP_MEMORY_LIMIT"),
    "the control group has room": (free(50, limit=20, used=4), None, AUTOGLM, "pass", ""),
    "the machine binds, not the group": (free(4, limit=60), None, AUTOGLM, "fail", "RAM_TOO_SMALL"),
    "smoke model": (free(2), None, TEST_SMOKE, "pass", ""),
    "smoke model, too little": (free(1.9), None, TEST_SMOKE, "fail", "RAM_TOO_SMALL"),
    "offloaded weights stay": (free(18), None, OFFLOAD, "fail", "RAM_TOO_SMALL"),
    "offloaded weights fit": (free(19.1), None, OFFLOAD, "pass", ""),
    "on the CPU all weights stay": (free(20), None, ON_CPU, "fail", "RAM_TOO_SMALL"),
    "on the CPU with room for all": (free(30), None, ON_CPU, "pass", ""),
}


@pytest.mark.parametrize(("memory", "files", "intent", "status", "cause"), CASES.values(), ids=CASES)
def test_room(memory: Memory, files: ModelFiles | None, intent: Intent, status: str, cause: str) -> None:
    (found,) = judge(
        ram_for_loading, intent=intent, memory=memory, model_files=files or ABSENT, driver=DRIVER, host=HOST
    )
    assert (found.status, found.cause) == (status, cause)
    if status in ("warn", "fail"):
        assert all(fix.commands for fix in found.fixes)


def test_on_the_cpu_the_need_is_that_of_the_weights() -> None:
    (found,) = judge(ram_for_loading, intent=ON_CPU, memory=free(60), model_files=ABSENT, driver=ABSENT)
    assert found.expected == (weight_bytes(ON_CPU, None) or 0) + 4 * GIB


def test_a_model_of_unknown_size_on_the_cpu_is_not_green() -> None:
    intent = dataclasses.replace(ON_CPU, model="org/name", profile="")
    (found,) = judge(ram_for_loading, intent=intent, memory=free(60), model_files=ABSENT, driver=ABSENT)
    assert found.status == "unknown"


@pytest.mark.parametrize(
    ("host", "word"),
    [
        (dataclasses.replace(HOST, container="docker"), "docker update"),
        (dataclasses.replace(HOST, container="kubernetes"), "kubectl"),
        (HOST, "systemctl set-property"),
    ],
    ids=["docker", "pod", "service"],
)
def test_who_raises_the_limit(host: Host, word: str) -> None:
    (found,) = judge(ram_for_loading, memory=free(50, limit=6), model_files=ABSENT, driver=DRIVER, host=host)
    assert word in found.fixes[0].commands[0]


@given(st.floats(0, 64), st.floats(0, 64), st.floats(0.1, 20))
def test_more_memory_never_makes_it_worse(one: float, other: float, shard: float) -> None:
    order = {"fail": 0, "warn": 1, "pass": 2}
    less, more = (
        order[judge(ram_for_loading, memory=free(n), model_files=shards(shard), driver=DRIVER)[0].status]
        for n in sorted((one, other))
    )
    assert less <= more
