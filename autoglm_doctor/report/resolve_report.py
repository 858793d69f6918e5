"""An answer of `resolve`, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.resolve.choose import Answer, reasons
from autoglm_doctor.domain.resolve.lines import pip_line, uv_line
from autoglm_doctor.domain.resolve.releases import Model, Place
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report.plan_page import Page
from autoglm_doctor.wording import render as words

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Question and answer."""

    engine: str
    model: Model
    place: Place
    python: str  # the interpreter that the lines are for; "": the active one
    answer: Answer
    matrix_date: str


def render_text(resolved: Resolved, *, redactor: Redactor | None, width: int, color: bool) -> str:
    """The set, its lines, and why nothing newer."""
    page = Page(redactor=redactor, width=width, color=color)
    page.hanging("", f"{resolved.engine} for {resolved.model.name} on {_place(resolved.place)}")
    page.line()
    release = resolved.answer.release
    if release is None:
        page.line(f"No release of {resolved.engine} runs there.", "red")
    else:
        cuda = f", CUDA {release.cuda}" if release.cuda else ""
        torch = f" (torch {release.torch}{cuda})" if release.torch else ""
        library = f" with transformers {resolved.answer.transformers}" if resolved.answer.transformers else ""
        page.line(f"{release.engine} {release.version}{torch}{library}", "green")
        page.line()
        page.line("  " + page.clean(pip_line(resolved.answer, resolved.python or "python3")), "bold")
        page.line("  " + page.clean(uv_line(resolved.answer, resolved.python)), "bold")
        if release.transformers:
            page.hanging("  ", f"its metadata takes transformers {release.transformers}", style="dim")
    _why(page, resolved.answer)
    page.line()
    page.hanging("", f"matrix of {resolved.matrix_date}; the default index, {resolved.place.machine}", style="dim")
    return page.text()


def _why(page: Page, answer: Answer) -> None:
    told = list(reasons(answer))
    if told:
        page.line()
        page.line("Why nothing newer" if answer.release else "Why")
        width = max(len(span) for span, _ in told)
        for span, text in told:
            page.hanging(f"  {span:<{width}}  ", words(text))
    if answer.doubts:
        page.line()
        page.hanging(
            "  not known: ", f"{', '.join(answer.doubts)}; nothing was ruled out for that", head_style="yellow"
        )


def _place(place: Place) -> str:
    gpu = place.gpu or "a GPU that is not known"
    capability = f" ({', '.join(place.capabilities)})" if place.capabilities else ""
    parts = [f"{gpu}{capability}"]
    parts += [f"driver {place.driver}"] if place.driver else []
    parts += [f"Python {place.python}"] if place.python else []
    parts += [f"glibc {place.glibc}"] if place.glibc else []
    return ", ".join(parts)


def render_json(resolved: Resolved, *, redactor: Redactor | None) -> str:
    """One JSON object."""
    answer, place, release = resolved.answer, resolved.place, resolved.answer.release
    data: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "engine": resolved.engine,
        "model": {"name": resolved.model.name, "model_type": resolved.model.model_type or None},
        "machine": {
            "gpu": place.gpu or None,
            "compute_capabilities": list(place.capabilities),
            "driver": place.driver or None,
            "python": place.python or None,
            "glibc": place.glibc or None,
            "machine": place.machine,
        },
        "answer": {
            "version": release.version,
            "torch": release.torch or None,
            "cuda": release.cuda or None,
            "transformers": answer.transformers or None,
            "transformers_range": release.transformers or None,
            "pip": pip_line(answer, resolved.python or "python3"),
            "uv": uv_line(answer, resolved.python),
        }
        if release
        else None,
        "refused": [
            {"newest": one.newest, "oldest": one.oldest, "rule": one.rule, "why": words(one.text)}
            for one in answer.refused
        ],
        "not_known": list(answer.doubts),
        "matrix_date": resolved.matrix_date,
    }
    return json.dumps(redactor.data(data) if redactor else data, indent=2) + "\n"
