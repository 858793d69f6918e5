"""CFG006: variables whose value cannot be right."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.override import variables_make_sense
from autoglm_doctor.domain.overrides import RULES
from autoglm_doctor.facts import Distribution, Environment, Packages
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

CASES = [
    pytest.param("NCCL_BUFFSIZE", "4294967296", "warn", id="a buffer of 4 GiB"),
    pytest.param("NCCL_BUFFSIZE", "too large", "warn", id="no number"),
    pytest.param("NCCL_BUFFSIZE", "4M", "warn", id="a unit that NCCL does not read"),
    pytest.param("NCCL_BUFFSIZE", "8388608", "pass", id="twice the default"),
    pytest.param("NCCL_NTHREADS", "100", "warn", id="threads that NCCL does not offer"),
    pytest.param("NCCL_NTHREADS", "256", "pass", id="threads that it does"),
    pytest.param("NCCL_NTHREADS", "96", "pass", id="whole warps"),
    pytest.param("NCCL_NTHREADS", "1024", "warn", id="more threads than NCCL has"),
    pytest.param("NCCL_BUFFSIZE", "0x800000", "pass", id="hexadecimal, as strtoll reads it"),
    pytest.param("NCCL_BUFFSIZE", "0x100000000", "warn", id="4 GiB in hexadecimal"),
    pytest.param("NCCL_BUFFSIZE", "", "pass", id="an empty buffer size"),
    pytest.param("NCCL_BUFFSIZE", "-2", "pass", id="the default, said"),
    pytest.param("NCCL_P2P_DISABLE", "", "pass", id="an empty switch of NCCL"),
    pytest.param("NCCL_IB_DISABLE", "", "pass", id="an empty switch for InfiniBand"),
    pytest.param("NCCL_CUMEM_ENABLE", "0x0", "pass", id="nought in hexadecimal"),
    pytest.param("NCCL_SHM_DISABLE", "1M", "warn", id="a number with a unit"),
    pytest.param("NCCL_P2P_LEVEL", "", "pass", id="an empty level"),
    pytest.param("NCCL_P2P_LEVEL", "3", "pass", id="a level of old"),
    pytest.param("NCCL_P2P_LEVEL", "sys", "warn", id="a level in small letters, which strcmp() does not find"),
    pytest.param("NCCL_MAX_NCHANNELS", "128", "pass", id="more channels than NCCL's limit, to which it cuts down"),
    pytest.param("NCCL_MIN_NCHANNELS", "many", "warn", id="no number of channels"),
    pytest.param("CUDA_DEVICE_ORDER", "", "pass", id="an empty order"),
    pytest.param("CUDA_DEVICE_MAX_CONNECTIONS", "", "pass", id="empty connections"),
    pytest.param("CUDA_DEVICE_MAX_CONNECTIONS", "64", "warn", id="more connections than there are"),
    pytest.param("CUDA_LAUNCH_BLOCKING", "", "pass", id="empty"),
    pytest.param("PYTORCH_NO_CUDA_MEMORY_CACHING", "0", "warn", id="torch asks whether it is set, not for what"),
    pytest.param("PYTORCH_NO_CUDA_MEMORY_CACHING", "", "warn", id="empty, and set all the same"),
    pytest.param("BNB_CUDA_VERSION", "", "pass", id="no override"),
    pytest.param("OMP_NUM_THREADS", "", "pass", id="empty threads"),
    pytest.param("OMP_NUM_THREADS", "8, 4", "pass", id="threads by level, with a blank"),
    pytest.param("OMP_NUM_THREADS", "0", "warn", id="no threads at all"),
    pytest.param("VLLM_PORT", "", "fail", id="an empty port, of which int() makes nothing"),
    pytest.param("VLLM_WORKER_MULTIPROC_METHOD", "SPAWN", "fail", id="in capitals, which vLLM compares"),
    pytest.param("VLLM_RPC_TIMEOUT", "10_000", "pass", id="as int() takes it"),
    pytest.param("VLLM_IMAGE_FETCH_TIMEOUT", "5s", "warn", id="only where a picture is fetched"),
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


@pytest.mark.parametrize(
    ("version", "status"),
    [
        pytest.param("0.22.0", "fail", id="a release that reads it"),
        pytest.param("0.33.0", "pass", id="one that does not"),
        pytest.param("0.1.dev9752+g1a2b3c4", "fail", id="a build that does not tell"),
    ],
)
def test_a_variable_of_old_releases(version: str, status: str) -> None:
    (found,) = judge(
        variables_make_sense,
        intent=TWO,
        environment=Environment(variables={"VLLM_RPC_TIMEOUT": "10s"}),
        packages=Packages(distributions=(Distribution(name="vllm", version=version),)),
    )
    assert found.status == status


def test_what_nccl_does_with_a_word_is_told_as_it_is() -> None:
    """It reads digits from the start, without a warning."""
    (found,) = judge(variables_make_sense, intent=TWO, environment=Environment(variables={"NCCL_IB_DISABLE": "true"}))
    assert "without a word" in render(found.text)
    assert "warning" not in render(found.text)


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
