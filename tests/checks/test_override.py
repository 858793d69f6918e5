"""CFG006: variables whose value cannot be right."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.override import variables_make_sense
from autoglm_doctor.domain.overrides import RULES
from autoglm_doctor.facts import Environment
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.testing import judge

CASES = [
    pytest.param("NCCL_BUFFSIZE", "4294967296", "warn", id="a buffer of 4 GiB"),
    pytest.param("NCCL_BUFFSIZE", "too large", "warn", id="no number"),
    pytest.param("NCCL_BUFFSIZE", "4M", "warn", id="a unit that NCCL does not read"),
    pytest.param("NCCL_BUFFSIZE", "8388608", "pass", id="twice the default"),
    pytest.param("NCCL_NTHREADS", "100", "warn", id="threads that NCCL does not offer"),
    pytest.param("NCCL_NTHREADS", "256", "pass", id="threads that it does"),
    pytest.param("NCCL_P2P_DISABLE", "true", "warn", id="a word for a number"),
    pytest.param("NCCL_P2P_DISABLE", "1", "pass", id="a usual workaround"),
    pytest.param("NCCL_P2P_LEVEL", "NVL", "pass", id="a level"),
    pytest.param("NCCL_P2P_LEVEL", "NVLINK", "warn", id="no level"),
    pytest.param("NCCL_SOCKET_IFNAME", "eth9", "pass", id="an interface is not judged"),
    pytest.param("NCCL_DEBUG", "whatever", "pass", id="not in the table"),
    pytest.param("CUDA_LAUNCH_BLOCKING", "1", "warn", id="left on"),
    pytest.param("CUDA_LAUNCH_BLOCKING", "0", "pass", id="off"),
    pytest.param("CUDA_DEVICE_ORDER", "PCI_BUS_ID", "pass", id="the usual order"),
    pytest.param("CUDA_DEVICE_ORDER", "PCI_BUS", "warn", id="misspelt"),
    pytest.param("CUDA_DEVICE_MAX_CONNECTIONS", "1", "pass", id="as Megatron wants it"),
    pytest.param("BNB_CUDA_VERSION", "12.4", "warn", id="with a dot"),
    pytest.param("BNB_CUDA_VERSION", "124", "pass", id="without"),
    pytest.param("OMP_NUM_THREADS", "8", "pass", id="a number of threads"),
    pytest.param("OMP_NUM_THREADS", "auto", "warn", id="no number of threads"),
    pytest.param("VLLM_PORT", "tcp://10.96.12.7:8000", "fail", id="Kubernetes' address"),
    pytest.param("VLLM_PORT", "6379", "pass", id="a port"),
    pytest.param("VLLM_WORKER_MULTIPROC_METHOD", "spawn", "pass", id="a way to start processes"),
    pytest.param("VLLM_WORKER_MULTIPROC_METHOD", "thread", "fail", id="no way to start processes"),
    pytest.param("VLLM_RPC_TIMEOUT", "10s", "fail", id="a time with its unit"),
    pytest.param("VLLM_ATTENTION_BACKEND", "FLASH_ATTN", "pass", id="changes with every release"),
]
TWO = Intent(model="/m", engine="vllm", launch=Launch(tensor_parallel=2))


@pytest.mark.parametrize(("name", "value", "status"), CASES)
def test_values(name: str, value: str, status: str) -> None:
    (found,) = judge(variables_make_sense, intent=TWO, environment=Environment(variables={name: value}))
    assert found.status == status
    assert (found.cause, bool(found.fixes)) == (("ENV_VAR_OVERRIDE_WRONG", True) if status != "pass" else ("", False))


@pytest.mark.parametrize(
    ("name", "value", "intent"),
    [
        pytest.param(
            "VLLM_PORT", "tcp://10.96.12.7:8000", Intent(model="/m", engine="sglang"), id="vLLM's, and SGLang"
        ),
        pytest.param("NCCL_P2P_DISABLE", "true", Intent(model="/m", engine="vllm"), id="NCCL on one GPU"),
        pytest.param("OMP_NUM_THREADS", "auto", Intent(model="/m", engine="llamacpp"), id="torch's, and llama.cpp"),
    ],
)
def test_it_does_not_concern(name: str, value: str, intent: Intent) -> None:
    (found,) = judge(variables_make_sense, intent=intent, environment=Environment(variables={name: value}))
    assert found.status == "pass"


def test_one_finding_each_and_those_in_front_of_the_command() -> None:
    intent = dataclasses.replace(TWO, environment={"CUDA_LAUNCH_BLOCKING": "1"})
    given: dict[str, Any] = {"environment": Environment(variables={"VLLM_PORT": "x"})}
    found = judge(variables_make_sense, intent=intent, **given)
    assert {one.subject for one in found} == {"CUDA_LAUNCH_BLOCKING", "VLLM_PORT"}


def test_nothing_set() -> None:
    (found,) = judge(variables_make_sense, environment=Environment())
    assert found.status == "pass"


def test_every_rule_refuses_something_and_has_a_source() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert not rule.good("no such value"), rule.name
        assert rule.source.startswith("https://"), rule.name
