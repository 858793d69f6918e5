"""A name that could not be imported from transformers, held against the release of transformers that is stated."""

from __future__ import annotations

import dataclasses
import re

from autoglm_doctor.domain.signatures import Symptom
from autoglm_doctor.domain.signatures.names import Verdict, why_missing
from autoglm_doctor.facts import Facts
from autoglm_doctor.intent import UNNAMED, Intent

#: Libraries beside transformers that import names from it.
_LIBRARIES = ("peft", "accelerate", "trl", "sentence-transformers", "diffusers", "optimum", "adapters", "unsloth")
_IN_PATH = re.compile(rf"[/\\](?:{'|'.join(name.replace('-', '_') for name in _LIBRARIES)})[/\\]")
_CLASS_OF_A_MODEL = re.compile(r"For(?:ConditionalGeneration|CausalLM)$|\d\w*(?:Model|Config|Processor)$|VisionModel$")
_TOO_OLD = {
    "engine": "TRANSFORMERS_TOO_OLD_FOR_ENGINE",
    "library": "HF_LIBS_CONFLICT",
    "model": "TRANSFORMERS_TOO_OLD_FOR_MODEL",
    "code of the model": "TRANSFORMERS_TOO_OLD_FOR_MODEL",
}


def by_release(one: Symptom, text: str, facts: Facts, intent: Intent) -> Symptom:
    """The symptom with the direction that the stated release leaves; unchanged without one, or for other words."""
    verdict = why_missing(one.line, release_of("transformers", facts))
    if verdict is None:
        return one
    cause = _cause(one.signature.cause, verdict, _who_asks(text, facts, intent))
    meaning, way_out, wanted = _told(verdict)
    command = f"python3 -m pip install --upgrade 'transformers{wanted}'"
    row = dataclasses.replace(
        one.signature,
        cause=cause,
        meaning=meaning,
        way_out=way_out,
        commands=("python3 -m pip list | grep -i transformers", command),
    )
    return Symptom(row, one.line)


def release_of(package: str, facts: Facts) -> str:
    """The stated version; "" without one."""
    packages = facts.packages.value
    return next((p.version for p in packages.distributions if p.name == package), "") if packages else ""


def _cause(said: str, verdict: Verdict, who: str) -> str:
    if verdict.direction == "too old":
        return _TOO_OLD["model" if _CLASS_OF_A_MODEL.search(verdict.name) else who]
    if who == "library":
        return "HF_LIBS_CONFLICT"
    if said.startswith("TRANSFORMERS_TOO_NEW") and who != "code of the model":
        return said
    return (
        "TRANSFORMERS_TOO_NEW_FOR_MODEL" if who in ("model", "code of the model") else "TRANSFORMERS_TOO_NEW_FOR_ENGINE"
    )


def _who_asks(text: str, facts: Facts, intent: Intent) -> str:
    """ "engine", "model", "code of the model" where a traceback shows it, or "library"."""
    if "transformers_modules" in text:
        return "code of the model"
    if _IN_PATH.search(text):
        return "library"
    if intent.engine in ("vllm", "sglang"):
        return "engine"
    if intent.model != UNNAMED:
        return "model"
    return "library" if any(release_of(name, facts) for name in _LIBRARIES) else "engine"


def _told(verdict: Verdict) -> tuple[str, str, str]:
    """What it means, the way out, and what is wanted of transformers."""
    name, added, removed = verdict.name, verdict.added, verdict.removed
    if verdict.direction == "too old":
        return (
            f"the installed transformers is too old for what asks for {name}, which came with {added}",
            f"Install transformers {added} or later, or an older release of the package that asks for it.",
            f">={added}",
        )
    if verdict.direction == "in a gap":
        return (
            f"the installed transformers is one of the few releases that lack {name}: it is back in {added}",
            f"Install transformers {added} or later.",
            f">={added}",
        )
    return (
        f"the installed transformers is too new for what asks for {name}, which went with {removed}",
        f"Install a transformers from before {removed}, or a newer release of what asks for it.",
        f"<{removed}",
    )
