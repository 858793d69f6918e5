"""ENG: the engine that the user means to run is there, in a release that knows the model."""

from __future__ import annotations

from collections.abc import Iterator

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
    Judgement,
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
    warn,
)
from autoglm_doctor.checks.package_metadata import concerns
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import GOOD_PYTHON, fresh_fix, install_fixes
from autoglm_doctor.domain.resolve.site import SMOKE_TYPE, Site
from autoglm_doctor.domain.wheels import engine_rows, number
from autoglm_doctor.matrix import EngineRelease, ModelSupport
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


@check("ENG002", "engine-knows-model", cause="TRANSFORMERS_TOO_OLD_FOR_MODEL", required=True, explained_by=("ENG001",))
def engine_knows_model(
    packages: Packages,
    model_files: ModelFiles | None,
    interpreter: Interpreter | None,
    host: Host | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The engine and transformers know this type of model.

    A release from before the model ends with "model type `glm4v` is not recognized" or "architectures are not
    supported". Some releases know the type and are broken for it, as transformers 4.53.0 and 4.53.1 are for videos of
    GLM-4.1V: red for an engine, which shows the model one when it starts; yellow for plain transformers.

    Measured by comparing the installed versions with the first release that contains the model's code, by
    config.json's `model_type` (of the model's folder, else of the known profile). The numbers come from the files
    inside the wheels; each row of the table names its source. transformers is judged also where the engine's release
    is not known. A type that transformers does not know yet is no fault where the model brings code of its own, or
    where the engine's release has code for its architecture.

    ## Fix
    A newer transformers, within what the engine allows; where the engine forbids it, the newest set that runs here.
    """
    kind = model_type(model_files, intent)
    support = _support(kind, matrix)
    if support is None:
        # Not "unknown": most of the world's model types are in no table of ours, and calling each of their
        # deployments incomplete would say nothing about them. The final stage still loads the model for real.
        reason = f"the model type {kind} is in no table of ours" if kind else "the model's type is not known here"
        yield not_applicable(Text("{reason}; loading it will tell", {"reason": reason}))
        return
    engine = installed_version(packages, intent.engine)
    transformers = installed_version(packages, "transformers")
    if engine is None:
        text = Text("{engine} is not installed", {"engine": NAMES[intent.engine]})
        yield unknown(text, subject=intent.engine if transformers else "")
        if not transformers:
            return
    taken = gpus_of(gpus, cuda, environment, intent)
    site = Site(matrix, intent, driver, taken, host, interpreter, packages, model_files)
    reason = "" if kind in matrix.models else _may_know_it_all_the_same(model_files, support, intent, engine, matrix)
    yield _judge_transformers(transformers, kind, support, site, reason)
    if intent.engine != "transformers" and engine is not None:
        yield from _judge_engine(engine, kind, support, site)


#: The table of model types begins here: what is older may know a type as well.
_FIRST_RELEASE = "4.28.0"


def _support(kind: str, matrix: Matrix) -> ModelSupport | None:
    """Where the type first works; for most types only transformers' own list says so."""
    first = matrix.model_types.get(kind, "")
    listed = ModelSupport(transformers=first, source="CONFIG_MAPPING in the wheels of transformers") if first else None
    return matrix.models.get(kind, listed)


def _may_know_it_all_the_same(
    files: ModelFiles | None, support: ModelSupport, intent: Intent, engine: str | None, matrix: Matrix
) -> str:
    """Why a transformers from before the type is no proof that it fails; "" when it is one."""
    if support.transformers == _FIRST_RELEASE:
        return "our table begins with transformers 4.28"
    if (files is not None and files.custom_code) or intent.launch.trust_remote_code:
        return "the model brings code of its own"
    config = files.config if files and files.config else {}
    names = config.get("architectures")
    known = engine and any(
        matrix.engine_knows(intent.engine, engine, str(name)) for name in (names if isinstance(names, list) else ())
    )
    return f"{NAMES[intent.engine]} has code of its own for it" if known else ""


def _fixes(site: Site) -> tuple[Fix, ...]:
    """By `resolve`; for an engine that is no Python package, those of transformers."""
    return install_fixes(site) or install_fixes(site, "transformers")


def _judge_transformers(
    version: str | None, kind: str, support: ModelSupport, site: Site, no_proof: str = ""
) -> Judgement:
    found, first = number(version), Version(support.transformers)
    threshold = Threshold(value=support.transformers, unit="version", source=support.source)
    values = {"version": version, "type": kind, "first": support.transformers}
    if found is None:
        return unknown(Text("the version of transformers is not known"), subject="transformers")
    bad = site.matrix.is_known_bad("transformers", version or "", kind)
    if bad is not None and bad.models:  # one that is bad for every model is PKG010's
        # Engines run every part of a model when they start; transformers runs what a request asks for.
        judge = warn if bad.in_part and site.intent.engine == "transformers" else fail
        return judge(
            Text("transformers {version} and {type} models: {what}; {first} works", {**values, "what": bad.what}),
            cause="KNOWN_BAD_RELEASE",
            fix=_fixes(site),
            subject="transformers",
            observed=version,
            expected=f">={support.transformers}",
            threshold=threshold,
        )
    if found < first and not _source_build(found, first) and no_proof:
        values["reason"] = no_proof
        text = Text("transformers {version} is older than its own code for {type} models; {reason}", values)
        return not_applicable(text, subject="transformers")
    if found < first and not _source_build(found, first):
        return fail(
            Text("transformers {version} does not know {type} models, which need {first}", values),
            fix=_fixes(site),
            subject="transformers",
            observed=version,
            expected=f">={support.transformers}",
            threshold=threshold,
        )
    return ok(
        Text("transformers {version} knows {type} models (since {first})", values),
        subject="transformers",
        observed=version,
        expected=f">={support.transformers}",
        threshold=threshold,
    )


def _source_build(found: Version, first: Version) -> bool:
    """A development build of the very release that brought the model counts as that release."""
    return found.is_devrelease and Version(found.base_version) >= first


def _judge_engine(version: str | None, kind: str, support: ModelSupport, site: Site) -> Iterator[Judgement]:
    intent = site.intent
    name = NAMES[intent.engine]
    needed = support.vllm if intent.engine == "vllm" else support.sglang
    found = number(version)
    values = {"engine": name, "version": version, "type": kind, "first": needed}
    if not needed:
        text = Text("which release of {engine} first knows {type} models is in no table of ours", values)
        yield not_applicable(text, subject=intent.engine)
    elif found is None:
        yield unknown(Text("the version of {engine} is not known", values), subject=intent.engine)
    elif found.is_devrelease and found < Version("0.2"):
        text = Text("{engine} {version} is a source build whose number says nothing", values)
        yield not_applicable(text, subject=intent.engine)
    elif found < Version(needed) and not _source_build(found, Version(needed)):
        yield fail(
            Text("{engine} {version} does not know {type} models, which need {first}", values),
            cause="ENGINE_TOO_OLD_FOR_MODEL",
            fix=_fixes(site),
            subject=intent.engine,
            observed=version,
            expected=f">={needed}",
            threshold=Threshold(value=needed, unit="version", source=support.source),
        )
    else:
        text = Text("{engine} {version} knows {type} models (since {first})", values)
        yield ok(text, subject=intent.engine, observed=version, expected=f">={needed}")


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
