"""MGP001: ACS and the IOMMU between GPUs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.peer import peer_to_peer_path
from autoglm_doctor.facts import Environment, Facts, Gpu, Host
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge

ONE, TWO = Intent(model="/m"), Intent(model="/m", launch=Launch(tensor_parallel=2))


def cards(count: int, name: str) -> tuple[Gpu, ...]:
    one = {"compute_capability": "8.9", "total_bytes": 24 << 30, "free_bytes": 23 << 30}
    return tuple(Gpu(index=index, name=name, **one) for index in range(count))  # type: ignore[arg-type]


ADA, SXM = "NVIDIA RTX 5880 Ada Generation", "NVIDIA H100 SXM5 80GB"
CASES = [
    pytest.param({"acs": True}, 2, ADA, ONE, "warn", id="ACS and two cards"),
    pytest.param({"acs": True}, 0, "", ONE, "warn", id="ACS, and nothing is said of cards"),
    pytest.param({"iommu": True}, 4, ADA, TWO, "warn", id="an IOMMU that translates"),
    pytest.param({"acs": True, "nvlink": True}, 2, "RTX 3090", TWO, "not_applicable", id="NVLink"),
    pytest.param({"acs": True}, 8, SXM, TWO, "not_applicable", id="cards that come with NVLink"),
    pytest.param({"acs": True}, 8, "NVIDIA H100 80GB HBM3", TWO, "not_applicable", id="as NVML names an SXM board"),
    pytest.param({"acs": True}, 8, "NVIDIA H200", TWO, "not_applicable", id="H200"),
    pytest.param({"iommu": True}, 8, "NVIDIA B200", TWO, "not_applicable", id="B200"),
    pytest.param({"acs": True}, 8, "NVIDIA A100-SXM4-80GB", TWO, "not_applicable", id="A100 on a board"),
    pytest.param({"acs": True}, 2, "NVIDIA H100 PCIe", TWO, "warn", id="H100 in a slot"),
    pytest.param({"acs": True}, 2, "NVIDIA A100-PCIE-40GB", TWO, "warn", id="A100 in a slot"),
    pytest.param({"acs": True}, 1, ADA, ONE, "not_applicable", id="one card"),
    pytest.param({"iommu": True}, 0, "", ONE, "not_applicable", id="an IOMMU, and nothing is said of cards"),
    pytest.param({"iommu": True, "acs": False}, 2, ADA, TWO, "pass", id="an IOMMU without ACS"),
    pytest.param({"iommu": False, "acs": False}, 2, ADA, TWO, "pass", id="neither"),
    pytest.param({"nvlink": True}, 2, "RTX 3090", ONE, "not_applicable", id="nothing but NVLink is stated"),
    pytest.param({}, 2, ADA, ONE, "not_applicable", id="a model on one of two cards"),
    pytest.param({}, 2, ADA, TWO, "not_applicable", id="this machine does not tell"),
    pytest.param({"iommu": False}, 2, ADA, TWO, "not_applicable", id="no IOMMU, and nothing of ACS"),
]


@pytest.mark.parametrize(("links", "count", "name", "intent", "status"), CASES)
def test_paths(links: dict[str, bool], count: int, name: str, intent: Intent, status: str) -> None:
    given: dict[str, Any] = {"host": Host(system="Linux", machine="x86_64", kernel="6.8", **links)}  # type: ignore[arg-type]
    if count:
        given["gpus"] = cards(count, name)
    (found,) = judge(peer_to_peer_path, intent=intent, **given)
    assert found.status == status


VARIABLES = [
    pytest.param({"NCCL_P2P_DISABLE": "1"}, "pass", id="switched off"),
    pytest.param({"NCCL_P2P_LEVEL": "LOC"}, "pass", id="never"),
    pytest.param({"NCCL_P2P_DISABLE": "0"}, "warn", id="switched on"),
    pytest.param({"NCCL_P2P_DISABLE": ""}, "warn", id="empty"),
    pytest.param({"NCCL_P2P_LEVEL": "SYS"}, "warn", id="always"),
    pytest.param({"NCCL_DEBUG": "INFO"}, "warn", id="another variable"),
]


@pytest.mark.parametrize("place", ["environment", "command"])
@pytest.mark.parametrize(("variables", "status"), VARIABLES)
def test_a_way_around(variables: dict[str, str], status: str, place: str) -> None:
    host = Host(system="Linux", machine="x86_64", kernel="6.8", acs=True)
    in_front, around = (variables, {}) if place == "command" else ({}, variables)
    intent = dataclasses.replace(TWO, environment=in_front)
    given: dict[str, Any] = {"host": host, "gpus": cards(2, ADA), "environment": Environment(variables=around)}
    (found,) = judge(peer_to_peer_path, intent=intent, **given)
    assert found.status == status


STATED = [
    pytest.param({"acs_ctl": "0x001d on AMD bridges"}, (True, None, None), id="redirects"),
    pytest.param({"acs_ctl": "0x0000"}, (False, None, None), id="no bit set"),
    pytest.param({"acs_ctl": "0x0001"}, (False, None, None), id="only checks the source"),
    pytest.param({"acs": "disabled", "iommu": "on"}, (False, True, None), id="in words"),
    pytest.param({"iommu": "on, iommu=pt"}, (None, False, None), id="passes through"),
    pytest.param({"topology": "PHB, no NVLink", "acs": True}, (True, None, False), id="a topology without NVLink"),
    pytest.param({"topology": "NV4 between all"}, (None, None, True), id="a topology with NVLink"),
]


@pytest.mark.parametrize(("stated", "links"), STATED)
def test_what_is_stated(stated: dict[str, Any], links: tuple[bool | None, ...]) -> None:
    facts: Facts = read_facts(stated, load_matrix())[0]
    host = facts.host.value
    assert host is not None
    assert (host.acs, host.iommu, host.nvlink) == links
