"""Ways out of too little GPU memory, each with a line that can be pasted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from autoglm_doctor.domain.capacity.rescue import Suggestion, highest_utilization, launch_that_fits, utilization_ceiling
from autoglm_doctor.domain.deployment import Case, Taken
from autoglm_doctor.domain.launch_line import line
from autoglm_doctor.domain.memory.fits import Card, Estimate
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.facts import GpuProcess
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.intent import Intent

#: Memory sizes that GPUs are sold with, in GiB as CUDA counts them.
SOLD = (8, 12, 16, 24, 32, 40, 48, 80, 96, 141, 180, 268)

#: Less than this in use, with no process seen, is the driver and the desktop.
IDLE_BYTES = GIB

_WORDS: Mapping[str, str] = {
    "given": "as you gave it",
    "replicas": "run {data_parallel} copies, one on each GPU, behind the same port{split}",
    "utilization": "let the server claim {utilization:percent} of the GPU",
    "few_sequences": "serve at most {max_num_seqs} requests at once, more of them wait: that lowers the sampler's peak",
    "pictures": "take no videos, and pictures of 2.5 million pixels{ignored}",
    "small_batch": ("serve at most {max_num_seqs} requests at once{pictures}: that lowers the peak beside the weights"),
    "context": "shorten the context to {max_model_len:count} tokens{few}{pictures}{cache}",
    "slots": "serve {max_num_seqs} at once, with as much context for each: {max_model_len:count} tokens together",
    "narrow_cache": "keep the KV cache in 8 bits; answers hardly change",
    "fewer_layers": "keep only {gpu_layers} layers on the GPU, which makes every answer slower{cache}",
    "eager": "do without CUDA graphs, which makes every answer slower{few}{pictures}",
    "fp8": "make 8-bit weights while loading; answers change slightly{few}{pictures}",
    "more_gpus": "split the model over {tensor_parallel} of the GPUs that are there",
    "four_bit": (
        "make 4-bit weights while loading (needs the bitsandbytes package in the server's environment; answers get "
        "worse, try it before you rely on it){few}{pictures}"
    ),
    "hardware": "take {gpus} GPUs like this one",
    "fewer_gpus": "split the model over {tensor_parallel}: as many GPUs as are there and as its heads go into",
    "whole_towers": "give every GPU the whole vision tower, whose heads do not go into {tensor_parallel} GPUs",
}


def memory_fixes(case: Case, *, card: Card | None = None, free_bytes: int | None = None) -> tuple[Fix, ...]:
    """Launch lines that fit, cheapest first; where there is none, the GPU on which the given line does.

    `free_bytes`: stay below what is free now; None: the card is taken as empty.
    """
    card = card or case.card
    if card is None:
        return ()
    found = launch_that_fits(
        case.intent, case.files, card, case.version, free_bytes=free_bytes, capability=case.capability
    )
    fixes = tuple(_fix(suggestion) for suggestion in found)
    return fixes or ((_bigger_card(case.intent, case.estimates),) if case.estimates else ())


def free_fixes(case: Case, one: Taken) -> tuple[Fix, ...]:
    """Ways to start on a GPU that is partly taken: a share that is free first, for it nobody has to stop."""
    card = Card(name=one.gpu.name, total_bytes=one.total_bytes)
    free = one.free_bytes or 0
    fitting = highest_utilization(case.intent, case.files, card, case.version, free)
    fixes: list[Fix] = []
    if fitting is not None and case.intent.engine == "vllm":
        share = {"share": utilization_ceiling(card, free)}
        text = Text("claim only {share:percent} of the GPU, which is free and holds the model", share)
        fixes.append(Fix(text=text, commands=(line(fitting),), effort="flag"))
    fixes += _make_room(one)
    if fitting is None:  # other flags may do; other hardware is no answer to a GPU that is only taken
        fixes += [fix for fix in memory_fixes(case, card=card, free_bytes=free) if fix.effort == "flag"]
    return tuple(fixes) or (Fix(text=Text("see what is on the GPU"), commands=("nvidia-smi",)),)


def _make_room(one: Taken) -> list[Fix]:
    """Only a process that is known to hold memory may be offered to `kill`, and never pid 0: that is our own group."""
    seen = [process for process in one.gpu.processes if process.pid > 0]
    holding = [str(process.pid) for process in seen if process.used_bytes]
    if holding:
        return [
            Fix(
                text=Text("end what holds the memory, if it is yours and not needed"),
                commands=(f"ps -o pid,user,etime,args -p {','.join(holding)}", f"kill {' '.join(holding)}"),
                reversible=False,
            )
        ]
    if one.gpu.unified:
        text = Text("see what takes main memory, which the GPU works in, and stop it")
        return [Fix(text=text, commands=("ps aux --sort=-rss | head",))]
    if seen:
        pids = ",".join(str(process.pid) for process in seen)
        text = Text("look at the processes on the GPU; the driver does not tell what each of them holds")
        return [Fix(text=text, commands=(f"ps -o pid,user,etime,args -p {pids}", "nvidia-smi"))]
    if one.used_bytes > IDLE_BYTES:
        text = Text("find out on the host who holds it: processes that have the GPU open, and containers")
        return [Fix(text=text, commands=("sudo fuser -v /dev/nvidia*", "docker ps"), needs_root=True)]
    return []


def holders(one: Taken) -> str:
    """Who holds the memory, as far as one can see from here."""
    seen = sorted(one.gpu.processes, key=lambda process: -(process.used_bytes or 0))
    holding = ", ".join(_named(process) for process in seen if process.used_bytes)
    others = ", ".join(_named(process) for process in seen if not process.used_bytes and process.pid > 0)
    if holding:
        return f"held by {holding}" + (f"; also on the GPU: {others}" if others else "")
    if one.gpu.unified:
        return "the GPU works in main memory, where every program counts"
    if others:
        return f"{one.used_bytes / GIB:.2f} GiB are taken, the driver does not tell by whom; on the GPU: {others}"
    if one.used_bytes > IDLE_BYTES:
        return (
            f"{one.used_bytes / GIB:.2f} GiB are taken by no visible process: another container, another user's "
            "session, or a process that did not end"
        )
    return f"nobody computes on it: {one.used_bytes / GIB:.2f} GiB are the driver's and the desktop's"


def _named(process: GpuProcess) -> str:
    pid = f"pid {process.pid}" if process.pid > 0 else "outside of this container"
    size = f", {process.used_bytes / GIB:.2f} GiB" if process.used_bytes else ""
    return f"{process.name or 'a process'} ({pid}{size})"


def _fix(suggestion: Suggestion) -> Fix:
    effort: Literal["flag", "hardware"] = "hardware" if suggestion.kind == "hardware" else "flag"
    return Fix(text=trade(suggestion), commands=(suggestion.line,), effort=effort)


def trade(suggestion: Suggestion) -> Text:
    """What is done, and what it costs, in words."""
    launch = suggestion.intent.launch
    template = _WORDS[suggestion.kind]
    if "gpu_memory_utilization" in suggestion.changes and suggestion.kind != "utilization":
        template += "; and let the server claim {utilization:percent} of the GPU"
    params: dict[str, Any] = {
        "utilization": launch.gpu_memory_utilization,
        "max_num_seqs": launch.max_num_seqs,
        "max_model_len": launch.max_model_len,
        "tensor_parallel": launch.tensor_parallel,
        "data_parallel": launch.data_parallel,
        "gpus": suggestion.intent.gpus_needed,
        "gpu_layers": launch.gpu_layers,
        "cache": ", with the KV cache in 8 bits" if "kv_cache_dtype" in suggestion.changes else "",
        "split": " instead of splitting one over them" if "tensor_parallel" in suggestion.changes else "",
        "pictures": f", no videos, and pictures of 2.5 million pixels{_IGNORED}" if _smaller(suggestion) else "",
        "ignored": _IGNORED,
        "few": f", at most {launch.max_num_seqs} requests at once" if "max_num_seqs" in suggestion.changes else "",
    }
    return Text(template, params)


#: The processor ignores max_pixels; `size` is the word that it obeys.
_IGNORED = " (max_pixels is ignored by the processor, size is not)"


def _smaller(suggestion: Suggestion) -> bool:
    return "mm_processor_kwargs" in suggestion.changes


def _bigger_card(intent: Intent, found: tuple[Estimate, ...]) -> Fix:
    """The GPU on which this very line fits, by the need at the far end of its error."""
    return larger_gpus(intent, max(math.ceil(e.need.high / min(e.utilization, 0.95)) for e in found))


def larger_gpus(intent: Intent, wanted: int) -> Fix:
    """The same line on the smallest GPU on the market that has so many bytes."""
    size = next((s for s in SOLD if s * GIB * 0.97 >= wanted), 0)
    what = "take a GPU with {size} GB or more" if size else "take GPUs with {wanted:GiB} or more each"
    return Fix(text=Text(what, {"size": size, "wanted": wanted}), commands=(line(intent),), effort="hardware")
