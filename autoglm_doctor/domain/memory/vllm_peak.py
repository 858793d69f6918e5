"""The peak of vLLM's profile run beside the weights: inside a layer, or in the sampler.

Read off the sources of vLLM 0.6.4, 0.8.5, 0.9.2, 0.10.2, 0.12, 0.16, 0.17 and 0.19 to 0.33; what could not be derived
was fitted and says so. Good for CUDA cards, dense decoders and mixtures of experts in 16 or 32 bits; speculative
decoding, data parallel experts and quantized activations are outside.
"""

from __future__ import annotations

from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.shape.read import Shape

NEWEST = (0, 33)

#: Multiprocessors by a part of the card's name (vendors' data sheets); each has a row in the top-k kernel's buffer.
_PROCESSORS = (
    ("h100", 132), ("h200", 132), ("gh200", 132), ("a100", 108), ("b200", 148), ("b300", 148), ("l40s", 142),
    ("l40", 142), ("l4", 58), ("a10", 72), ("a6000", 84), ("t4", 40), ("v100", 80), ("5090", 170), ("5080", 84),
    ("4090", 128), ("4080", 76), ("3090", 82), ("3080", 68), ("2060", 34), ("gb10", 48),
)  # fmt: skip
_USUAL_PROCESSORS = 128

#: cuBLAS' workspace in torch: 32 MiB on compute capability 9, else 8.1 (aten/src/ATen/cuda/CUDABlas.cpp, 2.6 on).
_CUBLAS, _CUBLAS_HOPPER = 8_519_680, 32 * 2**20

#: From here on the log's peak leaves out what stays allocated after the profile (`transient_peak_headroom`).
TRANSIENT_ONLY = (0, 27)

#: Largest prefix that latent attention unpacks at once, in tokens (mla_attention.py).
_LATENT_TOKENS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The batch that decides the peak."""

    tokens: int  # max_num_batched_tokens
    sequences: int  # max_num_seqs
    context: int = 0  # max_model_len; 0: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """Bytes by what they are; `kept` outputs of the vision encoder come on top."""

    sampler: float  # copies of the logits and the hidden states
    forward: float  # inside a layer
    persistent: float  # allocated in the profile and never given back: workspaces, buffers
    copies: float  # of the logits, 32 bits each: what `sampler` was made of

    @property
    def highest(self) -> float:
        """Sampler and layer follow each other."""
        return max(self.sampler, self.forward) + self.persistent


def parse_version(version: str) -> tuple[int, int]:
    """Major and minor. An unreadable version counts as the newest we know."""
    try:
        release = Version(version).release
    except InvalidVersion:
        return NEWEST
    return release[0], release[1] if len(release) > 1 else 0


def second_runner(version: str, shape: Shape, *, quantized: bool = False) -> bool:
    """Whether this model runs on vLLM's second model runner by default (config/vllm.py of 0.22 to 0.33)."""
    at = parse_version(version)
    if at >= (0, 29):
        return True
    listed = ("qwen3",) if at == (0, 22) else ("llama", "mistral", "qwen3")
    experts = ("deepseek_v2", "qwen2_moe")
    if at >= (0, 24) and shape.model_type in experts:
        return True
    if at >= (0, 25):
        return not shape.experts and not shape.hybrid
    return at >= (0, 22) and shape.model_type in listed and (at >= (0, 24) or not quantized)


def sampler_factor(
    version: str, shape: Shape | None = None, element: float = 2, *, quantized: bool = False
) -> tuple[float, float, float]:
    """Copies of the logits (32 bits each) at the sampler's peak: low, likely, high.

    Derived from 0.17 on: the logits in the model's dtype, in 32 bits, their softmax and as many random numbers (or, in
    FlashInfer, the masked logits). The second runner measures the plain logits alone until 0.33 warms its sampler up.
    Fitted before that, where torch.sort took its own: 9.6 in logs of 0.15, 0.16 and V0, 3.7 in one of 0.11; between
    them not seen.
    """
    at = parse_version(version)
    plain = element / 4
    if at >= (0, 17):
        lean = shape is not None and at < (0, 33) and second_runner(version, shape, quantized=quantized)
        low = plain if (0, 22) <= at < (0, 33) else 1 + plain
        return low, plain if lean else 3 + plain, 3.25 + plain
    if at >= (0, 15) or at < (0, 8):
        return 9.0, 9.6, 9.8
    return (3.5, 9.6, 9.8) if at >= (0, 12) else (3.5, 3.7, 9.8)


def processors(gpu_name: str) -> int:
    """Multiprocessors of a card; a usual number where the name is not in the list."""
    name = gpu_name.lower()
    return next((count for part, count in _PROCESSORS if part in name), _USUAL_PROCESSORS)


def text_peak(
    shape: Shape,
    batch: Batch,
    version: str,
    *,
    factor: float | None = None,
    element: float = 2,
    tensor_parallel: int = 1,
    pipelined: bool = False,
    gpu_name: str = "",
    quantization: str = "",
) -> Peak:
    """The decoder's peak in bytes. `factor`: copies of the logits, else the likely ones of that version."""
    copies = sampler_factor(version, shape, element, quantized=bool(quantization))[1] if factor is None else factor
    hidden = batch.tokens * shape.hidden * element
    rows = min(batch.sequences, batch.tokens)
    buffers = _buffers(shape, rows, version, gpu_name, second_runner(version, shape, quantized=bool(quantization)))
    experts = expert_workspace(shape, batch, element, tensor_parallel, version, quantization)
    keeps = parse_version(version) >= (0, 14)  # vllm/v1/worker/workspace.py: not in 0.12, there in 0.16
    return Peak(
        sampler=copies * 4 * rows * shape.vocab + hidden + buffers,
        forward=forward(shape, batch, version, element, tensor_parallel, pipelined=pipelined)
        + (0 if keeps else experts),
        persistent=experts if keeps else 0,
        copies=copies,
    )


def forward(
    shape: Shape, batch: Batch, version: str, element: float = 2, tensor_parallel: int = 1, *, pipelined: bool = False
) -> float:
    """Bytes at the peak inside a layer, without routed experts.

    The MLP's three widths, or the prefix that latent attention unpacks. 4.25 times the hidden states is fitted (an
    RTX 2060, a 4090, a pipeline stage); one more of them is what an all-reduce returns, two are handed to a next stage.
    """
    hidden = batch.tokens * shape.hidden * element
    wide = 3 * batch.tokens * shape.intermediate / tensor_parallel * element
    unpacked = 0.0
    if shape.latent is not None and parse_version(version) >= (0, 8):
        context = batch.context or _LATENT_TOKENS
        tokens = max(min(max(8 * context, 64 * batch.sequences), _LATENT_TOKENS), 16 * batch.sequences)
        unpacked = tokens * shape.heads / tensor_parallel * (shape.latent.nope + shape.latent.value) * element
    return max(wide, unpacked) + (4.25 + (tensor_parallel > 1) + 2 * pipelined) * hidden


def expert_workspace(
    shape: Shape, batch: Batch, element: float, tensor_parallel: int, version: str, quantization: str = ""
) -> float:
    """The two buffers of the fused experts (TritonExperts.workspace_shapes); before 0.17 in chunks of 16,384 tokens.

    Kernels for mxfp4 bring none. Others than Triton's (CUTLASS, FlashInfer, Marlin) differ, mostly downwards.
    """
    if not shape.experts_per_token or quantization == "mxfp4" or shape.model_type == "gpt_oss":
        return 0
    tokens = batch.tokens if parse_version(version) >= (0, 17) else min(batch.tokens, 16_384)
    width = shape.expert_intermediate / tensor_parallel
    first, second = max(width, shape.hidden), max(2 * width, shape.hidden)
    return tokens * shape.experts_per_token * (first + second) * element


def _buffers(shape: Shape, rows: int, version: str, gpu_name: str, second: bool) -> float:
    """The sampler's own: cuBLAS' workspace, and from 0.17 to 0.20 a row of the vocabulary per multiprocessor.

    Source: v1/sample/ops/topk_topp_triton.py; used from 8 rows on, until FlashInfer became the default in 0.21. Before
    0.17 the fitted factor holds all of it.
    """
    at = parse_version(version)
    if at < (0, 17):
        return 0
    name = gpu_name.lower()
    workspace = _CUBLAS_HOPPER if any(part in name for part in ("h100", "h200", "h800", "h20")) else _CUBLAS
    if second or at >= (0, 21) or rows < 8:
        return workspace
    cores = processors(gpu_name)
    return workspace + min(1 << (min(cores, rows) - 1).bit_length(), cores) * shape.vocab * 4
