"""What is known of a model without its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One known model."""

    name: str  # "autoglm-phone-9b"
    hub_names: tuple[str, ...]  # on Hugging Face and ModelScope, as written there
    config: Mapping[str, Any]  # the values of config.json that decide memory and kernels
    preprocessor: Mapping[str, Any] = field(default_factory=dict)  # the values of preprocessor_config.json
    command: tuple[str, ...] = ()  # the documented launch line, word by word; () when there is none
    source: str = ""  # where the values come from
    parameters: int = 0  # the number that is published; 0: none was found. The shape of `config` must give the same
