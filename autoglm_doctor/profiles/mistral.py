"""Models of Mistral AI."""

from __future__ import annotations

from typing import Any

from autoglm_doctor.profiles.profile import Profile

_7B: dict[str, Any] = {
    "dtype": "bfloat16",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "sliding_window": None,
    "tie_word_embeddings": False,
}

_SOURCE = "the published config.json; published number of parameters"

PROFILES = (
    Profile(
        name="mistral-7b-v0.3",
        hub_names=("mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mistral-7B-v0.3"),
        config={**_7B, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "vocab_size": 32768},
        source=_SOURCE,
        parameters=7_248_023_552,
    ),
    Profile(
        name="mixtral-8x7b-v0.1",
        hub_names=("mistralai/Mixtral-8x7B-Instruct-v0.1", "mistralai/Mixtral-8x7B-v0.1"),
        config={
            **_7B,
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "vocab_size": 32000,
        },
        source=_SOURCE,
        parameters=46_702_792_704,
    ),
)
