"""How to look at the machine, as opposed to what for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FinalStage = Literal["auto", "command", "transformers", "smoke", "none"]
Weights = Literal["checkpoint", "random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one reading."""

    interpreter: str | None = None  # the target's executable; None: none was found
    interpreter_why: str = ""  # why it was chosen, or why there is none
    missing_program: str | None = None  # of the intended command; "": it is there, None: nobody looked
    programs: str | None = None  # a folder whose programs come first: that of the interpreter that --python names
    final_stage: FinalStage = "auto"
    endpoint: str | None = None  # URL of a server that is there already
    weights: Weights = "checkpoint"  # "random": made on the GPU in the checkpoint's shape, nothing is read
    disk_write: bool = True
    disk_seconds: float = 1.0
    force: bool = False
    allow_remote_code: bool = False
    allow_download: bool = False
    timeout_scale: float = 1.0
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
