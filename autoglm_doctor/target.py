"""Which Python will the deployment use? What we look at must be what the server will see.

The order: --python; the interpreter of the intended command; the doctor's own environment when it holds torch or an
engine; $VIRTUAL_ENV; $CONDA_PREFIX; python3 on PATH. Nothing is started here: scripts are read, never run. Symbolic
links of an interpreter are never resolved, since a venv's python is one and would lose its venv.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoglm_doctor.uvrun import NoEnvironmentError, parse_uv, uv_environment

#: Packages that make the doctor's own environment the likely home of the deployment.
ENGINES = ("torch", "vllm", "sglang")

#: Programs that only start another one and take no values of their own.
_WRAPPERS = ("nohup", "exec", "command", "time", "setsid")
_ENV_VALUES = ("-u", "--unset", "-C", "--chdir")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*t?(?:\.exe)?$")
#: Bytes of a script that are read: shebang, and pip's trick for long paths in the second line.
_HEAD = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The interpreter, or why there is none."""

    executable: str | None
    chosen_by: str = ""  # one sentence for the report
    why_not: str = ""  # what came first in the order and could not be used, one sentence
    missing_program: str = ""  # the program that the command starts and that is not there; "": found, or no command


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a source says: an interpreter and why, or (executable None) why it has none to offer."""

    executable: str | None
    why: str
    missing: str = ""  # the program of the command that is not there


def choose_interpreter(python: str | None, command: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Choice:
    """Find the Python of the deployment.

    Args:
        python: --python as given: an interpreter, the folder of an environment, or a name on PATH. When it is given
            and cannot be used, nothing else is tried.
        command: the intended command, word by word; () when there is none.
        environ: the environment of the deployment.
        cwd: the folder that the command will be started in.
    """
    if python is not None:
        answer = _stated(python, environ, cwd)
        if answer.executable is None:
            return Choice(executable=None, why_not=answer.why)
        # Who names an environment means its programs: it counts as if it were active.
        path = os.pathsep.join([os.path.dirname(answer.executable), environ.get("PATH", os.defpath)])
        missing = _of_command(list(command), {**environ, "PATH": path}, cwd).missing if command else ""
        return Choice(executable=answer.executable, chosen_by=answer.why, missing_program=missing)
    why_not = missing = ""
    for answer in _sources(command, environ, cwd):
        missing = missing or answer.missing
        if answer.executable:
            return Choice(executable=answer.executable, chosen_by=answer.why, why_not=why_not, missing_program=missing)
        why_not = why_not or answer.why
    return Choice(executable=None, why_not=why_not or "there is no python3 on PATH", missing_program=missing)


def working_folder() -> Path:
    """Where the server will be started; by its last name when it has been removed under us."""
    try:
        return Path.cwd()
    except OSError:
        return Path(os.environ.get("PWD", "/"))


def absolute_pythonpath(environ: Mapping[str, str], cwd: Path) -> dict[str, str]:
    """The environment with PYTHONPATH made absolute: a probe runs in another folder than the server will.

    An empty entry means the working folder to Python, and becomes that.
    """
    result = dict(environ)
    if result.get("PYTHONPATH"):
        entries = result["PYTHONPATH"].split(os.pathsep)
        result["PYTHONPATH"] = os.pathsep.join(str(cwd / entry) for entry in entries)
    return result


def _stated(python: str, environ: Mapping[str, str], cwd: Path) -> _Answer:
    path = cwd / os.path.expanduser(python)
    if path.is_dir():
        inside = _python_of(path)
        return _Answer(
            inside,
            f"--python names the environment {python}" if inside else f"--python {python}: no bin/python in there",
        )
    if path.is_file() or os.sep in python:
        good = os.access(path, os.X_OK)
        return _Answer(
            str(path) if good else None, "given by --python" if good else f"--python {python}: no such program"
        )
    found = _which(python, environ, cwd)
    return _Answer(found, f"--python {python}, found on PATH" if found else f"--python {python}: not on PATH")


def _sources(command: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Iterator[_Answer]:
    if command:
        yield _of_command(list(command), dict(environ), cwd)
    own = next((name for name in ENGINES if _own_environment_holds(name)), None)
    if own:
        yield _Answer(sys.executable, f"the doctor's own environment, which holds {own}")
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(variable):
            inside = _python_of(Path(environ[variable]))
            yield _Answer(
                inside, f"${variable}" if inside else f"${variable} is {environ[variable]}, without bin/python"
            )
    found = _which("python3", environ, cwd) or _which("python", environ, cwd)
    yield _Answer(found, "python3 on PATH" if found else "there is no python3 on PATH")


def _own_environment_holds(name: str) -> bool:
    """A real package, not a folder of that name that happens to lie in the working folder."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def _python_of(folder: Path) -> str | None:
    """The interpreter of an environment's folder."""
    for name in ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe"):
        if os.access(folder / name, os.X_OK):
            return str(folder / name)
    return None


def _which(program: str, environ: Mapping[str, str], cwd: Path) -> str | None:
    """Where the shell would find a program; relative entries of PATH count from `cwd`."""
    if os.sep in program:
        path = cwd / program
        return str(path) if path.is_file() and os.access(path, os.X_OK) else None
    folders = [str(cwd / entry) for entry in environ.get("PATH", os.defpath).split(os.pathsep)]
    return shutil.which(program, path=os.pathsep.join(folders))


# --- the command -------------------------------------------------------------------------------------------------


def _of_command(words: list[str], environ: dict[str, str], cwd: Path) -> _Answer:
    words, cwd = _strip(words, environ, cwd)
    if not words:
        return _Answer(None, "the command holds no program")
    program = words[0]
    path = _which(program, environ, cwd)
    if path is None:
        where = "does not exist" if os.sep in program else "is not on PATH"
        return _Answer(None, f"the command's program {program} {where}", missing=program)
    name = os.path.basename(program)
    if name in ("uv", "uv.exe"):
        return _of_uv(words, environ, cwd)
    if name in ("conda", "mamba", "micromamba") and words[1:2] == ["run"]:
        return _of_conda(words[2:], environ, cwd)
    if _PYTHON.fullmatch(name):
        return _Answer(path, f"the command runs {program}")
    return _of_script(path, program, environ, cwd)


def _strip(words: list[str], environ: dict[str, str], cwd: Path) -> tuple[list[str], Path]:
    """Drop assignments, `env` and wrappers in front; assignments change `environ`, as they would."""
    while words:
        if _ASSIGNMENT.match(words[0]):
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        elif os.path.basename(words[0]) == "env":
            words, cwd = _strip_env(words[1:], environ, cwd)
        elif words[0] in _WRAPPERS:
            words = words[1:]
        else:
            break
    return words, cwd


def _strip_env(words: list[str], environ: dict[str, str], cwd: Path) -> tuple[list[str], Path]:
    """The options of `env`; -i keeps PATH here, since a shell without one uses a default."""
    while words and words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if option in ("-S", "--split-string"):
            words = shlex.split(value or words.pop(0)) + words
        elif option in _ENV_VALUES and (value or words):
            value = value or words.pop(0)
            if option in ("-u", "--unset"):
                environ.pop(value, None)
            else:
                cwd = cwd / value
        elif option in ("-i", "--ignore-environment", "-"):
            kept = {"PATH": environ.get("PATH", os.defpath)}
            environ.clear()
            environ.update(kept)
    return words, cwd


def _of_script(path: str, program: str, environ: Mapping[str, str], cwd: Path) -> _Answer:
    """The interpreter of a console script, from its first lines."""
    try:
        with open(path, "rb") as stream:
            lines = stream.read(_HEAD).decode("utf-8", "replace").split("\n")
    except OSError as error:
        return _Answer(None, f"{path} cannot be read: {error.strerror}")
    named = _shebang(lines, path)
    if named is None and _is_pyenv_shim(lines):
        named = "python3"  # the shim takes its version from the same place as the one of python3
    if named is None:
        return _Answer(None, f"the command's program {path} is no Python script")
    found = _which(named, environ, cwd)
    if found is None:
        return _Answer(None, f"the first line of {path} names {named}, which does not exist", missing=named)
    return _Answer(found, f"the interpreter of {path}, the command's {program}")


def _shebang(lines: list[str], path: str) -> str | None:
    """The Python that the first lines of a script name; None when it is no Python script."""
    if not lines[0].startswith("#!"):
        return None
    line = lines[0][2:].strip()
    interpreter, _, rest = line.partition(" ")
    if os.path.basename(interpreter) == "env":
        words = [word for word in shlex.split(rest.replace("-S", "", 1)) if not _ASSIGNMENT.match(word)]
        words = [word for word in words if not word.startswith("-")]
        return words[0] if words and _PYTHON.fullmatch(os.path.basename(words[0])) else None
    if os.path.basename(interpreter) == "sh" and len(lines) > 1 and lines[1].startswith("'''exec'"):
        return _exec_trick(lines[1][len("'''exec'") :], path)
    if _PYTHON.fullmatch(os.path.basename(interpreter)):
        return interpreter
    # A path with blanks is no valid shebang for the kernel, except where it is all there is.
    return line if _PYTHON.fullmatch(os.path.basename(line)) and os.path.exists(line) else None


def _exec_trick(rest: str, path: str) -> str | None:
    """Line 2 of a script whose interpreter's path is too long, holds blanks, or is relative to the script."""
    if "dirname" in rest:  # relocatable: "$(dirname -- "$(realpath -- "$0")")"/'python3' "$0" "$@"
        match = re.search(r"""\)"?/['"]?([^'"\s]+)['"]?\s+"\$0""", rest)
        return os.path.join(os.path.dirname(os.path.realpath(path)), match.group(1)) if match else None
    try:
        words = shlex.split(rest)
    except ValueError:
        return None
    return words[0] if words and os.sep in words[0] else None


def _is_pyenv_shim(lines: list[str]) -> bool:
    return any("pyenv" in line and " exec " in line for line in lines)


def _of_conda(words: list[str], environ: dict[str, str], cwd: Path) -> _Answer:
    """`conda run -n NAME | -p PREFIX CMD`."""
    prefix = Path(environ.get("CONDA_PREFIX", ""))
    while words and words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if option in ("-n", "--name", "-p", "--prefix", "--cwd"):
            value = value or (words.pop(0) if words else "")
            if option in ("-p", "--prefix"):
                prefix = cwd / value
            elif option != "--cwd":
                prefix = _conda_environment(value, environ)
    return _inside(str(prefix), "conda run", words, environ, cwd)


def _conda_environment(name: str, environ: Mapping[str, str]) -> Path:
    """The folder of a named conda environment."""
    executable = environ.get("CONDA_EXE") or _which("conda", environ, Path("/")) or ""
    root = Path(executable).parent.parent
    if name == "base":
        return root
    homes = [Path(p) for p in environ.get("CONDA_ENVS_PATH", "").split(os.pathsep) if p]
    homes += [root / "envs", Path(environ.get("HOME", "/")) / ".conda/envs"]
    return next((home / name for home in homes if (home / name).is_dir()), root / "envs" / name)


def _of_uv(words: list[str], environ: dict[str, str], cwd: Path) -> _Answer:
    try:
        run = parse_uv(words[1:], environ, cwd)
        folder = uv_environment(run, environ)
    except NoEnvironmentError as error:
        return _Answer(None, str(error))
    if folder.is_file():
        return _Answer(str(folder), f"uv run --python {folder}")
    return _inside(str(folder), "uv run", [] if run.is_python else list(run.command), environ, run.directory)


def _inside(folder: str, runner: str, words: list[str], environ: dict[str, str], cwd: Path) -> _Answer:
    """A command that `runner` starts with an environment's bin first on PATH."""
    python = _python_of(Path(folder))
    if python is None:
        return _Answer(None, f"{runner} takes the environment {folder}, which has no bin/python yet")
    if not words:
        return _Answer(python, f"{runner} takes the environment {folder}")
    inner = {**environ, "PATH": os.pathsep.join([f"{folder}/bin", environ.get("PATH", os.defpath)])}
    answer = _of_command(words, inner, cwd)
    if answer.executable is None:
        return answer
    return _Answer(answer.executable, f"{runner} takes the environment {folder}; {answer.why}")
