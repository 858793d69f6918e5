"""Faults of the deployment: its Python and what it reads at its start. Packages and model: packages.py, models.py."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import models, packages
from tests.faults.fault import Fault
from tests.faults.machine import Machine
from tests.faults.proofs import met

#: The interpreter's limit is 30 s, here 1.5.
QUICK = ("--timeout", "0.05")
LIMIT = 1.5

Break = Callable[[Machine], object]


def broken(name: str, break_it: Break, *says: str, limit: float = 0.0) -> Fault:
    """A Python that does not start: one red, by PYT001."""
    return Fault(
        name=name,
        break_it=break_it,
        limit=limit,
        code="PYT001",
        status="fail",
        cause="TARGET_PYTHON_BROKEN",
        exit=1,
        says=says,
    )


def harmless(name: str, break_it: Break, why: str) -> Fault:
    """It starts all the same; what is odd about it writes the witness file."""
    return Fault(name=name, break_it=break_it, code="PYT001", status="pass", exit=0, harmless=why, took_hold=met)


def named(content: str | bytes, *options: str) -> Break:
    """`--python` names a program of this content; {python} in it is the healthy one, {witness} the witness file."""

    def break_it(machine: Machine) -> None:
        program = machine.root / "named" / "python"
        program.parent.mkdir()
        text = (
            content
            if isinstance(content, bytes)
            else content.format(python=machine.venv / "bin" / "python", witness=machine.witness).encode()
        )
        program.write_bytes(text)
        program.chmod(0o755)
        machine.options += ["--python", str(program), *options]

    return break_it


def in_site(name: str, text: str, *options: str) -> Break:
    """A file in the site-packages of the deployment; {met} in it writes the witness file."""

    def break_it(machine: Machine) -> None:
        (machine.site / name).write_text(text.replace("{met}", f"open({str(machine.witness)!r}, 'w').close()"))
        machine.options += options

    return break_it


def shadowed(module: str, text: str, *, in_command: bool) -> Break:
    """A folder on PYTHONPATH with a module of the standard library's name, set for the command or for everything."""

    def break_it(machine: Machine) -> None:
        folder = machine.root / "path"
        folder.mkdir()
        (folder / f"{module}.py").write_text(text)
        if in_command:
            machine.command = ["env", f"PYTHONPATH={folder}", *machine.command]
        else:
            machine.environ["PYTHONPATH"] = str(folder)

    return break_it


def wrong_home(machine: Machine) -> None:
    machine.command = ["env", "PYTHONHOME=/nowhere", *machine.command]


def base_is_gone(machine: Machine) -> None:
    """As after an upgrade of the system's Python: the venv's links lead nowhere."""
    for link in (machine.venv / "bin").glob("python*"):
        link.unlink()
    (machine.venv / "bin" / "python").symlink_to("/nowhere/bin/python3.11")
    (machine.venv / "bin" / "python3").symlink_to("python")


def script(machine: Machine) -> Path:
    """The console script that the command starts; the Python is named, so that it is judged without the script too."""
    machine.options += ["--python", str(machine.venv)]
    return machine.venv / "bin" / "vllm"


def shebang_is_gone(machine: Machine) -> None:
    script(machine).write_text("#!/gone/env/bin/python3.11\nraise SystemExit\n")


def release(wanted: str) -> Break:
    """`--python` names a real Python of that release: of pyenv, or on PATH."""

    def break_it(machine: Machine) -> None:
        found = find_python(wanted)
        if found is None:
            pytest.skip(f"there is no Python {wanted} here")
        machine.options += ["--python", found]

    return break_it


@functools.cache
def find_python(wanted: str) -> str | None:
    """A Python of that release on this machine."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    folders = [*sorted(pyenv.glob(f"{wanted}.*/bin")), *map(Path, os.environ.get("PATH", "").split(os.pathsep))]
    found = (folder / f"python{wanted}" for folder in folders if folder.name != "shims")  # nothing may be behind a shim
    return next((str(path) for path in found if os.access(path, os.X_OK)), None)


def too_old(wanted: str) -> Fault:
    return Fault(
        name=f"the target is Python {wanted}",
        break_it=release(wanted),
        code="ENG003",
        status="fail",
        cause="PYTHON_UNSUPPORTED",
        exit=1,
        says=(f"Python {wanted}.", "uv venv --python 3.12"),
    )


def not_found(name: str, break_it: Break) -> Fault:
    return Fault(
        name=name,
        break_it=break_it,
        code="ENG005",
        status="fail",
        cause="COMMAND_NOT_FOUND",
        exit=1,
        says=("vllm", "vllm.entrypoints.openai.api_server"),
    )


NO_PYTHON = [
    broken("--python names a script that prints", named("#!/bin/sh\necho hello\n"), "hello", "no Python"),
    broken("--python names a program that does nothing", named("#!/bin/sh\nexec true\n"), "no Python"),
    broken("--python names a text", named("hello\n"), "Exec format error"),
    broken("--python names garbage", named(b"\x7fELF\x02\x01\x01" + bytes(range(256))), "Exec format error"),
    broken("--python names what hangs", named("#!/bin/sh\nexec sleep 3600\n", *QUICK), "hangs", limit=LIMIT),
    Fault(
        name="--python names what is killed",  # as by the kernel, when another program has taken the memory
        break_it=named("#!/bin/sh\nkill -9 $$\n"),
        code="PYT001",
        status="unknown",
        exit=4,
        says=("SIGKILL",),
    ),
    broken("--python names what crashes", named("#!/bin/sh\nkill -SEGV $$\n"), "SIGSEGV"),
    broken("--python names what floods", named("#!/bin/sh\nyes | head -c 30000000\nexit 9\n"), "exit code 9"),
    harmless(
        "--python names what prints a banner first",
        named('#!/bin/sh\necho Welcome\necho to it >&2\ntouch {witness}\nexec {python} "$@"\n'),
        "what it prints is not its answer",
    ),
]

STARTS = [
    # The next Python is the doctor's own, whose torch may be a real one: seconds to import, the more with CUDA.
    broken("the base Python of the environment is gone", base_is_gone, "uv venv", limit=10.0),
    broken("the Python in the script's first line is gone", shebang_is_gone, "/gone/env/bin/python3.11"),
    broken("sitecustomize exits", in_site("sitecustomize.py", "raise SystemExit(0)"), "sitecustomize", "-I -S"),
    broken("sitecustomize crashes", in_site("sitecustomize.py", "import os; os.abort()"), "SIGABRT"),
    broken(
        "sitecustomize hangs",
        in_site("sitecustomize.py", "import time; time.sleep(3600)", *QUICK),
        "hangs",
        limit=LIMIT,
    ),
    broken("a .pth file ends the interpreter", in_site("odd.pth", "import os; os._exit(7)\n"), "exit code 7", ".pth"),
    broken(
        "PYTHONPATH holds a broken json.py",
        shadowed("json", "def broken(:\n", in_command=True),
        "path/json.py",
        "SyntaxError",
        "unset PYTHONPATH",
    ),
    broken(
        "PYTHONPATH of the shell holds a broken json.py",
        shadowed("json", "def broken(:\n", in_command=False),
        "path/json.py",
        "unset PYTHONPATH",
    ),
    broken(
        "PYTHONPATH holds a platform.py that exits",
        shadowed("platform", "raise SystemExit('odd')\n", in_command=True),
        "SystemExit: odd",
    ),
    broken("PYTHONHOME is wrong", wrong_home, "unset PYTHONHOME"),
    harmless(
        "sitecustomize raises",
        in_site("sitecustomize.py", "{met}; raise RuntimeError('odd')"),
        "Python itself says so and goes on, in the server too",
    ),
    harmless(
        "sitecustomize prints", in_site("sitecustomize.py", "print('hello', flush=True); {met}"), "it only prints"
    ),
    harmless(
        "a line of a .pth file fails",
        in_site("odd.pth", "import os; {met}\nimport nothing_of_this_name; boom(\n"),
        "Python itself skips the rest of that file, in the server too",
    ),
]

PROGRAMS = [
    not_found("the command's program is not on PATH", lambda machine: script(machine).unlink()),
    not_found("the command's program is not executable", lambda machine: script(machine).chmod(0o644)),
    too_old("3.6"),
    too_old("2.7"),
]


def final_stage_dies(how: str) -> Break:
    """Only the program that loads a model meets it: what was asked before is healthy."""
    script = f'#!/bin/sh\ncase "$*" in *load.py*) {how} ;; esac\nexec {{python}} "$@"\n'
    return named(script, "--final-stage", "smoke")


def died(name: str, how: str, *says: str) -> Fault:
    return Fault(
        name=f"the final stage {name}",
        break_it=final_stage_dies(how),
        code="INF001",
        status="fail",
        cause="MODEL_LOAD_FAILED",
        exit=1,
        says=says,
    )


FINAL_STAGE = [
    died("crashes", "kill -SEGV $$", "crashes", "SIGSEGV"),
    died("is killed", "kill -9 $$", "SIGKILL", "dmesg"),
    died("leaves", "exit 3", "exit code 3", "pip check"),
    Fault(
        name="the final stage is stopped by somebody",
        break_it=final_stage_dies("kill -TERM $$"),
        code="INF001",
        status="unknown",
        exit=4,
        says=("SIGTERM",),
    ),
]

FAULTS = [*NO_PYTHON, *STARTS, *PROGRAMS, *FINAL_STAGE, *packages.FAULTS, *models.FAULTS]
