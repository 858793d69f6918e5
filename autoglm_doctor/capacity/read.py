"""The model and the GPU of a plan: named, from a saved reading, or read from this machine. Nothing else is read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.capacity.cards import find_card, parse_bytes
from autoglm_doctor.capacity.request import Request, engine_and_version, read_config, state_intent
from autoglm_doctor.domain.capacity.place import Place
from autoglm_doctor.domain.deployment import Case, engine_version, read_case
from autoglm_doctor.domain.downloads import names_a_path
from autoglm_doctor.domain.memory.fits import Card
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import Facts, ModelFiles
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import Matrix
from autoglm_doctor.profiles import find_profile
from autoglm_doctor.reading import Saved, load_reading

#: What a plan asks of this machine, and nothing else.
MACHINE = frozenset({"gpus", "driver", "cuda", "environment", "interpreter", "packages"})


def read_place(request: Request, matrix: Matrix) -> Place:
    """Put a deployment and its GPU together.

    Raises:
        DoctorError: something that the user has to mend first.
    """
    saved = load_reading(request.facts) if request.facts else None
    intent = state_intent(request, saved)
    _, version = engine_and_version(request)
    named = _named_card(request, intent, matrix)
    files, facts = _read(request, saved, intent, look=named is None and not request.compare)
    if named is not None or request.compare:
        card, capability = named or (None, "")
        version = version or (engine_version(facts.packages.value, intent) if saved else None)
        return Place(intent=intent, files=files, card=card, version=version, capability=capability, origin="named")
    case = _case(facts, intent, files)
    card = case.card
    if card is not None and request.gpus:
        card = dataclasses.replace(card, count=request.gpus)
    free = [one.free_bytes for one in case.taken if one.free_bytes is not None]
    return Place(
        intent=intent,
        files=files,
        card=card,
        version=version or case.version,
        capability=case.capability,
        free_bytes=min(free) if free and len(free) == len(case.taken) else None,
        origin="saved" if saved else "measured",
    )


def _named_card(request: Request, intent: Intent, matrix: Matrix) -> tuple[Card, str] | None:
    """The hypothetical GPU; None when neither a name nor a size was given."""
    if request.gpu is None and request.vram is None:
        return None
    card, capability = find_card(request.gpu, matrix) if request.gpu else (Card(name="", total_bytes=0), "")
    total = parse_bytes(request.vram, "--vram") if request.vram else card.total_bytes
    return dataclasses.replace(card, total_bytes=total, count=request.gpus or intent.gpus_needed), capability


def _case(facts: Facts, intent: Intent, files: ModelFiles | None) -> Case:
    values = (facts.packages.value, facts.environment.value, facts.cuda.value)
    return read_case(facts.gpus.value or (), intent, files, *values)


def _read(request: Request, saved: Saved | None, intent: Intent, *, look: bool) -> tuple[ModelFiles | None, Facts]:
    """The model's files, and the machine where it is looked at."""
    files = read_config(request.config) if request.config else None
    if saved is not None:
        same = saved.intent is not None and saved.intent.model == intent.model
        return files or (saved.facts.model_files.value if same else None), saved.facts
    wanted = MACHINE if look else frozenset()
    if files is None and (look or find_profile(intent.model) is None):
        wanted |= {"model_files"}
    if not wanted:
        return files, Facts()
    facts = _gather(request, intent, wanted)
    missing = files is None and facts.model_files.value is None
    if missing and (names_a_path(intent.model) or intent.model.lower().endswith(".gguf")):
        raise DoctorError(facts.model_files.why or f"{intent.model} could not be read")
    return files or facts.model_files.value, facts


def _gather(request: Request, intent: Intent, wanted: frozenset[str]) -> Facts:
    """Run the probes that are needed, each in a process of its own with a time limit."""
    from autoglm_doctor.options import Options
    from autoglm_doctor.output import Progress
    from autoglm_doctor.plan import gather, session

    executable, why = _interpreter(request, intent) if "interpreter" in wanted else (None, "no packages are asked for")
    options = Options(
        interpreter=executable,
        interpreter_why=why,
        final_stage="none",
        disk_write=False,
        timeout_scale=request.timeout,
    )
    with Progress() as progress, session(options, intent, progress.update) as one:
        return gather(wanted, Facts(), intent, options, one).facts


def _interpreter(request: Request, intent: Intent) -> tuple[str | None, str]:
    from autoglm_doctor.interruption import within
    from autoglm_doctor.limits import SEARCH_SECONDS
    from autoglm_doctor.target import choose_interpreter, working_folder

    environ: Mapping[str, Any] = {**os.environ, **intent.environment}
    whole = bool(request.command) and not request.command[0].startswith("-")
    command = request.command if whole else ()
    try:
        choice = within(SEARCH_SECONDS, lambda: choose_interpreter(request.python, command, environ, working_folder()))
    except TimeoutError:
        return None, f"looking for the deployment's Python got no answer within {SEARCH_SECONDS:g} s"
    if request.python and choice.executable is None:
        raise DoctorError(choice.why_not)
    return choice.executable, choice.chosen_by if choice.executable else choice.why_not
