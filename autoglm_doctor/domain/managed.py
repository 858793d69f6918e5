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

from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.facts import Interpreter, Packages
from autoglm_doctor.finding import Fix, Text

#: The folder of the new environment, as in the other fixes that make one.
FOLDER = "serve"
_PROGRAM = f"{FOLDER}/bin/python"

#: For what is there and has to be replaced: an environment that was just made holds nothing.
_REPLACING = ("--force-reinstall", "--no-deps", "--upgrade", "--user")

#: Python packages that serve; llama.cpp is a program.
_ENGINES = ("vllm", "sglang", "transformers")

_WORDS = (
    ": in an environment of its own, since the Python {managed_python} belongs to the system and takes no packages"
    " (Debian and Ubuntu make one with the package python3-venv)"
)


def into_environment(fix: Fix, engine: str, interpreter: Interpreter | None, packages: Packages | None) -> Fix:
    """A fix whose lines install into the deployment's Python, rewritten where that Python refuses them.

    The environment is empty at first, so the engine comes along; lines that only remove something fall away.
    """
    if interpreter is None or not interpreter.externally_managed:
        return fix
    lines = tuple(_rewritten(fix.commands, engine, interpreter.executable, packages))
    if lines == fix.commands:
        return fix
    text = Text(fix.text.template + _WORDS, {**fix.text.params, "managed_python": interpreter.executable})
    return dataclasses.replace(fix, text=text, commands=lines)


def environment(python: str) -> tuple[str, str]:
    """The interpreter of an environment made from one that takes no packages, and the line that makes it."""
    return _PROGRAM, shlex.join([python, "-m", "venv", FOLDER])


def _rewritten(lines: Sequence[str], engine: str, python: str, packages: Packages | None) -> Iterator[str]:
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
            rest, is_made = _first(rest, engine, packages), True
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
    if any(word in ("&&", "||", "|") or word.endswith(";") for word in words):
        return None
    if words[:1] == ["uv"] and len(words) > 5:
        fits = words[1] == "pip" and words[2] in verbs and words[3] == "--python" and words[4] in pythons
        return _Install(by_uv=True, removes=words[2] == "uninstall", rest=words[5:]) if fits else None
    fits = len(words) > 4 and words[0] in pythons and words[1:3] == ["-m", "pip"] and words[3] in verbs
    return _Install(by_uv=False, removes=words[3] == "uninstall", rest=words[4:]) if fits else None


def _first(words: Sequence[str], engine: str, packages: Packages | None) -> list[str]:
    """What the first line installs: without what replaces, and with the engine."""
    kept = [word for word in words if word not in _REPLACING]
    if engine not in _ENGINES or any(engine in (_name(word), _wheel(word)) for word in kept):
        return kept
    there = installed_version(packages, engine) if packages else None
    return [*kept, f"{engine}=={there}" if there else engine]


def _name(word: str) -> str:
    """The package that a requirement names; "" for an option, an address and a path."""
    try:
        return "" if word.startswith("-") else str(canonicalize_name(Requirement(word).name))
    except InvalidRequirement:
        return ""


def _wheel(word: str) -> str:
    """The package of an address of a wheel; "" for anything else."""
    return word.rpartition("/")[2].partition("-")[0] if word.endswith(".whl") else ""
