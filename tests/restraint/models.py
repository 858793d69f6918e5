"""Models that fit on a card of any size: their published config.json and the sizes of their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autoglm_doctor.facts import ModelFiles, WeightFile
from autoglm_doctor.profiles import PROFILES


@dataclass(frozen=True)
class Model:
    name: str
    kind: str  # model_type
    needs_gib: float  # the least memory of a card on which nobody would call it tight
    config: dict[str, Any]
    tensor_bytes: int
    vllm: str  # first release that knows it
    sglang: str
    transformers: str
    vision: bool = False
    first_capability: str = "3.5"  # of a GPU that has kernels for its numbers
    last_capability: str = "99.0"


def _qwen2(layers: int, hidden: int, intermediate: int, heads: int) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "max_position_embeddings": 32768,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": 151936,
    }


SMALL = Model(
    "Qwen/Qwen2.5-0.5B-Instruct", "qwen2", 4, _qwen2(24, 896, 4864, 14), 988_097_824, "0.8.0", "0.4.0", "4.37.0"
)
MIDDLE = Model(
    "Qwen/Qwen2.5-3B-Instruct", "qwen2", 14, _qwen2(36, 2048, 11008, 16), 6_171_877_376, "0.8.0", "0.4.0", "4.37.0"
)
#: glm4v works from these releases on (the matrix's `models`).
AGENT = Model(
    "zai-org/AutoGLM-Phone-9B",
    "glm4v",
    44,
    dict(PROFILES["autoglm-phone-9b"].config),
    20_588_000_000,
    "0.9.2",
    "0.5.1",
    "4.53.2",
    vision=True,
)
AWQ = Model(
    "Qwen/Qwen2.5-3B-Instruct-AWQ",
    "qwen2",
    10,
    {
        **MIDDLE.config,
        "torch_dtype": "float16",
        "quantization_config": {
            "quant_method": "awq",
            "bits": 4,
            "group_size": 128,
            "version": "gemm",
            "zero_point": True,
        },
    },
    2_690_000_000,
    "0.8.0",
    "0.4.0",
    "4.37.0",
    first_capability="7.5",
)
GPTQ = Model(
    "Qwen/Qwen2.5-3B-Instruct-GPTQ-Int4",
    "qwen2",
    10,
    {
        **MIDDLE.config,
        "torch_dtype": "float16",
        "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True},
    },
    2_690_000_000,
    "0.8.0",
    "0.4.0",
    "4.37.0",
    first_capability="7.5",
)
FP8 = Model(
    "Qwen/Qwen3-4B-FP8",
    "qwen3",
    14,
    {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": 2560,
        "head_dim": 128,
        "intermediate_size": 9728,
        "max_position_embeddings": 40960,
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": 151936,
        "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
    },
    5_190_000_000,
    "0.8.5",
    "0.4.6",
    "4.51.0",
    first_capability="8.9",
    last_capability="10.0",
)
#: vLLM runs these on Turing from 0.12 on, by their own form; SGLang's rows say nothing of them.
WHOLE_NUMBERS = Model(
    "RedHatAI/Qwen2.5-3B-quantized.w4a16",
    "qwen2",
    10,
    {
        **MIDDLE.config,
        "torch_dtype": "float16",
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "config_groups": {
                "group_0": {
                    "targets": ["Linear"],
                    "weights": {
                        "num_bits": 4,
                        "type": "int",
                        "group_size": 128,
                        "strategy": "group",
                        "symmetric": True,
                    },
                }
            },
        },
    },
    2_690_000_000,
    "0.12.0",
    "99",
    "4.37.0",
    first_capability="7.5",
)
MODELS = (SMALL, MIDDLE, AGENT)
#: Served by the engines alone: transformers needs further packages for them.
QUANTISED = (AWQ, GPTQ, FP8)


def files(model: Model) -> ModelFiles:
    """The whole folder of a model."""
    weight = WeightFile(
        name="model.safetensors",
        size_bytes=model.tensor_bytes + 50_000,
        tensor_bytes=model.tensor_bytes,
        tensors=434,
    )
    preprocessor = PROFILES["autoglm-phone-9b"].preprocessor if model.vision else None
    return ModelFiles(
        path=f"/srv/models/{model.name.split('/')[1]}",
        found_by="path",
        config=model.config,
        preprocessor=preprocessor,
        weights=(weight,),
        dtype_bytes={"BF16": model.tensor_bytes},
        has_chat_template=True,
    )
