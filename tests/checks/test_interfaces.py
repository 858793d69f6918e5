"""NET004 and NET005: the way to the other machines, and a model without the hub."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.interfaces import interface_reaches_others, offline_has_model
from autoglm_doctor.facts import Environment, Host, Reading
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.launch import parse_command
from autoglm_doctor.testing import judge
from tests.restraint.judged import judged

CAUSE = "NETWORK_INTERFACE_WRONG"
THERE = ["lo", "ens3", "docker0"]
TWO = {"engine": "vllm 0.10.0", "engine_args": {"tensor_parallel_size": 2}}

WRONG: dict[str, dict[str, Any]] = {
    "lo for Gloo, two machines": {"env": {"GLOO_SOCKET_IFNAME": "lo"}, "nodes": 2},
    "lo for NCCL, two machines": {"env": {"NCCL_SOCKET_IFNAME": "lo"}, "nodes": "2 nodes"},
    "lo by the flag of SGLang": {
        "env": {"GLOO_SOCKET_IFNAME": "lo"},
        "engine": "sglang 0.5.3",
        "engine_args": {"tp": 16, "nnodes": 2},
    },
    "a name that is not there": {"env": {"NCCL_SOCKET_IFNAME": "eth0"}, "interfaces": THERE},
    "a name that is not there for Gloo": {"env": {"GLOO_SOCKET_IFNAME": "eth0"}, "interfaces": THERE, **TWO},
    "a beginning, which Gloo does not take": {"env": {"GLOO_SOCKET_IFNAME": "ens"}, "interfaces": THERE, **TWO},
    "an exact name, of which only the beginning is there": {
        "env": {"NCCL_SOCKET_IFNAME": "=ens"},
        "interfaces": THERE,
        **TWO,
    },
    "interfaces as a table": {
        "env": {"NCCL_SOCKET_IFNAME": "ib0"},
        "interfaces": {"lo": "127.0.0.1", "eth0": "10.0.0.4"},
        "nodes": ["10.0.0.4", "10.0.0.5"],
    },
    "own name is loopback": {"hostname_resolves_to": "127.0.1.1", "nodes": 2},
    "own name in a sentence": {"network": "two machines, the host name resolves to 127.0.1.1", "machines": 2},
    "loopback for vLLM": {"env": {"VLLM_HOST_IP": "127.0.0.1"}, "nodes": 2, "engine": "vllm 0.8.5"},
    "localhost for vLLM": {"env": {"VLLM_HOST_IP": "localhost"}, "nodes": 3, "engine": "vllm"},
}
RIGHT: dict[str, dict[str, Any]] = {
    "lo on one machine": {"env": {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}, **TWO},
    "Debian's name on one machine": {"hostname_resolves_to": "127.0.1.1", **TWO},
    "Debian's name in a sentence": {"network": "the host name resolves to 127.0.1.1"},
    "loopback for vLLM on one machine": {"env": {"VLLM_HOST_IP": "127.0.0.1"}, **TWO},
    "Debian's name and a variable over it": {
        "hostname_resolves_to": "127.0.1.1",
        "nodes": 2,
        "env": {"GLOO_SOCKET_IFNAME": "ens3"},
    },
    "a beginning, which NCCL takes": {"env": {"NCCL_SOCKET_IFNAME": "ens"}, "interfaces": THERE, "nodes": 2},
    "one of several": {"env": {"NCCL_SOCKET_IFNAME": "eth0,ens3"}, "interfaces": THERE, "nodes": 2},
    "an exclusion": {"env": {"NCCL_SOCKET_IFNAME": "^lo,docker0"}, "interfaces": THERE, "nodes": 2},
    "an excerpt of the interfaces": {"env": {"NCCL_SOCKET_IFNAME": "eth0"}, "interfaces": ["ib0", "ib1"], "nodes": 2},
    "interfaces in a sentence": {"env": {"NCCL_SOCKET_IFNAME": "eth0"}, "interfaces": "two 100 GbE ports, lo"},
    "one GPU, where NCCL does nothing": {
        "env": {"NCCL_SOCKET_IFNAME": "eth0"},
        "interfaces": THERE,
        "gpus": [{"name": "NVIDIA L4"}],
    },
    "an address of the network": {"env": {"VLLM_HOST_IP": "10.0.0.4"}, "nodes": 2, "hostname_resolves_to": "10.0.0.4"},
    "a name that is not told": {"env": {"NCCL_SOCKET_IFNAME": "not set"}, "interfaces": THERE, "nodes": 2},
    "one node": {"env": {"GLOO_SOCKET_IFNAME": "lo"}, "nodes": 1},
    "nodes in words": {"env": {"GLOO_SOCKET_IFNAME": "lo"}, "nodes": "several"},
}


@pytest.mark.parametrize("facts", WRONG.values(), ids=WRONG)
def test_the_wrong_way(facts: dict[str, Any]) -> None:
    found = judged(facts)
    assert [(one.cause, one.status) for one in found.causes] == [(CAUSE, "warn")]
    assert found.fixes


@pytest.mark.parametrize("facts", RIGHT.values(), ids=RIGHT)
def test_quiet(facts: dict[str, Any]) -> None:
    assert judged(facts).causes == ()


def test_two_machines_by_the_command() -> None:
    host = Host(system="Linux", machine="x86_64", kernel="6.8", own_address="127.0.1.1", interfaces=("ens3", "lo"))
    line = ["vllm", "serve", "/m", "--tensor-parallel-size", "8"]
    for words, status in ((line, "not_applicable"), ([*line, "--nnodes", "2"], "warn")):
        (found,) = judge(interface_reaches_others, host=host, intent=parse_command(words))
        assert found.status == status


@pytest.mark.parametrize(
    ("variables", "outcome", "model", "status"),
    [
        pytest.param({"HF_HUB_OFFLINE": "1"}, "absent", "org/model", "fail", id="off, and not here"),
        pytest.param({"TRANSFORMERS_OFFLINE": "true"}, "absent", "org/model", "fail", id="the older name"),
        pytest.param({"HF_HUB_OFFLINE": "0"}, "absent", "org/model", "not_applicable", id="not off"),
        pytest.param({}, "absent", "org/model", "not_applicable", id="not set"),
        pytest.param({"HF_HUB_OFFLINE": "1"}, "not_run", "org/model", "unknown", id="nobody looked"),
        pytest.param({"HF_HUB_OFFLINE": "1"}, "absent", "smoke", "not_applicable", id="no model of the hub"),
        pytest.param(
            {"HF_HUB_OFFLINE": "1", "VLLM_USE_MODELSCOPE": "True"},
            "absent",
            "org/model",
            "not_applicable",
            id="another",
        ),
    ],
)
def test_offline(variables: dict[str, str], outcome: Any, model: str, status: str) -> None:
    files: Reading[Any] = Reading(outcome=outcome, why="org/model is not on this machine")
    intent = Intent(model=model, launch=Launch())
    (found,) = judge(offline_has_model, model_files=files, environment=Environment(variables=variables), intent=intent)
    assert found.status == status


OFFLINE = {"env": {"HF_HUB_OFFLINE": "1"}, "model": "Qwen/Qwen2.5-7B-Instruct"}


@pytest.mark.parametrize(
    ("facts", "causes"),
    [
        pytest.param({**OFFLINE, "model_files": "not downloaded"}, ["HUB_UNREACHABLE"], id="in words"),
        pytest.param({**OFFLINE, "model_cached": False}, ["HUB_UNREACHABLE"], id="yes or no"),
        pytest.param(OFFLINE, [], id="offline, as it should be on such a machine"),
        pytest.param({**OFFLINE, "model_cached": True}, [], id="it is here"),
        pytest.param({**OFFLINE, "env": {}, "model_files": "not downloaded"}, [], id="not here yet, and online"),
    ],
)
def test_offline_as_stated(facts: dict[str, Any], causes: list[str]) -> None:
    assert [one.cause for one in judged(facts).causes] == causes


LINE = ["vllm", "serve", "/m", "--tensor-parallel-size", "8", "--nnodes", "2"]
HERE = Host(system="Linux", machine="x86_64", kernel="6.8", interfaces=("ens3", "lo"))


@pytest.mark.parametrize(
    ("host", "variables", "status"),
    [
        pytest.param(HERE, {}, "pass", id="all was read"),
        pytest.param(None, {}, "unknown", id="no host"),
        pytest.param(HERE, None, "unknown", id="no variables"),
        pytest.param(dataclasses.replace(HERE, interfaces=None), {}, "pass", id="no interfaces, and none is named"),
        pytest.param(
            dataclasses.replace(HERE, interfaces=None), {"NCCL_SOCKET_IFNAME": "ens3"}, "unknown", id="one is named"
        ),
    ],
)
def test_what_was_not_read_is_no_green(host: Host | None, variables: dict[str, str] | None, status: str) -> None:
    environment = None if variables is None else Environment(variables=variables)
    (found,) = judge(interface_reaches_others, host=host, environment=environment, intent=parse_command(LINE))
    assert found.status == status


@pytest.mark.parametrize(
    ("machines", "command"),
    [pytest.param("1", "unset GLOO_SOCKET_IFNAME", id="one"), pytest.param("2", "IFNAME=ens3 ", id="two, no tunnel")],
)
def test_the_way_out_is_a_way_to_the_others(machines: str, command: str) -> None:
    host = dataclasses.replace(HERE, interfaces=("cali0", "docker0", "ens3", "lo", "tailscale0", "wg0"))
    environment = Environment(variables={"GLOO_SOCKET_IFNAME": "eth9"})
    intent = parse_command([*LINE[:-1], machines])
    (found,) = judge(interface_reaches_others, host=host, environment=environment, intent=intent)
    assert command in found.fixes[0].commands[-1]
    assert "tailscale0" not in " ".join(found.fixes[0].commands)


def test_a_store_is_no_hub() -> None:
    files: Reading[Any] = Reading(outcome="absent")
    environment = Environment(variables={"HF_HUB_OFFLINE": "1"})
    intent = Intent(model="s3://b/q", launch=Launch())
    (found,) = judge(offline_has_model, model_files=files, environment=environment, intent=intent)
    assert found.status == "not_applicable"
