"""Which peak decides, in words and with its numbers."""

from __future__ import annotations

from autoglm_doctor.domain.memory import llamacpp as llamacpp_memory
from autoglm_doctor.domain.memory import transformers as transformers_memory
from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.memory.vllm import Batch, Pictures, Setting
from autoglm_doctor.domain.memory.vllm_peak import Peak, expert_workspace
from autoglm_doctor.domain.shape.read import Shape

_PEAK = "vllm/v1/worker/gpu_model_runner.py, profile_run; start-up logs"


def activation_words(shape: Shape, batch: Batch, seen: Pictures, setting: Setting) -> tuple[str, str, str]:
    """Formula, numbers and source of the likely peak."""
    peak = vllm_memory.peak_of(shape, batch, setting)
    kept = int(seen.kept_tokens * shape.hidden * setting.element)
    vision = vllm_memory.vision_peak(shape, seen).likely
    if vision >= peak.highest + kept:
        return _vision(seen, vision)
    formula, numbers = (
        _sampler(shape, batch, setting, peak) if peak.sampler >= peak.forward else _layer(shape, batch, setting, peak)
    )
    if peak.persistent:
        formula, numbers = f"{formula} + workspace of the experts", f"{numbers} + {int(peak.persistent):,} bytes"
    if kept:
        formula += " + outputs of the vision encoder"
        numbers += f" + {seen.kept_tokens:,} tokens x {shape.hidden:,} x {setting.element:g} bytes"
    return formula, numbers, _PEAK


def _vision(seen: Pictures, vision: int) -> tuple[str, str, str]:
    patches = seen.patches.likely
    if not patches:
        return "a vision tower of a kind that we do not know", "a range", "no source: half of Glm4v's figure"
    formula = "patches of the largest pictures or video that vLLM measures with, at the peak of the vision tower"
    return formula, f"{patches:,} patches x {vision // patches:,} bytes", "transformers' tower, tensor by tensor"


def _sampler(shape: Shape, batch: Batch, setting: Setting, peak: Peak) -> tuple[str, str]:
    rows = min(batch.sequences, batch.tokens)
    formula = "copies of the logits in the sampler + hidden states of the batch"
    logits = int(peak.copies * 4 * rows * shape.vocab)
    hidden = int(batch.tokens * shape.hidden * setting.element)
    numbers = (
        f"{peak.copies:g} x 4 bytes x {rows:,} requests x {shape.vocab:,} words"
        f" + {batch.tokens:,} tokens x {shape.hidden:,} x {setting.element:g} bytes"
    )
    buffers = int(peak.sampler) - logits - hidden
    if buffers > 1024:
        formula, numbers = f"{formula} + buffers of the sampler and cuBLAS", f"{numbers} + {buffers:,} bytes"
    return formula, numbers


def _layer(shape: Shape, batch: Batch, setting: Setting, peak: Peak) -> tuple[str, str]:
    experts = 0.0
    if not peak.persistent:
        experts = expert_workspace(
            shape, batch, setting.element, setting.tensor_parallel, setting.version, setting.quantization
        )
    hidden = batch.tokens * shape.hidden * setting.element
    copies = 4.25 + (setting.tensor_parallel > 1) + 2 * setting.pipelined
    inside = int(peak.forward - experts - copies * hidden)
    formula = "widths of one layer + hidden states of the batch"
    numbers = (
        f"3 x {batch.tokens:,} tokens x {shape.intermediate:,} / {setting.tensor_parallel} x {setting.element:g} bytes"
        if not shape.latent
        else f"{inside:,} bytes"
    )
    numbers += f" + {copies:g} x {batch.tokens:,} tokens x {shape.hidden:,} x {setting.element:g} bytes"
    if experts:
        formula, numbers = f"{formula} + buffers of the experts", f"{numbers} + {int(experts):,} bytes"
    return formula, numbers


def other_activation_words(engine: str, shape: Shape, tokens: int, element: float) -> tuple[str, str, str]:
    """The same for the other engines."""
    if engine == "sglang":
        return (
            "comes out of the part that --mem-fraction-static leaves free",
            "0 bytes of that share",
            "sglang/srt/arg_groups/memory_hook.py",
        )
    if engine == "llama.cpp":
        rows = min(llamacpp_memory.MICRO_BATCH, tokens)
        return (
            "logits of one micro-batch + widths of one layer, in 32 bits",
            f"{rows} tokens x ({shape.vocab:,} + 3 x {shape.hidden:,} + 2 x {shape.intermediate:,}) x 4 bytes",
            "a reading of llama.cpp's graph: a range",
        )
    inside, copies = transformers_memory.widths(shape), transformers_memory.HIDDEN_COPIES
    return (
        "widths of one MLP and hidden states of the whole prompt, or the largest picture where that is more",
        f"{tokens:,} tokens x ({inside:,} + {copies} x {shape.hidden:,}) x {element:g} bytes",
        "transformers' model code, tensor by tensor",
    )
