"""INF: what the model that was loaded answers."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from autoglm_doctor.api import (
    SMOKE,
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
from autoglm_doctor.checks.inference import (
    LOADING,
    LOOK_AT_GPU,
    LOOK_AT_LIBRARIES,
    ROOTS,
    judge_failure,
    said,
    without_run,
)
from autoglm_doctor.domain.signatures import download_command

#: A random model's first logits differ by a multiple of their spread when the picture changes (3 times, measured),
#: a model that ignores it gives 0; one hundredth is far from both.
IMAGE_SHARE = 0.01

#: bfloat16 against float32 on the smoke model: 0.016 measured on a CPU.
REFERENCE_LIMIT = 0.1

#: Fewer tokens than this may be equal by chance.
REPEAT_TOKENS = 8


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
        fix=LOOK_AT_GPU,
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
    return warn(said(run, intent, template), cause="MODEL_OUTPUT_UNSTEADY", fix=LOOK_AT_GPU)


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
        return (LOOK_AT_LIBRARIES,) if run.device == "cpu" else (LOOK_AT_GPU, LOOK_AT_LIBRARIES)
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
    if failure is not None and failure.stage not in LOADING:
        yield judge_failure(run, failure, intent)
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
