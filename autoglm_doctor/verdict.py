"""Findings -> one verdict and one exit code, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from autoglm_doctor.errors import INTERRUPTED
from autoglm_doctor.facts import Facts, Serving
from autoglm_doctor.finding import Cause, Finding, Text, Verdict, VerdictStatus
from autoglm_doctor.intent import SMOKE, Intent

EXIT = {"ready": 0, "not_ready": 1, "warnings": 3, "incomplete": 4, "nothing_ran": 5, "interrupted": INTERRUPTED}

#: Where a root lies deepest: an ill driver explains a missing GPU, a wrong package only a failed load.
_DEPTH = (
    "HST", "DRV", "CTR", "GPU", "CUD", "PYT", "ENG", "TOR", "PKG", "MDL", "CFG", "VRM", "MEM", "LIM", "DSK", "NET",
    "MGP", "INF",
)  # fmt: skip


def rank(findings: Sequence[Finding]) -> tuple[Cause, ...]:
    """Red before yellow, the deepest first; one line per cause."""

    def key(finding: Finding) -> tuple[int, int, str]:
        prefix = finding.code[:3]
        depth = _DEPTH.index(prefix) if prefix in _DEPTH else len(_DEPTH)
        return (finding.status != "fail", depth, finding.code)

    bad = sorted((f for f in findings if f.status in ("fail", "warn")), key=key)
    first = {finding.cause: finding for finding in reversed(bad)}
    return tuple(Cause(cause=f.cause, status=f.status, check=f.code, text=f.text) for f in bad if first[f.cause] is f)


def decide(
    findings: Sequence[Finding],
    intent: Intent,
    facts: Facts,
    *,
    fail_on_warning: bool = False,
    interrupted: bool = False,
    selected: bool = False,
) -> Verdict:
    """The verdict. Precedence of the exit codes: 1 > 4 > 3 > 5 > 0 (2 and 70 never get here)."""
    findings = [f for f in findings if not f.ignored]
    causes = rank(findings)
    status, text = _status(findings, intent, fail_on_warning, interrupted)
    by_code = {(f.code, f.cause): f for f in reversed(findings)}
    root = by_code.get((causes[0].check, causes[0].cause)) if causes else None
    return Verdict(
        status=status,
        exit_code=EXIT[status],
        text=text,
        causes=causes,
        first_fix=root.fixes[0] if root and root.fixes else None,
        not_covered=(
            *([Text("only the selected checks were judged")] if selected else []),
            *_not_covered(intent, facts),
        ),
    )


def _status(
    findings: Sequence[Finding], intent: Intent, fail_on_warning: bool, interrupted: bool
) -> tuple[VerdictStatus, Text]:
    count = {s: sum(f.status == s for f in findings) for s in ("pass", "warn", "fail")}
    open_ones = [f for f in findings if f.required and _is_open(f, intent)]
    if interrupted:
        return "interrupted", Text("interrupted: this is what had been read and judged by then")
    if count["fail"]:
        return "not_ready", Text("not ready: {n} of {all} checks failed", {"n": count["fail"], "all": len(findings)})
    if open_ones:
        return "incomplete", Text(
            "incomplete: {names} could not be judged",
            {"names": ", ".join(dict.fromkeys(f"{f.code} {f.name}" for f in open_ones))},
        )
    if count["warn"] and fail_on_warning:
        return "warnings", Text("{n} warnings, and --fail-on warn", {"n": count["warn"]})
    if not count["pass"] and not count["warn"]:
        return "nothing_ran", Text("nothing was judged")
    broken = sum(f.status == "error" for f in findings)
    if broken:
        return "ready", Text("ready, but {n} checks broke", {"n": broken})
    if count["warn"]:
        return "ready", Text("ready, with {n} warnings", {"n": count["warn"]})
    return "ready", Text("ready")


def _is_open(finding: Finding, intent: Intent) -> bool:
    """A required question without an answer. Without a GPU to be had, absent GPUs are no open question."""
    if finding.status in ("unknown", "error"):
        return True
    return finding.status == "skipped" and bool(finding.because) and intent.device == "cuda"


def _gaps_of_server(server: Serving) -> list[Text]:
    gaps = []
    if server.failure is not None:
        gaps.append(Text("the trial of the server ended at the stage {stage}", {"stage": server.failure.stage}))
    if server.random_weights:
        gaps.append(Text("random weights of the full size were run, not the checkpoint"))
    return gaps


def _not_covered(intent: Intent, facts: Facts) -> tuple[Text, ...]:
    gaps = []
    run = facts.inference.value
    if intent.model == SMOKE:
        gaps.append(Text("judged for the smoke model, not for a real one"))
    elif facts.model_files.outcome == "absent":
        gaps.append(Text("the weights are not on this machine"))
    server = facts.serving.value
    if server is not None:
        gaps += _gaps_of_server(server)
    elif run is None:
        tried = {"failed", "timeout"} & {facts.inference.outcome, facts.serving.outcome}
        gaps.append(Text("the model that was tried gave no answer" if tried else "no model was run"))
    elif run.failure is not None:
        gaps.append(Text("the model that was tried failed at the stage {stage}", {"stage": run.failure.stage}))
    elif run.model == SMOKE and intent.model != SMOKE:
        gaps.append(Text("a smoke model of the same architecture was run, not the real weights"))
    if intent.assumed:
        gaps.append(Text("assumed: {what}", {"what": ", ".join(intent.assumed)}))
    return tuple(gaps)
