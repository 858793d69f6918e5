"""Two torches in one list: another release at the top than among the packages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.restraint.judged import judged

OTHERS = {"torchvision": "0.23.0", "triton": "3.4.0"}
TWO = [
    pytest.param({"torch": "2.6.0", "packages": {"torch": "2.8.0"}}, id="two releases"),
    pytest.param({"torch": "2.6.0", "packages": {"torch": "2.8.0", **OTHERS}}, id="what belongs to the second"),
    pytest.param({"torch": "2.6.0+cu124", "packages": {"torch": "2.8.0+cu128"}}, id="both with their CUDA"),
]


@pytest.mark.parametrize("facts", TWO)
def test_two_torches_are_the_one_cause(facts: dict[str, Any]) -> None:
    found = judged(facts)
    assert (found.status, found.causes[0].cause) == ("fail", "DUPLICATE_TORCH_INSTALL")
    assert not {"TORCH_COMPANION_MISMATCH", "TRITON_TORCH_MISMATCH"} & {one.cause for one in found.causes}


ONE = [
    pytest.param({"torch": "2.4.0+cu121", "packages": {"torch": "2.4.0"}}, id="with and without its CUDA"),
    pytest.param({"torch": "2.8.0", "packages": {"torch": "2.8.0+cu128"}}, id="the other way round"),
    pytest.param({"torch": "2.8", "packages": {"torch": "2.8.0"}}, id="a line and a release of it"),
    pytest.param({"torch": "2.6", "packages": {"torch": "2.8.0"}}, id="a line alone is too little"),
    pytest.param(
        {"torch": "2.6", "torch_cuda": "12.4", "packages": {"torch": "2.8.0"}}, id="a line, and its CUDA is stated"
    ),
    pytest.param({"torch": "2.6.0, then 2.8.0", "packages": {"torch": "2.8.0"}}, id="what was tried"),
    pytest.param({"torch": "2.9.0.dev20250722+cu128", "packages": {"torch": "2.9.0"}}, id="a night of the release"),
    pytest.param({"torch": "2.9.0a0+50eac811a6.nv25.09", "packages": {"torch": "2.9.0"}}, id="a vendor's build of it"),
    pytest.param({"torch": "2.8.0", "packages": OTHERS}, id="one torch"),
    pytest.param({"packages": {"torch": "2.8.0", **OTHERS}}, id="one among the packages"),
]


@pytest.mark.parametrize("facts", ONE)
def test_one_torch_is_not_two(facts: dict[str, Any]) -> None:
    assert judged(facts).status == "pass"
