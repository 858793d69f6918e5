"""ENG: what an engine pins has a wheel for this Python."""

from __future__ import annotations

from packaging.version import Version

from autoglm_doctor.api import (
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Matrix,
    Packages,
    Text,
    Threshold,
    Toolchain,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.checks.engine import NAMES
from autoglm_doctor.domain.deployment import runs_on_cpu
from autoglm_doctor.domain.makers import beside_arm, of_another_maker
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import number

#: xFormers' wheels before these releases are for one Python each, of which this was the newest; from 0.0.31 on they are
#: for any (asked of the index with `uv pip compile --only-binary`: 0.0.22 to 0.0.31, Python 3.12 to 3.14).
XFORMERS = ((Version("0.0.27"), (3, 11)), (Version("0.0.31"), (3, 12)))
GOOD = "3.12"


@check("ENG010", "engine-wheels", cause="PYTHON_UNSUPPORTED", explained_by=("HST001", "PYT001", "ENG003", "ENG004"))
def engine_wheels(
    packages: Packages,
    interpreter: Interpreter,
    host: Host | None,
    toolchain: Toolchain | None,
    torch_run: TorchRun | None,
    gpus: tuple[Gpu, ...] | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """What the engine pins has a wheel for this Python.

    An engine's Requires-Python is often wider than what it pins: SGLang 0.5.3 says ">=3.10" and wants torch 2.8.0,
    which has no wheel for Python 3.14; vLLM 0.8.0 says ">=3.9" and wants an xFormers without one for 3.13. torch
    has no sources on PyPI, so pip finds no solution: red. xFormers is compiled then, which takes a CUDA toolkit and
    long, and often fails: yellow.

    Judged where no more than the engine's version is known (`diagnose`). What is installed on this machine has its
    wheels, or was built. xFormers is asked for on x86-64 only, and neither for the CPU nor for other makers' GPUs.

    ## Fix
    A new environment with Python 3.12, and the engine in there.
    """
    one = next((one for one in packages.distributions if one.name.lower() == intent.engine), None)
    row = matrix.engine_release(intent.engine, one.version) if one is not None else None
    python = _line(interpreter.version)
    is_judged = one is not None and not (one.location or one.requires_python or one.requires)
    if one is None or row is None or not is_judged or python is None or not published(one.version):
        yield not_applicable(Text("no release of an engine of which only the version is known"))
        return
    said = {"engine": f"{NAMES[intent.engine]} {one.version}", "python": interpreter.version, "torch": row.torch}
    said["xformers"] = row.xformers
    built = bool(toolchain and toolchain.nvcc) or bool(torch_run and torch_run.cuda_available)
    foreign = built or (host is not None and bool(host.container)) or _is_foreign(packages)
    if foreign or of_another_maker(gpus) or runs_on_cpu(intent, None, None, gpus):
        yield not_applicable(Text("whose wheels these are is not known"))
        return
    there = {one.name.lower() for one in packages.distributions}
    torch, xformers = row.torch if "torch" not in there else "", row.xformers if _for_x86(host, gpus) else ""
    xformers = xformers if "xformers" not in there else ""
    if not matrix.torch_pythons(torch) and number(xformers) is None:
        yield not_applicable(Text("what {engine} pins is stated to be there, or not known", said))
    elif _lacks_torch(torch, python, matrix):
        words = "{engine} wants torch {torch}, which has no wheel for Python {python}"
        yield fail(
            Text(words, said), fix=_fresh(intent.engine, one.version), observed=interpreter.version, expected=GOOD
        )
    elif _lacks_xformers(xformers, python):
        yield warn(
            Text("{engine} wants xFormers {xformers}, which has no wheel for Python {python} and is compiled", said),
            fix=_fresh(intent.engine, one.version),
            observed=interpreter.version,
            expected=GOOD,
            threshold=Threshold(value=GOOD, unit="Python", source=f"the wheels of xFormers {row.xformers}"),
        )
    else:
        yield ok(Text("what {engine} pins has wheels for Python {python}", said), observed=interpreter.version)


def _for_x86(host: Host | None, gpus: tuple[Gpu, ...] | None) -> bool:
    """The engines ask for xFormers with `platform_machine == "x86_64"`."""
    machine = host.machine.lower() if host is not None else ""
    return machine in ("", "x86_64", "amd64") and not beside_arm(gpus)


def _line(version: str) -> tuple[int, int] | None:
    parts = version.split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else None


def _is_foreign(packages: Packages) -> bool:
    """A torch of a vendor, or of a build: its wheels are not those of PyPI."""
    torch = next((one.version for one in packages.distributions if one.name.lower() == "torch"), "")
    return bool(torch) and not published(torch)


def _lacks_torch(torch: str, python: tuple[int, int], matrix: Matrix) -> bool:
    """Only a newer Python than the last one: of an older one Requires-Python speaks."""
    tags = [one.removeprefix("cp3") for one in matrix.torch_pythons(torch) if one.startswith("cp3")] if torch else []
    lines = [int(one) for one in tags if one.isdigit()]
    return bool(lines) and python > (3, max(lines))


def _lacks_xformers(xformers: str, python: tuple[int, int]) -> bool:
    found = number(xformers)
    return found is not None and next((python > newest for until, newest in XFORMERS if found < until), False)


def _fresh(engine: str, version: str) -> Fix:
    return Fix(
        text=Text("make an environment with Python {version}", {"version": GOOD}),
        commands=(f"uv venv --python {GOOD} serve", f"uv pip install --python serve/bin/python {engine}=={version}"),
        effort="install",
    )
