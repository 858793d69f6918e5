"""Does an answer do what Open-AutoGLM's client needs of it? Its rules, in our own words.

The client takes the streamed `content` apart into a thought and an action, and makes a dictionary of the action without
running it (`phone_agent/model/client.py`, `_parse_response`; `phone_agent/actions/handler.py`, `parse_action` and the
handlers, as of 2026). What it cannot parse ends the task at once. A thought that is missing, very short or garbled is
what that project's README calls the sign of a failed deployment.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: Actions that the client carries out, each with the arguments without which it refuses it.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "Launch": ("app",),
    "Tap": ("element",),
    "Type": (),
    "Type_Name": (),
    "Swipe": ("start", "end"),
    "Back": (),
    "Home": (),
    "Double Tap": ("element",),
    "Long Press": ("element",),
    "Wait": (),
    "Take_over": (),
    "Note": (),
    "Call_API": (),
    "Interact": (),
}

#: The words by which the client finds the action, in the order in which it looks for them.
MARKERS = ("finish(message=", "do(action=")

#: Characters; a thought of this task in Chinese has dozens. Our own number, for "very short" (the README has none).
SHORT_THOUGHT = 4

#: More of these among the characters than this is no language. Our own number.
STRANGE_SHARE = 0.1

#: A token has hardly more characters, and a text of so many copies of one is no text.
LONGEST_UNIT, FEWEST_COPIES = 12, 8

#: So many writings in one short answer are tokens drawn at random; an answer with a name and a translation has two. And
#: so many signs without a letter or a digit are no answer to a question. Our own numbers.
MANY_SCRIPTS, LONG_SIGNS = 4, 16

_SCRIPTS = {
    **{name: name.capitalize() for name in ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "THAI", "GEORGIAN")},
    **{
        name: name.capitalize() for name in ("ARMENIAN", "DEVANAGARI", "BENGALI", "TAMIL", "TELUGU", "KHMER", "MYANMAR")
    },
    **{
        name: name.capitalize()
        for name in ("KANNADA", "MALAYALAM", "GUJARATI", "GURMUKHI", "SINHALA", "ETHIOPIC", "LAO")
    },
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"), "East Asian"),
}

Trouble = Literal["", "no_action", "unparsable", "unknown_action", "argument_missing", "no_thought", "short", "garbled"]


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """An answer as the client sees it."""

    thought: str
    action: Mapping[str, Any] = field(default_factory=dict)  # with "_metadata": "do" or "finish"; {}: not parsed
    trouble: Trouble = ""  # "": the client can go on with it
    detail: str = ""  # the part that is wrong


def read_answer(content: str) -> AgentAnswer:
    """Judge `content`, the text of an answer without what the server calls its reasoning."""
    thought, words = split(content)
    if not any(marker in content for marker in MARKERS):
        return AgentAnswer(thought, trouble="no_action", detail=content.strip()[-80:])
    try:
        action = parse_action(words)
    except ValueError as error:
        return AgentAnswer(thought, trouble="unparsable", detail=f"{words[:80]} ({error})")
    wrong, detail = _wrong_action(action)
    if not wrong:
        wrong, detail = _wrong_thought(thought)
    return AgentAnswer(thought, action, wrong, detail)


def split(content: str) -> tuple[str, str]:
    """Thought and action, by the client's rules: the tag first, then the markers; without either all is action."""
    before, tag, after = content.partition("<answer>")
    if tag:
        return _bare(before), after.replace("</answer>", "").strip()
    for marker in MARKERS:
        before, found, after = content.partition(marker)
        if found:
            return _bare(before), marker + after
    return "", content


def _bare(thought: str) -> str:
    return thought.replace("<think>", "").replace("</think>", "").strip()


def parse_action(words: str) -> dict[str, Any]:
    """The action as the client's dictionary.

    Raises:
        ValueError: the client would refuse it.
    """
    words = words.strip()
    if words.startswith(('do(action="Type"', 'do(action="Type_Name"')):
        _, found, text = words.partition("text=")
        if not found:
            raise ValueError("no text to type")
        return {"_metadata": "do", "action": "Type", "text": text[1:-2]}
    if words.startswith("do"):
        return {"_metadata": "do", **_keywords(words)}
    if words.startswith("finish"):
        return {"_metadata": "finish", "message": words.replace("finish(message=", "")[1:-2]}
    raise ValueError("neither do(...) nor finish(...)")


def _keywords(words: str) -> dict[str, Any]:
    """The arguments of one call, all of them literals; line breaks and tabs inside of strings are allowed."""
    for raw, written in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        words = words.replace(raw, written)
    try:
        call = ast.parse(words, mode="eval").body
        if not isinstance(call, ast.Call):
            raise ValueError("no call")
        return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"no Python call: {type(error).__name__}") from error


def _wrong_action(action: Mapping[str, Any]) -> tuple[Trouble, str]:
    if action["_metadata"] == "finish":
        return "", ""
    name = action.get("action")
    needed = ACTIONS.get(name) if isinstance(name, str) else None
    if needed is None:
        return "unknown_action", str(name)[:80]
    lacking = [argument for argument in needed if not action.get(argument)]
    return ("argument_missing", f"{name} without {lacking[0]}") if lacking else ("", "")


def _wrong_thought(thought: str) -> tuple[Trouble, str]:
    if not thought:
        return "no_thought", ""
    if repeated_unit(thought) or _strange_share(thought) > STRANGE_SHARE:
        return "garbled", thought[:80]
    return ("short", thought) if len(thought) < SHORT_THOUGHT else ("", "")


def _strange_share(text: str) -> float:
    """Share of characters that no writing has: those for damaged bytes, control characters, unassigned ones."""
    strange = sum(c == "\ufffd" or (unicodedata.category(c) in ("Cc", "Cn", "Co") and c not in "\n\r\t") for c in text)
    return strange / len(text)


def garbage(text: str) -> str:
    """Why these words are of no language ("" when they may be): a rough sieve that a wrong answer passes."""
    if text and _strange_share(text) > STRANGE_SHARE:
        return "characters that no writing has"
    found = {script for c in text if c.isalpha() and (script := _script(c))}
    if len(found) >= MANY_SCRIPTS:
        return "words of " + ", ".join(sorted(found))
    bare = "".join(text.split())
    return "signs without a word" if len(bare) >= LONG_SIGNS and not any(c.isalnum() for c in bare) else ""


def _script(character: str) -> str:
    """The writing that a letter belongs to; those that stand together in one language count as one."""
    word = unicodedata.name(character, "").partition(" ")[0]
    return _SCRIPTS.get(word, "")


def repeated_unit(text: str) -> str:
    """The piece of which the whole text is made, over and over ("!" of "!!!!!!!!"); "" for a text of its own.

    Blanks and line breaks between the pieces do not matter: "!!! !!\n!!!!!".
    """
    return _unit(text.strip()) or _unit("".join(text.split()))


def _unit(plain: str) -> str:
    for size in range(1, min(LONGEST_UNIT, len(plain) // FEWEST_COPIES) + 1):
        unit = plain[:size]
        if unit * (len(plain) // size) + unit[: len(plain) % size] == plain:
            return unit
    return ""
