"""ENG: the engine and transformers are releases that know the model."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Distribution,
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
from autoglm_doctor.checks.engine import NAMES, model_type
from autoglm_doctor.domain.builds import is_early, standing
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.engine_configs import has_own_config
from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.domain.layer_types import layer_release
from autoglm_doctor.domain.model_names import ARCHITECTURES, type_of_name
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import number
from autoglm_doctor.matrix import ModelSupport


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
    config.json's `model_type` (of the model's folder, else of the known profile, else by the family that its name
    begins with). The numbers come from the files inside the wheels; each row of the table names its source.
    transformers is judged also where the engine's release is not known. A type that transformers does not know yet is
    no fault where the model brings code of its own, where the engine brings the configuration, where the engine's
    release has code for its architecture, or where vLLM reads Mistral's own form. An engine that does not know the
    architecture is red where it is too old to run it through transformers instead. Open are builds from the sources,
    candidates of the very release, a version that names a line of releases ("4.57"), and a transformers over which a
    preview (`transformers-v4.55.0-GLM-4.5V-preview`) was installed. Of a kind of layer that came after the type
    (`layer_types` in config.json) the later release counts. Other servers than ours are not judged.

    ## Fix
    A newer transformers, within what the engine allows; where the engine forbids it, the newest set that runs here.
    """
    if intent.other_engine:
        text = Text("{engine} has model code of its own, or another transformers", {"engine": intent.other_engine})
        yield not_applicable(text)
        return
    kind = model_type(model_files, intent) or _named_type(model_files, intent)
    support = _support(kind, matrix, model_files)
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
    reason = "" if kind in matrix.models else _may_know_it_all_the_same(kind, support, site, engine)
    first = _judge_transformers(transformers, kind, support, site, reason)
    yield first
    if intent.engine != "transformers" and engine is not None:
        yield from _judge_engine(engine, kind, support, site, is_explained=first.status == "fail")


#: The table of model types begins here: what is older may know a type as well.
_FIRST_RELEASE = "4.28.0"


def _support(kind: str, matrix: Matrix, files: ModelFiles | None) -> ModelSupport | None:
    """Where the type first works; for most types only transformers' own list says so."""
    first = matrix.model_types.get(kind, "")
    layers = layer_release(files.config if files else None)
    if first and layers and Version(layers) > Version(first):
        return ModelSupport(transformers=layers, source="ALLOWED_LAYER_TYPES in the wheels of transformers")
    listed = ModelSupport(transformers=first, source="CONFIG_MAPPING in the wheels of transformers") if first else None
    return matrix.models.get(kind, listed)


def _named_type(files: ModelFiles | None, intent: Intent) -> str:
    """Of a model that lies on no disk yet, what its name tells."""
    return "" if files is not None and files.config else type_of_name(intent.model)


def _may_know_it_all_the_same(kind: str, support: ModelSupport, site: Site, engine: str | None) -> str:
    """Why a transformers from before the type is no proof that it fails; "" when it is one."""
    intent, files = site.intent, site.files
    if support.transformers == _FIRST_RELEASE:
        return "our table begins with transformers 4.28"
    if (files is not None and files.custom_code) or intent.launch.trust_remote_code:
        return "the model brings code of its own"
    if has_own_config(intent.engine, engine, kind):
        return f"{NAMES[intent.engine]} reads its configuration by code of its own"
    if _is_in_mistrals_form(kind, intent):
        return "vLLM reads Mistral's own form of it"
    if support.source.startswith("ALLOWED"):  # that transformers looks at, whoever runs the model
        return ""
    known = engine and any(site.matrix.engine_knows(intent.engine, engine, name) for name in _architectures(files))
    return f"{NAMES[intent.engine]} has code of its own for it" if known else ""


#: Types whose makers publish them in a form of their own too (params.json), which newer vLLM take by themselves.
_MISTRALS = frozenset({"mistral3", "ministral3", "voxtral"})


def _says_mistrals_form(intent: Intent) -> bool:
    return intent.engine == "vllm" and "mistral" in (
        intent.launch.load_format,
        stated_flag(intent.command, "config-format"),
    )


def _is_in_mistrals_form(kind: str, intent: Intent) -> bool:
    """As the flags say; without them it may be so where Mistral itself published the model."""
    of_mistral = kind in _MISTRALS and intent.model.lower().startswith("mistralai/")
    return _says_mistrals_form(intent) or (intent.engine == "vllm" and of_mistral)


def _architectures(files: ModelFiles | None) -> list[str]:
    names = files.config.get("architectures") if files and files.config else None
    return [str(name) for name in names] if isinstance(names, list) else []


#: From these releases on an engine can run what it does not know through transformers: text, and pictures.
_FALLBACK = {"vllm": (Version("0.7"), Version("0.10")), "sglang": (Version("0.4.6"), Version("0.5.10"))}
_FALLBACK_SOURCE = "registries in the wheels of vLLM and SGLang: TransformersForCausalLM, TransformersForMultimodalLM"


def _needed_release(kind: str, support: ModelSupport, site: Site, found: Version | None) -> tuple[str, str]:
    """The first release of the engine that can run the type, and the source; ("", "") where none is proved to fail."""
    engine = site.intent.engine
    if _says_mistrals_form(site.intent):  # its params.json names no architecture
        return "", ""
    stated = support.vllm if engine == "vllm" else support.sglang
    if stated or engine not in _FALLBACK:
        return stated, support.source
    names = _architectures(site.files) or [ARCHITECTURES.get(kind, "")]
    firsts = [site.matrix.first_engine(engine, name) for name in names]
    text, pictures = _FALLBACK[engine]
    limit = pictures if names[0].endswith("ForConditionalGeneration") else text
    if not all(firsts) or found is None or found >= limit or min(map(Version, firsts)) <= _TABLE_BEGINS[engine]:
        return "", ""
    if found.is_postrelease or _is_known_pair(kind, site):  # the tables know no posts; of the pair PKG003 tells
        return "", ""
    return min(firsts, key=Version), _FALLBACK_SOURCE


def _is_known_pair(kind: str, site: Site) -> bool:
    pairs = site.matrix.bad_pairs({row.name: row.version for row in _distributions(site)}, kind)
    return any(kind in pair.models.split() for pair in pairs)


def _distributions(site: Site) -> tuple[Distribution, ...]:
    return site.packages.distributions if site.packages else ()


#: What the tables of architectures have at their first release may be older.
_TABLE_BEGINS = {"vllm": Version("0.8.0"), "sglang": Version("0.4.0")}


def _fixes(site: Site) -> tuple[Fix, ...]:
    """By `resolve`; for an engine that is no Python package, those of transformers."""
    return install_fixes(site) or install_fixes(site, "transformers")


def _judge_transformers(
    version: str | None, kind: str, support: ModelSupport, site: Site, no_proof: str = ""
) -> Judgement:
    found = number(version)
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
    has = _standing(version, kind, support, site)
    if has == "open":
        words = "whether transformers {version} knows {type} models is open: the number does not tell"
        return unknown(Text(words, values), subject="transformers")
    if has == "lacks" and no_proof:
        values["reason"] = no_proof
        text = Text("transformers {version} is older than its own code for {type} models; {reason}", values)
        return not_applicable(text, subject="transformers")
    if has == "lacks":
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


def _standing(version: str | None, kind: str, support: ModelSupport, site: Site) -> str:
    """Of transformers: "has", "lacks" or "open"."""
    releases = site.matrix.libraries("transformers")
    listed = site.matrix.model_types.get(kind, support.transformers)
    candidate = site.matrix.first_candidate(kind) if support.transformers == listed else ""
    found = standing(version, support.transformers, releases, candidate)
    preview = any(one.name.lower().startswith("transformers-v") for one in _distributions(site))
    # A build that knows the type, and of which the fault that a later release mended is not known.
    early = found == "lacks" and is_early(version) and kind in site.matrix.models
    knows = early and standing(version, listed, releases) != "lacks"
    return "open" if found == "lacks" and (preview or knows) else found


def _judge_engine(
    version: str | None, kind: str, support: ModelSupport, site: Site, *, is_explained: bool
) -> Iterator[Judgement]:
    intent = site.intent
    name = NAMES[intent.engine]
    found = number(version)
    needed, source = _needed_release(kind, support, site, found)
    if is_explained and source == _FALLBACK_SOURCE:  # a transformers that fits comes with a newer engine
        needed = ""
    values = {"engine": name, "version": version, "type": kind, "first": needed}
    if not needed:
        text = Text("which release of {engine} first knows {type} models is in no table of ours", values)
        yield not_applicable(text, subject=intent.engine)
    elif found is None:
        yield unknown(Text("the version of {engine} is not known", values), subject=intent.engine)
    elif found.is_devrelease and found < Version("0.2"):
        text = Text("{engine} {version} is a source build whose number says nothing", values)
        yield not_applicable(text, subject=intent.engine)
    elif (has := standing(version, needed, _releases(site))) == "open":
        words = "whether {engine} {version} knows {type} models is open: the number does not tell"
        yield unknown(Text(words, values), subject=intent.engine)
    elif has == "lacks":
        yield fail(
            Text("{engine} {version} does not know {type} models, which need {first}", values),
            cause="ENGINE_TOO_OLD_FOR_MODEL",
            fix=_fixes(site),
            subject=intent.engine,
            observed=version,
            expected=f">={needed}",
            threshold=Threshold(value=needed, unit="version", source=source),
        )
    else:
        text = Text("{engine} {version} knows {type} models (since {first})", values)
        yield ok(text, subject=intent.engine, observed=version, expected=f">={needed}")


def _releases(site: Site) -> list[str]:
    return [row.since for row in site.matrix.all_engines.get(site.intent.engine, ())]
