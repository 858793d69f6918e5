"""Models of Meta."""

from __future__ import annotations

from typing import Any

from autoglm_doctor.profiles.profile import Profile

_LLAMA31: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "attention_bias": False,
    "mlp_bias": False,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "vocab_size": 128256,
}

_8B = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
_70B = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64}

_SOURCE = "the published config.json; published number of parameters"


def _hub(size: str) -> tuple[str, ...]:
    stems = (f"meta-llama/Llama-3.1-{size}", f"meta-llama/Meta-Llama-3.1-{size}")
    return tuple(f"{stem}{tail}" for stem in stems for tail in ("-Instruct", ""))


PROFILES = (
    Profile(
        name="llama-3.1-8b",
        hub_names=_hub("8B"),
        config={**_LLAMA31, **_8B},
        source=_SOURCE,
        parameters=8_030_261_248,
    ),
    Profile(
        name="llama-3.1-70b",
        hub_names=(*_hub("70B"), "meta-llama/Llama-3.3-70B-Instruct"),
        config={**_LLAMA31, **_70B},
        source=_SOURCE,
        parameters=70_553_706_496,
    ),
)
