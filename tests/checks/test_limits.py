"""LIM: shared memory."""

from __future__ import annotations

import dataclasses

import pytest

from autoglm_doctor.checks.limits import GIB, shared_memory_large_enough
from autoglm_doctor.facts import Host, Reading, SharedMemory
from autoglm_doctor.launch import default_intent
from autoglm_doctor.testing import judge

HOST = Host(system="Linux", machine="x86_64", kernel="6.8")
ONE = default_intent()
TWO = dataclasses.replace(ONE, launch=dataclasses.replace(ONE.launch, tensor_parallel=2))
PIPELINE = dataclasses.replace(ONE, launch=dataclasses.replace(ONE.launch, pipeline_parallel=2))


@pytest.mark.parametrize(
    ("size", "intent", "status"),
    [
        (64 << 20, ONE, "not_applicable"),
        (64 << 20, TWO, "fail"),
        (64 << 20, PIPELINE, "fail"),
        (GIB - 1, TWO, "fail"),
        (GIB, TWO, "warn"),
        (8 * GIB - 1, TWO, "warn"),
        (8 * GIB, TWO, "pass"),
    ],
    ids=["one GPU", "docker's default", "pipeline", "below 1 GiB", "1 GiB", "below 8 GiB", "8 GiB"],
)
def test_sizes(size: int, intent: object, status: str) -> None:
    shm = SharedMemory(total_bytes=size, free_bytes=size)
    (found,) = judge(shared_memory_large_enough, intent=intent, shared_memory=shm, host=HOST)  # type: ignore[arg-type]
    assert found.status == status
    assert found.cause == ("SHM_TOO_SMALL" if status in ("warn", "fail") else "")


@pytest.mark.parametrize(
    ("container", "words"),
    [("", "mount -o remount"), ("docker", "docker run"), ("podman", "podman run"), ("kubernetes", "kubectl")],
)
def test_the_way_out_fits_the_place(container: str, words: str) -> None:
    host = dataclasses.replace(HOST, container=container)
    shm = SharedMemory(total_bytes=64 << 20, free_bytes=64 << 20)
    (found,) = judge(shared_memory_large_enough, intent=TWO, shared_memory=shm, host=host)
    assert words in found.fixes[0].commands[0]


def test_not_read_is_not_green() -> None:
    (found,) = judge(shared_memory_large_enough, intent=TWO, shared_memory=Reading(outcome="failed", why="x"))
    assert found.status == "unknown"
