"""INF: what the real server answers to words: sense, and the same again."""

from __future__ import annotations

from collections.abc import Callable

from autoglm_doctor.api import (
    SMOKE,
    Ask,
    Cuda,
    Environment,
    Findings,
    Gpu,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Reading,
    Serving,
    Text,
    check,
    fail,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.serving import is_down, quoted
from autoglm_doctor.checks.serving_causes import (
    ROOTS,
    Place,
    fixes_for,
    is_untrained,
    read_place,
    root_of,
    without_server,
)
from autoglm_doctor.checks.serving_sense import (
    LOOK_AT_GPU,
    WORDS,
    asked,
    by_hand,
    nonsense,
    said_by,
    without_graphs,
)
from autoglm_doctor.domain.deaths import slower
from autoglm_doctor.domain.model import model_config

#: Two answers to one question that part before so many characters are not the same answer with another ending.
EARLY = 16

#: Reasons to finish by which a server says that it gave up.
_GAVE_UP = ("error", "abort")

#: What is said of a model that cannot be asked for sense.
UNTRAINED = "; its weights are random, so what it says was not judged"


def has_failed(serving: Serving, ask: Ask) -> bool:
    """Whether this question got an error, or ended the trial; not when it was merely unfinished in time."""
    ended_it = serving.failure is not None and serving.failure.stage == "ask" and ask is serving.asks[-1]
    return ended_it or (bool(ask.error) and ask.status not in (None, 200))


def refusal(place: Place, ask: Ask, cause: str, question: str) -> Judgement:
    """Red for a question that was not answered, with the cause that the server's words and its log tell."""
    serving = place.serving
    symptom = root_of((ask.error,), serving.engine)
    if symptom is None and (ask.status is None or ask.status >= 500):
        symptom = root_of((*serving.log, ask.error), serving.engine)
    status = f"HTTP {ask.status}" if ask.status not in (None, 200) else _kind(serving)
    said = {"engine": place.name, "question": question, "status": status, "error": quoted(ask.error) or "no words"}
    evidence = {"question": ask.name, "http_status": ask.status, "error": ask.error}
    if symptom is None:
        words = Text("{engine} does not answer {question} ({status}): {error}", said)
        return fail(words, cause=cause, fix=(by_hand(place), slower()), evidence=evidence)
    said["meaning"] = symptom.signature.meaning
    words = Text("{engine} does not answer {question} ({status}), {meaning}: {error}", said)
    return fail(words, cause=symptom.signature.cause, fix=fixes_for(symptom, place), evidence=evidence)


def _kind(serving: Serving) -> str:
    kinds = {
        "cut_off": "the answer breaks off",
        "endless": "the answer does not end",
        "no_answer": "no word in time",
        "refused": "an error in the stream",
    }
    return kinds.get(serving.failure.kind if serving.failure else "", "no answer")


@check("INF006", "server-answers", cause="MODEL_OUTPUT_WRONG", explained_by=("INF005", *ROOTS))
def server_answers(
    serving: Reading[Serving],
    gpus: tuple[Gpu, ...] | None,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    intent: Intent,
) -> Findings:
    """The server's answers are sound.

    A server with broken weights or a broken kernel starts, answers with status 200 and says "!!!!!!" (that is how NaN
    looks in vLLM). So it is asked a few plain questions, greedily and streamed, before anything is said about speed.

    Red: an HTTP error, a stream that breaks off or does not end, no text at all, and one token over and over: "!" to
    any question, another one to several different questions. So are signs without words and words of four writings at
    once in several answers, the same answer to all questions, and tensors that transformers' report calls missing, and
    fills with random numbers. Yellow: such words in a single answer, which a weak model may give; another answer to the
    same words from its first 16 characters on; and a model of text without a chat template that refuses to chat, since
    it may be meant for /v1/completions alone. Answers that part later are no fault: what is computed in one batch, and
    what a prefix cache keeps, rounds differently. Whether an answer is right is not judged, a small model may be wrong.

    With random weights it is only judged that an answer comes.

    ## Fix
    The cause of an error is told from the server's words, where they are known. For nonsense: compare the weights with
    their published checksums, or download them again; leave 16-bit floats of the other kind (`--dtype`); see whether
    the GPU has errors.

        nvidia-smi -q -d ECC,ROW_REMAPPER
    """
    value = serving.value
    if value is None:
        yield without_server(serving)
        return
    place = read_place(value, intent, gpus, model_files, packages, environment, cuda)
    if is_down(value) or not asked(value, "text"):
        failed = [] if is_down(value) else [ask for ask in asked(value, "cold") if has_failed(value, ask)]
        yield (
            _refused(place, failed[0]) if failed else unknown(Text("the server was asked nothing that could be judged"))
        )
        return
    yield next(filter(None, (find(place) for find in _FAULTS)), None) or _fine(place)


def _refused(place: Place, ask: Ask) -> Judgement:
    judgement = refusal(place, ask, "SERVER_REFUSES_REQUESTS", "a plain question")
    if judgement.cause != "CHAT_TEMPLATE_MISSING" or ask.status != 400 or not _is_of_text(place):
        return judgement
    words = "{engine} does not chat: the model has no chat template, as models that only complete a text have none"
    return warn(Text(words, {"engine": place.name}), cause=judgement.cause, fix=judgement.fixes)


def _is_of_text(place: Place) -> bool:
    """A model that is known to take no pictures and is none that the doctor knows to need a chat."""
    intent = place.intent
    config = None if intent.profile or intent.model == SMOKE else model_config(intent, place.case.files)
    return config is not None and not config.get("vision_config")


def _failed(place: Place) -> Judgement | None:
    failed = next((ask for ask in asked(place.serving, *WORDS) if has_failed(place.serving, ask)), None)
    return None if failed is None else _refused(place, failed)


def _failed_later(place: Place) -> Judgement | None:
    """An error while it was measured. On a CPU a missing word is mere slowness."""
    failure = place.serving.failure
    if failure is None or failure.stage != "measure" or (failure.kind == "no_answer" and not place.case.taken):
        return None
    ask = Ask(name="measured", error=failure.message)
    return refusal(place, ask, "SERVER_REFUSES_REQUESTS", "one of the prompts that it was measured with")


def _gave_up(place: Place) -> Judgement | None:
    ask = next((ask for ask in asked(place.serving, *WORDS) if ask.finish_reason in _GAVE_UP), None)
    if ask is None:
        return None
    said = {"engine": place.name, "reason": ask.finish_reason, "name": ask.name}
    words = "{engine} gave up in the middle of an answer (finish_reason {reason}, question '{name}')"
    return fail(Text(words, said), cause="SERVER_REFUSES_REQUESTS", fix=by_hand(place))


def _unsteady(place: Place) -> Judgement | None:
    texts = [said_by(ask) for ask in asked(place.serving, "text", "text again") if not ask.error]
    if (
        len(texts) < 2
        or is_untrained(place.serving, place.intent)
        or _common(*texts[:2]) >= min(EARLY, *map(len, texts))
    ):
        return None
    said = {"engine": place.name, "one": repr(texts[0][:60]), "two": repr(texts[1][:60])}
    words = "{engine} answers the same question differently, although nothing is left to chance: {one}, then {two}"
    return warn(Text(words, said), cause="MODEL_OUTPUT_UNSTEADY", fix=(without_graphs(place), LOOK_AT_GPU))


def _common(one: str, two: str) -> int:
    """Characters until they part."""
    return next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


#: Root first: an error also leaves the answer empty.
_FAULTS: tuple[Callable[[Place], Judgement | None], ...] = (
    _failed,
    _gave_up,
    nonsense,
    _failed_later,
    _unsteady,
)


def _fine(place: Place) -> Judgement:
    serving = place.serving
    whole = [ask for ask in asked(serving, "text", "text again") if not ask.error]
    untrained = is_untrained(serving, place.intent)
    if not whole or (len(whole) < 2 and not untrained):
        words = "the time ran out before {engine} had answered the same question twice"
        return unknown(Text(words, {"engine": place.name}))
    text, *again = whole
    count = len([ask for ask in serving.asks if ask.status == 200])
    said: dict[str, object] = {"engine": place.name, "count": count, "answer": repr(said_by(text)[:80])}
    if untrained:
        return ok(Text("{engine} answers" + UNTRAINED, said))
    words = "{engine} answers with sense"
    if said_by(text) == said_by(again[0]):
        words += ", and the same question with the same words"
    else:
        said["apart"] = _common(said_by(text), said_by(again[0]))
        words += ", the same question with other words from character {apart} on (batches and caches round differently)"
    return ok(Text(words + "; it said {answer}", said))
