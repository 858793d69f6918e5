"""Stated facts that say why no NVIDIA driver answers, judged by DRV001."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks

CASES = [
    pytest.param(
        {"kernel": "5.15.0-130-generic", "nvidia_module_found_for": "5.15.0-119-generic"},
        ["KERNEL_MODULE_NOT_BUILT"],
        id="a module for another kernel",
    ),
    pytest.param({"kernel_driver_in_use": "nouveau"}, ["NOUVEAU_OR_NOVA_HOLDS_GPU"], id="nouveau is bound"),
    pytest.param({"kernel_driver": "nova_core"}, ["NOUVEAU_OR_NOVA_HOLDS_GPU"], id="nova is bound"),
    pytest.param(
        {"nouveau_blacklisted": False, "driver_source": "a repository's packages"},
        ["NOUVEAU_OR_NOVA_HOLDS_GPU"],
        id="nouveau is not kept away",
    ),
    pytest.param({"kernel": "6.8.0-50", "nvidia_module_found_for": "6.8.0-50"}, [], id="a module for this kernel"),
    pytest.param({"nvidia_module_found_for": "6.8.0-50"}, [], id="the running kernel is not stated"),
    pytest.param({"kernel_driver_in_use": "nvidia"}, [], id="nvidia is bound"),
    pytest.param({"nouveau_blacklisted": False}, [], id="nobody speaks of a driver"),
    pytest.param({"nouveau_blacklisted": True, "driver_source": "packages"}, [], id="nouveau is kept away"),
    pytest.param(
        {"nouveau_blacklisted": False, "driver_source": "packages", "driver_version": "570.124.06", "gpus": ["L4"]},
        [],
        id="a driver that answers",
    ),
]


@pytest.mark.parametrize(("stated", "causes"), CASES)
def test_causes(stated: dict[str, Any], causes: list[str]) -> None:
    found = diagnose("x", {"facts": stated}, load_checks().checks, load_matrix())
    assert [one.cause for one in found.causes] == causes
    assert found.status == ("fail" if causes else "pass")
