"""INF: the final stage, a model really loaded and run. Its output, speed and memory are in files of their own."""

from __future__ import annotations

from autoglm_doctor.api import (
    SMOKE,
    Failure,
    Findings,
    Fix,
    Inference,
    Intent,
    Judgement,
    Reading,
    Text,
    check,
    fail,
    ok,
    unknown,
)
from autoglm_doctor.domain.deaths import MEMORY_SHORT, OLD_CPU, has_died, how, slower, where_it_hangs
from autoglm_doctor.domain.signatures import Signature, fix_for, recognise

ROOTS = (
    "CUD001",
    "CUD002",
    "CUD003",
    "TOR001",
    "TOR002",
    "TOR003",
    "MDL001",
    "MDL002",
    "MEM001",
    "VRM002",
    "ENG006",
    "PKG003",
    "PKG005",
)
LOADING = ("import", "make", "load")


LOOK_AT_GPU = Fix(
    text=Text("Look at the GPU's error counters; if they are clean, reinstall torch and run this again."),
    commands=("nvidia-smi -q -d ECC,ROW_REMAPPER,TEMPERATURE",),
    effort="hardware",
)
LOOK_AT_LIBRARIES = Fix(
    text=Text("See whether the installed packages fit together, and put right what does not."),
    commands=("python3 -m pip check", "python3 -m pip list | grep -i -E 'torch|transformers|tokenizers'"),
    effort="install",
)


def _limits(run: Inference, intent: Intent) -> Text:
    """What this run does not say, as a sentence with a leading blank; "" when it ran the real thing."""
    parts = []
    if run.model == SMOKE and intent.model != SMOKE:
        parts.append("the weights of {wanted} were not tested: a small random model of the same kind as AutoGLM ran")
    if run.random_weights:
        parts.append(
            "random weights of the full-size architecture: kernels, memory and speed were run, the checkpoint was not"
        )
    if run.device == "cpu" and intent.device != "cpu":
        parts.append("no GPU was tested: it ran on the CPU")
    sentence = "; ".join(parts)
    return Text(f" {sentence[0].upper()}{sentence[1:]}." if parts else "", {"wanted": intent.model})


def said(run: Inference, intent: Intent, template: str, **params: object) -> Text:
    """A sentence on this run, with what the run does not say after it."""
    limits = _limits(run, intent)
    name = "the smoke model" if run.model == SMOKE else run.model
    place = {"model": name, "device": run.device_name or run.device, "library": run.transformers_version}
    return Text(template + limits.template, {**limits.params, **place, **params})


def judge_failure(run: Inference, failure: Failure, intent: Intent) -> Judgement:
    """Red with the cause that the message tells; open where the engine may do what transformers could not."""
    row = recognise(failure)
    lines = failure.message.strip().splitlines()
    params = {"stage": failure.stage, "exception": failure.exception, "message": (lines or [""])[0][:300]}
    wording = "stage {stage}: {exception}: {message}"
    evidence = {"stage": failure.stage, "exception": failure.exception, "message": failure.message[:500]}
    if row is None:
        text = said(run, intent, f"{{model}} failed on {{device}}, {wording}.", **params)
        return fail(text, fix=LOOK_AT_LIBRARIES, evidence=evidence)
    meaning = f"{{model}} failed on {{device}}: {row.meaning} ({wording})."
    if row.engine_may_cope and not _transformers_decides(row, run, intent):
        return aside(said(run, intent, meaning + " {engine} may still serve it.", engine=intent.engine, **params))
    folder = "." if run.model == SMOKE else run.model
    return fail(
        said(run, intent, meaning, **params), cause=row.cause, fix=fix_for(row, intent, folder), evidence=evidence
    )


def aside(text: Text) -> Judgement:
    """No judgement, for a reason that says nothing of the deployment: it leaves the verdict as it is."""
    return Judgement(status="skipped", text=text)


#: Last word of the sentence by which a reading says that the server itself was tried in place of transformers.
INSTEAD = " instead"


def without_run(inference: Reading[Inference]) -> Judgement:
    """For the checks that judge what was run. Where the server itself was tried, they have nothing to add."""
    outcome, why = inference.outcome, inference.why
    if outcome == "absent" or (outcome == "not_run" and why.endswith(INSTEAD)):
        return aside(Text("inference: {why}", {"why": why or "not there"}))
    why = why or f"reading it ended as {outcome}"
    return unknown(Text("could not be judged, inference is not known: {why}", {"why": why}))


def _without_answer(inference: Reading[Inference], intent: Intent) -> Judgement:
    """Nobody tried, for a good reason; or the run died, which is red; or it cannot be told why there is no answer."""
    if inference.outcome in ("absent", "not_run"):
        return aside(Text("no model was run: {why}", {"why": inference.why or inference.outcome}))
    if has_died(inference):
        text = Text(f"loading and running a model {how(inference)}: {{why}}", {"why": inference.why})
        return fail(text, fix=_death_fixes(inference, intent), observed=inference.why)
    return unknown(Text("a model was tried and gave no answer: {why}", {"why": inference.why or inference.outcome}))


def _death_fixes(inference: Reading[Inference], intent: Intent) -> tuple[Fix, ...]:
    """What the manner of the death hints at comes first."""
    python = inference.source if "/" in inference.source else None
    of_gpu = () if intent.device == "cpu" else (LOOK_AT_GPU,)
    if "SIGKILL" in inference.why:
        return MEMORY_SHORT, LOOK_AT_LIBRARIES
    if "SIGILL" in inference.why:
        return OLD_CPU, LOOK_AT_LIBRARIES
    if inference.outcome == "timeout":
        return slower(), where_it_hangs(python, "import torch, transformers"), *of_gpu
    return LOOK_AT_LIBRARIES, *of_gpu


def _transformers_decides(row: Signature, run: Inference, intent: Intent) -> bool:
    """Whether what transformers cannot do, the deployment cannot do either: it serves with it, or the model is known.

    The smoke model is of AutoGLM's kind; that it cannot be made says nothing about another model. And code that the
    doctor did not run is the doctor's limit alone.
    """
    if row.cause == "MODEL_NEEDS_REMOTE_CODE":
        return False
    if intent.profile or intent.model == SMOKE:
        return True
    return intent.engine == "transformers" and run.model != SMOKE


@check("INF001", "model-loads", cause="MODEL_LOAD_FAILED", required=True, explained_by=ROOTS)
def model_loads(inference: Reading[Inference], intent: Intent) -> Findings:
    """A model loads with the deployment's own libraries.

    Everything else in this report is inferred; this is tried. The interpreter of the deployment imports torch and
    transformers and loads a model onto the device: the real weights when they are on this machine and there is room,
    else the smoke model, a random one of AutoGLM's architecture with two million parameters, made on the spot. That
    finds broken installations, missing packages, damaged files and a GPU that does not work, with the library's own
    words. The smoke model says nothing about the real weights, and the text says so.

    Nothing is downloaded, no code of the model's repository runs unless you allow it, and no pickle is opened. A run
    that crashes, or gives no answer within 900 s, is a fault as well; one that was not started, because you said so or
    because somebody else uses the GPU, leaves the verdict to the other checks.

    ## Fix
    The cause is told from the exception where its wording is known (a damaged file, no memory, a library that is too
    old), and the fix with it. Otherwise see whether the packages fit together:

        python3 -m pip check
    """
    run = inference.value
    if run is None:
        yield _without_answer(inference, intent)
    elif run.failure is not None and run.failure.stage in LOADING:
        yield judge_failure(run, run.failure, intent)
    elif run.load_seconds is None:
        yield unknown(said(run, intent, "No load of {model} was measured."))
    else:
        did = "made" if run.random_weights else "loaded"
        template = (
            f"transformers {{library}} {did} "
            "{model} ({parameters:count} parameters) on {device} in {seconds:s}."
        )
        values = {"parameters": run.parameters, "seconds": run.load_seconds}
        yield ok(said(run, intent, template, **values), observed=run.load_seconds)
