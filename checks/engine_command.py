"""ENG: the program that the user's command starts is there."""

from __future__ import annotations

import posixpath
import shlex

from autoglm_doctor.api import (
    Findings,
    Fix,
    Intent,
    Interpreter,
    Packages,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.domain.conflicts import installed_version

#: The module that starts the same server as the engine's console script, and its option for the model.
MODULES = {
    "vllm": ("vllm.entrypoints.openai.api_server", "--model"),
    "sglang": ("sglang.launch_server", "--model-path"),
}


@check("ENG005", "command-starts", cause="COMMAND_NOT_FOUND", explained_by=("PYT001", "ENG001"))
def command_starts(interpreter: Interpreter, packages: Packages | None, intent: Intent) -> Findings:
    """The program that the command starts is there.

    A shell that does not find the program says "command not found", and nothing else of the deployment matters. The
    engine may be installed all the same, in an environment that is not active; the report then judges the Python that
    it names in its head.

    Measured by looking for the first word of the command behind `--` (after assignments, `env`, `nohup`, and inside of
    `uv run` and `conda run`) on the deployment's PATH, as a shell does. A script counts as missing when the Python in
    its first line is gone. With `--python` that environment's programs count as if it were active.

    ## Fix
    Start the same server through the judged Python, activate the environment that holds the program, or write its
    full path.
    """
    missing = interpreter.missing_program
    if missing is None and intent.stated_by == "command":
        yield unknown(Text("whether the command's program is there was not looked at"))
        return
    if intent.stated_by != "command" or not intent.command:
        yield not_applicable(Text("no command was given"))
    elif not missing:
        yield ok(Text("the command's program was found"), observed=shlex.join(intent.command[:2]))
    else:
        yield fail(
            Text("the command does not start: {program} is not there", {"program": missing}),
            fix=_fixes(missing, interpreter, packages, intent),
            observed="not found",
            expected=missing,
        )


def _fixes(missing: str, interpreter: Interpreter, packages: Packages | None, intent: Intent) -> tuple[Fix, ...]:
    name = posixpath.basename(missing)
    if name in ("uv", "conda", "mamba", "micromamba"):
        text = Text("install {name}, or put its folder on PATH", {"name": name})
        install = (
            "python3 -m pip install --user uv" if name == "uv" else f"ls -d ~/*conda*/bin/{name} ~/*forge*/bin/{name}"
        )
        return (Fix(text=text, commands=(install,), effort="install"),)
    if name == "llama-server":
        text = Text("install llama.cpp, or write the full path of the program")
        look = "find ~ /opt /usr/local -name llama-server -type f 2>/dev/null"
        return (Fix(text=text, commands=("brew install llama.cpp", look), effort="install"),)
    activate = Fix(
        text=Text("activate the environment that holds it, or write the full path of the program"),
        commands=(_activation(interpreter, packages, intent), f"command -v {shlex.quote(name)}"),
        effort="flag",
    )
    line = _through_python(missing, interpreter, packages, intent)
    if not line:
        return (activate,)
    return (Fix(text=Text("start it through {python}", {"python": interpreter.executable}), commands=(line,)), activate)


def _activation(interpreter: Interpreter, packages: Packages | None, intent: Intent) -> str:
    is_venv = interpreter.prefix and interpreter.prefix != interpreter.base_prefix
    holds_it = packages is not None and installed_version(packages, intent.engine) is not None
    return f"source {shlex.quote(interpreter.prefix) if is_venv and holds_it else 'ENVIRONMENT'}/bin/activate"


def _through_python(missing: str, interpreter: Interpreter, packages: Packages | None, intent: Intent) -> str:
    """The same server by `python -m`; "" where that is not known to work."""
    name = posixpath.basename(missing)
    if name not in MODULES or missing not in intent.command or packages is None:
        return ""
    words = list(intent.command[intent.command.index(missing) + 1 :])
    if installed_version(packages, name) is None or words[:1] != ["serve"]:
        return ""
    module, option = MODULES[name]
    words = words[1:]
    if words and not words[0].startswith("-"):
        words.insert(0, option)
    assignments = [f"{key}={shlex.quote(value)}" for key, value in intent.environment.items()]
    return " ".join([*assignments, shlex.join([interpreter.executable, "-m", module, *words])])
