"""The machine that a set of packages must run on: described, from a saved reading, or this one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.capacity.cards import find_card
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.managed import environment
from autoglm_doctor.domain.resolve.releases import Place
from autoglm_doctor.domain.resolve.site import driver_text
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import Facts
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import Matrix
from autoglm_doctor.resolution.request import Request

#: All that is read for it.
MACHINE = frozenset({"host", "driver", "gpus", "cuda", "environment", "interpreter"})


def read_place(request: Request, intent: Intent, matrix: Matrix, saved: Facts | None = None) -> tuple[Place, str, str]:
    """The place, the interpreter that the lines are for ("": whichever is active), and the line that makes it first.

    A Python that belongs to the system takes no packages (PEP 668): the lines are then for an environment of its own.

    Raises:
        DoctorError: something that the user has to mend first.
    """
    if request.is_hypothetical:
        card, capability = find_card(request.gpu, matrix) if request.gpu else (None, "")
        place = Place(
            driver=request.driver or "",
            capabilities=(capability,) if capability else (),
            python=_line(request.python_version or ""),
            glibc=request.glibc or "",
            gpu=card.name if card else "",
        )
        return place, "", ""
    facts = saved or _gather(request, intent)
    return _of(facts, request, intent, matrix), *_interpreter(facts, request)


def _line(version: str) -> str:
    """ "3.12.4" -> "3.12"."""
    return ".".join(version.split(".")[:2])


def _of(facts: Facts, request: Request, intent: Intent, matrix: Matrix) -> Place:
    host, driver, python = facts.host.value, facts.driver.value, facts.interpreter.value
    gpus = gpus_of(facts.gpus.value, facts.cuda.value, facts.environment.value, intent) or ()
    return Place(
        driver=driver_text(driver, matrix),
        capabilities=tuple(dict.fromkeys(gpu.compute_capability for gpu in gpus if gpu.compute_capability)),
        python=_line(request.python_version or (python.version if python else "")),
        glibc=request.glibc or (host.glibc or "" if host else ""),
        machine=host.machine if host else "x86_64",
        gpu=", ".join(dict.fromkeys(gpu.name for gpu in gpus)),
    )


def _interpreter(facts: Facts, request: Request) -> tuple[str, str]:
    found = facts.interpreter.value
    if found is not None and found.externally_managed:
        return environment(found.executable)
    return found.executable if found and request.python else "", ""


def _gather(request: Request, intent: Intent) -> Facts:
    from autoglm_doctor.interruption import within
    from autoglm_doctor.limits import SEARCH_SECONDS
    from autoglm_doctor.options import Options
    from autoglm_doctor.output import Progress
    from autoglm_doctor.plan import gather, session
    from autoglm_doctor.target import choose_interpreter, working_folder

    environ: Mapping[str, Any] = os.environ
    try:
        choice = within(SEARCH_SECONDS, lambda: choose_interpreter(request.python, (), environ, working_folder()))
    except TimeoutError:
        raise DoctorError("looking for the deployment's Python got no answer") from None
    if request.python and choice.executable is None:
        raise DoctorError(choice.why_not)
    options = Options(
        interpreter=choice.executable,
        interpreter_why=choice.chosen_by if choice.executable else choice.why_not,
        final_stage="none",
        disk_write=False,
        timeout_scale=request.timeout,
    )
    with Progress() as progress, session(options, intent, progress.update) as one:
        return gather(MACHINE, Facts(), intent, options, one).facts
