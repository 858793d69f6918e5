"""A line of an engine's log: what its prefix says, and what is left without it.

The prefixes are those of vLLM ("(EngineCore_0 pid=1) INFO 11-20 12:00:00 [core.py:58] "), SGLang ("[2025-11-20 12:00:00
TP0] "), uvicorn ("INFO:     "), llama.cpp ("0.00.189.951 I "), torch ("[rank0]:[W407 06:05:33 x.cpp:1] "), Python's
logging, container tools ("time=... level=warning msg=..."), and of the containers and supervisors around them.
"""

from __future__ import annotations

import re

_TERMINAL_CODES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]"
)

_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?"
_LEVEL = r"DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL"
_PREFIX = re.compile(
    r"\s*(?:time=\S+ level=(?P<logrus>debug|info|warning|error|fatal)\s+(?:msg=\"?)?)?"
    rf"(?:{_TIME}\s+(?:- )?|\((?:APIServer|EngineCore|Worker|VllmWorker|Ray)[^)]*\)\s*|\[rank\d+\]:\s?)*"
    rf"(?:(?P<vllm>{_LEVEL}) \d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)? (?:\[[^\]]*\]|[\w./-]+:\d+\])\s?"
    rf"|\[{_TIME}(?: [A-Z]{{2,3}}\d+)*\]\s*(?:(?P<sglang>{_LEVEL}) (?:[\w.]+:\d+: )?)?"
    rf"|(?P<uvicorn>{_LEVEL}):\s+"
    rf"|(?P<plain>{_LEVEL})(?:\s+-\s+|\s*\[[^\]]*\]\s*|:[\w.]+:)"
    r"|\d+\.\d\d\.\d{3}\.\d{3} (?P<llama>[DIWE])\s"
    r"|\[(?P<torch>[IWEF])\d* ?[^\]]*\]\s*)?"
)
_LETTERS = {"D": "DEBUG", "I": "INFO", "W": "WARNING", "E": "ERROR", "F": "ERROR", "WARN": "WARNING"}
_PYTHON_WARNING = re.compile(r"\b[A-Z]\w*Warning: |^warning: |: warning: |^\[?W(?:ARN(?:ING)?)?\]? ")
_PROGRESS = re.compile(r"\d+%\s?\||\d+% Completed \|")
#: Whoever says so goes on without it.
_GOES_ON = re.compile(
    r"(?<!NVIDIA driver will )\bignor(?:e|ing|ed)\b"
    r"|\bfall(?:ing|s)? ?back\b|\bretrying\b|\bskipp(?:ed|ing)\b|\bwill (?:not )?be (?:disabled"
    r"|used)\b"
    r"|\bwill (?:default to|skip)\b|\btrying (?:another|port|the next)\b"
    r"|\bautotuning\b|\bnot critical\b|\bharmless\b|\bto silence this\b|\bis disabled because\b",
    re.IGNORECASE,
)
#: Said on healthy starts, as errors or without a level: vLLM of kernels that it then does without, and of a folder that
#: it took for a name on the hub; llama.cpp of a GPU and of locked memory that it does without; a loader under WSL;
#: CMake of what it looked for; nvidia-ctk of parts of the driver that many machines lack; the kernel of the host's
#: memory; counters of nvidia-smi that are zero; and settings and templates shown as they are.
_NO_FAULT = re.compile(
    r"Failed to import Triton kernels|Cannot use FA version"
    r"|ggml_cuda_init: failed to initialize CUDA(?!.*(?:not yet init|unknown error|insufficient"
    r"|unsupported display|forward compat|\b80[234]\b|\b999\b))"
    r"|Try increasing RLIMIT_MEMLOCK|ldconfig.{0,60}is not a symbolic link"
    r"|Error retrieving (?:safetensors|file list): |^\s*-- (?!.*\berror)|\bEDAC \w+: |^\s*ECC Errors\s*$"
    r"|\s:\s*(?:0|No|N/A)\s*$|Could not locate \S+: pattern \S+ not found|NCCL INFO NCCL_\w+ set by environment"
    r"|server_args=ServerArgs\(|args: Namespace\(|non-default args: |llama_model_loader: - kv "
)
#: SGLang names no level: what carries its prefix may be a warning. Its exceptions stand on lines without it.
_NO_LEVEL = re.compile(rf"\[{_TIME}(?: [A-Z]{{2,3}}\d+)*\] (?!(?:{_LEVEL})\b)")


def clean(raw: str) -> str:
    """The line without terminal codes; of one that was written over itself, its last state."""
    if raw.isprintable():  # most are: this is what makes a flood cheap
        return raw.rstrip()
    text = raw.rstrip("\r\n").rsplit("\r", 1)[-1].replace("\t", "    ")
    return _TERMINAL_CODES.sub("", text).rstrip()


def split(line: str) -> tuple[str, str]:
    """The level ("" where the line names none) and the message."""
    match = _PREFIX.match(line)
    level = next((word for word in match.groupdict().values() if word), "") if match else ""
    message = line[match.end() :] if match else line
    level = _LETTERS.get(level.upper(), level.upper())
    if not level and _PYTHON_WARNING.search(message):
        level = "WARNING"
    return level, message


def is_progress(line: str) -> bool:
    """A progress bar."""
    return "%" in line and _PROGRESS.search(line) is not None


def is_no_fault(message: str) -> bool:
    """Words that look like an error and are said on healthy starts as well."""
    return _NO_FAULT.search(message) is not None


def may_be_a_warning(line: str) -> bool:
    """A line of a logger that does not say how bad it is."""
    return _NO_LEVEL.match(line.lstrip()) is not None


def is_source(message: str) -> bool:
    """The line of a traceback that shows where the exception was raised: its own words follow further down."""
    return message.lstrip().startswith(("raise ", "except "))


def goes_on(message: str) -> bool:
    """The speaker says himself that it does not stop him."""
    return _GOES_ON.search(message) is not None
