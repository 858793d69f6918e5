"""Install lines for a Python that takes no packages (PEP 668): the same in an environment made from it.

Debian 12, Ubuntu 23.04 and later mark their own Python, and so do Homebrew and uv theirs: pip and uv end there with
"externally-managed-environment". What pip offers then, --break-system-packages, is named for what it does.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from autoglm_doctor.facts import Interpreter
from autoglm_doctor.finding import Fix, Text

#: The folder of the new environment, as in the other fixes that make one.
FOLDER = "serve"
_PROGRAM = f"{FOLDER}/bin/python"

#: For what is there and has to be replaced: an environment that was just made holds nothing.
_REPLACING = ("--force-reinstall", "--no-deps", "--upgrade", "--user")
#: For packages that are compiled against what is there already.
_BUILDING = "--no-build-isolation"

_WORDS = (
    ": in an environment of its own, since the Python {managed_python} belongs to the system and takes no packages"
    " (Debian and Ubuntu make one with the package python3-venv)"
)
_REMARK = (
    ". The Python {managed_python} belongs to the system and refuses this: make an environment of its own for the"
    " engine and everything beside it ({managed_python} -m venv)"
)


def into_environment(fix: Fix, engine: str, interpreter: Interpreter | None) -> Fix:
    """A fix whose lines change the deployment's Python, for one that refuses them.

    Lines that bring the whole engine go into a new environment, where they do the same. Others mend what is there,
    which an empty environment has not: they stay, with what to do instead.
    """
    if interpreter is None or not interpreter.externally_managed:
        return fix
    found = [_install(line, interpreter.executable) for line in fix.commands]
    if not any(found):
        return fix
    is_whole = any(one is not None and not one.removes and _brings(engine, one.rest) for one in found)
    lines = tuple(_rewritten(fix.commands, interpreter.executable)) if is_whole else fix.commands
    words = _WORDS if is_whole else _REMARK
    text = Text(fix.text.template + words, {**fix.text.params, "managed_python": interpreter.executable})
    return dataclasses.replace(fix, text=text, commands=lines)


def _brings(engine: str, words: Sequence[str]) -> bool:
    """The engine with all that it needs: transformers alone brings no torch."""
    named = {_name(word) for word in words} | {_wheel(word) for word in words}
    return engine in named and _BUILDING not in words and (engine != "transformers" or "torch" in named)


def environment(python: str) -> tuple[str, str]:
    """The interpreter of an environment made from one that takes no packages, and the line that makes it."""
    return _PROGRAM, shlex.join([python, "-m", "venv", FOLDER])


def _rewritten(lines: Sequence[str], python: str) -> Iterator[str]:
    is_made = False
    for line in lines:
        found = _install(line, python)
        if found is None:
            yield line
            continue
        if found.removes:
            continue
        rest = found.rest
        if not is_made:
            yield shlex.join(
                ["uv", "venv", "--python", python, FOLDER] if found.by_uv else [python, "-m", "venv", FOLDER]
            )
            rest, is_made = [word for word in rest if word not in _REPLACING], True
        head = ["uv", "pip", "install", "--python", _PROGRAM] if found.by_uv else [_PROGRAM, "-m", "pip", "install"]
        yield shlex.join([*head, *rest])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Install:
    """A line by which this Python is to get or lose packages."""

    by_uv: bool
    removes: bool
    rest: list[str]  # options and requirements


def _install(line: str, python: str) -> _Install | None:
    """What a line does to this Python's packages; None for any other line, and for one of several commands."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    pythons, verbs = (python, "python3", "python"), ("install", "uninstall")
    if any(word in ("&&", "||", "|") or word.endswith(";") or "$(" in word or "`" in word for word in words):
        return None
    if words[:1] == ["uv"] and len(words) > 5:
        fits = words[1] == "pip" and words[2] in verbs and words[3] == "--python" and words[4] in pythons
        return _Install(by_uv=True, removes=words[2] == "uninstall", rest=words[5:]) if fits else None
    fits = len(words) > 4 and words[0] in pythons and words[1:3] == ["-m", "pip"] and words[3] in verbs
    return _Install(by_uv=False, removes=words[3] == "uninstall", rest=words[4:]) if fits else None


def _name(word: str) -> str:
    """The package that a requirement names; "" for an option, an address and a path."""
    try:
        return "" if word.startswith("-") else str(canonicalize_name(Requirement(word).name))
    except InvalidRequirement:
        return ""


def _wheel(word: str) -> str:
    """The package of an address of a wheel; "" for anything else."""
    return word.rpartition("/")[2].partition("-")[0] if word.endswith(".whl") else ""
