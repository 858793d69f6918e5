"""NET: the port, and proxies in front of this machine."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.network import port_free, proxy_spares_localhost
from autoglm_doctor.facts import Environment, Port, Reading
from autoglm_doctor.intent import SMOKE
from autoglm_doctor.launch import default_intent
from autoglm_doctor.testing import judge

TAKEN = Port(host="0.0.0.0", port=8000, free=False, error="Address already in use", holder_pid=42, holder_name="nginx")


@pytest.mark.parametrize(
    ("port", "status"),
    [
        (Port(host="0.0.0.0", port=8000, free=True), "pass"),
        (TAKEN, "fail"),
        (dataclasses.replace(TAKEN, holder_pid=None, error="Permission denied"), "fail"),
        (Reading(outcome="absent", why="no port"), "not_applicable"),
        (Reading(outcome="failed", why="no such host"), "unknown"),
        (Reading(outcome="not_run"), "unknown"),
    ],
    ids=["free", "taken", "not allowed", "none", "not read", "not run"],
)
def test_ports(port: Any, status: str) -> None:
    (found,) = judge(port_free, port=port)
    assert found.status == status
    assert found.cause == ("PORT_IN_USE" if status == "fail" else "")


def test_the_smoke_model_serves_nothing() -> None:
    (found,) = judge(port_free, intent=dataclasses.replace(default_intent(), model=SMOKE), port=TAKEN)
    assert found.status == "not_applicable"


def test_another_port_is_the_users_own_line_with_one_word_changed() -> None:
    intent = dataclasses.replace(default_intent(), command=("vllm", "serve", "org/name", "--port", "8000", "a b"))
    (found,) = judge(port_free, intent=intent, port=TAKEN)
    assert found.fixes[0].commands == ("vllm serve org/name --port 8001 'a b'",)
    assert "kill 42" in found.fixes[1].commands


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({}, None),
        ({"https_proxy": "http://p:1"}, None),
        ({"http_proxy": ""}, None),
        ({"http_proxy": "http://p:1"}, "localhost,127.0.0.1"),
        ({"ALL_PROXY": "socks5://p:1", "no_proxy": ".corp"}, ".corp,localhost,127.0.0.1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "localhost"}, "localhost,127.0.0.1"),
        ({"http_proxy": "http://p:1", "no_proxy": "localhost, 127.0.0.1"}, None),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, None),
        ({"http_proxy": "http://p:1", "no_proxy": "127.0.0.0/8,localhost"}, "127.0.0.0/8,localhost,127.0.0.1"),
    ],
    ids=["none", "HTTPS only", "empty", "no exception", "others", "half", "spared", "all spared", "range"],
)
def test_proxies(variables: dict[str, str], missing: str | None) -> None:
    (found,) = judge(proxy_spares_localhost, environment=Environment(variables=variables))
    assert found.status == ("pass" if missing is None else "warn")
    if missing is not None:
        assert found.cause == "PROXY_INTERCEPTS_LOCALHOST"
        assert found.fixes[0].commands == (f"export no_proxy={missing} NO_PROXY={missing}",)
