"""PYT: the deployment's Python starts. Nothing about its packages can be known, and no server runs, before it does."""

from __future__ import annotations

import posixpath
import re
import shlex

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Intent,
    Interpreter,
    Judgement,
    Reading,
    Text,
    check,
    fail,
    ok,
    unknown,
)
from autoglm_doctor.domain.deaths import is_ours, is_stopped, slower
from autoglm_doctor.domain.deployment import variables_of

#: What Linux says of a file that is gone, is no program, may not be run, or is a link that leads nowhere (errno.h).
NO_PROGRAM = (2, 8, 13, 20, 40)

#: The same in words, where the nursery starts it: exit code 127 and "PATH: WORDS".
NO_PROGRAM_CODE = "exit code 127"

_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*t?")

#: Variables that decide what a Python imports at its start.
VARIABLES = ("PYTHONHOME", "PYTHONPATH")


@check("PYT001", "python-starts", cause="TARGET_PYTHON_BROKEN", required=True)
def python_starts(interpreter: Reading[Interpreter], environment: Environment | None, intent: Intent) -> Findings:
    """The Python that the deployment will use starts.

    A virtual environment dies with the Python that it was made from: after an upgrade of the system or a removed pyenv
    version its `bin/python` is a link to nothing. A file named like a module of the standard library on PYTHONPATH, a
    wrong PYTHONHOME or a sitecustomize.py that fails ends every Python before the first line of the server.

    Measured by starting that Python once, with the deployment's environment, and asking for its version, prefixes and
    sys.path, with a limit of 30 s (it takes 0.02 s, from a cold network disk some seconds). Which Python it is:
    `--python`, else the one in the first line of the command's program, else the active environment, else python3 on
    PATH.

    Someone else's signal (SIGKILL, SIGTERM), a lack of memory or disk space, and trouble with the doctor's own files
    leave the question open.

    ## Fix
    Where it is only slow: measure that, and allow more time. Otherwise take away what breaks its start, name another
    Python, or make the environment again.
    """
    one = interpreter.value
    if one is not None and _is_python_of_a_script(one.missing_program or "", intent):
        text = Text("the Python of the command's program is gone: {python}", {"python": one.missing_program})
        yield _red(text, (_made_again(intent), _another()), one.missing_program or "")
    elif one is not None:
        yield ok(Text("Python {version} starts", {"version": one.version}), observed=one.version)
    elif interpreter.outcome == "absent":
        why = interpreter.why or "there is none"
        yield _red(Text("no Python was found: {why}", {"why": why}), (_made_again(intent), _another()), why)
    elif _says_something_of_it(interpreter):
        yield _judge(interpreter, environment, intent)
    else:
        yield unknown(Text("whether it starts is not known: {why}", {"why": interpreter.why or interpreter.outcome}))


def _is_python_of_a_script(missing: str, intent: Intent) -> bool:
    """Not a word of the command itself (ENG005 speaks of those), but what the first line of its program names."""
    is_python = _PYTHON.fullmatch(posixpath.basename(missing)) is not None
    return is_python and intent.stated_by == "command" and missing not in intent.command


def _says_something_of_it(interpreter: Reading[Interpreter]) -> bool:
    """Is the end of the reading the interpreter's own, and not a lack of memory or of disk space on our side?"""
    why, named = interpreter.why, _named(interpreter)
    if interpreter.outcome == "timeout":
        return True
    # The kernel sends SIGKILL when memory is short: whichever program it takes, that is not this program's fault.
    if interpreter.outcome != "failed" or is_stopped(why) or "killed by SIGKILL" in why or is_ours(why, named):
        return False
    number = re.match(r"\[Errno (\d+)\]", why)
    if number is None:
        return "killed by" in why or "exit code" in why
    of_another = bool(named) and "'" in why and named not in why
    return int(number[1]) in NO_PROGRAM and not of_another


def _named(interpreter: Reading[Interpreter]) -> str:
    """The Python that was started; "" where the reading does not say it (the report's head does)."""
    return interpreter.source if "/" in interpreter.source else ""


def _judge(interpreter: Reading[Interpreter], environment: Environment | None, intent: Intent) -> Judgement:
    why, named = interpreter.why, _named(interpreter)
    values = {"python": named or "the deployment's Python", "why": why}
    again, another = _made_again(intent), _another()
    fixes: tuple[Fix, ...]
    if interpreter.outcome == "timeout":
        text = "{python} hangs, or is very slow, when it is started: {why}"
        fixes = (_time(named), slower(), _look(named), another, again)
    elif "killed by" in why:
        text, fixes = "{python} crashes when it is started: {why}", (again, another)
    elif why.startswith("[Errno") or NO_PROGRAM_CODE in why:
        text, fixes = "{python} cannot be started: {why}", (again, another)
    elif "exit code 0" in why:
        text, fixes = "{python} is no Python, or leaves before our first line: {why}", (_look(named), another, again)
    else:
        text, fixes = "{python} fails when it is started: {why}", (_look(named), again, another)
    without = _without_variables(named, environment, intent)
    return _red(Text(text, values), (*([without] if without else []), *fixes), why)


def _red(text: Text, fixes: tuple[Fix, ...], observed: str) -> Judgement:
    return fail(text, fix=fixes, observed=observed)


def _look(python: str) -> Fix:
    """Python says by itself what it imports, and -I leaves out what a user can break it with."""
    name = shlex.quote(python or "PYTHON")
    text = Text("see what it does at its start; if it starts with -I -S, a sitecustomize.py or .pth file breaks it")
    return Fix(text=text, commands=(f"{name} -v -c pass 2>&1 | tail -n 20", f"{name} -I -S -c pass"), effort="setting")


def _time(python: str) -> Fix:
    text = Text("see how long it takes; from a cold network disk the second time is quicker")
    return Fix(text=text, commands=(f"time {shlex.quote(python or 'PYTHON')} -c pass",), effort="setting")


def _without_variables(python: str, environment: Environment | None, intent: Intent) -> Fix | None:
    """The first suspect, where it is set."""
    variables = variables_of(environment, intent)
    given = [name for name in VARIABLES if variables.get(name)]
    if not given:
        return None
    words = " ".join(f"-u {name}" for name in given)
    return Fix(
        text=Text("see whether it starts without {names}; then take them away", {"names": " and ".join(given)}),
        commands=(f"env {words} {shlex.quote(python or 'PYTHON')} -c 'import json'", f"unset {' '.join(given)}"),
        effort="setting",
    )


def _made_again(intent: Intent) -> Fix:
    return Fix(
        text=Text("make the environment again"),
        commands=("uv venv --python 3.12 serve", f"uv pip install --python serve/bin/python {intent.engine}"),
        effort="install",
    )


def _another() -> Fix:
    text = Text("name the Python that the server will use")
    return Fix(text=text, commands=("autoglm-doctor check --python PATH_OF_ENVIRONMENT",), effort="flag")
