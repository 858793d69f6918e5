"""An answer of `resolve`, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.resolve.choose import Answer, reasons
from autoglm_doctor.domain.resolve.lines import pip_line, then_lines, uv_line
from autoglm_doctor.domain.resolve.plan import Plan
from autoglm_doctor.domain.resolve.releases import Model, Place, Release
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
    first: str  # the line that makes it, where the machine's own Python takes no packages; "": it is there
    plan: Plan
    matrix_date: str


def render_text(resolved: Resolved, *, redactor: Redactor | None, width: int, color: bool) -> str:
    """The set, its lines, and why nothing newer."""
    page = Page(redactor=redactor, width=width, color=color)
    page.hanging("", f"{resolved.engine} for {resolved.model.name} on {_place(resolved.place)}")
    page.line()
    release = resolved.plan.answer.release
    if release is None:
        page.line(f"No release of {resolved.engine} runs there.", "red")
    else:
        page.line(_set(resolved.plan, release), "green")
        _lines(page, resolved.plan, resolved)
        if release.engine != "transformers" and release.transformers:
            page.hanging("  ", f"its metadata takes transformers {release.transformers}", style="dim")
    _why(page, resolved.plan.answer)
    _own_page(page, resolved)
    _better(page, resolved)
    page.line()
    page.hanging(
        "", f"matrix of {resolved.matrix_date}; {_index(resolved.plan)}, {resolved.place.machine}", style="dim"
    )
    return page.text()


def _lines(page: Page, plan: Plan, resolved: Resolved) -> None:
    python = resolved.python
    page.line()
    if resolved.first:
        why = "in an environment of its own, since the Python here belongs to the system and takes no packages:"
        page.hanging("  ", why, style="dim")
        page.line("  " + page.clean(resolved.first), "bold")
    page.line("  " + page.clean(pip_line(plan, python or "python3")), "bold")
    page.line("  " + page.clean(uv_line(plan, python)), "bold")
    then = then_lines(plan, python)
    if then:
        page.hanging("  ", "and then, since this torch is slow on pictures with the cuDNN that it pins:", style="dim")
    for line in then:
        page.line("  " + page.clean(line), "bold")


def _own_page(page: Page, resolved: Resolved) -> None:
    """A newer release that no index but the project's own page has."""
    plan = resolved.plan.own_page
    if plan is None or plan.answer.release is None:
        return
    page.line()
    page.hanging("Newer, from its project's own release page  ", _set(plan, plan.answer.release))
    _lines(page, plan, resolved)


def _set(plan: Plan, release: Release) -> str:
    """ "vllm 0.19.1 (torch 2.10.0, CUDA 12.8) with transformers 5.5.4"."""
    number, cuda = (plan.torch.version, plan.torch.cuda) if plan.torch else (release.torch, release.cuda)
    torch = f" (torch {number}{f', CUDA {cuda}' if cuda else ''})" if number else ""
    library = f" with transformers {plan.answer.transformers}" if plan.answer.transformers else ""
    return f"{release.engine} {release.full_version}{torch}{library}"


def _index(plan: Plan) -> str:
    """Where the packages come from."""
    if plan.answer.release and plan.answer.release.wheel:
        return f"{plan.answer.release.engine} from its project's own release page, torch from {plan.options[-1]}"
    return f"the default index, and torch from {plan.options[-1]}" if plan.options else "the default index"


def _better(page: Page, resolved: Resolved) -> None:
    """The last way out: it takes root and a reboot."""
    better = resolved.plan.better
    if better is None or better.answer.release is None:
        return
    release = better.answer.release
    library = f" with transformers {better.answer.transformers}" if better.answer.transformers else ""
    page.line()
    page.hanging(
        "With a newer driver  ",
        f"from {better.driver} on: {release.engine} {release.version}{library} (takes root and a reboot)",
    )


def _why(page: Page, answer: Answer) -> None:
    told = list(reasons(answer))
    if told:
        page.line()
        own = answer.release is not None and answer.release.wheel
        page.line("Why nothing on the default index" if own else "Why nothing newer" if answer.release else "Why")
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
    plan, place = resolved.plan, resolved.place
    answer, better = plan.answer, plan.better
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
        "first": resolved.first or None,
        "answer": _as_data(plan, resolved.python),
        "own_page": _as_data(plan.own_page, resolved.python),
        "with_newer_driver": {
            "driver": better.driver,
            "version": better.answer.release.version,
            "transformers": better.answer.transformers or None,
            "needs_root": True,
            "reboot": True,
        }
        if better and better.answer.release
        else None,
        "refused": [
            {"newest": one.newest, "oldest": one.oldest, "rule": one.rule, "why": words(one.text)}
            for one in answer.refused
        ],
        "not_known": list(answer.doubts),
        "matrix_date": resolved.matrix_date,
    }
    return json.dumps(redactor.data(data) if redactor else data, indent=2) + "\n"


def _as_data(plan: Plan | None, python: str) -> dict[str, Any] | None:
    """A set and its lines."""
    release = plan.answer.release if plan else None
    if plan is None or release is None:
        return None
    library = plan.answer.transformers or (release.version if release.engine == "transformers" else None)
    return {
        "version": release.full_version,
        "torch": (plan.torch.version if plan.torch else release.torch) or None,
        "cuda": (plan.torch.cuda if plan.torch else release.cuda) or None,
        "transformers": library,
        "transformers_range": release.transformers or None,
        "index": plan.options[-1] if plan.options else None,
        "wheel": release.wheel or None,
        "pip": pip_line(plan, python or "python3"),
        "uv": uv_line(plan, python),
        "then": list(then_lines(plan, python)),
    }
