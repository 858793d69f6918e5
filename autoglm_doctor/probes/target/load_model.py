"""Part of load.py: the device, the dtype, and a checkpoint read onto it. Standard library only at the top."""

from __future__ import annotations

import importlib.util
import json
import os
from typing import Any

#: Written as the published checkpoint writes it (rope_theta, partial_rotary_factor, rope_scaling): transformers 5
#: reads that form too. The sections must add up to half of the rotary width: 128 * 0.5 / 2.
SMOKE_CONFIG: dict[str, Any] = {
    "text_config": {
        "vocab_size": 1024,
        "hidden_size": 256,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "initializer_range": 0.05,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "rope_scaling": {"rope_type": "default", "mrope_section": [8, 12, 12]},
        "pad_token_id": 0,
    },
    "vision_config": {
        "depth": 2,
        "hidden_size": 128,
        "num_heads": 1,
        "intermediate_size": 128,
        "out_hidden_size": 256,
        "image_size": 112,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "initializer_range": 0.05,
    },
    "image_start_token_id": 1000,
    "image_end_token_id": 1001,
    "video_start_token_id": 1002,
    "video_end_token_id": 1003,
    "image_token_id": 1004,
    "video_token_id": 1005,
    "tie_word_embeddings": False,
}


def choose_device(torch: Any, wanted: str) -> Any:
    """The torch device, proved by an allocation: the exception says more than `is_available`."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    device = torch.device("cuda:0")
    torch.zeros(1, device=device)
    torch.cuda.reset_peak_memory_stats(device)
    return device


def choose_dtype(torch: Any, device: Any, wanted: Any, config: Any) -> Any:
    """What the deployment would choose: bfloat16 from compute capability 8.0 on, else float16; on a CPU the config's.

    A quantised checkpoint decides for itself ("auto").
    """
    if wanted:
        return getattr(torch, wanted)
    if getattr(config, "quantization_config", None):
        return "auto"
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    inner = config.get_text_config()
    said = {str(getattr(c, name, None)) for c in (config, inner) for name in ("dtype", "torch_dtype")}
    return torch.bfloat16 if "torch.bfloat16" in said else torch.float32


def weight_bytes(folder: str) -> int:
    """Bytes of the safetensors files in the folder."""
    names = [n for n in os.listdir(folder) if n.endswith(".safetensors")]
    return sum(os.path.getsize(os.path.join(folder, n)) for n in names if os.path.exists(os.path.join(folder, n)))


def make_smoke(torch: Any, transformers: Any, folder: str, seed: int) -> None:
    """Write the smoke model into `folder`, as a checkpoint like any other."""
    torch.manual_seed(seed)
    config = transformers.Glm4vConfig(**json.loads(json.dumps(SMOKE_CONFIG)))
    transformers.Glm4vForConditionalGeneration(config).save_pretrained(folder, safe_serialization=True)


def auto_class(transformers: Any, config: Any) -> Any:
    """The class that makes a generating model of this config."""
    if getattr(config, "vision_config", None) is not None:
        return transformers.AutoModelForImageTextToText
    return transformers.AutoModelForCausalLM


def dtype_keyword(transformers: Any) -> str:
    """The library's word for it, which changed."""
    version = tuple(int("".join(filter(str.isdigit, p)) or 0) for p in transformers.__version__.split(".")[:2])
    return "dtype" if version >= (4, 56) else "torch_dtype"


def load(torch: Any, transformers: Any, folder: str, device: Any, wanted_dtype: Any, remote: bool) -> Any:
    """The model on its device, and how many tensors the checkpoint lacks (the library fills them at random).

    Straight to the device where accelerate is there to do it; else through main memory, a whole model's worth of it.
    """
    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": remote}
    config = transformers.AutoConfig.from_pretrained(folder, **common)
    auto = auto_class(transformers, config)
    common[dtype_keyword(transformers)] = choose_dtype(torch, device, wanted_dtype, config)
    if device.type == "cuda" and importlib.util.find_spec("accelerate"):
        common["device_map"] = {"": device}
    # use_safetensors: a pickle is never opened, whatever lies in the folder.
    model, info = auto.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **common)
    model = model.eval() if "device_map" in common else model.to(device).eval()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return model, len(info.get("missing_keys", ()))
