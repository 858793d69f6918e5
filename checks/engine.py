"""ENG: the engine that the user means to run is there, or can be installed for this Python."""

from __future__ import annotations

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from autoglm_doctor.api import (
    SMOKE,
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Matrix,
    ModelFiles,
    Packages,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.checks.package_metadata import concerns
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import GOOD_PYTHON, fresh_fix, install_fixes
from autoglm_doctor.domain.resolve.site import SMOKE_TYPE, Site
from autoglm_doctor.domain.wheels import engine_rows, number
from autoglm_doctor.matrix import EngineRelease
from autoglm_doctor.profiles import find_profile

#: How the engines write themselves.
NAMES = {"vllm": "vLLM", "sglang": "SGLang", "transformers": "transformers"}


def model_type(model_files: ModelFiles | None, intent: Intent) -> str:
    """The model's type by its own config.json, else by the profile; "" when neither tells."""
    if intent.model == SMOKE:
        return SMOKE_TYPE
    profile = find_profile(intent.profile or intent.model)
    for config in (model_files.config if model_files else None, profile.config if profile else None):
        if config and isinstance(config.get("model_type"), str):
            return str(config["model_type"])
    return ""


@check(
    "ENG001",
    "engine-installed",
    cause="ENGINE_NOT_INSTALLED",
    required=True,
    explained_by=("PYT001", "ENG003", "ENG004"),
)
def engine_installed(
    packages: Packages,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    host: Host | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The engine is installed in the Python that the deployment will use.

    Without it the server does not start: "No module named vllm", "command not found". A machine often has several
    Pythons, and the engine may well be installed in another one than the one that the command runs.

    Measured by reading the metadata of the packages on that interpreter's sys.path; the report's head says which
    interpreter that is and why.

    ## Fix
    Install the engine into that interpreter. The line names the newest release whose CUDA the driver can run: from
    vLLM 0.20 and SGLang 0.5.11 on the wheels need CUDA 13, which means driver 580 or newer. If the engine is in
    another environment, name that one with `--python`.
    """
    name = NAMES[intent.engine]
    version = installed_version(packages, intent.engine)
    where = interpreter.executable if interpreter else "the deployment's Python"
    if version is not None:
        yield ok(Text("{engine} {version} is installed", {"engine": name, "version": version}), observed=version)
        return
    taken = gpus_of(gpus, cuda, environment, intent)
    site = Site(matrix, intent, driver, taken, host, interpreter, packages, model_files)
    elsewhere = Fix(
        text=Text("point to the environment that holds it"),
        commands=("autoglm-doctor check --python PATH_OF_ENVIRONMENT",),
        effort="flag",
    )
    damage = next((fault for fault in packages.faults if concerns(fault, intent.engine)), "")
    words = "{engine} is not installed for {python}"
    if damage:
        words = "the installation of {engine} for {python} is damaged, so it does not count as installed: {damage}"
    yield fail(
        Text(words, {"engine": name, "python": where, "damage": damage}),
        fix=(*install_fixes(site), elsewhere),
        observed="not installed",
        expected=intent.engine,
        evidence={"chosen_by": interpreter.chosen_by if interpreter else ""},
    )


@check("ENG003", "engine-python", cause="PYTHON_UNSUPPORTED", explained_by=("PYT001", "ENG004"))
def engine_python(
    packages: Packages,
    interpreter: Interpreter,
    model_files: ModelFiles | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The engine can be installed for this version of Python.

    An engine that is not installed yet has wheels for some versions of Python only; pip then takes an old release or
    tries to build one from source, and fails after minutes. (For an engine that is installed, its own metadata says
    more: see PKG001. Only where that was not read, its release is judged here.)

    Measured by comparing the interpreter's version with Requires-Python of the releases that the driver can run and
    that know the model.

    ## Fix
    A new environment with Python 3.12, and the engine in there.
    """
    rows = matrix.engines.get(intent.engine, ())
    stated = _stated_release(packages, intent, matrix)
    if not rows or (stated is None and installed_version(packages, intent.engine) is not None):
        why = "it is installed already" if rows else "it runs on every Python that we know of"
        yield not_applicable(Text("{engine}: {why}", {"engine": NAMES[intent.engine], "why": why}))
        return
    support = matrix.models.get(model_type(model_files, intent))
    first = number((support.vllm if intent.engine == "vllm" else support.sglang) if support else None)
    taken = gpus_of(gpus, cuda, environment, intent)
    usable = (stated,) if stated else engine_rows(intent.engine, driver, taken, matrix) or rows
    new_enough = [row for row in usable if first is None or Version(row.since) >= first] or [usable[-1]]
    fitting = [row for row in new_enough if SpecifierSet(row.python).contains(interpreter.version, prereleases=True)]
    release = installed_version(packages, intent.engine) if stated else None
    name = f"{NAMES[intent.engine]} {release}" if release else NAMES[intent.engine]
    values = {"engine": name, "python": interpreter.version, "needed": new_enough[-1].python}
    if fitting:
        text = Text("{engine} can be installed for Python {python}", values)
        yield ok(text, observed=interpreter.version, expected=fitting[-1].python)
        return
    site = Site(matrix, intent, driver, taken, host, interpreter, packages, model_files)
    fresh = fresh_fix(site, intent.engine, Text("make an environment with Python {version}", {"version": GOOD_PYTHON}))
    if fresh is None:
        yield unknown(Text("no release of {engine} goes with this driver and GPU, whatever the Python", values))
        return
    yield fail(
        Text("{engine} has no release for Python {python}; it needs {needed}", values)
        if stated is None
        else Text("{engine} is not made for Python {python}; it needs {needed}", values),
        fix=fresh,
        observed=interpreter.version,
        expected=new_enough[-1].python,
        threshold=Threshold(value=new_enough[-1].python, unit="Python", source=new_enough[-1].source),
    )


def _stated_release(packages: Packages, intent: Intent, matrix: Matrix) -> EngineRelease | None:
    """The release of a published engine of which no more than the version is known; None where its metadata was read.

    The newest Python that a release was made for is no hard end for what was built on the machine.
    """
    one = next((one for one in packages.distributions if one.name.lower() == intent.engine), None)
    if one is None or one.location or one.requires_python or one.requires or not published(one.version):
        return None
    row = matrix.engine_release(intent.engine, one.version)
    return row if row is not None and row.python else None
