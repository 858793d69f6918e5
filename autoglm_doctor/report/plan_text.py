"""A plan for people: a table of terms, a bar, the answer, what fits, and lines to paste."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence

from autoglm_doctor.domain.capacity.answer import Plan, way_text
from autoglm_doctor.domain.capacity.rescue import Suggestion
from autoglm_doctor.domain.capacity.room import SCREENSHOT, Room, kv_tokens
from autoglm_doctor.domain.memory.explain import TermLine
from autoglm_doctor.domain.memory.fits import Estimate
from autoglm_doctor.domain.memory.llamacpp_estimate import FITTED
from autoglm_doctor.domain.model import model_config, weight_bytes
from autoglm_doctor.domain.spans import GIB, Span
from autoglm_doctor.finding import Text
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report import plan_bar
from autoglm_doctor.report.plan_page import Page
from autoglm_doctor.wording import render as words

_ANSWERS = {"yes": ("FITS", "green"), "no": ("DOES NOT FIT", "red"), "unknown": ("CANNOT TELL", "yellow")}
_ORIGINS = {"named": "as named, taken as empty", "measured": "of this machine", "saved": "of the saved reading"}


def render(
    plan: Plan, explained: Sequence[TermLine], *, redactor: Redactor | None, width: int, color: bool, blocks: bool
) -> str:
    """The plan, wrapped at `width` columns except for commands. `explained`: () without formulas."""
    page = Page(redactor=redactor, width=width, color=color)
    _head(page, plan)
    if plan.shown is not None:
        _table(page, plan.shown, {line.name: line for line in explained})
        _bar(page, plan.shown, blocks)
    label, style = _ANSWERS[plan.fits]
    page.hanging(f"{label}: ", words(answer(plan)), head_style=style)
    facts = list(_facts(plan))
    if facts:
        page.line()
        page.line(
            "What fits" + (", once the memory is free" if plan.obstacle and plan.place.free_bytes else ""), "bold"
        )
    for name, text in facts:
        page.hanging(f"  {name:<9}", words(text), head_style="dim")
    _lines(page, plan)
    return page.text()


def _head(page: Page, plan: Plan) -> None:
    place = plan.place
    page.line("autoglm-doctor plan", "bold")
    page.hanging("  model  ", place.intent.model, head_style="dim")
    versions = place.version or ", ".join(e.version for e in plan.estimates if e.version) or "version not known"
    several = " (which one is not known: judged for all of these)" if len(plan.estimates) > 1 else ""
    page.hanging("  engine ", f"{place.intent.engine} {versions}{several}", head_style="dim")
    page.hanging("  GPU    ", _gpu(plan), head_style="dim")
    page.line()


def _gpu(plan: Plan) -> str:
    card = plan.place.card
    if card is None:
        return "none, or its memory is not known"
    many = f"{card.count} x " if card.count > 1 else ""
    free = plan.place.free_bytes
    left = words(Text(", {free:GiB} free", {"free": free})) if free is not None else ""
    total = words(Text("{total:GiB}", {"total": card.total_bytes}))
    return f"{many}{card.name or 'one'}, {total}{left}, {_ORIGINS.get(plan.place.origin, '')}"


def _terms(shown: Estimate) -> Iterator[tuple[str, str, Span]]:
    left = shown.kv_available
    yield "weights", "weights", shown.weights
    yield "activation", "activation", shown.activation
    yield "non_torch", "outside torch", shown.non_torch
    yield "cuda_graphs", "CUDA graphs", shown.graphs
    yield "kv_cache", "KV cache", Span(max(0, left.low), max(0, left.likely), max(0, left.high))


def _table(page: Page, shown: Estimate, explained: dict[str, TermLine]) -> None:
    page.line(f"{'On each GPU':<16}{'GiB':>8}  of card", "bold")
    for key, name, span in _terms(shown):
        between = f"  {span.low / GIB:.2f} to {span.high / GIB:.2f}" if span.low != span.high else ""
        tail = between if page.width >= 60 else ""
        page.line(_row(name, span.likely, shown.total_bytes) + page.paint(tail, "dim"))
        if key in explained:
            _formula(page, explained[key])
    page.line(_row("- one request", shown.kv_needed, shown.total_bytes), "dim")
    claimed = _row("claimed", shown.requested, shown.total_bytes)
    page.line(claimed, "bold")
    on_top = shown.graphs_on_top
    if on_top.high:
        between = f"  {on_top.low / GIB:.2f} to {on_top.high / GIB:.2f}" if page.width >= 60 else ""
        page.line(_row("graphs on top", on_top.likely, shown.total_bytes) + between, "dim")
    page.line()


def _row(name: str, amount: int, total: int) -> str:
    return f"  {name:<14}{amount / GIB:>8.2f}{amount / max(1, total) * 100:>7.1f} %"


def _formula(page: Page, line: TermLine) -> None:
    page.hanging("      ", line.formula, style="dim")
    if line.numbers:
        page.hanging("    = ", line.numbers, style="dim")
    page.hanging("      ", f"source: {line.source}", style="dim")


def _bar(page: Page, shown: Estimate, blocks: bool) -> None:
    marks = plan_bar.BLOCKS if blocks else plan_bar.LETTERS
    other = shown.non_torch.likely + shown.graphs.likely
    fixed = shown.weights.likely + shown.activation.likely + other
    parts = [shown.weights.likely, shown.activation.likely, other, max(0, shown.requested - fixed)]
    parts.append(max(0, shown.total_bytes - max(shown.requested, fixed)))
    counts = plan_bar.cells(parts, shown.total_bytes, min(plan_bar.WIDTH, page.width - 2))
    styles = ("cyan", "yellow", "dim", "green", "dim")
    drawn = "".join(page.paint(m * n, s) for m, n, s in zip(marks, counts, styles, strict=True) if n)
    page.line(f"[{drawn}]")
    present = [f"{m} {name}" for m, name, n in zip(marks, plan_bar.NAMES, counts, strict=True) if n]
    page.packed(present, "dim")
    page.line()


def answer(plan: Plan) -> Text:
    """The answer in one sentence."""
    shown = plan.shown
    if plan.obstacle is not None:
        return plan.obstacle
    if plan.place.card is None:
        return Text("there is no GPU here to plan for; name one with --gpu or --vram")
    if shown is None:
        return _not_understood(plan)
    ends = [estimate.kv_available for estimate in plan.estimates]
    said = {
        "tokens": shown.tokens,
        "needed": shown.kv_needed,
        "left": max(0, shown.kv_available.likely),
        "room": kv_tokens(shown),
        "low": max(0, min(end.low for end in ends)),
        "high": max(0, max(end.high for end in ends)),
    }
    if plan.fits == "yes":
        return Text("{left:GiB} for the KV cache are about {room:count} tokens; one request takes {tokens:count}", said)
    if plan.fits == "no":
        return _why_not(shown, said)
    if any(estimate.version == FITTED for estimate in plan.estimates) and shown.fits == "no":
        return Text("all of it does not fit; builds with --fit start with fewer layers on the GPU, older ones do not")
    text = "between {low:GiB} and {high:GiB} are left for the KV cache, {needed:GiB} are needed"
    return Text(text + ": inside the model's own error", said)


def _why_not(shown: Estimate, said: dict[str, int]) -> Text:
    if shown.kv_available.likely < 0:
        said["over"] = -shown.kv_available.likely
        return Text("weights and peak alone are {over:GiB} more than the server claims, before any KV cache", said)
    if shown.kv_available.high >= shown.kv_needed:  # so it is not the cache
        said["load"] = shown.load_peak
        return Text("while it loads, before the weights are made smaller, they take {load:GiB} of the GPU", said)
    return Text("one request of {tokens:count} tokens needs {needed:GiB} of KV cache, {left:GiB} are left for it", said)


def _not_understood(plan: Plan) -> Text:
    """The size is known of a complete folder even where its architecture is not."""
    place = plan.place
    if model_config(place.intent, place.files) is None:
        text = "{model} is not known: give its folder (--model) or its config.json (--config)"
        return Text(text, {"model": place.intent.model})
    size = weight_bytes(place.intent, place.files)
    said = {"weights": size}
    return Text("the memory model does not know this architecture" + ("; weights {weights:GiB}" if size else ""), said)


def _facts(plan: Plan) -> Iterator[tuple[str, Text]]:
    room, said = plan.room, dataclasses.asdict(plan.room)
    if plan.shown is not None:
        yield "context", Text(_context(room), said)
        if plan.fits == "yes" and room.sequences:
            yield "requests", Text("{sequences:count} at the same time of {sequence_tokens:count} tokens each", said)
        yield from _pictures(room)
        if room.utilization:
            yield "share", Text("{utilization:percent} of the GPU is the smallest that is sure to do", said)
    if room.cards:
        others = f" (or {', '.join(room.cards[1:4])})" if len(room.cards) > 1 else ""
        many = f"{plan.place.intent.gpus_needed} x " if plan.place.intent.gpus_needed > 1 else ""
        said |= {"card": many + room.cards[0], "others": others}
        yield "card", Text("the smallest for this line is {card}, {card_bytes:GiB}{others}", said)


def _context(room: Room) -> str:
    if not room.max_model_len:
        return "none: not even the shortest one surely fits"
    if room.max_model_len == room.model_limit:
        return "all {model_limit:count} tokens that the model was made for"
    limit = ", of {model_limit:count} that the model was made for" if room.model_limit else ""
    return "up to {max_model_len:count} tokens" + limit


def _pictures(room: Room) -> Iterator[tuple[str, Text]]:
    if room.pictures is None:
        return
    said = {**dataclasses.asdict(room.pictures), "wide": SCREENSHOT[0], "high": SCREENSHOT[1]}
    text = (
        "{screenshots:count} screenshots of {wide}x{high} in one prompt ({screenshot_tokens:count} tokens each), "
        "or {largest:count} of the largest size ({largest_tokens:count})"
    )
    yield "pictures", Text(text, said)


def _lines(page: Page, plan: Plan) -> None:
    if plan.shown is None:
        return
    page.line()
    if not plan.lines:
        page.line("No line that we know surely fits here.", "bold")
    else:
        page.line("Lines that fit, cheapest for you first", "bold")
    for number, one in enumerate(plan.lines, start=1):
        page.hanging(f"{number:>3}. ", words(way_text(plan, one)), head_style="cyan")
        changed = _changed(plan.place.intent.command, one)
        if changed:
            page.hanging("     ", changed, style="cyan")
        page.line(f"    {page.clean(one.line)}", "bold")
    for note in plan.notes:
        page.hanging("note ", words(note), head_style="dim")


def _changed(given: Sequence[str], one: Suggestion) -> str:
    """The flags that are not in the given line as they are: what to look at in a long one."""
    words_of, shown = one.intent.command, []
    for at, word in enumerate(words_of):
        value = words_of[at + 1] if at + 1 < len(words_of) and not words_of[at + 1].startswith("-") else ""
        if word.startswith("-") and (word, value) not in _pairs(given):
            shown.append(f"{word} {shlex.quote(value)}" if value else word)
    return " ".join(shown)


def _pairs(given: Sequence[str]) -> list[tuple[str, str]]:
    following = [*given[1:], ""]
    return [(word, "" if value.startswith("-") else value) for word, value in zip(given, following, strict=True)]
