"""INF: does the real server see the picture that it is shown?"""

from __future__ import annotations

import shlex

from autoglm_doctor.api import (
    SMOKE,
    Ask,
    Cuda,
    Environment,
    Findings,
    Fix,
    Gpu,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Reading,
    Serving,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.serving import is_down
from autoglm_doctor.checks.serving_answers import has_failed, refusal
from autoglm_doctor.checks.serving_causes import ROOTS, Place, is_untrained, read_place, without_server
from autoglm_doctor.checks.serving_sense import asked, said_by
from autoglm_doctor.domain.memory.image_budget import real_limit
from autoglm_doctor.domain.model import model_config, model_shape, preprocessor_config
from autoglm_doctor.domain.native import is_native
from autoglm_doctor.domain.shape.vision_tokens import image_tokens

#: Tokens that a chat template may put around a picture: its begin and its end (two, in GLM's), a line break before and
#: after, the word "Picture 1:" that some write. A picture of 1080x2400 has thousands.
WRAPPING = 8

PICTURES = ("picture", "other picture")


@check("INF007", "picture-seen", cause="MODEL_IGNORES_IMAGE", explained_by=("INF005", "INF006", "CFG004", *ROOTS))
def picture_seen(
    serving: Reading[Serving],
    gpus: tuple[Gpu, ...] | None,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    intent: Intent,
) -> Findings:
    """The server sees the picture that it is shown.

    A template without a place for the picture, a processor of another model or a server that drops what it does not
    understand answers with status 200 to every screenshot, and has never seen one. So the same words are sent alone and
    with two different screens of a phone (1080x2400, drawn by the doctor).

    Green when the prompt grows by as many tokens as the picture must take (worked out from config.json and the
    processor's pixel limits, as for CFG004), up to 8 more, which the template puts around a picture, and when the
    answer is another one for another picture. Red when the request with the picture is refused, when both pictures and
    no picture get the same answer, and when the prompt does not grow by more than those 8 while the answers are alike.
    Yellow where only one of the two is so, and when it grows by another number: then the processor works with other
    limits than its files say. Where the tower is not known, the server counts no tokens, or a thinking model was cut
    off in equal thoughts, it stays open. Weights that are random may answer alike.

    ## Fix
    For a refusal the report prints a line with which a screenshot is taken. Else see that the chat template and the
    processor are those of this model:

        hf download MODEL --include '*.json' '*.jinja' --force-download
    """
    value = serving.value
    if value is None:
        yield without_server(serving)
        return
    place = read_place(value, intent, gpus, model_files, packages, environment, cuda)
    yield _not_asked(place) or _refused(place) or _judge(place)


def _not_asked(place: Place) -> Judgement | None:
    intent, serving = place.intent, place.serving
    shown = asked(serving, *PICTURES)
    if shown:
        return None
    if intent.launch.limit_mm_per_prompt.get("image", 1) <= 0 or (is_native(intent) and not intent.launch.mmproj):
        return not_applicable(Text("the launch takes no pictures"))
    config = None if intent.model == SMOKE else model_config(intent, place.case.files)
    if config is not None and not config.get("vision_config"):
        return not_applicable(Text("the model takes no pictures"))
    why = "there was no server to show one to" if is_down(serving) else "the server was shown no picture"
    return unknown(Text(why))


def _refused(place: Place) -> Judgement | None:
    """An error for the picture, while words alone are answered. Mere slowness on a CPU is no refusal."""
    ask = next((ask for ask in asked(place.serving, *PICTURES) if has_failed(place.serving, ask)), None)
    if ask is None:
        return None
    failure = place.serving.failure
    if failure is not None and failure.kind == "no_answer" and not place.case.taken:
        said = {"engine": place.name, "error": ask.error}
        return unknown(Text("{engine} was too slow with a picture to be judged: {error}", said))
    return refusal(place, ask, "MODEL_REFUSES_PICTURES", "a question with a picture")


def _judge(place: Place) -> Judgement:
    serving = place.serving
    alone, first, second = (next(iter(asked(serving, name)), None) for name in ("no picture", *PICTURES))
    grown = _grown(alone, first)
    alike = _alike(first, second)
    if alike and _alike(alone, first) and not is_untrained(serving, place.intent):
        return _without_effect(place, grown)
    if grown is None:
        return _uncounted(place, alike)
    predicted = _predicted(place, first)
    if grown <= WRAPPING:
        return _not_grown(place, grown, predicted, alike)
    if predicted is None:
        words = (
            "a picture takes {grown:count} tokens of the prompt; how many it should take is not known for this model"
        )
        return unknown(Text(words, {"grown": grown}))
    if not predicted <= grown <= predicted + WRAPPING:
        return _otherwise_grown(place, first, grown, predicted)
    return _counted_well(place, grown, predicted, alike)


def _grown(alone: Ask | None, shown: Ask | None) -> int | None:
    """Tokens that the picture adds to the prompt; None where the server does not count."""
    if alone is None or shown is None or alone.prompt_tokens is None or shown.prompt_tokens is None:
        return None
    return shown.prompt_tokens - alone.prompt_tokens


def _alike(first: Ask | None, second: Ask | None) -> bool | None:
    """Whether both got the same answer; None when one was not answered, or cut off while the model still thought.

    Thoughts begin alike ("the user asks me to describe the screen ..."), whatever they lead to.
    """
    if first is None or second is None or first.error or second.error:
        return None
    if said_by(first) != said_by(second):
        return False
    return None if _still_thinks(first) else True


def _still_thinks(ask: Ask) -> bool:
    whole = said_by(ask)
    inside = bool(ask.reasoning) and not ask.text.strip()
    return ask.finish_reason == "length" and (inside or ("<think>" in whole and "</think>" not in whole))


def _without_effect(place: Place, grown: int | None) -> Judgement:
    """The same words for two pictures and for none: what the picture was turned into plays no part."""
    said = {"engine": place.name, "grown": grown}
    words = "{engine} gives the same answer to two different pictures and to none: it does not see them"
    words += (
        ", although {grown:count} tokens of the prompt are theirs" if grown is not None and grown > WRAPPING else ""
    )
    return fail(Text(words, said), fix=_same_files(place), observed=grown)


def _predicted(place: Place, shown: Ask | None) -> int | None:
    """Tokens of that picture by config.json and the processor's limits; None: not a tower that we know."""
    intent, files = place.intent, place.case.files
    shape = model_shape(intent, files)
    if shown is None or shown.picture is None or shape is None or shape.vision is None:
        return None
    most = real_limit(preprocessor_config(intent, files), intent.launch.mm_processor_kwargs)
    try:
        return image_tokens(*shown.picture, vision=shape.vision, most=most)
    except ValueError:
        return None


def _uncounted(place: Place, alike: bool | None) -> Judgement:
    """Without counts a different answer proves little, and the same one something."""
    if alike and not is_untrained(place.serving, place.intent):
        words = (
            "{engine} gives the same answer to two different pictures, and counts no tokens to tell whether it saw them"
        )
        return warn(Text(words, {"engine": place.name}), fix=_same_files(place))
    words = "{engine} does not say how many tokens the prompts had, so whether the picture was in them is not known"
    return unknown(Text(words, {"engine": place.name}))


def _not_grown(place: Place, grown: int, predicted: int | None, alike: bool | None) -> Judgement:
    said = {"engine": place.name, "grown": max(0, grown), "predicted": predicted}
    words = "with a picture {engine}'s prompt grows by {grown:count} tokens"
    words += " instead of {predicted:count}" if predicted is not None else ""
    limit = Threshold(value=WRAPPING, unit="tokens", source="what a chat template puts around a picture")
    if alike is False and not is_untrained(place.serving, place.intent):
        words += "; yet another picture gets another answer: it is counted wrongly, or only part of it arrives"
        return warn(Text(words, said), fix=_same_files(place), observed=grown, expected=predicted, threshold=limit)
    words += (
        " and both pictures get the same answer: it does not see them" if alike else ": it does not see the picture"
    )
    return fail(Text(words, said), fix=_same_files(place), observed=grown, expected=predicted, threshold=limit)


def _otherwise_grown(place: Place, shown: Ask | None, grown: int, predicted: int) -> Judgement:
    width, height = (shown.picture if shown else None) or (0, 0)
    said = {"engine": place.name, "grown": grown, "predicted": predicted, "width": width, "height": height}
    words = (
        "a picture of {width}x{height} takes {grown:count} tokens, {predicted:count} were predicted: the processor "
        "works with other pixel limits than its files and the flags say"
    )
    fix = Fix(
        text=Text("compare the pixel limits of the processor with those that the engine was given"),
        commands=(f"grep -A 4 '\"size\"' {shlex.quote(place.folder)}/preprocessor_config.json",),
    )
    source = "config.json and preprocessor_config.json; transformers' Glm4v image processor"
    limit = Threshold(value=WRAPPING, unit="tokens more than predicted", source=source)
    return warn(
        Text(words, said),
        cause="IMAGE_TOKENS_NOT_AS_PREDICTED",
        fix=fix,
        observed=grown,
        expected=predicted,
        threshold=limit,
    )


def _counted_well(place: Place, grown: int, predicted: int, alike: bool | None) -> Judgement:
    said = {"engine": place.name, "grown": grown, "predicted": predicted}
    words = "a picture takes {grown:count} tokens, as predicted ({predicted:count} and what surrounds it)"
    if is_untrained(place.serving, place.intent):
        return ok(Text(words + "; the weights are random, so its answers were not compared", said), observed=grown)
    if alike is None:
        return unknown(Text(words + "; answers to two pictures could not be compared", said))
    if alike:
        words += "; but {engine} gives the same answer to two different pictures"
        return warn(Text(words, said), fix=_same_files(place), observed=grown, expected=predicted)
    return ok(Text(words + ", and another picture gets another answer", said), observed=grown, expected=predicted)


def _same_files(place: Place) -> Fix:
    """Template and processor must be the model's own."""
    intent = place.intent
    text = Text("see that the chat template and the processor are those of this model; fetch its small files again")
    show = f"ls -l {shlex.quote(place.folder)}" if place.case.files else ""
    local = intent.model.startswith((".", "/", "~"))
    fetch = "" if local else f"hf download {shlex.quote(intent.model)} --include '*.json' '*.jinja' --force-download"
    return Fix(text=text, commands=tuple(c for c in (show, fetch) if c) or ("hf cache scan",), effort="install")
