"""The lines at which a start passes from one phase to the next, by engine.

Sources: the logging calls of vLLM 0.8 to 0.33, SGLang 0.4 and 0.5, transformers 5, uvicorn and llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

STARTING, IMPORTING, LOADING, PROFILING = "starting", "importing", "loading weights", "profiling"
KV_CACHE, GRAPHS, OPENING = "KV cache", "graphs", "opening the port"

#: In their order; a start never goes back to an earlier one.
PHASES = (STARTING, IMPORTING, LOADING, PROFILING, KV_CACHE, GRAPHS, OPENING)

_VLLM = {
    IMPORTING: r"Automatically detected platform|server version|non-default args|Initializing a V[01] LLM engine",
    LOADING: r"Starting to load model|Loading model from scratch|checkpoint shards: |Using model weights format",
    PROFILING: r"Model loading took|Loading model weights took|torch\.compile t|Dynamo bytecode|Encoder cache",
    KV_CACHE: r"Available KV cache memory|Memory profiling takes|# (?:GPU|cuda) blocks|KV cache size: ",
    GRAPHS: r"Capturing (?:the model for )?(?:CUDA|cuda) ?graph",
    OPENING: r"Graph capturing finished|init engine \(profile|Starting vLLM (?:API )?server|Started server process",
}
_SGLANG = {
    IMPORTING: r"server_args=ServerArgs|Init torch distributed begin",
    LOADING: r"Load weight begin|checkpoint shards: ",
    PROFILING: r"Load weight end",
    KV_CACHE: r"KV Cache is allocated|Memory pool end",
    GRAPHS: r"Capture .*graph begin|Capturing batches",
    OPENING: r"max_total_num_tokens=\d|Started server process|Application startup complete|Uvicorn running",
}
_TRANSFORMERS = {
    IMPORTING: r"PyTorch version|TensorFlow version|\[transformers\]",
    LOADING: r"Loading weights: |Loading checkpoint shards: |^Loading \S+@|Loading \S+ on ",
    OPENING: r"Started server process|Waiting for application startup|Application startup complete",
}
_LLAMACPP = {
    IMPORTING: r"ggml_cuda_init: found|^build: |build_info: |system_info: ",
    LOADING: r"loading model|llama_model_loader: loaded meta data|load_tensors: loading",
    KV_CACHE: r"llama_context: constructing|n_ctx_(?:seq|per_seq) +=|KV buffer size|KV self size",
    GRAPHS: r"compute buffer size|graph nodes|warming up the model",
    OPENING: r"initializing slots|model loaded|Started server process|Waiting for application startup",
}
_READY: Mapping[str, str] = {
    "vllm": r"Application startup complete|Uvicorn running on",
    "sglang": r"The server is fired up and ready to roll",
    "transformers": r"Uvicorn running on",
    "llamacpp": r"server is listening on |: listening on http|starting the main loop|all slots are idle"
    "|Uvicorn running on",
}
_BY_ENGINE: Mapping[str, Mapping[str, str]] = {
    "vllm": _VLLM,
    "sglang": _SGLANG,
    "transformers": _TRANSFORMERS,
    "llamacpp": _LLAMACPP,
}


def marks_of(engine: str) -> tuple[tuple[int, re.Pattern[str]], ...]:
    """(place in PHASES, pattern) of one engine, or of all of them where it is not known."""
    engines = [engine] if engine in _BY_ENGINE else list(_BY_ENGINE)
    found = []
    for place, phase in enumerate(PHASES):
        patterns = [_BY_ENGINE[name][phase] for name in engines if phase in _BY_ENGINE[name]]
        if patterns:
            found.append((place, re.compile("|".join(patterns))))
    return tuple(found)


def ready_mark(engine: str) -> re.Pattern[str]:
    """What the log says once the server answers. vLLM opens its port before, uvicorn may still fail to, elsewhere."""
    return re.compile(_READY.get(engine, "|".join((_READY["sglang"], r"Uvicorn running on", _READY["llamacpp"]))))
