"""Complete tiny models, made on the spot in about 0.2 s without torch: a Glm4v in two shards, and a Llama.

The weights are random and always the same. Names and shapes are those of transformers' Glm4vForConditionalGeneration
and LlamaForCausalLM. The picture processor takes pictures down to 64 patches, which a CPU can answer about in no time.
"""

from __future__ import annotations

import json
import os
import random
import struct
from array import array
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from tests.serving.words import ONLY_TEXT, VOCABULARY, WITH_PICTURES, number_of, write_tokenizer

Shapes = Mapping[str, tuple[int, ...]]

HIDDEN, INNER, LAYERS, HEADS, HEAD = 64, 96, 2, 2, 32
SEEN, SEEN_INNER = 32, 64  # widths of the picture tower
CONTEXT = 8192
DEVIATION = 0.25  # with less, every answer is one word over and over
END = number_of("<|endoftext|>")

_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 1,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
}
LLAMA_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "head_dim": HEAD,
    "eos_token_id": END,
    "pad_token_id": END,
    "tie_word_embeddings": False,
    **_TEXT,
}
GLM4V_CONFIG: dict[str, Any] = {
    "architectures": ["Glm4vForConditionalGeneration"],
    "model_type": "glm4v",
    "dtype": "bfloat16",
    "tie_word_embeddings": False,
    "image_start_token_id": number_of("<|begin_of_image|>"),
    "image_end_token_id": number_of("<|end_of_image|>"),
    "video_start_token_id": number_of("<|begin_of_video|>"),
    "video_end_token_id": number_of("<|end_of_video|>"),
    "image_token_id": number_of("<|image|>"),
    "video_token_id": number_of("<|video|>"),
    "text_config": {
        "model_type": "glm4v_text",
        **_TEXT,
        "eos_token_id": [END],
        "pad_token_id": END,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3]},  # half of the rotary width
    },
    "vision_config": {
        "model_type": "glm4v_vision",
        "depth": 1,
        "hidden_size": SEEN,
        "num_heads": 2,
        "intermediate_size": SEEN_INNER,
        "out_hidden_size": HIDDEN,
        "image_size": 112,
        "in_channels": 3,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
    },
}
PREPROCESSOR: dict[str, Any] = {
    "image_processor_type": "Glm4vImageProcessor",
    "processor_class": "Glm4vProcessor",
    "size": {"shortest_edge": 112 * 112, "longest_edge": 112 * 112 * 2},
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def _decoder(prefix: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for i in range(LAYERS):
        attention = f"{prefix}layers.{i}.self_attn."
        shapes |= {
            f"{prefix}layers.{i}.input_layernorm.weight": (HIDDEN,),
            f"{prefix}layers.{i}.post_attention_layernorm.weight": (HIDDEN,),
            f"{prefix}layers.{i}.mlp.down_proj.weight": (HIDDEN, INNER),
            f"{attention}q_proj.weight": (HEADS * HEAD, HIDDEN),
            f"{attention}k_proj.weight": (HEAD, HIDDEN),
            f"{attention}v_proj.weight": (HEAD, HIDDEN),
            f"{attention}o_proj.weight": (HIDDEN, HEADS * HEAD),
        }
    return shapes | {f"{prefix}norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}


def llama_shapes() -> Shapes:
    shapes = _decoder("model.")
    for i in range(LAYERS):
        shapes |= {f"model.layers.{i}.mlp.{name}_proj.weight": (INNER, HIDDEN) for name in ("gate", "up")}
    return shapes


def glm4v_shapes() -> Shapes:
    prefix = "model.language_model."
    shapes = _decoder(prefix)
    for i in range(LAYERS):
        layer = f"{prefix}layers.{i}."
        shapes |= {
            f"{layer}mlp.gate_up_proj.weight": (2 * INNER, HIDDEN),
            f"{layer}post_mlp_layernorm.weight": (HIDDEN,),
            f"{layer}post_self_attn_layernorm.weight": (HIDDEN,),
            f"{layer}self_attn.q_proj.bias": (HEADS * HEAD,),
            f"{layer}self_attn.k_proj.bias": (HEAD,),
            f"{layer}self_attn.v_proj.bias": (HEAD,),
        }
    return shapes | _tower("model.visual.")


def _tower(prefix: str) -> dict[str, tuple[int, ...]]:
    block, merger = f"{prefix}blocks.0.", f"{prefix}merger."
    return {
        f"{prefix}patch_embed.proj.weight": (SEEN, 3, 2, 14, 14),
        f"{prefix}patch_embed.proj.bias": (SEEN,),
        f"{prefix}embeddings.position_embedding.weight": (64, SEEN),
        f"{prefix}post_conv_layernorm.weight": (SEEN,),
        f"{prefix}post_layernorm.weight": (SEEN,),
        f"{prefix}downsample.weight": (HIDDEN, SEEN, 2, 2),
        f"{prefix}downsample.bias": (HIDDEN,),
        f"{block}attn.qkv.weight": (3 * SEEN, SEEN),
        f"{block}attn.proj.weight": (SEEN, SEEN),
        f"{block}mlp.gate_proj.weight": (SEEN_INNER, SEEN),
        f"{block}mlp.up_proj.weight": (SEEN_INNER, SEEN),
        f"{block}mlp.down_proj.weight": (SEEN, SEEN_INNER),
        f"{block}norm1.weight": (SEEN,),
        f"{block}norm2.weight": (SEEN,),
        f"{merger}proj.weight": (HIDDEN, HIDDEN),
        f"{merger}gate_proj.weight": (SEEN_INNER, HIDDEN),
        f"{merger}up_proj.weight": (SEEN_INNER, HIDDEN),
        f"{merger}down_proj.weight": (HIDDEN, SEEN_INNER),
        f"{merger}post_projection_norm.weight": (HIDDEN,),
        f"{merger}post_projection_norm.bias": (HIDDEN,),
    }


def numbers(name: str, count: int) -> Iterable[float]:
    """Norms are ones; everything else is random, the same for the same name."""
    if "norm" in name and not name.endswith("bias"):
        return [1.0] * count
    source = random.Random(name)
    return [source.gauss(0.0, DEVIATION) for _ in range(count)]


def bfloat16(values: Iterable[float]) -> bytes:
    """The upper half of each float32."""
    whole = array("f", values).tobytes()
    out = bytearray(len(whole) // 2)
    out[0::2], out[1::2] = whole[2::4], whole[3::4]
    return bytes(out)


def _head(shapes: Shapes) -> tuple[bytes, int]:
    """The head of a safetensors file in bfloat16, and how many bytes follow it."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        end = at + 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, at


def _write_index(folder: Path, where: Mapping[str, str], size: int) -> None:
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": where})


def write_sparse_weights(folder: Path, shapes: Shapes) -> None:
    """The same two files with zeros in them that take no room on the disk; the second one is next to empty."""
    names = sorted(shapes)
    parts = (names[:-1], names[-1:])
    where: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        file = f"model-0000{number}-of-00002.safetensors"
        head, size = _head({name: shapes[name] for name in part})
        (folder / file).write_bytes(head)
        os.truncate(folder / file, len(head) + size)
        where |= dict.fromkeys(part, file)
    _write_index(folder, where, 2 * sum(map(prod, shapes.values())))


def write_weights(folder: Path, shapes: Shapes) -> None:
    """Two shards and their index."""
    data = {name: bfloat16(numbers(name, prod(shape))) for name, shape in shapes.items()}
    names = sorted(shapes)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    where: dict[str, str] = {}
    for number, half in enumerate(halves, 1):
        file = f"model-0000{number}-of-00002.safetensors"
        head, _size = _head({name: shapes[name] for name in half})
        (folder / file).write_bytes(head + b"".join(data[name] for name in half))
        where |= dict.fromkeys(half, file)
    _write_index(folder, where, sum(map(len, data.values())))


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1))


def make_llama(folder: Path) -> Path:
    """Text only."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", LLAMA_CONFIG)
    write_json(folder / "generation_config.json", {"eos_token_id": END, "pad_token_id": END, "do_sample": False})
    write_weights(folder, llama_shapes())
    write_tokenizer(folder, ONLY_TEXT)
    return folder


def make_glm4v(folder: Path) -> Path:
    """With pictures, as AutoGLM-Phone-9B is made."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", GLM4V_CONFIG)
    write_json(folder / "generation_config.json", {"eos_token_id": [END], "pad_token_id": END, "do_sample": False})
    write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    video = {**PREPROCESSOR, "video_processor_type": "Glm4vVideoProcessor"}
    del video["image_processor_type"]
    write_json(folder / "video_preprocessor_config.json", video)
    write_weights(folder, glm4v_shapes())
    write_tokenizer(folder, WITH_PICTURES)
    return folder
