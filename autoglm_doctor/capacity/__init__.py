"""`plan`: what a deployment needs of a GPU, what else fits on it, and the lines that start."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from autoglm_doctor.capacity.cards import all_cards, find_card
from autoglm_doctor.capacity.deliver import deliver_text
from autoglm_doctor.capacity.read import read_place
from autoglm_doctor.capacity.request import Request, validate
from autoglm_doctor.console import columns, takes_colour
from autoglm_doctor.domain.capacity.answer import Plan, make_plan
from autoglm_doctor.domain.capacity.grid import Row, make_grid
from autoglm_doctor.domain.capacity.place import Place
from autoglm_doctor.domain.memory.explain import TermLine, explain
from autoglm_doctor.domain.memory.fits import Card, Fits
from autoglm_doctor.matrix import Matrix, load_matrix
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report import plan_bar, plan_grid, plan_json, plan_text

EXIT = {"yes": 0, "no": 1, "unknown": 4}


def plan(request: Request) -> int:
    """Make and print a plan; 0 it fits, 1 it does not, 4 that cannot be told.

    Raises:
        DoctorError: anything that the user has to mend first.
    """
    validate(request)
    matrix = load_matrix()
    place = read_place(request, matrix)
    redactor = _redactor(place) if request.redact else None
    if request.compare:
        rows = make_grid(place, _cards(request, place, matrix))
        deliver_text(_grid(request, place, rows, redactor), request.out)
        return EXIT[_any_fits(rows)]
    made = make_plan(place, all_cards(matrix), request.tokens)
    explained = _explained(place) if request.explain else ()
    deliver_text(_text(request, made, explained, redactor), request.out)
    return EXIT[made.fits]


def _cards(request: Request, place: Place, matrix: Matrix) -> tuple[tuple[Card, str], ...]:
    found = (find_card(name, matrix, "--compare") for name in request.cards)
    count = request.gpus or place.intent.gpus_needed
    return tuple((dataclasses.replace(card, count=count), capability) for card, capability in found)


def _any_fits(rows: Sequence[Row]) -> Fits:
    answers = {cell.fits for row in rows for cell in row.cells}
    return "yes" if "yes" in answers else "unknown" if "unknown" in answers else "no"


def _explained(place: Place) -> tuple[TermLine, ...]:
    return explain(place.intent, place.files, place.card, place.version) if place.card else ()


def _redactor(place: Place) -> Redactor:
    redactor = Redactor()
    redactor.learn(place.intent.command, place.intent.host)
    return redactor


def _text(request: Request, made: Plan, explained: tuple[TermLine, ...], redactor: Redactor | None) -> str:
    if request.format == "json":
        return plan_json.render(made, explained, redactor=redactor)
    screen = sys.stdout if request.out is None else None
    return plan_text.render(
        made,
        explained,
        redactor=redactor,
        width=columns(screen, otherwise=100),
        color=takes_colour(screen),
        blocks=plan_bar.takes_blocks(getattr(screen, "encoding", None) if request.out is None else "utf-8"),
    )


def _grid(request: Request, place: Place, rows: Sequence[Row], redactor: Redactor | None) -> str:
    if request.format == "json":
        return plan_json.render_grid(place, rows, redactor=redactor)
    screen = sys.stdout if request.out is None else None
    width = columns(screen, otherwise=100)
    return plan_grid.render(place, rows, redactor=redactor, width=width, color=takes_colour(screen))
