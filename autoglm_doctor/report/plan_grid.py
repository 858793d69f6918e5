"""A comparison of cards for people: one table where it fits into the terminal, else one block for each card."""

from __future__ import annotations

from collections.abc import Sequence

from autoglm_doctor.domain.capacity.grid import Cell, Row
from autoglm_doctor.domain.capacity.place import Place
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report.plan_page import Page

_WORDS = {"yes": ("fits", "green"), "no": ("no", "red"), "unknown": ("?", "yellow")}

#: Columns of one cell: a word, the longest context, the tokens of KV cache.
_CELL = 23


def render(place: Place, rows: Sequence[Row], *, redactor: Redactor | None, width: int, color: bool) -> str:
    """The grid; every cell says whether the line as given fits, the longest context, and the tokens of KV cache."""
    page = Page(redactor=redactor, width=width, color=color)
    version = f" {place.version}" if place.version else ", version not known"
    page.line("autoglm-doctor plan --compare", "bold")
    page.hanging("  model  ", place.intent.model, head_style="dim")
    page.hanging("  engine ", f"{place.intent.engine}{version}", head_style="dim")
    page.line()
    names = [_name(row) for row in rows]
    first = max([len("card"), *(len(name) for name in names)]) + 2
    wide = bool(rows) and first + 8 + _CELL * len(rows[0].cells) <= page.width
    (_table if wide else _blocks)(page, rows, names, first)
    page.line()
    meaning = (
        "fits: the line as given starts. context: the longest that surely fits. KV: tokens that the cache holds. "
        "bf16: float16 where the GPU has no bfloat16. fp8, 4-bit (bitsandbytes): made while loading. "
        "-: nothing, or a GPU too old for the format"
    )
    page.hanging("", meaning, style="dim")
    return page.text()


def _name(row: Row) -> str:
    many = f"{row.card.count} x " if row.card.count > 1 else ""
    return many + row.card.name.removeprefix("GeForce ")


def _table(page: Page, rows: Sequence[Row], names: Sequence[str], first: int) -> None:
    head = "".join(f"  {cell.format:<6} {'context':>7} {'KV':>6}"[:_CELL].ljust(_CELL) for cell in rows[0].cells)
    page.line(f"{'card':<{first}}{'GiB':>5} {head}".rstrip(), "bold")
    for row, name in zip(rows, names, strict=True):
        start = f"{page.clean(name):<{first}}{row.card.total_bytes / GIB:>5.1f} "
        page.line(start + "".join(_cell(page, cell) for cell in row.cells))


def _cell(page: Page, cell: Cell) -> str:
    word, style = _word(cell)
    return "  " + page.paint(f"{word:<6}", style) + f"{_numbers(cell):>{_CELL - 8}}"


def _blocks(page: Page, rows: Sequence[Row], names: Sequence[str], _first: int) -> None:
    page.line(f"{'':<18}{'context':>7}{'KV':>7}", "bold")
    for row, name in zip(rows, names, strict=True):
        page.line(f"{page.clean(name)}, {row.card.total_bytes / GIB:.1f} GiB", "bold")
        for cell in row.cells:
            word, style = _word(cell)
            page.line(f"  {cell.format:<9} " + page.paint(f"{word:<5}", style) + f"{_numbers(cell):>15}")


def _word(cell: Cell) -> tuple[str, str]:
    return _WORDS[cell.fits] if cell.supported else ("-", "dim")


def _numbers(cell: Cell) -> str:
    """The longest context and the tokens of KV cache, in 13 columns."""
    return "" if not cell.supported else f"{_short(cell.max_model_len):>6} {_short(cell.kv_tokens):>6}"


def _short(tokens: int) -> str:
    """Three figures, rounded down: 65.5k."""
    if tokens < 1000:
        return str(tokens) if tokens else "-"
    value, unit = (tokens / 1e6, "M") if tokens >= 1_000_000 else (tokens / 1000, "k")
    return f"{int(value)}{unit}" if value >= 100 else f"{int(value * 10) / 10}{unit}"
