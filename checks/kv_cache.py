"""GPU memory: is there room for the KV cache of one whole request. VRM"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Gpu,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.checks.vram import ROOTS, not_asked, obstacle_of
from autoglm_doctor.checks.vram_split import settled
from autoglm_doctor.domain.capacity.fixes import memory_fixes
from autoglm_doctor.domain.capacity.rescue import Suggestion, launch_that_fits
from autoglm_doctor.domain.deployment import Case, read_case, runs_on_cpu
from autoglm_doctor.domain.launch_line import flags_of
from autoglm_doctor.domain.memory import engine_words
from autoglm_doctor.domain.memory.fits import Estimate, verdict
from autoglm_doctor.domain.memory.split import other_splits
from autoglm_doctor.domain.memory.terms import gib_of, margins, terms

#: A margin below this share of the card is called thin: logs of the same line differ by up to 2 % of it.
THIN = 0.03


@check(
    "VRM003",
    "kv-cache-fits",
    cause="KV_CACHE_TOO_SMALL",
    required=True,
    explained_by=("VRM002", *ROOTS),
    left_open_by=("MDL001",),
)
def kv_cache_fits(
    gpus: tuple[Gpu, ...],
    intent: Intent,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    driver: Driver | None,
) -> Findings:
    """After weights and peak, the KV cache of one whole request fits.

    vLLM claims its share of the card, loads the weights, runs the largest batch to see the peak, sets the memory of
    its CUDA graphs aside and gives the rest to the KV cache. If one request of `--max-model-len` tokens does not fit in
    there, it refuses to start. The common advice ("9B in 16 bits is 18 GB, so 24 GB will do") forgets the vision tower
    and the peak.

    Every term is worked out for the engine's version and the card; the evidence lists them. They were held against
    public start-up logs, and their errors are part of the answer: red and green only where all of the error lies on
    one side, otherwise "cannot tell", with the margin in GiB and the flags that make it sure. A pass with less than
    3 % of the card to spare at the far end of the error says so. Judged against the whole card; whether that is free
    is VRM001. With data parallelism every copy is judged on its own GPUs, of which the smallest decides.

    ## Fix

    In the order of what it costs: a higher `--gpu-memory-utilization`, fewer requests at once (`--max-num-seqs`: the
    sampler's peak grows with it), smaller pictures and no video, a shorter context, 8-bit weights, more GPUs. The
    report prints complete lines that fit.
    """
    reason = not_asked(intent, runs_on_cpu(intent, environment, driver, gpus, cuda))
    if reason:
        yield not_applicable(Text(reason))
        return
    case = read_case(gpus, intent, model_files, packages, environment, cuda)
    yield settled(_judge, case, other_splits(gpus, intent, model_files, packages, environment))


def _judge(case: Case) -> Judgement:
    obstacle = obstacle_of(case)
    if obstacle is not None:
        return obstacle
    shown = case.estimates[-1]
    left = max(0, shown.kv_available.likely)
    words = {"tokens": shown.tokens, "needed": shown.kv_needed, "left": left, "claim": shown.requested}
    seen, goal = f"{gib_of(left)} GiB for the KV cache", f"at least {gib_of(shown.kv_needed)} GiB"
    answer = verdict(case.estimates)
    if answer == "unknown":
        return _too_close(case, shown)
    if answer == "yes":
        spare = margins(case.estimates).low
        words |= {"room": left * shown.tokens // max(1, shown.kv_needed), "spare": spare}
        good = "{left:GiB} are left for the KV cache, about {room:count} tokens; one request takes {tokens:count}"
        good += "; a thin margin, {spare:GiB} if all goes badly" if spare < THIN * shown.total_bytes else ""
        return ok(Text(good, words), observed=seen, expected=goal, evidence=terms(shown))
    bad = (
        "one request of {tokens:count} tokens needs {needed:GiB} of KV cache; weights and peak leave "
        "{some} of the {claim:GiB} that the server claims"
    )
    bad = bad.replace("{some}", "about {left:GiB}" if gib_of(left) > 0 else "nothing")
    said = engine_words.no_room_for_cache(case.intent.engine, shown)
    evidence = terms(shown) | ({"what_the_engine_says": said} if said else {})
    return fail(Text(bad, words), fix=memory_fixes(case), observed=seen, expected=goal, evidence=evidence)


def _too_close(case: Case, shown: Estimate) -> Judgement:
    """Inside our own error: say by how much, and name the flags with which it surely fits."""
    margin = margins(case.estimates)
    words: dict[str, object] = {"needed": shown.kv_needed, "short": -margin.low, "spare": margin.high}
    close = (
        "too close to tell: of the {needed:GiB} of KV cache that one request needs up to {short:GiB} may be missing, "
        "and up to {spare:GiB} may be to spare"
    )
    evidence = terms(shown)
    sure = _sure(case)
    if sure is not None:
        close += "; it surely fits with {flags}"
        words["flags"] = _flags(sure)
        evidence |= {"line_that_fits": sure.line}
    else:
        close += "; no flag makes it sure on this GPU"
    return unknown(Text(close, words), evidence=evidence)


def _sure(case: Case) -> Suggestion | None:
    if case.card is None:
        return None
    found = launch_that_fits(case.intent, case.files, case.card, case.version, capability=case.capability, most=1)
    return found[0] if found else None


def _flags(sure: Suggestion) -> str:
    """What differs from the user's own line, as it is typed."""
    launch, written = sure.intent.launch, []
    for name in (n for n in sure.changes if flags_of(sure.intent.engine, n)):
        value = getattr(launch, name)
        value = json.dumps(value, separators=(",", ":")) if isinstance(value, Mapping) else str(value)
        written.append(f"--{flags_of(sure.intent.engine, name)[0]} {shlex.quote(value)}")
    return " ".join(written)
