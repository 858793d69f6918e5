"""Kinds of layers that transformers learned after the model type that has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from packaging.version import Version

#: Entry of `layer_types` in config.json -> the first transformers that admits it. ALLOWED_LAYER_TYPES in
#: configuration_utils.py of the wheels of 5.9.0 and 5.10.2 (without it) and 5.11.0; a GLM-5.2 written by 5.11.0 has it
#: (github.com/coreweave/ml-containers/pull/206: 5.10.4 fails, 5.11.0 works).
_FIRST = {"deepseek_sparse_attention": "5.11.0"}


def layer_release(config: Mapping[str, Any] | None) -> str:
    """The first transformers that admits all `layer_types` of a configuration; "" where nothing is known of them."""
    said = (config or {}).get("layer_types")
    entries = said if isinstance(said, (list, tuple)) else [said]
    names = {word for one in entries if isinstance(one, str) for word in re.findall(r"\w+", one[:200])}
    return max((_FIRST[one] for one in names & set(_FIRST)), key=Version, default="")
