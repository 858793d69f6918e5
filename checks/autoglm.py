"""ENG: what Open-AutoGLM's own documents ask for, against what the packages say of each other."""

from __future__ import annotations

import re
from typing import NamedTuple

from packaging.utils import canonicalize_name

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
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
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.checks.engine import NAMES, model_type
from autoglm_doctor.checks.engine_pins import as_specifier, takes
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.choose import library_for
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.obstacles import allows
from autoglm_doctor.domain.resolve.releases import Model, Place, Shelf
from autoglm_doctor.domain.resolve.shelf import shelf_of
from autoglm_doctor.domain.resolve.site import SMOKE_TYPE, Site

_MODEL = re.compile(r"autoglm[-_ ]?phone", re.IGNORECASE)

#: The package that Open-AutoGLM's setup.py installs.
_AGENT = "phone-agent"


@check(
    "ENG007",
    "autoglm-requirements",
    cause="TRANSFORMERS_TOO_NEW_FOR_ENGINE",
    explained_by=("PYT001", "ENG001", "ENG003"),
)
def autoglm_requirements(
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
    """What Open-AutoGLM asks for can be installed together.

    Its requirements name vllm>=0.12.0 (or sglang>=0.5.6.post1) and transformers>=5.0.0rc0, and say to install
    transformers last and to ignore the conflict that pip reports. The metadata of the engines says otherwise: vLLM
    0.12.0 to 0.19.0 take transformers<5, 0.19.1 to 0.23.0 exclude 5.0 to 5.4 and 5.5.0, 0.24.0 and later begin with
    5.5.3; SGLang pins one release, 5.0.0rc0 only in 0.5.6.post1. No resolver accepts the documented minimum of both.
    The model does not need transformers 5: its type, glm4v, works from 4.53.2 on.

    Measured by comparing the two installed versions with the range in the engine's metadata (Requires-Dist on PyPI)
    and with the documents of zai-org/Open-AutoGLM (requirements.txt and README). Only for AutoGLM-Phone models. Yellow
    where the pair that is installed was refused by the engine; whether it fails all the same is for PKG001 and PKG003.

    ## Fix
    The transformers that the engine takes; or the newest pair of both for this machine, which also meets what
    Open-AutoGLM asks for where the driver runs an engine that is new enough.
    """
    why = _not_meant(packages, model_files, intent, matrix)
    version, there = installed_version(packages, intent.engine), installed_version(packages, "transformers")
    if why or not published(version) or version is None or there is None:
        yield not_applicable(Text(why or "a published engine and transformers are not both known to be installed"))
        return
    pair = _pair(intent, version, there, matrix)
    asked = matrix.open_autoglm["transformers"]
    values = {
        "engine": NAMES[intent.engine],
        "version": version,
        "there": there,
        "asked": f"transformers{asked}",
        "wanted": f"transformers{pair.wanted}",
    }
    if not pair.wanted:
        yield not_applicable(Text("which transformers {engine} {version} takes is in no table of ours", values))
    elif takes(pair.wanted, there):
        words = "{engine} {version} and transformers {there} go together"
        if not allows(asked, there):
            words += "; Open-AutoGLM asks for {asked}, which this engine refuses and the model does not need"
        yield ok(Text(words, values), subject="transformers", observed=there, expected=pair.wanted)
    elif not allows(asked, there):
        text = Text("transformers {there} is not what Open-AutoGLM asks for; PKG001 and PKG003 judge it", values)
        yield not_applicable(text, subject="transformers")
    else:
        taken = gpus_of(gpus, cuda, environment, intent)
        site = Site(matrix, intent, driver, taken, host, interpreter, packages, model_files)
        yield _contradiction(pair, site, values)


def _not_meant(packages: Packages, files: ModelFiles | None, intent: Intent, matrix: Matrix) -> str:
    """Why Open-AutoGLM's requirements do not concern this deployment; "" when they do."""
    named = intent.profile.startswith("autoglm-phone") or _MODEL.search(intent.model) is not None
    agent = any(canonicalize_name(one.name) == _AGENT for one in packages.distributions)
    if not named and not (agent and model_type(files, intent) in ("", SMOKE_TYPE)):
        return "the model is not one of Open-AutoGLM's"
    return "" if intent.engine in matrix.open_autoglm else f"Open-AutoGLM asks nothing of {intent.engine}"


class _Pair(NamedTuple):
    """What the engine's release takes, and the pairs that resolve."""

    wanted: str  # as a specifier; "" when not known
    stay: str  # the transformers for this engine
    first: str  # from this release of the engine on, what Open-AutoGLM asks for can be met
    with_first: str  # the transformers for that one


def _pair(intent: Intent, version: str, there: str, matrix: Matrix) -> _Pair:
    row = matrix.engine_release(intent.engine, version)
    wanted = as_specifier(row.transformers) if row else ""
    if not row or not wanted or takes(wanted, there):
        return _Pair(wanted, "", "", "")
    shelf, asked = shelf_of(matrix, intent.engine), matrix.open_autoglm["transformers"]
    model = Model(transformers=matrix.first_transformers(SMOKE_TYPE))
    own = next((one for one in shelf.releases if one.version == row.since), None)
    stay = library_for(shelf, own, Place(), model) if own else ""
    both = Shelf(
        releases=shelf.releases, transformers=tuple(one for one in shelf.transformers if allows(asked, one.version))
    )
    first = ("", "")
    for release in reversed(shelf.releases):
        library = library_for(both, release, Place(), model)
        if not library:
            break
        first = (release.version, library)
    return _Pair(wanted, stay or "", *first)


def _contradiction(pair: _Pair, site: Site, values: dict[str, str]) -> Judgement:
    words = (
        "Open-AutoGLM asks for {asked} and calls the conflict harmless, {engine} {version} takes {wanted}; "
        "{there} is installed. Pairs that resolve: "
    )
    pairs = [f"{values['engine']} {values['version']} with transformers {pair.stay}"] if pair.stay else []
    pairs += [f"{values['engine']} from {pair.first} on, with transformers {pair.with_first}"] if pair.first else []
    return warn(
        Text(words + "{pairs}", {**values, "pairs": "; ".join(pairs) or "none that we know of"}),
        fix=install_fixes(site),
        subject="transformers",
        observed=values["there"],
        expected=pair.wanted,
        threshold=Threshold(
            value=pair.wanted, unit="version", source=site.matrix.origin("open_autoglm").source + "; Requires-Dist"
        ),
        evidence={"asked": values["asked"], "stay": pair.stay, "first": f"{pair.first} {pair.with_first}".strip()},
    )
