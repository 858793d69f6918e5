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
        (dataclasses.replace(TAKEN, holder_pid=None), "fail"),
        (Reading(outcome="absent", why="no port"), "not_applicable"),
        (Reading(outcome="failed", why="no such host"), "unknown"),
        (Reading(outcome="not_run"), "unknown"),
    ],
    ids=["free", "taken", "by nobody we see", "none", "not read", "not run"],
)
def test_ports(port: Any, status: str) -> None:
    (found,) = judge(port_free, port=port)
    assert found.status == status
    assert found.cause == ("PORT_IN_USE" if status == "fail" else "")


REFUSED = Port(host="0.0.0.0", port=80, free=False, error="Permission denied")


@pytest.mark.parametrize(
    ("port", "other"), [(80, 8000), (1023, 8000), (8000, 8001)], ids=["http", "last of root's", "8000 itself"]
)
def test_a_port_that_is_not_permitted_is_taken_by_nobody(port: int, other: int) -> None:
    intent = dataclasses.replace(default_intent(), command=("vllm", "serve", "org/name", "--port", str(port)))
    (found,) = judge(port_free, intent=intent, port=dataclasses.replace(REFUSED, port=port))
    assert (found.status, found.cause) == ("fail", "PORT_NOT_PERMITTED")
    assert found.fixes[0].commands == (f"vllm serve org/name --port {other}",)
    assert not any("kill" in c or " ss " in c for fix in found.fixes for c in fix.commands)


def test_a_refused_port_has_a_way_out_without_a_command() -> None:
    (found,) = judge(port_free, intent=dataclasses.replace(default_intent(), command=()), port=REFUSED)
    assert found.fixes[0].commands[0].startswith("sudo sysctl")


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


def test_the_shell_reads_the_exceptions_as_one_word() -> None:
    """With a blank in it, `export no_proxy=.local, localhost` sets something else."""
    import subprocess

    variables = {"http_proxy": "http://p:1", "no_proxy": ".local, localhost;"}
    (found,) = judge(proxy_spares_localhost, environment=Environment(variables=variables))
    script = f'{found.fixes[0].commands[0]} && printf %s "$no_proxy"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=10)
    assert done.stdout == ".local, localhost;,localhost,127.0.0.1"
    assert done.stderr == ""
