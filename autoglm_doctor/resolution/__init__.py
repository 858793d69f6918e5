"""`resolve`: the newest set of packages that runs on a machine, and the lines that install it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

from autoglm_doctor.capacity.deliver import deliver_text
from autoglm_doctor.console import columns, takes_colour
from autoglm_doctor.domain.model import model_config
from autoglm_doctor.domain.resolve.plan import plan_for
from autoglm_doctor.domain.resolve.shelf import model_of
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Engine, Intent
from autoglm_doctor.launch import intent_from_options
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.reading import load_reading
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report.resolve_report import Resolved, render_json, render_text
from autoglm_doctor.resolution.read import read_place
from autoglm_doctor.resolution.request import Request, validate

_ENGINES: Mapping[str, Engine] = {"vllm": "vllm", "sglang": "sglang", "transformers": "transformers"}


def resolve(request: Request) -> int:
    """Answer, print, and return the exit code: 0 there is a set, 1 there is none, 4 as far as is known.

    Raises:
        DoctorError: something that the user has to mend first.
    """
    validate(request)
    matrix = load_matrix()
    saved = load_reading(request.facts) if request.facts else None
    intent = _intent(request, saved.intent if saved else None)
    engine = _ENGINES[intent.engine]
    place, python, first = read_place(request, intent, matrix, saved.facts if saved else None)
    kept = saved.facts.model_files.value if saved and saved.intent and intent.model == saved.intent.model else None
    model = model_of(matrix, engine, intent.model, model_config(intent, kept or _files(intent.model)))
    resolved = Resolved(
        engine=engine,
        model=model,
        place=place,
        python=python,
        first=first,
        plan=plan_for(matrix, engine, place, model),
        matrix_date=matrix.generated,
    )
    redactor = Redactor() if request.redact else None
    if request.format == "json":
        text = render_json(resolved, redactor=redactor)
    else:
        text = render_text(resolved, redactor=redactor, width=columns(sys.stdout, 100), color=takes_colour(sys.stdout))
    deliver_text(text, None)
    if resolved.plan.answer.release is None:
        return 1
    return 4 if resolved.plan.answer.doubts else 0


def _intent(request: Request, saved: Intent | None) -> Intent:
    """What is stated now; for what is not, what the saved reading was made for."""
    engine = _ENGINES.get(request.engine or (saved.engine if saved else "vllm"), "vllm")
    if saved is not None and request.model is None and request.profile is None:
        return dataclasses.replace(saved, engine=engine)
    profile = request.profile or "autoglm-phone-9b"
    return intent_from_options(model=request.model, engine=engine, overrides={}, profile=profile)


def _files(model: str) -> ModelFiles | None:
    """The config.json of a folder; None for a name on a hub."""
    from autoglm_doctor.capacity.request import read_config

    path = Path(model).expanduser() / "config.json"
    return read_config(path) if path.is_file() else None
