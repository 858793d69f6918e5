"""LIM002: memory that may be locked."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.limits import locked_memory_unlimited
from autoglm_doctor.facts import Environment, Gpu, Host
from autoglm_doctor.intent import UNNAMED, Intent, Launch
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge

HOST = Host(system="Linux", machine="x86_64", kernel="6.8")
ONE, TWO = Intent(model="/m"), Intent(model="/m", launch=Launch(tensor_parallel=2))
NOTHING = Intent(model=UNNAMED, engine="transformers")
MIB = 1 << 20

CASES = [
    pytest.param(8 * MIB, ("mlx5_0",), TWO, "warn", id="the usual limit with an adapter"),
    pytest.param(8 * MIB, None, NOTHING, "warn", id="only the limit is stated"),
    pytest.param(8 * MIB, None, ONE, "not_applicable", id="the usual limit, one GPU"),
    pytest.param(1024 * MIB - 1, ("mlx5_0",), TWO, "warn", id="one byte below 1 GiB"),
    pytest.param(1024 * MIB, ("mlx5_0",), TWO, "pass", id="1 GiB"),
    pytest.param(-1, ("mlx5_0",), TWO, "pass", id="no limit"),
    pytest.param(-1, None, NOTHING, "pass", id="no limit is stated"),
    pytest.param(8 * MIB, (), TWO, "not_applicable", id="two GPUs without an adapter"),
    pytest.param(64 * 1024, (), ONE, "not_applicable", id="an old kernel's limit, one GPU"),
    pytest.param(8 * MIB, ("mlx5_0",), ONE, "not_applicable", id="an adapter, one GPU"),
    pytest.param(None, None, TWO, "not_applicable", id="a reading from before"),
    pytest.param(None, ("mlx5_0",), TWO, "unknown", id="an adapter, and no limit was read"),
]


@pytest.mark.parametrize(("limit", "adapters", "intent", "status"), CASES)
def test_limits(limit: int | None, adapters: tuple[str, ...] | None, intent: Intent, status: str) -> None:
    host = dataclasses.replace(HOST, memlock_bytes=limit, rdma_devices=adapters)
    (found,) = judge(locked_memory_unlimited, intent=intent, host=host)
    assert found.status == status


@pytest.mark.parametrize(
    ("cards", "adapters", "status"),
    [
        pytest.param(1, ("mlx5_0",), "warn", id="two machines with a GPU each"),
        pytest.param(2, ("mlx5_0",), "not_applicable", id="both GPUs are here"),
        pytest.param(8, None, "not_applicable", id="both GPUs are here, and nothing is said of adapters"),
        pytest.param(1, None, "warn", id="two machines, and nothing is said of adapters"),
    ],
)
def test_only_between_machines(cards: int, adapters: tuple[str, ...] | None, status: str) -> None:
    host = dataclasses.replace(HOST, memlock_bytes=8 * MIB, rdma_devices=adapters)
    card = Gpu(index=0, name="NVIDIA H100 80GB HBM3", compute_capability="9.0", total_bytes=1, free_bytes=1)
    gpus = tuple(dataclasses.replace(card, index=i) for i in range(cards))
    (found,) = judge(locked_memory_unlimited, intent=TWO, host=host, gpus=gpus)
    assert found.status == status


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ("", "limits.d"),
        ("docker", "docker run --gpus all --ulimit memlock=-1"),
        ("podman", "podman run"),
        ("kubernetes", "containerd.service.d"),
    ],
)
def test_the_way_out_fits_the_place(container: str, words: str) -> None:
    host = dataclasses.replace(HOST, memlock_bytes=8 * MIB, rdma_devices=("mlx5_0",), container=container)
    (found,) = judge(locked_memory_unlimited, intent=TWO, host=host)
    assert words in " ".join(found.fixes[0].commands)


@pytest.mark.parametrize(
    ("stated", "limit"),
    [
        ({"ulimit_memlock_kib": 8192}, 8 * MIB),
        ({"ulimit_memlock_kib": "8,192"}, 8 * MIB),
        ({"ulimit_memlock_kib": "unlimited"}, -1),
        ({"ulimit_memlock_kib": "a lot", "os": "Linux"}, None),
        ({"os": "Linux"}, None),
    ],
)
def test_what_is_stated(stated: dict[str, Any], limit: int | None) -> None:
    host = read_facts(stated, load_matrix())[0].host.value
    assert host is not None
    assert host.memlock_bytes == limit


@pytest.mark.parametrize(
    ("value", "status"), [pytest.param("1", "not_applicable", id="off"), pytest.param("0", "warn", id="not off")]
)
def test_without_infiniband_nothing_is_registered(value: str, status: str) -> None:
    host = dataclasses.replace(HOST, memlock_bytes=8 * MIB, rdma_devices=("mlx5_0",))
    variables = Environment(variables={"NCCL_IB_DISABLE": value})
    (found,) = judge(locked_memory_unlimited, intent=TWO, host=host, environment=variables)
    assert found.status == status


def test_the_way_out_names_root_too() -> None:
    host = dataclasses.replace(HOST, memlock_bytes=8 * MIB, rdma_devices=("mlx5_0",))
    (found,) = judge(locked_memory_unlimited, intent=TWO, host=host)
    assert "'*' root" in found.fixes[0].commands[0]
