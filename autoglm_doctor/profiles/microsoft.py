"""Models of Microsoft."""

from __future__ import annotations

from typing import Any

from autoglm_doctor.profiles.profile import Profile

_PHI3: dict[str, Any] = {
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "dtype": "bfloat16",
    "tie_word_embeddings": False,
}

_SOURCE = "the published config.json; published number of parameters"

PROFILES = (
    Profile(
        name="phi-3-mini-4k-instruct",
        hub_names=("microsoft/Phi-3-mini-4k-instruct",),
        config={
            **_PHI3,
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 4096,
            "sliding_window": 2047,
            "vocab_size": 32064,
        },
        source=_SOURCE,
        parameters=3_821_079_552,
    ),
    Profile(
        name="phi-4",
        hub_names=("microsoft/phi-4",),
        config={
            **_PHI3,
            "hidden_size": 5120,
            "intermediate_size": 17920,
            "num_hidden_layers": 40,
            "num_attention_heads": 40,
            "num_key_value_heads": 10,
            "max_position_embeddings": 16384,
            "sliding_window": None,
            "vocab_size": 100352,
        },
        source=_SOURCE,
        parameters=14_659_507_200,
    ),
)
