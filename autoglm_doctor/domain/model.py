"""Which model an intent means: its shape, and how many bytes its weights take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.memory.quantization import QUANTIZED_BYTES as QUANTIZED_BYTES
from autoglm_doctor.domain.memory.quantization import by_name, read_quantization
from autoglm_doctor.domain.shape.read import Shape, read_shape
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent
from autoglm_doctor.profiles import find_profile

#: Bytes per number of a torch or safetensors dtype name.
DTYPE_BYTES: Mapping[str, float] = {
    "float64": 8,
    "float32": 4,
    "float": 4,
    "bfloat16": 2,
    "float16": 2,
    "half": 2,
    "F64": 8,
    "F32": 4,
    "BF16": 2,
    "F16": 2,
}

#: What an engine can do to 16-bit weights while it loads them.
ONLINE = ("fp8", "bitsandbytes", "experts_int8")


def model_config(intent: Intent, files: ModelFiles | None) -> Mapping[str, Any] | None:
    """config.json of the folder, else of the known profile; None when neither is there."""
    if files is not None and files.config:
        return files.config
    profile = find_profile(intent.profile or intent.model) or find_profile(intent.model)
    return profile.config if profile else None


def preprocessor_config(intent: Intent, files: ModelFiles | None) -> Mapping[str, Any]:
    """preprocessor_config.json of the folder, else of the known profile; empty when neither is there."""
    if files is not None and files.preprocessor:
        return files.preprocessor
    profile = find_profile(intent.profile or intent.model) or find_profile(intent.model)
    return profile.preprocessor if profile else {}


def model_shape(intent: Intent, files: ModelFiles | None) -> Shape | None:
    """The model's shape; None when its config is not known or its architecture is not understood."""
    config = model_config(intent, files)
    return read_shape(config) if config else None


def folder_complete(files: ModelFiles | None) -> bool:
    """Whether the headers of all weight files were read and none has a fault."""
    return bool(
        files is not None and files.weights and files.index_error is None and not any(w.fault for w in files.weights)
    )


def quantization_of(intent: Intent, files: ModelFiles | None) -> str:
    """How the checkpoint itself is quantized, by its config; "" when it is not."""
    said = quantization_config(model_config(intent, files) or {})
    return str(said.get("quant_method", "unknown")) if said is not None else ""


def quantization_config(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a config.json, or that of its decoder, says of its quantization; None where it says nothing."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, Mapping) else {}):
        for name in ("quantization_config", "compression_config"):
            said = part.get(name)
            if isinstance(said, Mapping):
                return said
    return None


def element_bytes(intent: Intent, files: ModelFiles | None) -> float:
    """Bytes of one number of the running model (activations, unquantized weights).

    "auto" is the checkpoint's own dtype, but 16 bits for a checkpoint of 32 (vLLM and SGLang).
    """
    dtype = intent.launch.dtype
    if dtype and dtype != "auto":
        return DTYPE_BYTES.get(dtype, 2)
    own = _own_bytes(intent, files)
    return own if intent.engine == "transformers" else min(own, 2)


def _own_bytes(intent: Intent, files: ModelFiles | None) -> float:
    config = model_config(intent, files) or {}
    text = config.get("text_config")
    for part in (config, text if isinstance(text, Mapping) else {}):
        for name in ("dtype", "torch_dtype"):
            if isinstance(part.get(name), str):
                return DTYPE_BYTES.get(str(part[name]).removeprefix("torch."), 2)
    return 2


def checkpoint_bytes(intent: Intent, files: ModelFiles | None) -> int | None:
    """Bytes of the checkpoint's tensors on disk; None when the model is not known."""
    if folder_complete(files) and files is not None:
        return sum(weight.tensor_bytes for weight in files.weights)
    shape = model_shape(intent, files)
    if shape is None or shape.parameters is None:
        return None
    return _derived(
        shape,
        _own_bytes(intent, files),
        quantization_of(intent, files),
        quantization_config(model_config(intent, files) or {}),
    )


def weight_bytes(intent: Intent, files: ModelFiles | None) -> int | None:
    """Bytes of the weights in memory, over all GPUs together, without copies that parallelism makes.

    Exact from the files' headers where the folder is complete; else derived from the config of the folder or the
    profile. `--dtype` and a quantization that the engine applies while loading are taken into account. None: the model
    is not known.
    """
    if files is not None and files.found_by == "gguf":  # llama.cpp maps the file as it is
        return sum(weight.tensor_bytes for weight in files.weights) if folder_complete(files) else None
    stored = quantization_of(intent, files)
    asked = intent.launch.quantization or ""
    shape = model_shape(intent, files)
    derived = shape is not None and shape.parameters is not None
    if asked in ONLINE and not stored:
        return _derived(shape, element_bytes(intent, files), asked) if shape and derived else None
    if folder_complete(files) and files is not None:
        return _loaded_bytes(files, element_bytes(intent, files), bool(stored))
    if shape is None or not derived:
        return None
    return _derived(
        shape, element_bytes(intent, files), stored or asked, quantization_config(model_config(intent, files) or {})
    )


def _loaded_bytes(files: ModelFiles, target: float, quantized: bool) -> int:
    """Floating-point tensors take the dtype of the running model; scales and packed weights stay as they are."""
    stored = sum(weight.tensor_bytes for weight in files.weights)
    if quantized:
        return stored
    changed = sum(
        amount * (target / DTYPE_BYTES[name] - 1) for name, amount in files.dtype_bytes.items() if name in DTYPE_BYTES
    )
    return stored + int(changed)


def _derived(shape: Shape, element: float, quantization: str, said: Mapping[str, Any] | None = None) -> int | None:
    """Bytes of all weights by the numbers of the config; None for a quantization that we do not know."""
    found = shape.parameters
    if found is None:
        return None
    if not quantization:
        return int(found.total * element)
    form = read_quantization(said) if said is not None else by_name(quantization)
    if form is None:
        return None
    kept = found.embedding + found.other + found.vision
    parts = ((found.linear, form.linear), (found.experts, form.experts), (found.head, form.head))
    return int(kept * element + sum(amount * (element if size is None else size) for amount, size in parts))
