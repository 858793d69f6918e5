"""Models of Zhipu (Z.ai): the phone agents of Open-AutoGLM and the model that they were trained from."""

from __future__ import annotations

from typing import Any

from autoglm_doctor.profiles.profile import Profile

#: GLM-4.1V-9B in the layout of transformers 4.57 and 5. Block MLPs of the vision tower are `out_hidden_size` wide, its
#: `intermediate_size` belongs to the merger.
_GLM4V_9B: dict[str, Any] = {
    "architectures": ["Glm4vForConditionalGeneration"],
    "model_type": "glm4v",
    "dtype": "bfloat16",
    "tie_word_embeddings": False,
    "image_token_id": 151343,
    "video_token_id": 151344,
    "text_config": {
        "model_type": "glm4v_text",
        "hidden_size": 4096,
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "intermediate_size": 13696,
        "vocab_size": 151552,
        "attention_bias": True,
        "max_position_embeddings": 65536,
        "partial_rotary_factor": 0.5,
        "tie_word_embeddings": False,
    },
    "vision_config": {
        "model_type": "glm4v_vision",
        "depth": 24,
        "hidden_size": 1536,
        "num_heads": 12,
        "intermediate_size": 13696,
        "out_hidden_size": 4096,
        "in_channels": 3,
        "image_size": 336,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
    },
}

#: The pixel area counts both temporal copies of a picture (2 x height x width).
_GLM4V_PREPROCESSOR: dict[str, Any] = {
    "size": {"shortest_edge": 12544, "longest_edge": 9633792},
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_processor_type": "Glm4vImageProcessor",
    "processor_class": "Glm4vProcessor",
}

#: GLM-4-9B, its code beside the weights. The published number counts 32 rotary frequencies, which are no parameters.
_GLM4_9B: dict[str, Any] = {
    "architectures": ["ChatGLMModel"],
    "model_type": "chatglm",
    "torch_dtype": "bfloat16",
    "num_layers": 40,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "kv_channels": 128,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "ffn_hidden_size": 13696,
    "padded_vocab_size": 151552,
    "seq_length": 131072,
    "add_qkv_bias": True,
    "add_bias_linear": False,
    "rmsnorm": True,
    "tie_word_embeddings": False,
}

_GLM4V_SOURCE = "transformers' Glm4vConfig and the published config.json of GLM-4.1V-9B-Thinking"


def _open_autoglm_line(served_name: str, model: str) -> tuple[str, ...]:
    """The vLLM line of Open-AutoGLM's README, word by word."""
    return (
        *("python3", "-m", "vllm.entrypoints.openai.api_server"),
        *("--served-model-name", served_name),
        *("--allowed-local-media-path", "/"),
        *("--mm-encoder-tp-mode", "data"),
        *("--mm_processor_cache_type", "shm"),
        *("--mm_processor_kwargs", '{"max_pixels":5000000}'),
        *("--max-model-len", "25480"),
        *("--chat-template-content-format", "string"),
        *("--limit-mm-per-prompt", '{"image":10}'),
        *("--model", model),
        *("--port", "8000"),
    )


PROFILES = (
    Profile(
        name="autoglm-phone-9b",
        hub_names=("zai-org/AutoGLM-Phone-9B", "ZhipuAI/AutoGLM-Phone-9B"),
        config=_GLM4V_9B,
        preprocessor=_GLM4V_PREPROCESSOR,
        command=_open_autoglm_line("autoglm-phone-9b", "zai-org/AutoGLM-Phone-9B"),
        source=f"{_GLM4V_SOURCE}; launch line of Open-AutoGLM's README",
    ),
    Profile(
        name="autoglm-phone-9b-multilingual",
        hub_names=("zai-org/AutoGLM-Phone-9B-Multilingual", "ZhipuAI/AutoGLM-Phone-9B-Multilingual"),
        config=_GLM4V_9B,
        preprocessor=_GLM4V_PREPROCESSOR,
        command=_open_autoglm_line("autoglm-phone-9b-multilingual", "zai-org/AutoGLM-Phone-9B-Multilingual"),
        source=f"{_GLM4V_SOURCE}; launch line of Open-AutoGLM's README",
    ),
    Profile(
        name="glm-4.1v-9b-thinking",
        hub_names=(
            "zai-org/GLM-4.1V-9B-Thinking",
            "THUDM/GLM-4.1V-9B-Thinking",
            "ZhipuAI/GLM-4.1V-9B-Thinking",
        ),
        config=_GLM4V_9B,
        preprocessor=_GLM4V_PREPROCESSOR,
        source=_GLM4V_SOURCE,
    ),
    Profile(
        name="glm-4-9b-chat",
        hub_names=("zai-org/glm-4-9b-chat", "THUDM/glm-4-9b-chat", "ZhipuAI/glm-4-9b-chat"),
        config=_GLM4_9B,
        source="the published config.json; published number of parameters",
        parameters=9_399_951_360,
    ),
)
