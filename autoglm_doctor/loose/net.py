"""`interfaces`, `nodes`, `hostname_resolves_to`, `port_in_use` -> the network of the host, and the port."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.interfaces import is_virtual
from autoglm_doctor.facts import Gpu, Host, Port, Reading, known
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.gpus import MOST
from autoglm_doctor.loose.limits import with_fields
from autoglm_doctor.loose.values import answer, as_list, first, number, table, text, words

_INTERFACES = ("interfaces", "network_interfaces", "nics", "net_interfaces", "ifconfig", "ip_link")
_NODES = ("nodes", "nnodes", "node_count", "num_nodes", "number_of_nodes", "machines")
_OWN = ("hostname_resolves_to", "hostname_ip", "hostname_address", "hostname_resolution", "own_hostname_resolves_to")
#: Not `open_ports` and `port_used`: those are as often the server's own.
_LISTENING = ("listening_ports", "ports_in_use", "used_ports", "occupied_ports", "ports_taken")
_TAKEN_KEYS = ("port_in_use", "port_taken", "port_busy", "port_occupied")
#: Where servers of models listen by default, where no engine is named.
_DEFAULTS = (8000, 8080, 30000)
_NAME = re.compile(r"[A-Za-z][\w.@-]{0,14}")
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_TAKEN = re.compile(
    r"\bport\s*:?\s*(\d{2,5})\s+(?:is |was )?(?:already )?(?:in use|taken|occupied|busy|used by)\b"
    r"|^(?:already )?(?:in use|taken|occupied|busy)\b",
    re.IGNORECASE,
)
#: Nobody states more machines of one deployment.
_MOST = 10_000
#: A server has no more GPUs than these.
_ONE_SERVER = 8
_EXCERPT = re.compile(r"\b(?:and|or|others?|etc|more|some|few|several)\b|\.\.\.", re.IGNORECASE)


def with_network(host: Reading[Host] | None, facts: Mapping[str, Any], machines: int | None) -> Reading[Host] | None:
    """The host with its interfaces, the address of its own name, and over how many machines the model is spread."""
    found = {"interfaces": _interfaces(facts), "own_address": _own(facts), "machines": machines}
    return with_fields(host, {name: value for name, value in found.items() if value})


def spread(facts: Mapping[str, Any], gpus: Reading[tuple[Gpu, ...]] | None, intent: Intent) -> int | None:
    """Over how many machines one deployment is spread; None where each may run a copy of its own, or it is not told.

    That there are several machines does not say so; that it takes more GPUs than the one described has, does.
    """
    machines = _machines(facts)
    if machines is None or machines < 2 or facts.get("nnodes") is not None:
        return machines
    if intent.split_open and not (gpus and gpus.value):
        return machines
    here = len(gpus.value) if gpus is not None and gpus.value else 0
    needed = intent.gpus_needed
    return machines if needed >= machines and needed > min(here, _ONE_SERVER) else None


def with_other_machines(gpus: Reading[tuple[Gpu, ...]] | None, machines: int | None) -> Reading[tuple[Gpu, ...]] | None:
    """The GPUs of all the machines, of which the one described stands for each."""
    if gpus is None or not gpus.value or machines is None or not 1 < machines * len(gpus.value) <= MOST:
        return gpus
    every = tuple(dataclasses.replace(one, index=at) for at, one in enumerate(gpus.value * machines))
    return dataclasses.replace(gpus, value=every)


def _interfaces(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Names, of a list or of a table of names. One with no loopback in it is an excerpt and tells of none missing."""
    said = first(facts, *_INTERFACES)
    listed = list(said) if isinstance(said, (dict, list)) else re.split(r"[\s,;]+", text(said))
    named = [table(one).get("name") if isinstance(one, dict) else one for one in listed]
    names = words(one.rstrip(":") for one in words(named))
    plain = tuple(one.partition("@")[0] for one in names)
    whole = "lo" in plain and all(_NAME.fullmatch(one) for one in names) and not _EXCERPT.search(" ".join(names))
    return plain if whole and not all(map(is_virtual, plain)) else ()


def _own(facts: Mapping[str, Any]) -> str:
    """Of the key, or of a sentence about the network."""
    found = _ADDRESS.search(text(first(facts, *_OWN)))
    if found is None:
        said = re.search(r"\bhost ?name resolves to (\S+)", text(facts.get("network")), re.IGNORECASE)
        found = _ADDRESS.search(said[1]) if said else None
    return found[0] if found else ""


def _machines(facts: Mapping[str, Any]) -> int | None:
    said = first(facts, *_NODES)
    count = len(said) if isinstance(said, list) else number(said)
    if count is None:
        told = re.match(r"(\d{1,4})\s*(?:nodes|machines|servers|hosts)?\b", text(said))
        count = float(told[1]) if told else None
    return int(count) if count is not None and 1 <= count <= _MOST else None


def read_port(facts: Mapping[str, Any], intent: Intent) -> Reading[Port] | None:
    """The server's port, where it is stated to be taken; None where nothing is, or it is another one's port."""
    stated = first(facts, "port", "server_port")
    own = _port(stated) or (intent.port if _names_port(facts) else None)
    taken = _taken(facts, own, intent.port)
    expected = (own,) if own is not None else (intent.port, *(() if _names_engine(facts) else _DEFAULTS))
    if taken is None or taken not in expected:
        return None
    return known(Port(host=intent.host, port=taken, free=False, error="Address already in use"), source="stated")


def _taken(facts: Mapping[str, Any], own: int | None, default: int) -> int | None:
    said = first(facts, *_TAKEN_KEYS)
    if answer(said) is True and not (isinstance(said, (int, str)) and _port(said)):
        return own or default
    if _port(said):
        return _port(said)
    for key in ("network", "port", "ports", "port_status"):
        match = _TAKEN.search(text(facts.get(key)))
        if match:
            return int(match[1]) if match[1] else own or default
    listed = {_port(one) for one in as_list(first(facts, *_LISTENING))}
    return own if own is not None and own in listed else None


def _names_engine(facts: Mapping[str, Any]) -> bool:
    return bool(facts.get("engine") or facts.get("command"))


def _port(said: Any) -> int | None:
    found = number(said)
    return int(found) if found is not None and 1 < found < 65536 and found == int(found) else None


def _names_port(facts: Mapping[str, Any]) -> bool:
    flags = facts.get("engine_args")
    return (
        "port" in table(flags) or "--port" in f"{flags if isinstance(flags, (str, list)) else ''}{facts.get('command')}"
    )
