"""ChatGLM2 to GLM-4-9B (`model_type: chatglm`), whose config.json has names of its own.

The code of these models lies beside their weights (modeling_chatglm.py); vLLM's chatglm.py reads the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]


def usual_names(config: Config) -> Config:
    """The config under the names that the other decoders use; theirs stay beside them.

    Raises:
        KeyError: a number is missing, as in the first ChatGLM-6B, which is another architecture.
        ValueError: biases, norms or heads that no published model has.
    """
    if config.get("add_bias_linear") or not config.get("rmsnorm", True):
        raise ValueError("a ChatGLM with biases in its MLP or with LayerNorm")
    heads = int(config["num_attention_heads"])
    few = bool(config.get("multi_query_attention"))
    kv_heads = int(config["multi_query_group_num"]) if few else heads
    if kv_heads <= 0:
        raise ValueError("no heads for keys and values")
    return {
        **config,
        "num_hidden_layers": int(config["num_layers"]),
        "num_key_value_heads": kv_heads,
        "head_dim": int(config.get("kv_channels") or int(config["hidden_size"]) // heads),
        "intermediate_size": int(config["ffn_hidden_size"]),
        "vocab_size": int(config["padded_vocab_size"]),
        "max_position_embeddings": int(config["seq_length"]),
        "tie_word_embeddings": bool(config.get("tie_word_embeddings", False)),
    }
