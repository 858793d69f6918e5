"""Starting the server: the very command that the user means to run, on a port of ours, with nothing else changed."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence

from autoglm_doctor.domain.launch_line import set_flag, stated_flag
from autoglm_doctor.intent import Engine

LOOPBACK = "127.0.0.1"

#: Words of a shell in front of a program that mean nothing to us; `setsid` and `nohup` would hide it from us.
_WRAPPERS = ("nohup", "exec", "command", "time", "setsid")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")

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

#: Of the 107 characters that the path of a socket may have (unix(7)), engines add about 45.
_LONGEST_FOLDER = 60


def free_port() -> int:
    """A port of the loopback interface that nobody holds now.

    Raises:
        OSError: there is none.
    """
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        port: int = one.getsockname()[1]
        return port


def words_on(words: Sequence[str], engine: Engine, port: int) -> list[str]:
    """The command on that port of the loopback interface, without what stands before its program."""
    rest = list(words)
    while rest and (_ASSIGNMENT.match(rest[0]) or rest[0] in _WRAPPERS):
        rest.pop(0)
    return set_flag(set_flag(rest, engine, "host", LOOPBACK), engine, "port", port)


def environment(
    environ: Mapping[str, str], pythonpath: str | None, programs: str | None, temporary: str
) -> dict[str, str]:
    """The deployment's variables, with its own PYTHONPATH instead of ours, and our rules of conduct.

    `programs` is a folder that comes first on PATH; `temporary` takes what the engine leaves in its temporary folder.
    """
    result = {name: value for name, value in environ.items() if name != "PYTHONPATH"} | _CONDUCT
    if pythonpath is not None:
        result["PYTHONPATH"] = pythonpath
    if programs:
        result["PATH"] = os.pathsep.join([programs, result.get("PATH", os.defpath)])
    if len(temporary) <= _LONGEST_FOLDER:
        result["TMPDIR"] = temporary
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


def temporary_folder() -> str:
    """A folder for what the engine writes to its temporary folder; it lies in ours, which is new, and goes with it."""
    path = os.path.join(os.getcwd(), "t")  # short: the paths of sockets are
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def key_of(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """The key that the server will ask for; "" for none."""
    said = stated_flag(words, "api-key")
    return said or environ.get("VLLM_API_KEY", "") or environ.get("LLAMA_API_KEY", "")
