"""INF: can Open-AutoGLM's client work with what the server answers?"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from autoglm_doctor.api import (
    Ask,
    Findings,
    Fix,
    Intent,
    Judgement,
    ModelFiles,
    Reading,
    Serving,
    Text,
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
from autoglm_doctor.checks.serving_sense import asked, nonsense_fixes
from autoglm_doctor.domain.agent_answer import AgentAnswer, read_answer
from autoglm_doctor.domain.launch_line import line, replace_flag, stated_flag
from autoglm_doctor.profiles import find_profile

#: The reading keeps so many characters of an answer; a longer one has lost its end, and with it the action.
KEPT = 4_000

#: What each trouble of the answer means to the user.
_MEANING: Mapping[str, str] = {
    "no_action": "it holds neither do(action=...) nor finish(message=...): {detail}",
    "unparsable": "its action cannot be parsed: {detail}",
    "unknown_action": "its action is none that the client knows: {detail}",
    "argument_missing": "its action lacks what the client needs: {detail}",
    "no_thought": "there is no thought before the action",
    "short": "its thought is only {detail}, which is the sign of a failed deployment",
    "garbled": "its thought is garbled, which is the sign of a failed deployment: {detail}",
}


@check(
    "INF008",
    "agent-answer",
    cause="AGENT_ANSWER_UNUSABLE",
    explained_by=("INF005", "INF006", "INF007", "CFG004", *ROOTS),
)
def agent_answer(serving: Reading[Serving], model_files: ModelFiles | None, intent: Intent) -> Findings:
    """Open-AutoGLM's client can use the server's answer.

    The phone agent sends a screenshot, a task and its list of actions, and takes the answer apart: a thought, then
    `do(action=...)` or `finish(message=...)`. What it cannot parse ends the task. A server can look healthy in every
    other way and fail here: another checkpoint of the same family, a chat template of another model, a reasoning parser
    that takes the thought away.

    The doctor sends a prompt of the same kind in words of its own, with a screen that it draws, and judges the answer
    by the client's rules (phone_agent/model/client.py and actions/handler.py of zai-org/Open-AutoGLM): the action is
    found, parsed as a call with literal arguments, one of the known actions and complete; the thought is not empty, not
    shorter than 4 characters and not garbled, which that project's README calls the sign of a failed deployment. That
    `</answer>` is missing at the end is normal. Whether the action is a clever one is not judged.

    Yellow when the action is good and the server puts the thought into `reasoning_content`: the client does not read
    it, and the model does not see its own thoughts again. Asked of AutoGLM models only, and not with random weights.

    ## Fix
    Serve the right checkpoint with its own chat template, without `--reasoning-parser`, and let it finish
    (the client asks for 3,000 tokens).

        hf download zai-org/AutoGLM-Phone-9B
    """
    value = serving.value
    if not intent.profile.startswith("autoglm-"):
        yield not_applicable(Text("asked of AutoGLM's models only"))
    elif value is None:
        yield without_server(serving)
    elif is_untrained(value, intent):
        yield not_applicable(Text("the weights are random: only a trained model can answer as an agent"))
    else:
        yield _judge(read_place(value, intent, None, model_files, None, None, None))


def _judge(place: Place) -> Judgement:
    serving = place.serving
    ask = next(iter(asked(serving, "agent")), None)
    if ask is None:
        why = "there was no server to ask" if is_down(serving) else "the server was not asked as the agent asks"
        return unknown(Text(why))
    if has_failed(serving, ask):
        return refusal(place, ask, "AGENT_ANSWER_UNUSABLE", "the agent's question")
    answer = read_answer(ask.text)
    if not answer.trouble:
        return _good(place, answer)
    if answer.trouble == "no_thought" and ask.reasoning.strip():
        return _thought_taken(place, ask)
    if answer.trouble in ("no_action", "unparsable") and (len(ask.text) >= KEPT or ask.error):
        said = {"engine": place.name, "error": ask.error or f"only its first {KEPT} characters were kept"}
        return unknown(Text("{engine}'s answer to the agent's question was not read to its end: {error}", said))
    return _bad(place, ask, answer)


def _good(place: Place, answer: AgentAnswer) -> Judgement:
    action = answer.action
    name = f'do(action="{action.get("action")}")' if action.get("_metadata") == "do" else "finish(...)"
    said = {"engine": place.name, "action": name, "thought": repr(answer.thought[:60])}
    return ok(Text("{engine} answers as the client needs it: {action}, with the thought {thought}", said))


def _thought_taken(place: Place, ask: Ask) -> Judgement:
    said = {"engine": place.name, "thought": repr(ask.reasoning[:60])}
    words = "{engine} puts the thought where the client does not read it (reasoning_content): {thought}"
    return warn(Text(words, said), cause="REASONING_PARSER_HIDES_THOUGHT", fix=_without_parser(place))


def _bad(place: Place, ask: Ask, answer: AgentAnswer) -> Judgement:
    said = {"engine": place.name, "detail": answer.detail or repr(ask.text[-80:])}
    words = "{engine} answers what Open-AutoGLM's client cannot use: " + _MEANING[answer.trouble]
    if ask.finish_reason == "length":
        words += " (it had not finished when the tokens were used up)"
    fixes: list[Fix] = []
    if ask.reasoning.strip():  # the action may be in there as well
        fixes.append(_without_parser(place))
    fixes.append(_right_checkpoint(place))
    evidence = {"answer": ask.text, "reasoning": ask.reasoning, "finish_reason": ask.finish_reason}
    garbled = nonsense_fixes(place) if answer.trouble in ("garbled", "short") else ()
    return fail(Text(words, said), fix=(*fixes, *garbled), observed=answer.trouble, evidence=evidence)


def _without_parser(place: Place) -> Fix:
    """The user's line without the flag; a server that is there is started elsewhere."""
    intent = place.intent
    words = replace_flag(intent.command, ("reasoning-parser",), None)
    words = replace_flag(words, ("enable-reasoning",), None, frozenset(("enable-reasoning",)))
    text = Text("start the server without a reasoning parser")
    said = stated_flag(intent.command, "reasoning-parser") is not None
    command = shlex.join(words) if said else line(intent)
    return Fix(text=text, commands=(command,), effort="flag")


def _right_checkpoint(place: Place) -> Fix:
    """The documented line, and the files that belong to it."""
    profile = find_profile(place.intent.profile)
    hub = profile.hub_names[0] if profile else place.intent.model
    text = Text("serve this very checkpoint with its own chat template, as documented")
    documented = shlex.join(profile.command) if profile and profile.command else line(place.intent)
    fetch = f"hf download {shlex.quote(hub)} --include '*.json' '*.jinja' --force-download"
    return Fix(text=text, commands=(fetch, documented), effort="install")
