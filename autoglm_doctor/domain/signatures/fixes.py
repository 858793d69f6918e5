"""The commands of a row, filled in for one deployment.

In a row's commands there may stand {download} (fetch the weights again), {folder} (where they lie), {engine} (its
package), and the user's own line with something changed: {launch} (nothing), {shorter} {model_length} (context),
{bigger_share} {smaller_share} (of the GPU's memory), {fewer} (requests at once), {eager} (no CUDA graphs), {half}
{bfloat} (number format), {divisor} {fewer_gpus} (tensor parallelism), {pictures} {smaller_pictures}, {template},
{other_port}, {no_quantization}, {default_batch}, {known_flags} (without those that it refused), {no_p2p},
{help}; and {older_gcc} (the newest that the message allows). What the engine has no flag for, or would change nothing,
is left out.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from autoglm_doctor.domain import launch_line
from autoglm_doctor.domain.capacity.rescue import PICTURE_SIZE
from autoglm_doctor.domain.signatures.details import details
from autoglm_doctor.domain.signatures.row import Signature
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.intent import UNNAMED, Intent

_PACKAGES = {"vllm": "vllm", "sglang": "'sglang[all]'", "transformers": "'transformers[serving]'"}
#: vLLM's default share of the GPU's memory up to 0.19 and after, and the highest that leaves the driver room.
_DEFAULT_SHARE, _HIGHEST_SHARE = 0.9, 0.95
_Details = Mapping[str, str]


def download_command(intent: Intent, folder: str) -> str:
    """The line that fetches the weights again; for a folder of unknown origin the line that shows its sizes."""
    if intent.model == UNNAMED:
        return "hf download MODEL --force-download" if folder == UNNAMED else f"ls -l {shlex.quote(folder)}"
    if intent.model.startswith((".", "/", "~")) or intent.model == "smoke":
        return f"ls -l {shlex.quote(folder)}"
    return f"hf download {shlex.quote(intent.model)} --force-download"


def fix_for(signature: Signature, intent: Intent, folder: str, line: str = "") -> Fix:
    """The row's way out with its commands filled in for this deployment, and by the figures of the log's line."""
    said = details(line)
    raws = signature.commands
    if intent.model == folder == UNNAMED:  # of a model that nobody named only where there is nothing else to do
        raws = tuple(raw for raw in raws if "{download}" not in raw) or raws
    commands = [c for raw in raws if (c := _filled(raw, intent, folder, said))]
    unique = tuple(dict.fromkeys(commands)) or (launch_line.line(intent),)
    return Fix(text=Text(signature.way_out), commands=unique, effort=signature.effort)


def _filled(command: str, intent: Intent, folder: str, said: _Details) -> str:
    """The command; "" where it does not apply here."""
    if command.startswith("{") and command[1:-1] in _LINES:
        return _LINES[command[1:-1]](intent, folder, said)
    package = _PACKAGES.get(intent.engine, "llama-cpp-python")
    where = "MODEL_FOLDER" if folder == UNNAMED else shlex.quote(folder)
    places = {"{download}": download_command(intent, folder), "{folder}": where, "{engine}": package}
    for place, words in places.items():
        command = command.replace(place, words)
    return command


def _with(intent: Intent, **changes: Any) -> str:
    """The user's line with these launch values; "" where the engine has no such flag."""
    if not all(launch_line.can_change(intent, field) for field in changes):
        return ""
    return launch_line.line(launch_line.changed(intent, changes))


def _shorter(intent: Intent, _: str, said: _Details) -> str:
    """What the engine says would fit, in steps of 256; else half of what was asked."""
    now = intent.launch.max_model_len
    fits = next((int(said[name].replace(",", "")) for name in ("fits", "stored") if name in said), 0)
    length = fits // 256 * 256 or (now // 2 if now else 0) or 8192
    return _with(intent, max_model_len=length) if not now or length < now else ""


def _model_length(intent: Intent, _: str, said: _Details) -> str:
    return _with(intent, max_model_len=int(said["derived"].replace(",", "")) if "derived" in said else None)


def _bigger_share(intent: Intent, *_: object) -> str:
    now = intent.launch.gpu_memory_utilization or _DEFAULT_SHARE
    return _with(intent, gpu_memory_utilization=_HIGHEST_SHARE) if now < _HIGHEST_SHARE else ""


def _smaller_share(intent: Intent, _: str, said: _Details) -> str:
    """A hundredth less than what is free."""
    now = intent.launch.gpu_memory_utilization or _DEFAULT_SHARE
    share = float(said["free"]) / float(said["total"]) - 0.01 if {"free", "total"} <= said.keys() else now - 0.1
    share = int(share * 100) / 100
    return _with(intent, gpu_memory_utilization=share) if 0.1 <= share < now else ""


def _fewer(intent: Intent, *_: object) -> str:
    now = intent.launch.max_num_seqs
    return _with(intent, max_num_seqs=max(1, now // 4) if now else 16) if now != 1 else ""


def _divisor(intent: Intent, _: str, said: _Details) -> str:
    """The largest number of GPUs, no larger than now, that divides the heads."""
    heads, now = int(said.get("heads", "0")), intent.launch.tensor_parallel
    fitting = [n for n in range(now - 1, 0, -1) if heads % n == 0] if heads else [1]
    return _with(intent, tensor_parallel=fitting[0]) if fitting and now > 1 else ""


def _words(intent: Intent) -> list[str]:
    words = list(intent.command) or launch_line.plain_words(intent)
    return ["MODEL" if word == UNNAMED else word for word in words]


def _known_flags(intent: Intent, _: str, said: _Details) -> str:
    words = _words(intent)
    refused = [w for w in said.get("flags", "").split() if w.startswith("-")]
    if not refused:
        return ""
    names = tuple(launch_line.bare_flag(w.partition("=")[0]) for w in refused)
    return shlex.join(launch_line.replace_flag(words, names, None))


def _other_port(intent: Intent, *_: object) -> str:
    words = _words(intent)
    port = intent.port + 1 if 1024 <= intent.port < 65535 else 8001
    return shlex.join(launch_line.set_flag(words, intent.engine, "port", port))


def _older_gcc(_intent: Intent, _folder: str, said: _Details) -> str:
    if "gcc" not in said:
        return ""
    c, cpp = f"gcc-{said['gcc']}", f"g++-{said['gcc']}"
    return (
        f"sudo apt install {c} {cpp} && "
        f'export CC=/usr/bin/{c} CXX=/usr/bin/{cpp} NVCC_PREPEND_FLAGS="-ccbin /usr/bin/{cpp}"'
    )


def _in_front(assignment: str) -> Callable[[Intent, str, _Details], str]:
    return lambda intent, *_: f"{assignment} {launch_line.line(intent)}"


def _pictures(intent: Intent, *_: object) -> str:
    return _with(intent, limit_mm_per_prompt={"image": 10}) if intent.engine == "vllm" else ""


def _smaller_pictures(intent: Intent, *_: object) -> str:
    # max_pixels sizes the budget and is ignored by the processor: `size` limits both.
    kept = {k: v for k, v in intent.launch.mm_processor_kwargs.items() if k not in ("max_pixels", "min_pixels")}
    smaller = {**kept, **PICTURE_SIZE}
    return _with(intent, mm_processor_kwargs=smaller) if intent.engine == "vllm" else ""


def _set(**changes: Any) -> Callable[[Intent, str, _Details], str]:
    return lambda intent, *_: _with(intent, **changes)


def _help(intent: Intent, *_: object) -> str:
    lines = {
        "vllm": "vllm serve --help=all",
        "sglang": "python3 -m sglang.launch_server --help",
        "transformers": "transformers serve --help",
    }
    return lines.get(intent.engine, "llama-server --help")


_LINES: Mapping[str, Callable[[Intent, str, _Details], str]] = {
    "launch": lambda intent, *_: launch_line.line(intent),
    "shorter": _shorter,
    "model_length": _model_length,
    "bigger_share": _bigger_share,
    "smaller_share": _smaller_share,
    "fewer": _fewer,
    "divisor": _divisor,
    "fewer_gpus": lambda intent, *_: _with(intent, tensor_parallel=1) if intent.launch.tensor_parallel > 1 else "",
    "eager": _set(enforce_eager=True),
    "half": _set(dtype="half"),
    "bfloat": _set(dtype="bfloat16"),
    "no_quantization": lambda intent, *_: _with(intent, quantization=None) if intent.launch.quantization else "",
    "default_batch": _set(max_num_batched_tokens=None),
    "template": lambda intent, folder, _: _with(intent, chat_template=f"{folder}/chat_template.jinja"),
    "pictures": _pictures,
    "smaller_pictures": _smaller_pictures,
    "known_flags": _known_flags,
    "older_gcc": _older_gcc,
    "other_port": _other_port,
    "no_p2p": _in_front("NCCL_P2P_DISABLE=1"),
    "help": _help,
}
