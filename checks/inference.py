"""INF: the final stage, a model really loaded and run. Its speed and its memory are in files of their own."""

from __future__ import annotations

import shlex
from collections.abc import Callable

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
    Threshold,
    check,
    fail,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.deaths import MEMORY_SHORT, OLD_CPU, has_died, how, slower, where_it_hangs
from autoglm_doctor.domain.signatures import Signature, download_command, fix_for, recognise

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
_LOADING = ("import", "make", "load")

#: A random model's first logits differ by a multiple of their spread when the picture changes (3 times, measured),
#: a model that ignores it gives 0; one hundredth is far from both.
IMAGE_SHARE = 0.01

#: bfloat16 against float32 on the smoke model: 0.016 measured on a CPU.
REFERENCE_LIMIT = 0.1

#: Fewer tokens than this may be equal by chance.
REPEAT_TOKENS = 8

_LOOK_AT_GPU = Fix(
    text=Text("Look at the GPU's error counters; if they are clean, reinstall torch and run this again."),
    commands=("nvidia-smi -q -d ECC,ROW_REMAPPER,TEMPERATURE",),
    effort="hardware",
)
_LOOK_AT_LIBRARIES = Fix(
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


def _judge_failure(run: Inference, failure: Failure, intent: Intent) -> Judgement:
    """Red with the cause that the message tells; open where the engine may do what transformers could not."""
    row = recognise(failure)
    lines = failure.message.strip().splitlines()
    params = {"stage": failure.stage, "exception": failure.exception, "message": (lines or [""])[0][:300]}
    wording = "stage {stage}: {exception}: {message}"
    evidence = {"stage": failure.stage, "exception": failure.exception, "message": failure.message[:500]}
    if row is None:
        text = said(run, intent, f"{{model}} failed on {{device}}, {wording}.", **params)
        return fail(text, fix=_LOOK_AT_LIBRARIES, evidence=evidence)
    meaning = f"{{model}} failed on {{device}}: {row.meaning} ({wording})."
    if row.engine_may_cope and not _transformers_decides(row, run, intent):
        return _aside(said(run, intent, meaning + " {engine} may still serve it.", engine=intent.engine, **params))
    folder = "." if run.model == SMOKE else run.model
    return fail(
        said(run, intent, meaning, **params), cause=row.cause, fix=fix_for(row, intent, folder), evidence=evidence
    )


def _aside(text: Text) -> Judgement:
    """No judgement, for a reason that says nothing of the deployment: it leaves the verdict as it is."""
    return Judgement(status="skipped", text=text)


#: Last word of the sentence by which a reading says that the server itself was tried in place of transformers.
INSTEAD = " instead"


def without_run(inference: Reading[Inference]) -> Judgement:
    """For the checks that judge what was run. Where the server itself was tried, they have nothing to add."""
    outcome, why = inference.outcome, inference.why
    if outcome == "absent" or (outcome == "not_run" and why.endswith(INSTEAD)):
        return _aside(Text("inference: {why}", {"why": why or "not there"}))
    why = why or f"reading it ended as {outcome}"
    return unknown(Text("could not be judged, inference is not known: {why}", {"why": why}))


def _without_answer(inference: Reading[Inference], intent: Intent) -> Judgement:
    """Nobody tried, for a good reason; or the run died, which is red; or it cannot be told why there is no answer."""
    if inference.outcome in ("absent", "not_run"):
        return _aside(Text("no model was run: {why}", {"why": inference.why or inference.outcome}))
    if has_died(inference):
        text = Text(f"loading and running a model {how(inference)}: {{why}}", {"why": inference.why})
        return fail(text, fix=_death_fixes(inference, intent), observed=inference.why)
    return unknown(Text("a model was tried and gave no answer: {why}", {"why": inference.why or inference.outcome}))


def _death_fixes(inference: Reading[Inference], intent: Intent) -> tuple[Fix, ...]:
    """What the manner of the death hints at comes first."""
    python = inference.source if "/" in inference.source else None
    of_gpu = () if intent.device == "cpu" else (_LOOK_AT_GPU,)
    if "SIGKILL" in inference.why:
        return MEMORY_SHORT, _LOOK_AT_LIBRARIES
    if "SIGILL" in inference.why:
        return OLD_CPU, _LOOK_AT_LIBRARIES
    if inference.outcome == "timeout":
        return slower(), where_it_hangs(python, "import torch, transformers"), *of_gpu
    return _LOOK_AT_LIBRARIES, *of_gpu


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
    elif run.failure is not None and run.failure.stage in _LOADING:
        yield _judge_failure(run, run.failure, intent)
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


def _not_finite(run: Inference, intent: Intent) -> Judgement | None:
    if run.logits_finite is not False:
        return None
    template = "{model} computes numbers that are not finite (NaN or infinite) on {device} in {dtype}."
    return fail(said(run, intent, template, dtype=run.dtype), fix=_wrong_output_fixes(run, intent))


def _flat(run: Inference, intent: Intent) -> Judgement | None:
    if run.logits_std is None or run.logits_std > 0:
        return None
    template = "{model} finds every word equally likely (its logits do not vary): its last layer is zero."
    return fail(said(run, intent, template), observed=run.logits_std, fix=_wrong_output_fixes(run, intent))


def _tensors_missing(run: Inference, intent: Intent) -> Judgement | None:
    if not run.missing_tensors:
        return None
    template = "The weights of {model} lack {missing} tensors; the library filled them with random numbers."
    return fail(
        said(run, intent, template, missing=run.missing_tensors),
        cause="MODEL_TENSORS_MISSING",
        observed=run.missing_tensors,
        expected=0,
        fix=_wrong_output_fixes(run, intent),
    )


def _wrong_against_cpu(run: Inference, intent: Intent) -> Judgement | None:
    error = run.reference_error
    if error is None or error <= REFERENCE_LIMIT:
        return None
    template = "On {device} in {dtype} {model} is off by {error:percent} from the same model on the CPU in float32."
    return fail(
        said(run, intent, template, dtype=run.dtype, error=error),
        observed=error,
        threshold=Threshold(value=REFERENCE_LIMIT, source="six times what bfloat16 costs, measured"),
        fix=_LOOK_AT_GPU,
    )


def _image_ignored(run: Inference, intent: Intent) -> Judgement | None:
    change, spread = run.image_logit_change, run.logits_std
    if change is None or spread is None or change > IMAGE_SHARE * spread:
        return None
    template = "{model} answers alike whatever picture it is shown (its logits change by {change}, they vary by {std})."
    return fail(
        said(run, intent, template, change=f"{change:.3g}", std=f"{spread:.3g}"),
        cause="MODEL_IGNORES_IMAGE",
        observed=change,
        threshold=Threshold(value=IMAGE_SHARE * spread, source="a hundredth of the logits' standard deviation"),
        fix=_wrong_output_fixes(run, intent),
    )


def _one_token(run: Inference, intent: Intent) -> Judgement | None:
    if run.model == SMOKE or run.distinct_tokens != 1 or run.new_tokens < REPEAT_TOKENS:
        return None
    template = "{model} says the same token {count} times over: {answer}"
    return fail(
        said(run, intent, template, count=run.new_tokens, answer=repr(run.answer[:40])),
        observed=run.distinct_tokens,
        fix=_wrong_output_fixes(run, intent),
    )


def _unsteady(run: Inference, intent: Intent) -> Judgement | None:
    if run.repeatable is not False:
        return None
    template = "{model} answers the same question differently on {device}, although nothing is left to chance."
    return warn(said(run, intent, template), cause="MODEL_OUTPUT_UNSTEADY", fix=_LOOK_AT_GPU)


#: Root first: NaN also makes a model repeat itself and ignore pictures, and one fault gives one red.
_FAULTS: tuple[Callable[[Inference, Intent], Judgement | None], ...] = (
    _tensors_missing,
    _not_finite,
    _flat,
    _wrong_against_cpu,
    _image_ignored,
    _one_token,
    _unsteady,
)


def _wrong_output_fixes(run: Inference, intent: Intent) -> tuple[Fix, ...]:
    if run.model == SMOKE or run.random_weights:
        return (_LOOK_AT_LIBRARIES,) if run.device == "cpu" else (_LOOK_AT_GPU, _LOOK_AT_LIBRARIES)
    again = Fix(
        text=Text("Compare the weight files with their published sizes and checksums, or download them again."),
        commands=(f"sha256sum {shlex.quote(run.model)}/*.safetensors", download_command(intent, run.model)),
        effort="install",
    )
    return (again,)


@check("INF002", "answers-make-sense", cause="MODEL_OUTPUT_WRONG", explained_by=("INF001", *ROOTS))
def answers_make_sense(inference: Reading[Inference], intent: Intent) -> Findings:
    """The model's answers are sound.

    A server with broken weights or a broken kernel starts, answers with status 200 and says "!!!!!!". So the model is
    asked, greedily, before anything is said about speed: its logits must be finite and vary; the same question must
    give the same tokens again; another picture must change the first logits by more than a hundredth of their
    standard deviation; the checkpoint must hold every tensor of the architecture; and a trained model must not say
    one token over and over. A smoke model is random and may repeat itself, so that is not asked of it; instead its
    logits on a GPU are held against the same model on the CPU in float32 (at most 10 % of the largest one apart;
    bfloat16 costs 1.6 %, measured).

    ## Fix
    With real weights: compare the files with their published checksums, or download them again. With the smoke
    model: the packages do not fit together, or the GPU computes wrongly.

        nvidia-smi -q -d ECC,ROW_REMAPPER
    """
    run = inference.value
    if run is None:
        yield without_run(inference)
        return
    failure = run.failure
    if failure is not None and failure.stage not in _LOADING:
        yield _judge_failure(run, failure, intent)
        return
    problem = next(filter(None, (find(run, intent) for find in _FAULTS)), None)
    if problem is not None:
        yield problem
        return
    if failure is not None or run.logits_finite is None or run.logits_std is None:
        yield unknown(said(run, intent, "{model} generated nothing that could be judged."))
        return
    open_questions = _open_questions(run)
    if open_questions:
        yield unknown(said(run, intent, "The time ran out before {model} was " + " and ".join(open_questions) + "."))
        return
    yield ok(said(run, intent, _praise(run), count=run.new_tokens, answer=repr(run.answer[:80])))


def _open_questions(run: Inference) -> list[str]:
    asked = {
        "asked the same question twice": run.repeatable is None,
        "shown a second picture": run.image_tokens > 0 and run.image_logit_change is None,
        "compared with the CPU": run.model == SMOKE and run.device != "cpu" and run.reference_error is None,
    }
    return [words for words, is_open in asked.items() if is_open]


def _praise(run: Inference) -> str:
    parts = ["{model} gave the same {count} tokens twice on {device}, its logits are finite"]
    if run.image_logit_change is not None:
        parts.append("they change with the picture")
    if run.reference_error is not None:
        parts.append("they agree with the CPU's")
    words = " It said {answer}." if run.answer else ""
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] + "." + words
