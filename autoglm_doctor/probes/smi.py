"""nvidia-smi, the last resort: only asked when neither NVML nor the kernel told a version.

It stays in our process group: whoever kills this probe kills it and what it started with it. We ourselves wait for
nothing but its own end, its time limit or enough output, whatever its children do with the pipe.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import subprocess
import time

LIMIT_SECONDS = 10.0

#: More than enough for the banner and a table of sixteen GPUs; the rest is not read.
MAX_BYTES = 65_536

#: How long a killed nvidia-smi may take to be gone; one in uninterruptible sleep is left to itself.
REAP_SECONDS = 0.2

_VERSION = re.compile(r"^\d{3,}\.\d+(?:\.\d+)?$")
# Until R605 the banner says "Driver Version: 535.129.03", from R610 on "KMD Version: 610.43.02".
_BANNER = re.compile(r"(?:Driver|KMD) Version:\s*(\d{3,}\.\d+(?:\.\d+)?)")
_CUDA = re.compile(r"CUDA (?:UMD )?Version:\s*(\d+\.\d+)")


def smi_versions(limit_seconds: float = LIMIT_SECONDS) -> tuple[str | None, str | None, str]:
    """(driver version, CUDA version, what went wrong); the two versions are None where nvidia-smi did not tell.

    nvidia-smi missing is no fault: ("", nothing known). `limit_seconds` holds for both calls together.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return None, None, ""
    deadline = time.monotonic() + limit_seconds
    query, wrong = _output([program, "--query-gpu=driver_version", "--format=csv,noheader"], deadline)
    lines = [line.strip() for line in query.splitlines()]
    version = next((line for line in lines if _VERSION.match(line)), None)
    if not wrong:  # where it cannot be run, a second call would say the same
        banner, wrong = _output([program], deadline)
        found = _BANNER.search(banner)
        version = version or (found[1] if found else None)
        cuda = _CUDA.search(banner)
        if version:
            return version, cuda[1] if cuda else None, ""
    if wrong == _LATE:
        wrong = f"nvidia-smi did not answer within {limit_seconds:g} s"
    said = "" if version else wrong or next((line for line in lines if line), "nvidia-smi said nothing")
    return version, None, _printable(said[:300])


#: What `_output` says when the time is up.
_LATE = "late"


def _output(command: list[str], deadline: float) -> tuple[str, str]:
    """(the start of standard output and error together, what went wrong)."""
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        return "", f"nvidia-smi cannot be run: {error.strerror}"
    data = _read(child, deadline)
    late = child.poll() is None and len(data) < MAX_BYTES
    child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(REAP_SECONDS)
    if child.stdout:
        child.stdout.close()
    return data.decode("utf-8", "replace"), _LATE if late else ""


def _read(child: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Until it ends (not: until its last child closes the pipe), `deadline` or MAX_BYTES."""
    assert child.stdout is not None  # noqa: S101  Popen was given PIPE
    pipe, data = child.stdout.fileno(), b""
    os.set_blocking(pipe, False)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(data) < MAX_BYTES and time.monotonic() < deadline:
            ended = child.poll() is not None
            if selector.select(0 if ended else 0.01):
                piece = os.read(pipe, MAX_BYTES)
                data += piece
                if piece:
                    continue
                _wait(child, deadline)  # the end of its output comes a moment before its own
                break
            if ended:
                break
    return data[:MAX_BYTES]


def _wait(child: subprocess.Popen[bytes], deadline: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(max(0.0, deadline - time.monotonic()))


def _printable(text: str) -> str:
    """Without what would move a terminal's cursor or change its colours."""
    return "".join(c if c.isprintable() else " " for c in text)
