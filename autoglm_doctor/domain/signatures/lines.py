"""A line of an engine's log: what its prefix says, and what is left without it.

The prefixes are those of vLLM ("(EngineCore_0 pid=1) INFO 11-20 12:00:00 [core.py:58] "), SGLang ("[2025-11-20 12:00:00
TP0] "), uvicorn ("INFO:     "), llama.cpp ("0.00.189.951 I "), torch ("[rank0]:[W407 06:05:33 x.cpp:1] "), Python's
logging, and of the containers and supervisors around them.
"""

from __future__ import annotations

import re

_TERMINAL_CODES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]"
)

_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?"
_LEVEL = r"DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL"
_PREFIX = re.compile(
    rf"\s*(?:{_TIME}\s+(?:- )?|\((?:APIServer|EngineCore|Worker|VllmWorker|Ray)[^)]*\)\s*|\[rank\d+\]:\s?)*"
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
    r"\bignor(?:e|ing|ed)\b|\bfall(?:ing|s)? ?back\b|\bretrying\b|\bskipp(?:ed|ing)\b|\bwill (?:not )?be (?:disabled"
    r"|used)\b"
    r"|\bautotuning\b|\bnot critical\b|\bharmless\b",
    re.IGNORECASE,
)


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
    level = _LETTERS.get(level, level)
    if not level and _PYTHON_WARNING.search(message):
        level = "WARNING"
    return level, message


def is_progress(line: str) -> bool:
    """A progress bar."""
    return _PROGRESS.search(line) is not None


def goes_on(message: str) -> bool:
    """The speaker says himself that it does not stop him."""
    return _GOES_ON.search(message) is not None
