"""Configs of tiny models, and, run as a child, load.py making each of them with random weights.

Arguments: the folder of load.py, a scratch folder, the result file (a JSON object: case -> reading).
"""

from __future__ import annotations

import copy
import json
import random
import sys
from pathlib import Path
from typing import Any

Config = dict[str, Any]

#: As the profile of AutoGLM-Phone-9B is written: without the sections of the rotary positions.
GLM4V: Config = {
    "architectures": ["Glm4vForConditionalGeneration"],
    "model_type": "glm4v",
    "dtype": "bfloat16",
    "tie_word_embeddings": False,
    "image_start_token_id": 1000,
    "image_end_token_id": 1001,
    "image_token_id": 1004,
    "video_token_id": 1005,
    "text_config": {
        "model_type": "glm4v_text",
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 128,
        "intermediate_size": 256,
        "vocab_size": 1024,
        "attention_bias": True,
        "max_position_embeddings": 4096,
        "partial_rotary_factor": 0.5,
        "tie_word_embeddings": False,
    },
    "vision_config": {
        "model_type": "glm4v_vision",
        "depth": 2,
        "hidden_size": 128,
        "num_heads": 1,
        "intermediate_size": 128,
        "out_hidden_size": 256,
        "in_channels": 3,
        "image_size": 112,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
    },
}
TEXT: Config = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 256,
    "vocab_size": 1024,
    "max_position_embeddings": 4096,
    "dtype": "bfloat16",
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}
MARKS: Config = {
    "image_token_id": 1004,
    "video_token_id": 1005,
    "vision_start_token_id": 1000,
    "vision_end_token_id": 1001,
}
TOWER: Config = {"depth": 2, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}
MROPE: Config = {"rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]}}
LLAMA: Config = {**TEXT, "model_type": "llama", "architectures": ["LlamaForCausalLM"]}
QWEN2: Config = {**TEXT, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True}
QWEN2_VL: Config = {
    **TEXT,
    **MARKS,
    **MROPE,
    "model_type": "qwen2_vl",
    "vision_config": {**TOWER, "embed_dim": 64, "hidden_size": 128, "mlp_ratio": 2},
}
QWEN2_5_VL: Config = {
    **TEXT,
    **MARKS,
    **MROPE,
    "model_type": "qwen2_5_vl",
    "vision_config": {
        **TOWER,
        "hidden_size": 64,
        "out_hidden_size": 128,
        "intermediate_size": 96,
        "window_size": 112,
        "fullatt_block_indexes": [1],
    },
}
MOE: Config = {
    **TEXT,
    "model_type": "qwen3_moe",
    "head_dim": 64,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
}
GEMMA3: Config = {
    "model_type": "gemma3",
    "image_token_index": 1004,
    "boi_token_index": 1000,
    "eoi_token_index": 1001,
    "mm_tokens_per_image": 4,
    "text_config": {**TEXT, "model_type": "gemma3_text", "head_dim": 64, "sliding_window": 64},
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
}


def changed(config: Config, **changes: Any) -> Config:
    return {**config, **changes}


def deeper(config: Config, part: str, **changes: Any) -> Config:
    found = copy.deepcopy(config)
    found[part].update(changes)
    return found


def drawn(count: int = 24, seed: int = 7) -> list[Config]:
    """Configs of the three kinds, with sizes by chance."""
    some = random.Random(seed)

    def sizes() -> Config:
        return {
            "hidden_size": 64 * some.randint(1, 4),
            "num_hidden_layers": some.randint(1, 3),
            "num_attention_heads": 4,
            "num_key_value_heads": some.choice((1, 2, 4)),
            "head_dim": 64,
            "intermediate_size": 32 * some.randint(1, 9),
            "vocab_size": some.randint(1010, 2000),
        }

    found = []
    for number in range(count):
        size, tied = sizes(), some.random() < 0.5
        if number % 3 == 0:  # the library divides: it does not look at head_dim here
            heads = size["hidden_size"] // 64
            size.update(num_attention_heads=heads, num_key_value_heads=some.choice((1, heads)))
            size["attention_bias"] = some.random() < 0.5
            glm = deeper(
                GLM4V, "text_config", **size, rope_scaling={"rope_type": "default", "mrope_section": [4, 6, 6]}
            )
            found.append(deeper(glm, "vision_config", out_hidden_size=size["hidden_size"], depth=some.randint(1, 3)))
        elif number % 3 == 1:
            found.append(changed(LLAMA, **size, tie_word_embeddings=tied))
        else:
            del size["head_dim"]
            found.append(changed(QWEN2, **{**size, "hidden_size": 256}, tie_word_embeddings=tied))
    return found


BIG = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 4, "num_attention_heads": 32}

CASES: dict[str, Config] = {
    "glm4v": GLM4V,
    "llama": LLAMA,
    "qwen2, tied": QWEN2,
    "qwen2_vl": QWEN2_VL,
    "qwen2_5_vl": QWEN2_5_VL,
    "experts": MOE,
    "pictures of a kind that we cannot make": GEMMA3,
    "float32": changed(LLAMA, dtype="float32", torch_dtype="float32"),
    "stops at every word": changed(LLAMA, eos_token_id=list(range(1024)), bos_token_id=None),
    "quantized": changed(LLAMA, quantization_config={"quant_method": "fp8"}),
    "unknown model_type": changed(LLAMA, model_type="glm9z"),
    "no model_type": {k: v for k, v in LLAMA.items() if k != "model_type"},
    "own code": changed(LLAMA, model_type="glm9z", auto_map={"AutoConfig": "own.Config"}),
    "unknown dtype": changed(LLAMA, dtype="bfloat17", torch_dtype="bfloat17"),
    "heads that do not divide": changed(LLAMA, num_attention_heads=4, num_key_value_heads=3),
    "a size in words": changed(LLAMA, hidden_size="wide"),
    "less than nothing": changed(LLAMA, intermediate_size=-1),
    "a vision tower of another width": deeper(GLM4V, "vision_config", out_hidden_size=64),
    "larger than this machine": changed(LLAMA, **{**BIG, "num_hidden_layers": 40, "vocab_size": 2**31}),
    "larger than the limit of the process": changed(LLAMA, **BIG),
}

#: Bytes that RLIMIT_AS leaves.
LIMITED = {"larger than the limit of the process": 300 * 2**20}


def main() -> None:
    import resource

    sys.path.insert(0, sys.argv[1])
    import load
    import load_random
    import torch
    import transformers

    scratch = Path(sys.argv[2])
    load.prepare_environment(str(scratch))

    def arguments(name: str, config: Config) -> dict[str, Any]:
        (scratch / name).mkdir()
        given = {"model": "org/name", "weights": "random", "config": config, "device": "cpu", "image": [224, 448]}
        return {**given, "seconds": 10_000, "new_tokens": 12, "scratch": str(scratch / name)}

    readings: dict[str, Any] = {}
    before = resource.getrlimit(resource.RLIMIT_AS)
    for case, config in CASES.items():
        given = arguments(case, config)
        if case in LIMITED:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + LIMITED[case], before[1]))
        readings[case] = load.plain(load.trial(given, lambda line: None))
        resource.setrlimit(resource.RLIMIT_AS, before)
    sizes = []
    for number, config in enumerate(drawn()):
        model = load_random.make_random(torch, transformers, arguments(f"drawn {number}", config), torch.device("cpu"))
        sizes.append((sum(p.numel() for p in model.parameters()), load_random.bytes_of(model)))
    readings["drawn"] = sizes
    weights = list(model.parameters())
    weights[0].data.fill_(float("nan"))
    weights[-1].data.fill_(1e30)
    kept = weights[1].detach().clone()
    load_random.tame(torch, model, model.config)
    readings["tamed"] = [*(float(weights[n].detach().std()) for n in (0, -1)), bool((weights[1] == kept).all())]
    Path(sys.argv[3]).write_text(json.dumps(readings))


if __name__ == "__main__":
    main()
