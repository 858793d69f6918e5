"""LIM003: open files and processes."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.open_files import open_files_enough
from autoglm_doctor.facts import Distribution, Host, Packages
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.restraint.judged import judged

EIGHT = {"engine_args": {"tensor_parallel_size": 8}}
OLD, NEW = {"engine": "vllm 0.6.4", **EIGHT}, {"engine": "vllm 0.10.0", **EIGHT}


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"ulimit_nofile": 1024, **OLD}, id="a release that leaves the limit as it is"),
        pytest.param({"ulimits": {"nofile": "1024"}, **OLD}, id="in a table"),
        pytest.param({"ulimit_n": "1024", "ulimit_nofile_hard": 4096, **NEW}, id="a hard limit in the way"),
        pytest.param({"ulimits": {"nofile": {"soft": 1024, "hard": 1024}}, **NEW}, id="soft and hard"),
        pytest.param({"nofile": "1024:2048", "engine": "sglang 0.5.3", **EIGHT}, id="as docker writes it"),
        pytest.param({"ulimit_nproc": 1024, **NEW}, id="processes"),
        pytest.param({"ulimits": {"nproc": "512"}, "engine": "vllm", "engine_args": {"tp": 2}}, id="two workers"),
    ],
)
def test_low(facts: dict[str, Any]) -> None:
    found = judged(facts)
    assert [(one.cause, one.status) for one in found.causes] == [("NOFILE_LIMIT_LOW", "warn")]


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"ulimit_nofile": 1024, **NEW}, id="the default, which the server raises"),
        pytest.param({"ulimit_n": 1024}, id="the default alone"),
        pytest.param({"ulimit_n": 1024, "engine": "vllm 0.6.4"}, id="one GPU"),
        pytest.param({"nofile": 1024, "engine": "vllm", **EIGHT}, id="of no known release"),
        pytest.param({"nofile": "1024:524288", "engine": "sglang 0.5.3", **EIGHT}, id="a high hard limit"),
        pytest.param({"ulimits": {"nofile": {"soft": 1024, "hard": "unlimited"}}, **NEW}, id="none for the hard one"),
        pytest.param({"ulimit_n": "unlimited", **OLD}, id="no limit"),
        pytest.param({"ulimit_n": 65535, **OLD}, id="high"),
        pytest.param({"ulimit_n": "high enough", **OLD}, id="no number"),
        pytest.param({"ulimit_nproc": 1024}, id="few processes for one"),
        pytest.param({"ulimit_nproc": "unlimited", **NEW}, id="any number of processes"),
        pytest.param({"ulimit_nproc": 127000, **NEW}, id="many processes"),
    ],
)
def test_quiet(facts: dict[str, Any]) -> None:
    assert judged(facts).causes == ()


@pytest.mark.parametrize(
    ("facts", "limit"),
    [
        pytest.param({"ulimit_memlock": "64 KiB"}, 65536, id="with its unit"),
        pytest.param({"ulimits": {"memlock": "-1"}}, -1, id="as docker writes it"),
        pytest.param({"max_locked_memory": "8 MB"}, 8 << 20, id="another name"),
        pytest.param({"ulimits": {"memlock": 64}}, None, id="a number of an unknown unit"),
        pytest.param({"ulimit_memlock_kib": 64}, 65536, id="a key that tells the unit"),
    ],
)
def test_locked_memory(facts: dict[str, Any], limit: int | None) -> None:
    host = read_facts(facts, load_matrix())[0].host.value
    assert (host.memlock_bytes if host else None) == limit


def test_two_machines_are_no_one() -> None:
    facts = {"ulimit_memlock": "64 KiB", "gpus": ["NVIDIA H100 80GB HBM3"] * 8, "engine": "vllm 0.10.0", **EIGHT}
    assert judged(facts).causes == ()
    assert judged({**facts, "nodes": 2}).causes == ()  # each may run a copy
    twice = {**facts, "nodes": 2, "engine_args": {"tensor_parallel_size": 8, "pipeline_parallel_size": 2}}
    assert [one.cause for one in judged(twice).causes] == ["MEMLOCK_LIMIT_LOW"]


def ask(files: tuple[int, int] | None, processes: int | None, version: str = "0.11.0") -> Finding:
    (found,) = judge(
        open_files_enough,
        host=Host(system="Linux", machine="x86_64", kernel="6.8", open_files=files, processes=processes),
        packages=Packages(distributions=(Distribution(name="vllm", version=version),)),
        intent=Intent(model="/m", launch=Launch(tensor_parallel=8)),
    )
    return found


@pytest.mark.parametrize(
    ("files", "processes", "version", "status", "words"),
    [
        pytest.param((65535, 65535), 9000, "0.11.0", "pass", "files and processes leave", id="both were read"),
        pytest.param(None, 9000, "0.11.0", "pass", "the limit of processes leaves", id="processes alone"),
        pytest.param((65535, 65535), None, "0.11.0", "pass", "the limit of files leaves", id="files alone"),
        pytest.param((1024, 0), None, "0.11.0", "pass", "files leaves", id="the server raises it"),
        pytest.param((1024, 0), 9000, "main", "unknown", "not known", id="whether the server does is not known"),
        pytest.param((1024, 4096), None, "main", "warn", "too few", id="a hard limit in the way"),
    ],
)
def test_green_for_what_was_read(
    files: tuple[int, int] | None, processes: int | None, version: str, status: str, words: str
) -> None:
    found = ask(files, processes, version)
    assert found.status == status
    assert words in render(found.text)


@pytest.mark.parametrize(
    ("files", "processes", "kind"),
    [
        pytest.param((1024, 4096), None, "- nofile", id="a hard limit that is too low is raised as well"),
        pytest.param((1024, 0), 1000, "soft nproc", id="one that is not known is left alone"),
    ],
)
def test_the_way_out_lowers_nothing_and_names_root(files: tuple[int, int], processes: int | None, kind: str) -> None:
    line = ask(files, processes).fixes[0].commands[1]
    assert f"%s {kind} 65535" in line
    assert "'*' root" in line
    assert " hard " not in line
