"""Starting the server: the very command that the user means to run, on a port of ours, with nothing else changed."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from autoglm_doctor.domain.launch_line import replace_flag, set_flag, stated_flag
from autoglm_doctor.intent import Engine

LOOPBACK = "127.0.0.1"

#: Words of a shell in front of a program that mean nothing to us; `setsid` and `nohup` would hide it from us.
_WRAPPERS = ("nohup", "exec", "command", "time", "setsid")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")

#: Ours alone: where we find our own modules, and a key that is meant for another server.
_OURS = ("PYTHONPATH", "AUTOGLM_DOCTOR_API_KEY")

#: The command is the user's, the trial is ours: no network, no usage statistics, and `uv run` installs nothing.
_CONDUCT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "UV_NO_SYNC": "1",
    "UV_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}

#: Flags that would open the server elsewhere than on a port of the loopback interface, or lock it.
_DOORS = ("uds", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-cert-reqs", "ssl-key-file", "ssl-cert-file")

#: Below the ports that the kernel gives to whoever asks for any: an engine asks for some while it starts.
_LOWEST_PORT = 20_000


def free_port() -> int:
    """A port of the loopback interface that nobody holds now.

    Raises:
        OSError: there is none.
    """
    for port in _candidates():
        with suppress(OSError), socket.socket() as one:
            one.bind((LOOPBACK, port))
            return port
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        any_port: int = one.getsockname()[1]
        return any_port


def _candidates() -> Iterator[int]:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as stream:
            first_given = int(stream.read().split()[0])
    except (OSError, ValueError, IndexError):
        return
    for _ in range(100 if first_given > _LOWEST_PORT else 0):
        yield random.randrange(_LOWEST_PORT, first_given)  # noqa: S311  no secret


def words_on(words: Sequence[str], engine: Engine, port: int, conduct: Mapping[str, str]) -> list[str]:
    """The command on that port of the loopback interface, without what stands before its program.

    An `env` with options stays, since it may do more than set variables; it is told the rules of conduct, which it
    might clear away. `conda run` keeps its output back unless it is told not to.
    """
    rest = list(words)
    kept: list[str] = []
    while rest and (_ASSIGNMENT.match(rest[0]) or rest[0] in _WRAPPERS or os.path.basename(rest[0]) == "env"):
        if os.path.basename(rest.pop(0)) == "env" and rest and rest[0].startswith("-"):
            kept, rest = _of_env(rest, conduct)
            break
    if os.path.basename(rest[0] if rest else "") == "conda" and rest[1:2] == ["run"]:
        rest[2:2] = [] if {"--no-capture-output", "--live-stream"} & set(rest) else ["--no-capture-output"]
    rest = replace_flag(rest, _DOORS, None)
    return kept + set_flag(set_flag(rest, engine, "host", LOOPBACK), engine, "port", port)


def _of_env(rest: list[str], conduct: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """`env` with its options and assignments and ours, and what follows them."""
    at = 0
    while at < len(rest) and (rest[at].startswith("-") or _ASSIGNMENT.match(rest[at])):
        if rest[at] in ("-S", "--split-string"):  # the program is inside: as it stands
            return ["env"], rest
        at += 2 if rest[at] in ("-u", "--unset", "-C", "--chdir") else 1
    return ["env", *rest[:at], *(f"{name}={value}" for name, value in conduct.items())], rest[at:]


def conduct(temporary: str) -> dict[str, str]:
    """What is added to the deployment's variables. `temporary` takes what the engine leaves in its temporary folder."""
    return {**_CONDUCT, "TMPDIR": temporary}


def environment(
    environ: Mapping[str, str], pythonpath: str | None, programs: str | None, added: Mapping[str, str]
) -> dict[str, str]:
    """The deployment's variables, with its own PYTHONPATH instead of ours, and our rules of conduct.

    `programs` is a folder that comes first on PATH.
    """
    result = {name: value for name, value in environ.items() if name not in _OURS} | dict(added)
    if pythonpath is not None:
        result["PYTHONPATH"] = pythonpath
    if programs:
        result["PATH"] = os.pathsep.join([programs, result.get("PATH", os.defpath)])
    return result


def start(words: Sequence[str], environ: Mapping[str, str], cwd: str) -> subprocess.Popen[bytes]:
    """The server as the leader of a session of its own; what it prints comes through one pipe.

    Raises:
        OSError: the program cannot be run.
    """
    return subprocess.Popen(
        list(words),
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def base_url(words: Sequence[str], port: int) -> str:
    """Where the API will be; llama.cpp can put a path before it."""
    prefix = (stated_flag(words, "api-prefix") or "").strip("/")
    return f"http://{LOOPBACK}:{port}" + (f"/{prefix}" if prefix else "")


def key_of(words: Sequence[str], environ: Mapping[str, str], cwd: str = "/") -> str:
    """The key that the server will ask for, the first of several; "" for none."""
    said = stated_flag(words, "api-key") or _first_line(stated_flag(words, "api-key-file"), cwd)
    said = said or environ.get("VLLM_API_KEY", "") or environ.get("LLAMA_API_KEY", "")
    return said.split(",")[0]


def _first_line(path: str | None, cwd: str) -> str:
    with suppress(OSError), open(os.path.join(cwd, path or ""), encoding="utf-8", errors="replace") as stream:
        return stream.readline(4096).strip()
    return ""
