"""The final stage: a model really loaded and run. INF"""

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
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.signatures import Signature, download_command, fix_for, recognise

_ROOTS = ("CUD001", "CUD002", "TOR001", "TOR002", "TOR003", "MDL001", "MDL002", "MEM001", "VRM002")
_LOADING = ("import", "make", "load")

#: A random model's first logits differ by a multiple of their spread when the picture changes (3 times, measured),
#: a model that ignores it gives 0; one hundredth is far from both.
IMAGE_SHARE = 0.01

#: bfloat16 against float32 on the smoke model: 0.016 measured on a CPU.
REFERENCE_LIMIT = 0.1

#: Fewer tokens than this may be equal by chance.
REPEAT_TOKENS = 8

#: Slower reading of real weights than this costs minutes at every start.
LOAD_BYTES_PER_S = 0.5e9
LOAD_LEAST_BYTES = 1e9

#: PCI Express 4.0 with 16 lanes: a GPU that decodes slower than this reads its weights over the bus.
BUS_BYTES_PER_S = 32e9

#: Below this size Python's own time per token hides the memory.
DECODE_LEAST_BYTES = 8e9

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
    if run.device == "cpu" and intent.device != "cpu":
        parts.append("no GPU was tested: it ran on the CPU")
    sentence = "; ".join(parts)
    return Text(f" {sentence[0].upper()}{sentence[1:]}." if parts else "", {"wanted": intent.model})


def _said(run: Inference, intent: Intent, template: str, **params: object) -> Text:
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
        text = _said(run, intent, f"{{model}} failed on {{device}}, {wording}.", **params)
        return fail(text, fix=_LOOK_AT_LIBRARIES, evidence=evidence)
    meaning = f"{{model}} failed on {{device}}: {row.meaning} ({wording})."
    if row.engine_may_cope and not _transformers_decides(row, run, intent):
        return unknown(_said(run, intent, meaning + " {engine} may still serve it.", engine=intent.engine, **params))
    folder = "." if run.model == SMOKE else run.model
    return fail(
        _said(run, intent, meaning, **params), cause=row.cause, fix=fix_for(row, intent, folder), evidence=evidence
    )


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


@check("INF001", "model-loads", cause="MODEL_LOAD_FAILED", explained_by=_ROOTS)
def model_loads(inference: Inference, intent: Intent) -> Findings:
    """A model loads with the deployment's own libraries.

    Everything else in this report is inferred; this is tried. The interpreter of the deployment imports torch and
    transformers and loads a model onto the device: the real weights when they are on this machine and there is room,
    else the smoke model, a random one of AutoGLM's architecture with two million parameters, made on the spot. That
    finds broken installations, missing packages, damaged files and a GPU that does not work, with the library's own
    words. The smoke model says nothing about the real weights, and the text says so.

    Nothing is downloaded, no code of the model's repository runs unless you allow it, and no pickle is opened.

    ## Fix
    The cause is told from the exception where its wording is known (a damaged file, no memory, a library that is too
    old), and the fix with it. Otherwise see whether the packages fit together:

        python3 -m pip check
    """
    failure = inference.failure
    if failure is not None and failure.stage in _LOADING:
        yield _judge_failure(inference, failure, intent)
        return
    if inference.load_seconds is None:
        yield unknown(_said(inference, intent, "No load of {model} was measured."))
        return
    yield ok(
        _said(
            inference,
            intent,
            "transformers {library} loaded {model} ({parameters:count} parameters) on {device} in {seconds:s}.",
            parameters=inference.parameters,
            seconds=inference.load_seconds,
        ),
        observed=inference.load_seconds,
    )


def _not_finite(run: Inference, intent: Intent) -> Judgement | None:
    if run.logits_finite is not False:
        return None
    template = "{model} computes numbers that are not finite (NaN or infinite) on {device} in {dtype}."
    return fail(_said(run, intent, template, dtype=run.dtype), fix=_wrong_output_fixes(run, intent))


def _flat(run: Inference, intent: Intent) -> Judgement | None:
    if run.logits_std is None or run.logits_std > 0:
        return None
    template = "{model} finds every word equally likely (its logits do not vary): its last layer is zero."
    return fail(_said(run, intent, template), observed=run.logits_std, fix=_wrong_output_fixes(run, intent))


def _tensors_missing(run: Inference, intent: Intent) -> Judgement | None:
    if not run.missing_tensors:
        return None
    template = "The weights of {model} lack {missing} tensors; the library filled them with random numbers."
    return fail(
        _said(run, intent, template, missing=run.missing_tensors),
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
        _said(run, intent, template, dtype=run.dtype, error=error),
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
        _said(run, intent, template, change=f"{change:.3g}", std=f"{spread:.3g}"),
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
        _said(run, intent, template, count=run.new_tokens, answer=repr(run.answer[:40])),
        observed=run.distinct_tokens,
        fix=_wrong_output_fixes(run, intent),
    )


def _unsteady(run: Inference, intent: Intent) -> Judgement | None:
    if run.repeatable is not False:
        return None
    template = "{model} answers the same question differently on {device}, although nothing is left to chance."
    return warn(_said(run, intent, template), cause="MODEL_OUTPUT_UNSTEADY", fix=_LOOK_AT_GPU)


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
    if run.model == SMOKE:
        return (_LOOK_AT_LIBRARIES,) if run.device == "cpu" else (_LOOK_AT_GPU, _LOOK_AT_LIBRARIES)
    again = Fix(
        text=Text("Compare the weight files with their published sizes and checksums, or download them again."),
        commands=(f"sha256sum {shlex.quote(run.model)}/*.safetensors", download_command(intent, run.model)),
        effort="install",
    )
    return (again,)


@check("INF002", "answers-make-sense", cause="MODEL_OUTPUT_WRONG", explained_by=("INF001", *_ROOTS))
def answers_make_sense(inference: Inference, intent: Intent) -> Findings:
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
    failure = inference.failure
    if failure is not None and failure.stage not in _LOADING:
        yield _judge_failure(inference, failure, intent)
        return
    problem = next(filter(None, (find(inference, intent) for find in _FAULTS)), None)
    if problem is not None:
        yield problem
        return
    if failure is not None or inference.logits_finite is None or inference.logits_std is None:
        yield unknown(_said(inference, intent, "{model} generated nothing that could be judged."))
        return
    open_questions = _open_questions(inference)
    if open_questions:
        yield unknown(
            _said(inference, intent, "The time ran out before {model} was " + " and ".join(open_questions) + ".")
        )
        return
    yield ok(
        _said(inference, intent, _praise(inference), count=inference.new_tokens, answer=repr(inference.answer[:80]))
    )


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
    said = " It said {answer}." if run.answer else ""
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] + "." + said


@check("INF003", "inference-speed", cause="INFERENCE_SLOW", explained_by=("INF001", "INF002", *_ROOTS))
def inference_speed(inference: Inference, intent: Intent) -> Findings:
    """The model loads and answers at the speed of the hardware.

    Only gross faults are judged here. Loading real weights slower than 0.5 GB/s means a network disk or a thin
    volume. A GPU that decodes so slowly that it could be reading its weights over the bus (tokens per second times
    bytes of weights below 32 GB/s, PCI Express 4.0 with 16 lanes) has them partly in main memory, or is throttled:
    every GPU's own memory is several times faster. That comparison needs 8 GB of weights, because below it Python's
    own time per token hides the memory. The figures are transformers', with one request at a time: vLLM and SGLang are
    two to four times faster. On a CPU, and with the smoke model, the figures are given and not judged: they say
    nothing about the real model.

    ## Fix
    Slow loading: move the weights to a local disk. Slow decoding: see what throttles the GPU or shares it.

        nvidia-smi -q -d PERFORMANCE,CLOCK,POWER
    """
    run = inference
    if run.first_token_seconds is None or run.load_seconds is None or run.load_bytes_per_s is None:
        yield unknown(_said(run, intent, "{model} was not run long enough to measure its speed."))
        return
    judgements = [] if run.model == SMOKE else [*_judge_load(run, intent), *_judge_decoding(run, intent)]
    if not judgements:
        yield not_applicable(_figures(run, intent, "Not judged, there is no yardstick for it: "))
    yield from judgements


def _figures(run: Inference, intent: Intent, before: str) -> Text:
    template = (
        "{model} loaded in {load:s} ({disk:MB/s}), first token after {cold:s} cold and {warm:s} warm "
        "({prompt} prompt tokens, {prefill} tokens/s), then {decode} tokens/s, at most {peak:GiB} of memory."
    )
    return _said(
        run,
        intent,
        before + template,
        load=run.load_seconds,
        disk=run.load_bytes_per_s,
        cold=run.first_token_cold_seconds,
        warm=run.first_token_seconds,
        prompt=run.prompt_tokens,
        prefill=_short(run.prefill_tokens_per_s),
        decode=_short(run.decode_tokens_per_s),
        peak=run.peak_bytes or 0,
    )


def _short(number: float | None) -> str:
    return "?" if number is None else f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def _judge_load(run: Inference, intent: Intent) -> Findings:
    rate = run.load_bytes_per_s
    if rate is None or run.weight_bytes < LOAD_LEAST_BYTES:
        return
    limit = Threshold(value=LOAD_BYTES_PER_S, unit="bytes/s", source="a SATA disk")
    text = _figures(run, intent, "")
    if rate >= LOAD_BYTES_PER_S:
        yield ok(text, subject="loading", observed=rate, threshold=limit)
        return
    fix = Fix(
        text=Text("Put the weights on a local disk."),
        commands=(f"findmnt -T {shlex.quote(run.model)}",),
        effort="setting",
    )
    slow = _said(
        run,
        intent,
        "{model} loads with only {rate:MB/s}: every start takes {load:s}.",
        rate=rate,
        load=run.load_seconds,
    )
    yield warn(slow, subject="loading", cause="SLOW_MODEL_STORAGE", observed=rate, threshold=limit, fix=fix)


def _judge_decoding(run: Inference, intent: Intent) -> Findings:
    speed = run.decode_tokens_per_s
    if speed is None or run.device == "cpu" or run.weight_bytes < DECODE_LEAST_BYTES:
        return
    rate = speed * run.weight_bytes
    limit = Threshold(value=BUS_BYTES_PER_S, unit="bytes/s", source="PCI Express 4.0, 16 lanes")
    if rate >= BUS_BYTES_PER_S:
        yield ok(_figures(run, intent, ""), subject="decoding", observed=speed, threshold=limit)
        return
    template = "{model} decodes only {speed} tokens/s on {device}: slower than its weights would come over the bus."
    fix = Fix(
        text=Text("See what slows the GPU down (heat, a power limit) and what else runs on it."),
        commands=("nvidia-smi -q -d PERFORMANCE,CLOCK,POWER", "nvidia-smi"),
        effort="setting",
    )
    yield warn(
        _said(run, intent, template, speed=_short(speed)), subject="decoding", observed=speed, threshold=limit, fix=fix
    )
