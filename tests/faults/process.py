"""Faults of our own process: variables and folders that meddle with our Python, and checks of somebody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.machine import Machine
from tests.faults.proofs import fails, python, told
from tests.faults.systems import environ


def folder_of_modules(machine: Machine, *names: str) -> Path:
    folder = machine.root / "modules"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text("raise RuntimeError('not the module that you wanted')\n")
    return folder


def modules_in_the_working_folder(machine: Machine) -> None:
    for path in folder_of_modules(machine, "json", "enum", "types", "typer", "yaml", "signal", "checks").iterdir():
        path.rename(machine.cwd / path.name)


def broken_dependencies_on_pythonpath(machine: Machine) -> None:
    folder = folder_of_modules(machine, "typer", "yaml", "rich", "psutil", "packaging", "pynvml", "click")
    machine.environ["PYTHONPATH"] = str(folder)


def removed_working_folder(machine: Machine) -> None:
    machine.wrap = [
        "sh",
        "-c",
        'mkdir gone && cd gone && rmdir ../gone && ls -d "$PWD" >&2 || echo the working folder is gone >&2; exec "$@"',
        "sh",
    ]


def plug_in(body: str) -> Callable[[Machine], None]:
    """A check of somebody else."""

    def break_it(machine: Machine) -> None:
        folder = machine.root / "plug-ins"
        folder.mkdir()
        text = f"""
            from autoglm_doctor.api import *
            import sys
            @check("ZZZ001", "foreign", cause="FOREIGN")
            def foreign(host: Host) -> Findings:
                '''It is well.'''
                {body}
                yield ok(Text("well"))
        """
        (folder / "foreign.py").write_text("\n".join(line[12:] for line in text.splitlines()))
        machine.options += ["--checks-dir", str(folder)]

    return break_it


FOREIGN = "the mistake is the plug-in's, which is named in the report; its check is not a required one"

FAULTS = [
    Fault(
        name="the working folder is full of modules with famous names",
        break_it=modules_in_the_working_folder,
        code="DRV001",
        status="pass",
        exit=0,
        harmless="a console script does not look into the working folder, and neither do we",
        took_hold=fails(*python("import typer")),
    ),
    Fault(
        name="PYTHONPATH holds broken copies of our libraries",
        break_it=broken_dependencies_on_pythonpath,
        code="DRV001",
        status="pass",
        exit=0,
        harmless="the simulated engine imports none of them; our own process takes PYTHONPATH last",
        took_hold=fails(*python("import typer")),
    ),
    Fault(
        name="the working folder was removed",
        break_it=removed_working_folder,
        code="DRV001",
        status="pass",
        exit=0,
        harmless="every path of this deployment is absolute",
        took_hold=told("the working folder is gone"),
    ),
    Fault(
        name="docstrings are dropped",
        break_it=environ(PYTHONOPTIMIZE="2"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="titles and pages are read from the source then",
        took_hold=fails(*python("import json; json.loads.__doc__.strip()")),
    ),
    Fault(
        name="warnings are errors",
        break_it=environ(PYTHONWARNINGS="error", PYTHONDEVMODE="1"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="a setting for developers; we give no warnings",
        took_hold=fails(*python("import warnings; warnings.warn('odd')")),
    ),
    Fault(
        name="the locale does not exist",
        break_it=environ(LANG="xx_XX.nonsense", LC_ALL="xx_XX.nonsense"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="nothing is spelt by the locale",
        took_hold=fails(*python("import locale; locale.setlocale(locale.LC_ALL, '')")),
    ),
    Fault(
        name="LD_PRELOAD names nothing",
        break_it=environ(LD_PRELOAD="/no/such/library.so"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="the loader says so and goes on, for the server as well",
        took_hold=told("/no/such/library.so"),
    ),
    Fault(
        name="a plug-in raises",
        break_it=plug_in("raise RuntimeError('oops')"),
        code="ZZZ001",
        status="error",
        exit=0,
        says=("oops",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in leaves",
        break_it=plug_in("sys.exit(0)"),
        code="ZZZ001",
        status="error",
        exit=0,
        says=("SystemExit",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in recurses",
        break_it=plug_in("f = lambda: f(); f()"),
        code="ZZZ001",
        status="error",
        exit=0,
        says=("RecursionError",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in loops",
        break_it=plug_in("while True: pass"),
        limit=20,  # 5 s of CPU time, on a machine that may be busy
        code="ZZZ001",
        status="error",
        exit=0,
        says=("TimeoutError",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in never ends to speak",
        break_it=plug_in("while True: yield ok(Text('well'))"),
        code="ZZZ001",
        status="error",
        exit=0,
        says=("10000",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in prints",
        break_it=plug_in("print('{}')"),
        code="ZZZ001",
        status="pass",
        exit=0,
        harmless="what it prints goes to standard error",
        took_hold=told("{}"),
    ),
]
