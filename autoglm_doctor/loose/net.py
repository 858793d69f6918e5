"""`interfaces`, `nodes`, `hostname_resolves_to`, `port_in_use`, a model that cannot be fetched -> network and port."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Host, ModelFiles, Port, Reading, known
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.limits import with_fields
from autoglm_doctor.loose.values import answer, as_list, first, number, table, text, words

_INTERFACES = ("interfaces", "network_interfaces", "nics", "net_interfaces", "ifconfig", "ip_link")
_NODES = ("nodes", "nnodes", "node_count", "num_nodes", "number_of_nodes", "machines")
_OWN = ("hostname_resolves_to", "hostname_ip", "hostname_address", "hostname_resolution", "own_hostname_resolves_to")
_LISTENING = ("listening_ports", "ports_in_use", "used_ports", "open_ports", "occupied_ports", "ports_taken")
_TAKEN_KEYS = ("port_in_use", "port_taken", "port_busy", "port_occupied", "port_used")
_NAME = re.compile(r"[A-Za-z][\w.@-]{0,14}")
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_TAKEN = re.compile(
    r"\bport\s*:?\s*(\d{2,5})\s+(?:is |was )?(?:already )?(?:in use|taken|occupied|busy|used by)\b"
    r"|^(?:already )?(?:in use|taken|occupied|busy)\b",
    re.IGNORECASE,
)
#: Nobody states more machines of one deployment.
_MOST = 10_000
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_NOT_HERE = re.compile(
    r"(?:not|never) (?:yet )?(?:downloaded|cached|in (?:the )?cache|on (?:this|the) machine|present|fetched)"
    r"|(?:empty|no) (?:cache|files)|none|missing|nothing",
    re.IGNORECASE,
)


def with_network(host: Reading[Host] | None, facts: Mapping[str, Any]) -> Reading[Host] | None:
    """The host with its interfaces, the address of its own name, and over how many machines the model is spread."""
    found = {"interfaces": _interfaces(facts), "own_address": _own(facts), "machines": _machines(facts)}
    return with_fields(host, {name: value for name, value in found.items() if value})


def _interfaces(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Names, of a list or of a table of names. One with no loopback in it is an excerpt and tells of none missing."""
    said = first(facts, *_INTERFACES)
    listed = list(said) if isinstance(said, (dict, list)) else re.split(r"[\s,;]+", text(said))
    named = [table(one).get("name") if isinstance(one, dict) else one for one in listed]
    names = words(one.rstrip(":") for one in words(named))
    whole = "lo" in names and len(names) > 1 and all(_NAME.fullmatch(one) for one in names)
    return tuple(one.partition("@")[0] for one in names) if whole else ()


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
    if taken is None or (own is not None and taken != own):
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


def _port(said: Any) -> int | None:
    found = number(said)
    return int(found) if found is not None and 1 < found < 65536 and found == int(found) else None


def _names_port(facts: Mapping[str, Any]) -> bool:
    flags = facts.get("engine_args")
    return (
        "port" in table(flags) or "--port" in f"{flags if isinstance(flags, (str, list)) else ''}{facts.get('command')}"
    )


def read_offline(facts: Mapping[str, Any]) -> Reading[ModelFiles] | None:
    """That a model's files are not here, where variables keep the hub from being asked; None elsewhere."""
    stated = table(first(facts, "env", "environment"))
    if not any(answer(stated.get(name)) or stated.get(name) == 1 for name in _OFFLINE):
        return None
    files = text(first(facts, "model_files", "model_cache", "hf_cache", "weights"))
    cached = answer(first(facts, "model_downloaded", "model_cached"))
    if cached is False or _NOT_HERE.fullmatch(files):
        return Reading(outcome="absent", why="it is stated not to be on this machine", source="stated")
    return None
