"""nvidia-smi, the last resort: only asked when neither NVML nor the kernel told a version."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess

LIMIT_SECONDS = 10.0

_VERSION = re.compile(r"^\d{3,}\.\d+(?:\.\d+)?$")
# Until R605 the banner says "Driver Version: 535.129.03", from R610 on "KMD Version: 610.43.02".
_BANNER = re.compile(r"(?:Driver|KMD) Version:\s*(\d{3,}\.\d+(?:\.\d+)?)")
_CUDA = re.compile(r"CUDA (?:UMD )?Version:\s*(\d+\.\d+)")


def smi_versions(limit_seconds: float = LIMIT_SECONDS) -> tuple[str | None, str | None, str]:
    """(driver version, CUDA version, what went wrong); the two versions are None where nvidia-smi did not tell.

    nvidia-smi missing is no fault: ("", nothing known).
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return None, None, ""
    query, wrong = _output([program, "--query-gpu=driver_version", "--format=csv,noheader"], limit_seconds)
    lines = [line.strip() for line in query.splitlines()]
    version = next((line for line in lines if _VERSION.match(line)), None)
    if wrong:  # it hangs or cannot be run: a second call would only cost the same time again
        return version, None, wrong
    banner, wrong = _output([program], limit_seconds)
    if version is None:
        found = _BANNER.search(banner)
        version = found[1] if found else None
    cuda = _CUDA.search(banner)
    said = "" if version else (wrong or next((line for line in lines if line), "nvidia-smi said nothing"))
    return version, cuda[1] if cuda else None, said[:300]


def _output(command: list[str], limit_seconds: float) -> tuple[str, str]:
    """Standard output and error together; a tool that cannot be killed is abandoned instead of waited for."""
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        return "", f"nvidia-smi cannot be run: {error.strerror}"
    try:
        data, _ = child.communicate(timeout=limit_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=1)
        return "", f"nvidia-smi did not answer within {limit_seconds:g} s"
    return data.decode("utf-8", "replace"), ""
