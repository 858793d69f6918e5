"""Helps the checks of INF: is what a server says of any language, of a whole model, and about the question?"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable

from autoglm_doctor.api import Ask, Fix, Judgement, Serving, Text, fail, warn
from autoglm_doctor.checks.serving_causes import Place, is_untrained
from autoglm_doctor.domain.agent_answer import garbage, repeated_unit
from autoglm_doctor.domain.engine_log.load_report import missing_tensors
from autoglm_doctor.domain.launch_line import can_change, changed, line
from autoglm_doctor.domain.model import model_config
from autoglm_doctor.domain.signatures import download_command

#: Questions of words alone; each has other words, but for "text again".
WORDS = ("cold", "text", "text again", "no picture")

#: Questions that have nothing in common; those about one screen have the same words.
_KINDS = (("cold",), ("text",), ("picture",), ("agent",))

#: A shorter answer may be the beginning of two others by chance.
_LONG_ENOUGH = 8


def asked(serving: Serving, *names: str) -> list[Ask]:
    """The questions of these names that were asked, in their order."""
    return [ask for ask in serving.asks if ask.name in names]


def said_by(ask: Ask) -> str:
    """All that a model said, its reasoning included."""
    return f"{ask.reasoning}{ask.text}"


def _empty(place: Place) -> Judgement | None:
    ask = next(
        (ask for ask in asked(place.serving, "text", "cold") if not said_by(ask).strip() and not ask.error), None
    )
    if ask is None:
        return None
    said = {"engine": place.name, "tokens": ask.completion_tokens}
    words = "{engine} answers a plain question with nothing"
    words += " but {tokens} tokens that are no text" if ask.completion_tokens else ""
    return fail(Text(words, said), fix=nonsense_fixes(place), observed=ask.completion_tokens)


def _one_token(place: Place) -> Judgement | None:
    """NaN makes every answer the same token; a weak model may fall into a loop over one question."""
    units = {
        ask.name: unit
        for ask in asked(place.serving, "cold", "text", "no picture", "picture", "agent")
        if (unit := repeated_unit(said_by(ask)))
    }
    if not units:
        return None
    unit = next(iter(units.values()))
    everywhere = "!" in units.values() or any(list(units.values()).count(u) > 1 for u in units.values())
    said = {"engine": place.name, "unit": repr(unit), "count": len(units), "name": next(iter(units))}
    if everywhere:
        words = "{engine} says {unit} over and over ({count} of its answers): NaN in its numbers, or broken weights"
        return fail(Text(words, said), fix=nonsense_fixes(place), observed=unit)
    words = "{engine} says {unit} over and over to one question ('{name}'): a weak model, or broken weights"
    return warn(Text(words, said), fix=nonsense_fixes(place), observed=unit)


def _garbage(place: Place) -> Judgement | None:
    """Characters of no writing, or of all writings at once: tokens drawn at random."""
    found = {
        ask.name: (why, said_by(ask))
        for ask in asked(place.serving, *WORDS, "picture", "agent")
        if (why := garbage(said_by(ask)))
    }
    if not found:
        return None
    why, words = next(iter(found.values()))
    said = {"engine": place.name, "why": why, "words": repr(words[:60]), "count": len(found)}
    if len(set(found) - {"text again"}) > 1:
        text = Text("{engine} answers with {why} ({count} of its answers): {words}", said)
        return fail(text, fix=nonsense_fixes(place), observed=why)
    text = Text("{engine} answers one question with {why}: {words}", said)
    return warn(text, fix=nonsense_fixes(place), observed=why)


def _same_to_all(place: Place) -> Judgement | None:
    """One and the same answer to questions that have nothing in common."""
    answers = [
        said_by(found[0]).strip()
        for names in _KINDS
        if (found := [ask for ask in asked(place.serving, *names) if ask.status == 200 and not ask.error])
    ]
    shortest = min(answers, key=len, default="")
    # The first question is cut off earlier than the others, so the beginning counts.
    if len(answers) < len(_KINDS) - 1 or not shortest or not all(one.startswith(shortest) for one in answers):
        return None
    if len(shortest) < _LONG_ENOUGH and len(set(answers)) > 1:
        return None
    said = {"engine": place.name, "count": len(answers), "words": repr(shortest[:60])}
    words = "{engine} gives the same answer to {count} different questions: {words}"
    return fail(Text(words, said), fix=nonsense_fixes(place), observed=shortest[:60])


def _tensors_missing(place: Place) -> Judgement | None:
    """Said by the library that loads, and forgotten by the server that answers."""
    names = [name for name in missing_tensors(place.serving.log) if not (_is_tied(place) and "lm_head" in name)]
    if not names:
        return None
    said = {"engine": place.name, "name": names[0]}
    words = "{engine} lacks weights that the model needs, and filled them with random numbers: {name}"
    words += " and others" if len(names) > 1 else ""
    return fail(
        Text(words, said),
        cause="MODEL_TENSORS_MISSING",
        fix=_download(place),
        observed=len(names),
        expected=0,
    )


def _is_tied(place: Place) -> bool:
    """Whether the output layer may be the input's: a checkpoint does not hold it twice."""
    config = model_config(place.intent, place.case.files) or {}
    inner = config.get("text_config")
    said = config.get("tie_word_embeddings", inner.get("tie_word_embeddings") if isinstance(inner, dict) else None)
    return said is not False


def by_hand(place: Place) -> Fix:
    """The command and a question to it, as one would type them."""
    message = {"role": "user", "content": "Hello"}
    body = json.dumps({"model": place.serving.model, "messages": [message], "max_tokens": 16})
    url = place.serving.url if not place.serving.command else f"http://127.0.0.1:{place.intent.port}"
    command = f"curl -s {url}/v1/chat/completions -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    starts = () if not place.serving.command else (f"{line(place.intent)} 2>&1 | tee server.log",)
    return Fix(text=Text("start it by hand, ask it, and read its log"), commands=(*starts, command))


LOOK_AT_GPU = Fix(
    text=Text("look at the error counters of the GPU"),
    commands=("nvidia-smi -q -d ECC,ROW_REMAPPER,TEMPERATURE",),
    effort="hardware",
)


def without_graphs(place: Place) -> Fix:
    """The same without graphs, where the engine has that flag: the first thing to leave out."""
    intent = place.intent
    if not can_change(intent, "enforce_eager") or intent.launch.enforce_eager:
        return Fix(text=Text("ask again, and compare the answers"), commands=(*by_hand(place).commands,))
    text = Text("see whether it is CUDA graphs and compiled kernels: leave them out")
    return Fix(text=text, commands=(line(changed(intent, {"enforce_eager": True})),), effort="flag")


def _download(place: Place) -> Fix:
    sums = (f"sha256sum {shlex.quote(place.folder)}/*.safetensors",) if place.case.files else ()
    again = Text("compare the weight files with their published sizes and checksums, or download them again")
    return Fix(text=again, commands=(*sums, download_command(place.intent, place.folder)), effort="install")


def nonsense_fixes(place: Place) -> tuple[Fix, ...]:
    """Ways out of a model that talks nonsense, the likeliest first."""
    intent, fixes = place.intent, []
    if intent.launch.dtype in ("half", "float16") and can_change(intent, "dtype"):
        text = Text("numbers of this model may be too large for float16: use bfloat16 (or float32 on an old GPU)")
        fixes.append(Fix(text=text, commands=(line(changed(intent, {"dtype": "bfloat16"})),), effort="flag"))
    fixes.append(_download(place))
    fixes.append(without_graphs(place))
    return (*fixes, *((LOOK_AT_GPU,) if place.case.taken else ()))


#: Root first: what is missing also leaves answers empty, and NaN gives everybody the same.
_FAULTS: tuple[Callable[[Place], Judgement | None], ...] = (
    _tensors_missing,
    _empty,
    _one_token,
    _garbage,
    _same_to_all,
)


def nonsense(place: Place) -> Judgement | None:
    """The first sign that these are no answers of a whole model; None: none. Random weights are not asked for sense."""
    if is_untrained(place.serving, place.intent):
        return None
    return next(filter(None, (find(place) for find in _FAULTS)), None)
