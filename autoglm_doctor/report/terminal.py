"""The report for people: red first, under each red its fixes in lines that can be copied whole, one verdict line."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.text import Text as Line

from autoglm_doctor.domain.deployment import runs_on_cpu
from autoglm_doctor.facts import Facts
from autoglm_doctor.finding import STATUS_ORDER, Finding, Fix, Report, Status
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report.figures import measured_disk, measured_run
from autoglm_doctor.report.server_figures import measured_server
from autoglm_doctor.wording import render as words

#: A word as well as a colour: the report must read the same without colours.
_LABEL: dict[Status, tuple[str, str]] = {
    "fail": ("FAIL", "bold red"),
    "error": ("ERROR", "bold magenta"),
    "unknown": ("????", "bold yellow"),
    "warn": ("WARN", "yellow"),
    "pass": ("ok", "green"),
    "skipped": ("skip", "dim"),
    "not_applicable": ("n/a", "dim"),
}
_VERDICT_STYLE = {"ready": "bold green", "not_ready": "bold red", "interrupted": "bold red"}
_LOUD: frozenset[Status] = frozenset({"fail", "error", "unknown", "warn"})
Hide = Callable[[str], str]


def render(report: Report, *, redactor: Redactor | None, width: int, color: bool) -> str:
    """The report, wrapped at `width` columns except for commands, which are never broken."""
    console = Console(
        file=io.StringIO(),
        width=max(40, width),
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    hide = redactor.text if redactor else _as_is
    _head(console, report, redactor)
    ordered = sorted(report.findings, key=lambda f: (STATUS_ORDER.index(f.status), f.code))
    loud = [f for f in ordered if f.status in _LOUD]
    same = _same_obstacle(loud)
    for finding in loud:
        if finding.code not in same:
            _loud(console, finding, hide)
        elif finding.code == same[finding.code][0]:
            _open(console, finding, same[finding.code], hide)
    if loud:
        console.print()
    _quiet(console, [f for f in ordered if f.status not in _LOUD], hide)
    _measured(console, report.facts)
    _foot(console, report, hide)
    assert isinstance(console.file, io.StringIO)  # noqa: S101  given above
    return console.file.getvalue()


def _as_is(text: str) -> str:
    return text


def _head(console: Console, report: Report, redactor: Redactor | None) -> None:
    hide = redactor.text if redactor else _as_is
    console.print(Line(f"autoglm-doctor {report.version}", style="bold"))
    for name, value in _circumstances(report.intent, report.facts, redactor):
        console.print(_hanging(Line(f"  {name:<8}", style="dim"), Line(value), 10, console))
    for notice in report.notices:
        console.print(_hanging(Line("  note    ", style="dim"), Line(hide(words(notice.text))), 10, console))
    console.print()


def _circumstances(intent: Intent, facts: Facts, redactor: Redactor | None) -> Iterator[tuple[str, str]]:
    """What is judged, for whom, and by which interpreter: the reader must be able to object."""
    hide = redactor.text if redactor else _as_is
    if intent.model == SMOKE:
        yield "model", "the built-in smoke model"
    else:
        given = {"profile": "the default profile", "options": "by options", "command": "by the command"}
        yield "model", f"{hide(intent.model)} with {intent.engine} ({given[intent.stated_by]})"
    if intent.stated_by == "command":
        command = redactor.data(list(intent.command)) if redactor else intent.command
        yield "command", " ".join(command)
    if intent.device != "cuda":
        yield "device", _device(intent, facts)
    target = facts.interpreter.value
    if target is not None:
        yield "python", f"{hide(target.executable)} {target.version}: {hide(target.chosen_by)}"
    else:
        yield "python", hide(facts.interpreter.why) or "not looked at"
    yield "machine", hide(_machine(facts))


def _device(intent: Intent, facts: Facts) -> str:
    if intent.device == "cpu":
        return "the CPU, as asked"
    gpus, cuda = facts.gpus.value, facts.cuda.value
    seen = gpus or (cuda is not None and cuda.devices)
    if runs_on_cpu(intent, facts.environment.value, facts.driver.value, gpus, cuda):
        return "auto: the GPUs are hidden, judged for the CPU" if seen else "auto: no GPU here, judged for the CPU"
    return "auto: judged for the GPUs" if seen else "auto: GPUs not known"


def _machine(facts: Facts) -> str:
    parts = []
    gpus = facts.gpus.value
    if gpus:
        names = {g.name: sum(h.name == g.name for h in gpus) for g in gpus}
        parts.append(", ".join(f"{n} x {name}" if n > 1 else name for name, n in names.items()))
        if gpus[0].memory_read:
            parts[-1] += f" {gpus[0].total_bytes / 2**30:.1f} GiB" + (" (main memory)" if gpus[0].unified else "")
    else:
        parts.append("no GPU" if facts.gpus.outcome in ("absent", "known") else "GPUs not known")
    driver = facts.driver.value
    if driver and driver.version:
        parts.append(f"driver {driver.version}")
    if facts.memory.value:
        parts.append(f"{facts.memory.value.total_bytes / 2**30:.0f} GiB RAM")
    host = facts.host.value
    if host:
        parts.append(
            f"{host.distribution or host.system} {host.machine}{' in ' + host.container if host.container else ''}"
        )
    return ", ".join(parts)


def _hanging(head: Line, body: Line, indent: int, console: Console) -> Line:
    """A head, and a body whose further lines are indented."""
    lines = body.wrap(console, max(20, console.width - indent))
    whole = Line().append_text(head)
    for i, line in enumerate(lines):
        line.rstrip()
        whole.append_text(Line("\n" + " " * indent) if i else Line(""))
        whole.append_text(line)
    return whole


def _line(finding: Finding, text: str, console: Console) -> Line:
    label, style = _LABEL[finding.status]
    subject = f" [{finding.subject}]" if finding.subject else ""
    ignored = " (ignored)" if finding.ignored else ""
    head = Line(f"{label:>5} ", style=style).append(f"{finding.code} ", style="bold")
    return _hanging(head, Line(f"{finding.name}{subject}{ignored}: {text}"), 13, console)


def _loud(console: Console, finding: Finding, hide: Hide) -> None:
    console.print(_line(finding, hide(words(finding.text)), console))
    for i, fix in enumerate(finding.fixes):
        _fix(console, fix, "fix" if i == 0 else "or", hide)


def _same_obstacle(findings: list[Finding]) -> dict[str, list[str]]:
    """Codes of questions that one and the same obstacle leaves open, by each of them, where that are several."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        if finding.status == "unknown" and not finding.subject and finding.text.params.get("why"):
            groups.setdefault(str(finding.text.params["why"]), []).append(finding.code)
    return {code: codes for codes in groups.values() if len(codes) > 2 for code in codes}


def _open(console: Console, finding: Finding, codes: list[str], hide: Hide) -> None:
    label, style = _LABEL[finding.status]
    text = f"{', '.join(codes)}: could not be judged: {hide(str(finding.text.params['why']))}"
    console.print(_hanging(Line(f"{label:>5} ", style=style), Line(text), 6, console))


def _fix(console: Console, fix: Fix, word: str, hide: Hide) -> None:
    notes = [
        note
        for note, holds in (("root", fix.needs_root), ("reboot", fix.reboot), ("cannot be undone", not fix.reversible))
        if holds
    ]
    text = hide(words(fix.text)) + (f" ({', '.join(notes)})" if notes else "")
    console.print(_hanging(Line(f"{word:>12} ", style="cyan"), Line(text), 13, console))
    for command in fix.commands:
        # Outside of any frame and never wrapped: the terminal may fold it, the clipboard gets it in one piece.
        console.print(Line(f"    {hide(command)}", style="bold"), soft_wrap=True)
    if fix.url:
        console.print(Line(f"             {fix.url}", style="dim"), soft_wrap=True)


def _quiet(console: Console, findings: list[Finding], hide: Hide) -> None:
    for finding in findings:
        if finding.status == "pass":
            console.print(_line(finding, hide(words(finding.text)), console))
    for reason, codes in _skipped(findings).items():
        head = Line(f"{'skip':>5} ", style="dim")
        console.print(_hanging(head, Line(f"{', '.join(codes)}: {hide(reason)}"), 6, console))
    silent = dict.fromkeys(f.code for f in findings if f.status == "not_applicable")
    if silent:
        head = Line(f"{'n/a':>5} ", style="dim")
        console.print(_hanging(head, Line(", ".join(silent), style="dim"), 6, console))


def _skipped(findings: list[Finding]) -> dict[str, list[str]]:
    """Codes by reason: ten checks that wait for one driver are one line."""
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        if finding.status == "skipped":
            codes = reasons.setdefault(words(finding.text), [])
            codes += [finding.code] if finding.code not in codes else []
    return reasons


def _measured(console: Console, facts: Facts) -> None:
    """The figures of the disk and of the model that was run, whatever was judged about them."""
    lines = [*measured_disk(facts), *measured_run(facts), *measured_server(facts)]
    if lines:
        console.print()
        console.print(Line("Measured", style="bold"))
    for name, value in lines:
        console.print(_hanging(Line(f"  {name:<16}", style="dim"), Line(value), 18, console))


def _foot(console: Console, report: Report, hide: Hide) -> None:
    verdict = report.verdict
    console.print()
    counts = {s: sum(f.status == s for f in report.findings) for s in STATUS_ORDER}
    shown = ", ".join(f"{n} {_PLAIN[s]}" for s, n in counts.items() if n)
    console.print(Line(f"{shown} in {report.seconds:.1f} s", style="dim"))
    line = words(verdict.text).upper() if verdict.status == "ready" else words(verdict.text)
    if verdict.not_covered:
        line += " (" + "; ".join(words(text) for text in verdict.not_covered) + ")"
    style = _VERDICT_STYLE.get(verdict.status, "bold yellow")
    console.print(Line(f"Verdict: {hide(line)}", style=style))


_PLAIN = {
    "fail": "failed",
    "error": "errors",
    "unknown": "unknown",
    "warn": "warnings",
    "pass": "passed",
    "skipped": "skipped",
    "not_applicable": "not applicable",
}
