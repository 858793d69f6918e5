"""Each term of the memory estimate in words, with its own numbers filled in: what `plan --explain` prints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoglm_doctor.domain.memory import llamacpp as llamacpp_memory
from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.memory.explain_activation import activation_words, other_activation_words
from autoglm_doctor.domain.memory.fits import Card, Estimate, estimates, kv_element_bytes, vllm_inputs
from autoglm_doctor.domain.memory.weights import allocator_bytes, dequantized_bytes, mxfp4_padding, split_bytes
from autoglm_doctor.domain.model import element_bytes, folder_complete, model_shape, quantization_of, weight_bytes
from autoglm_doctor.domain.shape.read import Shape
from autoglm_doctor.domain.spans import GIB, Span, exactly
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

_LOGS = "public start-up logs (docs/plan.md)"


@dataclass(frozen=True, slots=True)
class TermLine:
    """One term: how it is worked out, with which numbers, and where the formula comes from."""

    name: str  # "weights", "activation", "non_torch", "cuda_graphs", "kv_cache"
    span: Span  # bytes on one GPU
    formula: str  # in words
    numbers: str  # the same with its numbers
    source: str


def explain(intent: Intent, files: ModelFiles | None, card: Card, version: str | None) -> tuple[TermLine, ...]:
    """The five terms of the newest estimate (the one that is shown); () when the model is not understood."""
    shape = model_shape(intent, files)
    found = estimates(intent, files, card, version)
    if shape is None or not found:
        return ()
    shown = found[-1]
    engine = "llama.cpp" if files is not None and files.found_by == "gguf" else intent.engine
    if engine == "vllm":
        batch, seen, setting, _ = vllm_inputs(intent, files, card, shape, shown.version)
        words = activation_words(shape, batch, seen, setting)
    else:
        words = other_activation_words(engine, shape, shown.tokens, element_bytes(intent, files))
    return (
        _weights(intent, files, shape, card, shown),
        TermLine("activation", shown.activation, *words),
        _non_torch(intent, engine, shown),
        _graphs(intent, engine, shape, card, shown),
        _kv_cache(intent, files, shape, shown),
    )


def _weights(intent: Intent, files: ModelFiles | None, shape: Shape, card: Card, shown: Estimate) -> TermLine:
    whole, element = weight_bytes(intent, files) or 0, element_bytes(intent, files)
    launch = intent.launch
    tp, pp = launch.tensor_parallel, launch.pipeline_parallel
    source = "headers of the weight files" if folder_complete(files) else "config.json"
    formula, numbers = "bytes of all tensors", f"{whole:,} bytes"
    if files is not None and files.found_by == "gguf":
        return _gguf_weights(intent, files, shape, shown, numbers)
    if intent.engine == "transformers":
        return TermLine("weights", shown.weights, formula, numbers, source)
    if tp * pp > 1:
        formula, here = "bytes of the tensors on the fullest GPU", split_bytes(shape, whole, tp, pp, element)
        numbers = f"{int(here):,} of {whole:,} bytes"
    for name, amount in (
        ("ends of the allocator's blocks", allocator_bytes(shape, whole, tp, pp, element) if shape.pieces else 0),
        ("padding of mxfp4 experts", _padding(intent, files, shape, card)),
        ("kv_b unpacked", int(dequantized_bytes(shape, whole, tp, pp, element))),
    ):
        if amount:
            formula, numbers = f"{formula} + {name}", f"{numbers} + {amount:,}"
    if shape.max_positions and shape.rotary_dim:
        factor = f"{shape.positions_factor} x " if shape.positions_factor > 1 else ""
        formula += " + table of rotary positions"
        numbers += f" + {factor}{shape.max_positions:,} x {shape.rotary_dim} x {element:g} bytes"
    if launch.cpu_offload_gib:
        formula, numbers = f"{formula} - what stays in main memory", f"{numbers} - {launch.cpu_offload_gib:g} GiB"
    return TermLine("weights", shown.weights, formula, numbers, f"{source}; torch's CUDACachingAllocator.cpp")


def _gguf_weights(intent: Intent, files: ModelFiles, shape: Shape, shown: Estimate, numbers: str) -> TermLine:
    formula, embedding = "bytes of all tensors", files.groups.get("embedding", 0)
    if embedding and files.groups.get("head"):
        formula += " - table of tokens, which stays in main memory"
        numbers += f" - {embedding:,}"
    on_gpu = llamacpp_memory.layers_on_gpu(shape, intent.launch.gpu_layers)
    if on_gpu <= shape.layers:
        formula += ", of the layers on the GPU"
        numbers += f", {on_gpu} of {shape.layers + 1} layers"
    if intent.launch.mmproj:
        formula, numbers = f"{formula} + the projector, whose file is not read", f"{numbers} + a range"
    return TermLine("weights", shown.weights, formula, numbers, "header of the GGUF file; llama.cpp's llama-model.cpp")


def _padding(intent: Intent, files: ModelFiles | None, shape: Shape, card: Card) -> int:
    quantization = quantization_of(intent, files) or intent.launch.quantization
    if intent.engine != "vllm" or quantization != "mxfp4" or shape.parameters is None:
        return 0
    gpus = intent.launch.tensor_parallel * intent.launch.pipeline_parallel
    share = shape.parameters.experts * (0.5 + 1 / 32) / gpus
    return int(share * (mxfp4_padding(shape, intent.launch.tensor_parallel, card.name) - 1))


def _non_torch(intent: Intent, engine: str, shown: Estimate) -> TermLine:
    launch, span = intent.launch, shown.non_torch
    numbers = f"{span.low / GIB:.2f} to {span.high / GIB:.2f} GiB seen"
    if engine == "vllm":
        numbers += f" with vLLM {shown.version}, tensor parallel {launch.tensor_parallel}"
        if launch.pipeline_parallel > 1:
            numbers += f", {launch.pipeline_parallel} pipeline stages"
    return TermLine("non_torch", span, "what CUDA, cuBLAS and NCCL take outside of torch", numbers, _LOGS)


def _graphs(intent: Intent, engine: str, shape: Shape, card: Card, shown: Estimate) -> TermLine:
    formula = "memory that the captured CUDA graphs keep"
    if engine != "vllm":
        numbers = "none" if engine != "sglang" else "comes out of the part that --mem-fraction-static leaves free"
        return TermLine("cuda_graphs", shown.graphs, formula, numbers, engine)
    if intent.launch.enforce_eager:
        return TermLine("cuda_graphs", shown.graphs, formula, "none with --enforce-eager", "vLLM")
    if vllm_memory.parse_version(shown.version) < (0, 21):
        numbers = f"vLLM {shown.version} does not count them: they come on top of its share of the GPU"
        return TermLine("cuda_graphs", shown.graphs, formula, numbers, "gpu_worker.py before 0.21")
    batch = vllm_inputs(intent, None, card, shape, shown.version)[0]
    numbers = f"{vllm_memory.graph_count(batch.sequences)} graphs of {shape.layers} layers, a range"
    return TermLine("cuda_graphs", shown.graphs, formula, numbers, _LOGS)


def _kv_cache(intent: Intent, files: ModelFiles | None, shape: Shape, shown: Estimate) -> TermLine:
    """The numbers multiply out to the span, but for sliding windows and states, which are words."""
    element = kv_element_bytes(intent, element_bytes(intent, files))
    if files is not None and files.found_by == "gguf":
        return _gguf_cache(intent, shape, shown)
    tp = 1 if intent.engine == "transformers" else intent.launch.tensor_parallel
    pp = 1 if intent.engine == "transformers" else intent.launch.pipeline_parallel
    block = vllm_memory.BLOCK if intent.engine == "vllm" else 1
    tokens = math.ceil(shown.tokens / block) * block
    layers = math.ceil(shape.attention_layers / pp)
    heads = f"{max(1, shape.kv_heads // tp)} KV heads x {shape.head_dim}"
    width = f"{layers} layers x {shape.latent_dim} numbers" if shape.latent_dim else f"2 x {layers} layers x {heads}"
    formula = "keys and values of every layer for one request of the whole context"
    if shape.latent_dim:
        formula = "the latent of every layer for one request of the whole context"
    numbers = f"{width} x {element:g} bytes x {tokens:,} tokens"
    if block > 1:
        formula += f", in blocks of {block} tokens"
    if shape.sliding_layers and intent.engine == "vllm":
        numbers += f"; {shape.sliding_layers} of the layers keep {shape.sliding_window:,} tokens and a batch"
    if shape.state_numbers:
        numbers += f"; {shape.layers - shape.attention_layers} other layers keep a state of one size"
    return TermLine("kv_cache", exactly(shown.kv_needed), formula, numbers, "config.json")


def _gguf_cache(intent: Intent, shape: Shape, shown: Estimate) -> TermLine:
    launch = intent.launch
    keys, values = (launch.kv_cache_dtype or "f16"), (launch.kv_cache_dtype_v or "f16")
    each = int(shape.kv_bytes_per_token(1))
    tokens = math.ceil(shown.tokens / 256) * 256
    numbers = f"{each:,} numbers a token, keys in {keys} and values in {values}, x {tokens:,} tokens"
    on_gpu = llamacpp_memory.layers_on_gpu(shape, launch.gpu_layers)
    if on_gpu < shape.layers:
        numbers += f" x {on_gpu} of {shape.layers} layers"
    formula = "keys and values of the layers on the GPU for the whole context (-c), which all slots share"
    return TermLine(
        "kv_cache", exactly(shown.kv_needed), formula, numbers, "header of the GGUF file; llama-kv-cache.cpp"
    )
