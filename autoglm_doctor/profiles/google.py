"""Models of Google."""

from __future__ import annotations

from autoglm_doctor.profiles.profile import Profile

PROFILES = (
    Profile(
        name="gemma-2-9b",
        hub_names=("google/gemma-2-9b-it", "google/gemma-2-9b"),
        config={
            "architectures": ["Gemma2ForCausalLM"],
            "model_type": "gemma2",
            "dtype": "bfloat16",
            "attention_bias": False,
            "head_dim": 256,
            "hidden_size": 3584,
            "intermediate_size": 14336,
            "num_hidden_layers": 42,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "max_position_embeddings": 8192,
            "sliding_window": 4096,
            "vocab_size": 256000,
        },
        source="the published config.json; published number of parameters",
        parameters=9_241_705_984,
    ),
)
