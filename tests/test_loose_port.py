"""A port that is stated to be taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.restraint.judged import judged

VLLM = {"engine": "vllm 0.10.0", "engine_args": {"port": 8000}}


@pytest.mark.parametrize(
    ("facts", "taken"),
    [
        pytest.param({"port": 8000, "port_in_use": True}, True, id="yes"),
        pytest.param({"engine": "vllm 0.10.0", "port_in_use": "8000"}, True, id="its number"),
        pytest.param({"network": "port 8000 is already in use"}, True, id="in words"),
        pytest.param({"port_status": "already in use"}, True, id="of the port itself"),
        pytest.param({**VLLM, "listening_ports": [22, 8000]}, True, id="among those that listen"),
        pytest.param({**VLLM, "listening_ports": [22, 80]}, False, id="others listen"),
        pytest.param({"engine": "vllm 0.10.0", "listening_ports": [22, 8000]}, False, id="perhaps the server itself"),
        pytest.param({**VLLM, "network": "port 5432 is in use by postgres"}, False, id="another's port"),
        pytest.param({"network": "port 8000 is not in use"}, False, id="not taken"),
        pytest.param({"network": "port 8000 is open"}, False, id="open"),
        pytest.param({"port": 8000, "port_in_use": False}, False, id="no"),
        pytest.param({"port": 8000}, False, id="only the port"),
    ],
)
def test_port(facts: dict[str, Any], taken: bool) -> None:
    assert [one.cause for one in judged(facts).causes] == (["PORT_IN_USE"] if taken else [])
