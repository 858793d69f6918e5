"""What one row of the table of error texts holds, and where its wording is from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from autoglm_doctor.finding import Effort

MEASURED = "measured on damaged copies of a small model"
REPORTS = "public incident reports"
VLLM = "vLLM's source, 0.8 to 0.33"
SGLANG = "SGLang's source, 0.4 and 0.5"
LLAMACPP = "llama.cpp's source, 2026"
TRANSFORMERS = "the source of transformers 5 and huggingface_hub"
TORCH = "PyTorch's source, 2.x"
NVIDIA = "NVIDIA's list of CUDA errors and NCCL's documentation"

#: "certain": the words have one meaning; "likely": there is a rarer other one; "hint": they only point there.
Sure = Literal["certain", "likely", "hint"]


@dataclass(frozen=True, slots=True)
class Signature:
    """One row. What may stand in braces in `commands` is listed in `fixes.py`."""

    cause: str
    pattern: str  # searched without regard to case, in "EXCEPTION: MESSAGE" or in one line of a log
    meaning: str  # one sentence without a full stop, for the finding
    way_out: str
    commands: tuple[str, ...]
    effort: Effort = "install"
    source: str = MEASURED
    engine_may_cope: bool = False  # vLLM and SGLang bring code of their own for this
    sure: Sure = "certain"
    engines: tuple[str, ...] = ()  # that print it; (): any
    engine_known: bool = False  # of whom one must be named as the engine: the words mean something else with others
    ends_start: bool = False  # a start that prints it has failed, although the process may live on
    warns: bool = False  # says that something may fail: by itself it is yellow
    refuses: bool = False  # the answer to a request that the engine cannot serve
    consequence: bool = False  # says that something failed, not what: never the root beside another row
    after: str = ""  # a pattern that an earlier line, or this one, must have held
    unless: str = ""  # a pattern that no line may hold
    when: Callable[[str], bool] | None = None  # what else has to hold of the text, where a pattern cannot say it
    in_warnings: bool = False  # libraries say it in a warning, and go on to fail
