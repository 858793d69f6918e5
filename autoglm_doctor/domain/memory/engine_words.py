"""What the engine itself would print, with our numbers in it: the words that a user finds in the log and searches for.

Sources: vllm/v1/worker/utils.py, v1/core/kv_cache_utils.py (0.12) and kv_cache_planning.py (0.33),
v1/engine/input_processor.py; sglang/srt/model_executor and mem_cache/kv_cache_configurator.py of 0.5.23.
"""

from __future__ import annotations

from autoglm_doctor.domain.memory.fits import Estimate
from autoglm_doctor.domain.memory.vllm import parse_version
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.intent import Engine

_NO_BLOCKS = (
    "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine."
)

#: "models's" in 0.12, "model's" in 0.33; where between them it was put right, we have not seen.
_MODELS = (0, 12)

#: From here on the message counts "embedding tokens"; before, a "length" (the latter in reports of March 2026).
_COUNTS_EMBEDDINGS = (0, 20)


def too_little_free(place: int, free_gib: float, total_gib: float, share: float, claimed_gib: float) -> str:
    """vLLM's refusal when others hold too much of the GPU."""
    return (
        f"Free memory on device cuda:{place} ({free_gib}/{total_gib} GiB) on startup is less than desired GPU memory "
        f"utilization ({share}, {claimed_gib} GiB)."
    )


def out_of_memory(place: int, total_bytes: int) -> str:
    """torch's, while weights are loaded onto a GPU that is smaller than they are."""
    return (
        f"torch.OutOfMemoryError: CUDA out of memory. GPU {place} has a total capacity of {total_bytes / GIB:.2f} GiB"
    )


def no_room_for_weights(engine: Engine, shown: Estimate) -> str:
    """What is printed when the weights leave nothing."""
    if engine == "llamacpp":
        return _llamacpp(shown.weights.likely)
    if engine == "sglang" and shown.weights.likely <= shown.total_bytes:
        return _sglang(shown)
    if engine == "vllm" and max(shown.weights.likely, shown.load_peak) <= shown.total_bytes:
        return _NO_BLOCKS
    return out_of_memory(0, shown.total_bytes)


def no_room_for_cache(engine: Engine, shown: Estimate) -> str:
    """What is printed when the KV cache is too small; "" where the engine starts all the same (SGLang)."""
    left = shown.kv_available.likely
    if engine == "sglang":
        return _sglang(shown) if left <= 0 else ""
    if engine == "llamacpp":
        return _llamacpp(shown.kv_needed)
    if engine == "transformers" or left >= shown.kv_needed:  # the latter does not even get through loading
        return out_of_memory(0, shown.total_bytes)
    if left <= 0:
        return _NO_BLOCKS
    longest = left * shown.tokens // max(1, shown.kv_needed)
    if parse_version(shown.version) < (0, 8):
        return (
            f"The model's max seq len ({shown.tokens}) is larger than the maximum number of tokens that can be stored "
            f"in KV cache ({longest})."
        )
    model = "models" if parse_version(shown.version) <= _MODELS else "model"
    return (
        f"To serve at least one request with the {model}'s max seq len ({shown.tokens}), "
        f"({shown.kv_needed / GIB:.2f} GiB KV cache is needed, which is larger than the available KV cache memory "
        f"({left / GIB:.2f} GiB). Based on the available memory, the estimated maximum model length is {longest}."
    )


def _llamacpp(amount: int) -> str:
    """Of ggml-cuda.cu, for the buffer of the weights or of the cache."""
    return f"allocating {amount / 2**20:.2f} MiB on device 0: cudaMalloc failed: out of memory"


def _sglang(shown: Estimate) -> str:
    least = (shown.weights.likely + shown.non_torch.likely) / (shown.total_bytes - GIB // 2)
    return (
        "Loaded weights leave no GPU memory for the KV cache under "
        f"--mem-fraction-static={round(shown.utilization, 3)}. Raise --mem-fraction-static above {least:.3f}"
    )


def picture_too_large(version: str, tokens: int, budget: int) -> str:
    """vLLM's answer (HTTP 400) to a picture above the encoder's budget."""
    size = f"{tokens} embedding tokens" if parse_version(version) >= _COUNTS_EMBEDDINGS else f"length {tokens}"
    return (
        f"The decoder prompt contains a(n) image item with {size}, which exceeds the pre-allocated encoder cache size "
        f"{budget}."
    )


def prompt_too_long(tokens: int, context: int) -> str:
    """vLLM's answer (HTTP 400) to a prompt that does not fit in max_model_len."""
    return f"The decoder prompt (length {tokens}) is longer than the maximum model length of {context}."
