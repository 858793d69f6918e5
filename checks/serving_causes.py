"""What the words of a server mean for this deployment: the cause, and ways out that start. Helps the checks of INF."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.api import (
    SMOKE,
    Cuda,
    Environment,
    Fix,
    Gpu,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Reading,
    Serving,
    Text,
    unknown,
)
from autoglm_doctor.checks.inference import aside
from autoglm_doctor.domain.capacity.fixes import free_fixes, memory_fixes
from autoglm_doctor.domain.capacity.rescue import PICTURE_SIZE, SHORTEST_CONTEXT
from autoglm_doctor.domain.deployment import Case, read_case
from autoglm_doctor.domain.launch_line import can_change, changed, line
from autoglm_doctor.domain.memory.fits import Card, estimates, verdict
from autoglm_doctor.domain.model import model_shape
from autoglm_doctor.domain.signatures import Symptom, fix_for, symptoms_of

#: As people call them.
NAMES = {"vllm": "vLLM", "sglang": "SGLang", "transformers": "transformers serve", "llamacpp": "llama.cpp's server"}

#: Checks whose red makes a server fail: of the machine, the packages, the model, the flags and the memory.
ROOTS = (
    *("DRV001", "DRV002", "DRV003", "DRV004", "DRV005", "DRV006", "GPU001", "GPU002"),
    *("CUD001", "CUD002", "CUD003", "CUD004", "HST001", "HST002", "HST003"),
    *("PYT001", "PKG001", "PKG002", "PKG003", "PKG004", "PKG005", "PKG006", "PKG007", "PKG008"),
    *("TOR001", "TOR002", "TOR003", "TOR004", "TOR005", "TOR006"),
    *("ENG001", "ENG002", "ENG003", "ENG004", "ENG005", "ENG006"),
    *("MDL001", "MDL002", "CFG001", "CFG002", "CFG003", "CFG006", "CFG007", "CFG008"),
    *("VRM001", "VRM002", "VRM003", "MEM001", "LIM001", "LIM002", "DSK001"),
)

#: What a cause that the log names can follow from, by a piece of its name; the first that matches. Others follow from
#: nothing that the doctor looks at, and are the root themselves.
_FOLLOWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("RAM_TOO_SMALL|CGROUP_MEMORY", ("MEM001", "LIM001")),
    ("DISK_FULL|PERMITTED", ("DSK001",)),
    ("SHM|NOFILE|MEMLOCK", ("LIM",)),
    ("KV_CACHE|VRAM|MEMORY_TAKEN|ENCODER_BUDGET|TOO_SHORT_FOR_IMAGE", ("VRM", "CFG")),
    ("CONTEXT_TOO_LONG|FLAG|DIVIDE|QUANTIZATION_CONFLICT|BATCH_SMALLER|TOO_FEW_GPUS", ("CFG", "ENG", "GPU", "MDL002")),
    ("MODEL_|SAFETENSORS|CHAT_TEMPLATE|HUB_", ("MDL",)),
    ("BF16|QUANT_UNSUPPORTED", ("CFG", "ENG", "GPU")),
    ("FOR_MODEL|FOR_ENGINE|BAD_RELEASE", ("ENG", "PKG", "TOR", "MDL002", "PYT", "GPU")),
    (
        "TORCH|CUDA|ABI|PACKAGE|CONFLICT|NUMPY|TRITON|PYTHON|INSTALLED|COMPILER|NVCC|CUDNN|KERNEL|LIBSTD|GLIBC|LIBCUDA",
        ("PKG", "TOR", "PYT", "ENG", "CUD", "DRV", "HST", "GPU"),
    ),
    ("DRIVER|GPU|BF16|MIG|FABRIC|UVM|NVML|CONTAINER|WSL|SECURE|NOUVEAU|BIOS|ARCH", ("DRV", "GPU", "CUD", "HST", "TOR")),
)

#: Causes for which the memory model has launch lines.
_MEMORY = ("VRAM_TOO_SMALL_FOR_WEIGHTS", "KV_CACHE_TOO_SMALL")

#: The card of the memory model is made smaller in such steps until the line that did not start does not fit in it...
_STEP = 0.03
#: ... and once more by this, so that what is offered has room to spare.
_SPARE = 0.03


@dataclass(frozen=True, slots=True)
class Place:
    """The deployment where a server was tried."""

    serving: Serving
    case: Case

    @property
    def intent(self) -> Intent:
        """What was to be served."""
        return self.case.intent

    @property
    def folder(self) -> str:
        """Where the model's files are."""
        return self.case.files.path if self.case.files else self.intent.model

    @property
    def name(self) -> str:
        """The engine's."""
        return NAMES.get(self.serving.engine, self.serving.engine)


def read_place(
    serving: Serving,
    intent: Intent,
    gpus: tuple[Gpu, ...] | None,
    files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
) -> Place:
    """Put the facts together; the version that the engine names itself counts more than the packages'."""
    on_cpu = intent.device == "cpu"
    case = read_case(() if on_cpu else gpus or (), intent, files, packages, environment, cuda)
    said = serving.figures.version
    if said and said != case.version and case.card is not None:
        found = estimates(intent, files, case.card, said)
        case = dataclasses.replace(case, version=said, estimates=found)
    return Place(serving, case)


def without_server(serving: Reading[Serving]) -> Judgement:
    """Nobody tried, for a good reason; or the doctor's own trial broke off, which is an open question."""
    why = {"why": serving.why or serving.outcome}
    if serving.outcome in ("absent", "not_run"):
        return aside(Text("the command was not run: {why}", why))
    return unknown(Text("the command was tried and the trial gave no answer: {why}", why))


def is_untrained(serving: Serving, intent: Intent) -> bool:
    """Whether the weights are random: such a model cannot be asked for sense."""
    return serving.random_weights or intent.model == SMOKE or intent.launch.load_format == "dummy"


def roots_for(cause: str) -> tuple[str, ...]:
    """The checks whose red may be the root of a start that failed for this cause."""
    for pattern, prefixes in _FOLLOWS:
        if re.search(pattern, cause):
            return tuple(code for code in ROOTS if code.startswith(prefixes))
    return ()


def root_of(lines: Sequence[str], engine: str) -> Symptom | None:
    """The first cause behind some lines; None: their wording is not known.

    Hints are how people put it; no engine says so, and in a log they would be chance.
    """
    found = symptoms_of(tuple(line for line in lines if line), engine)
    return next((one for one in found if one.signature.sure != "hint"), None)


def fixes_for(symptom: Symptom, place: Place) -> tuple[Fix, ...]:
    """Lines of this very deployment that start where there are such; then what the table of error texts says."""
    cause = symptom.signature.cause
    general = fix_for(symptom.signature, place.intent, place.folder, symptom.line)
    special: tuple[Fix, ...] = ()
    if cause in _MEMORY:
        special = _lighter(place)
    elif cause == "GPU_MEMORY_TAKEN_BY_OTHERS":
        special = _on_a_taken_gpu(place)
    elif cause in ("IMAGE_EXCEEDS_ENCODER_BUDGET", "CONTEXT_TOO_SHORT_FOR_IMAGE"):
        special = _smaller_pictures(place, longer=cause == "CONTEXT_TOO_SHORT_FOR_IMAGE")
    return (*special, general)


def _lighter(place: Place) -> tuple[Fix, ...]:
    """Launch lines that take less than the one that ran out of memory did, by the memory model.

    Where the model says that the line fits, it is wrong by an unknown amount: its card is made smaller until it agrees
    with what was seen.
    """
    case, card = place.case, place.case.card
    if card is None or not case.estimates:
        return ()
    share = 1.0
    while share > 0.5 and verdict(estimates(case.intent, case.files, _part(card, share), case.version)) == "yes":
        share -= _STEP
    if share < 1.0:
        share -= _SPARE
    given = line(case.intent)
    return tuple(fix for fix in memory_fixes(case, card=_part(card, share)) if given not in fix.commands)


def _part(card: Card, share: float) -> Card:
    return dataclasses.replace(card, total_bytes=int(card.total_bytes * share))


def _on_a_taken_gpu(place: Place) -> tuple[Fix, ...]:
    known = [one for one in place.case.taken if one.free_bytes is not None]
    fullest = min(known, key=lambda one: one.free_bytes or 0, default=None)
    return free_fixes(place.case, fullest) if fullest is not None else ()


def _smaller_pictures(place: Place, longer: bool) -> tuple[Fix, ...]:
    """Smaller pictures in the word that Glm4v's processor obeys; a longer context beside them where that is short."""
    intent = place.intent
    shape = model_shape(intent, place.case.files)
    if shape is None or shape.vision is None or not can_change(intent, "mm_processor_kwargs"):
        return ()
    said = intent.launch.mm_processor_kwargs
    kept = {name: value for name, value in said.items() if name not in ("max_pixels", "min_pixels", "size")}
    changes: dict[str, Any] = {"mm_processor_kwargs": {**kept, **PICTURE_SIZE}}
    if longer and (intent.launch.max_model_len or SHORTEST_CONTEXT) < SHORTEST_CONTEXT:
        changes["max_model_len"] = SHORTEST_CONTEXT
    text = Text("make pictures smaller, in the word that the processor obeys: a screenshot takes 3,108 tokens then")
    return (Fix(text=text, commands=(line(changed(intent, changes)),), effort="flag"),)
