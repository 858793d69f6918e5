"""Part of load.py: the full-size architecture with random weights, made where it will run. No file is read.

The architecture's own constructor runs with the device and the dtype as torch's defaults, so every tensor is born on
the device in its final dtype: no copy in main memory, no second one on the GPU. Peak: the weights and, where the output
layer is tied, one more embedding. Rotary tables and other buffers are the constructor's own. Standard library only at
the top.
"""

from __future__ import annotations

import json
import os
from typing import Any

from load_model import auto_class, choose_dtype, dtype_keyword  # type: ignore[import-not-found]

#: A parameter beyond this was never initialised by the architecture's code: it is what lay in that memory before.
WILD = 100.0

#: Written by HF libraries into config.json of checkpoints whose weights are packed.
QUANTIZED = ("quantization_config", "compression_config")


class NotMadeError(Exception):
    """A random model of this kind would prove nothing; the text says why."""


def completed(mapping: Any) -> Any:
    """With what transformers 5 has a default for and 4 has none: profiles of known models leave it out."""
    full = dict(mapping)
    if "dtype" in full:
        full.setdefault("torch_dtype", full["dtype"])
    text: Any = full.get("text_config")
    bare = isinstance(text, dict) and not text.get("rope_scaling") and not text.get("rope_parameters")
    if full.get("model_type") == "glm4v" and bare:  # the sections of the published config.json
        full["text_config"] = {**text, "rope_scaling": {"rope_type": "default", "mrope_section": [8, 12, 12]}}
    return full


def read_config(transformers: Any, mapping: Any, scratch: str) -> Any:
    """The library's config object, by the way it takes for a checkpoint (so that it complains in the same words)."""
    parts = [mapping, mapping.get("text_config")]
    if any(isinstance(part, dict) and part.get(name) for part in parts for name in QUANTIZED):
        raise NotMadeError("the checkpoint is quantized, and random weights are only made in 16 or 32 bits")
    folder = os.path.join(scratch, "random-model")
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as stream:
        json.dump(completed(mapping), stream)
    return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def constructor(transformers: Any, config: Any, dtype: Any) -> Any:
    """A call that makes the model on torch's default device."""
    auto, keyword = auto_class(transformers, config), dtype_keyword(transformers)
    return lambda: auto.from_config(config, trust_remote_code=False, **{keyword: dtype})


def bytes_of(model: Any) -> int:
    """Bytes of all parameters; tied ones count once."""
    return sum(p.numel() * p.element_size() for p in model.parameters())


def available_bytes(torch: Any, device: Any) -> Any:
    """Free memory where the model is to live; None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            lines = [line.split() for line in stream if line.startswith("MemAvailable:")]
        return int(lines[0][1]) * 1024
    except (OSError, ValueError, IndexError):
        return None


def refuse_what_does_not_fit(torch: Any, make: Any, device: Any) -> None:
    """Main memory is promised freely and killed for later: what is known not to fit is not begun.

    Raises:
        MemoryError, torch.OutOfMemoryError's older name on a GPU: with both figures.
    """
    try:
        with torch.device("meta"):
            need = bytes_of(make())
    except (RuntimeError, NotImplementedError):  # a constructor that looks at its own numbers
        return
    free = available_bytes(torch, device)
    if free is not None and need > free:
        words = f"the weights take {need / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are available"
        if device.type == "cuda":
            raise torch.cuda.OutOfMemoryError(f"CUDA out of memory: {words}")
        raise MemoryError(words)


def tame(torch: Any, model: Any, config: Any) -> None:
    """Give a normal distribution to what the constructor left as it found it; no second copy is made."""
    inner = config.get_text_config()
    std = getattr(inner, "initializer_range", None) or 0.02
    with torch.no_grad():
        for parameter in model.parameters():
            low, high = float(parameter.min()), float(parameter.max())
            if not (low > -WILD and high < WILD):  # NaN is neither
                parameter.normal_(0.0, std)


def make_random(torch: Any, transformers: Any, arguments: Any, device: Any) -> Any:
    """The model of the config in `arguments`, on `device`, with weights of its architecture's own distribution.

    Raises whatever the libraries raise at a config that they cannot follow; NotMadeError.
    """
    mapping = arguments["config"]
    config = read_config(transformers, mapping, arguments["scratch"])
    dtype = choose_dtype(torch, device, arguments.get("dtype"), config)
    make = constructor(transformers, config, dtype)
    refuse_what_does_not_fit(torch, make, device)
    torch.manual_seed(arguments.get("seed", 0))
    with torch.device(device):
        model = make().eval()
    tame(torch, model, config)
    model.generation_config.eos_token_id = None  # it would stop by chance, and the measurement with it
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return model
