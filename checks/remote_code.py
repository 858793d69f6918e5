"""ENG: the code that a model's repository brings runs with the installed transformers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from autoglm_doctor.api import (
    Findings,
    Fix,
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
    warn,
)
from autoglm_doctor.domain.builds import standing
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.launch_line import changed, line, stated_flag
from autoglm_doctor.domain.wheels import number
from autoglm_doctor.matrix import RemoteCode


@check(
    "ENG009",
    "own-code-runs",
    cause="TRANSFORMERS_TOO_NEW_FOR_MODEL",
    explained_by=("PYT001", "ENG002", "PKG001", "PKG002", "PKG012"),
)
def own_code_runs(
    packages: Packages,
    model_files: ModelFiles | None,
    interpreter: Interpreter | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The code that the model's repository brings runs with the installed transformers.

    A model that is loaded with trust_remote_code is run by the code in its own repository, and that was written for the
    transformers of its day. Later ones remove what it calls: "cannot import name 'LlamaFlashAttention2'", "_pad() got
    an unexpected keyword argument 'padding_side'", "has no attribute 'generate'", "has no attribute
    'all_tied_weights_keys'". Some of them show only when the model answers. What two releases lacked by mistake
    (is_torch_greater_or_equal_than_1_13 in 4.48.0 and 4.48.1) came back, and a newer one is the way out.

    Measured by comparing the installed transformers with a table of such models, by the name on the hub and its owner,
    of a folder by the classes that config.json names. What was removed in which release was read in the wheels; that
    the model breaks is from public reports, named in each row: what its repository holds today was not read. Red where
    no mended copy is known by the day of the table. Yellow where a newer copy is, where its owner changes it often,
    where a revision is named, and for a folder, whose files somebody may have mended; a config.json that says that it
    was written by such a release is taken for a newer copy. Copies under other owners are not judged, nor conversions
    (`-hf`), which need no code. Where transformers has code of its own for the model as well (Phi-3), only with
    trust_remote_code, which prefers the repository's. vLLM and SGLang run the model by code of their own; but where its
    configuration lies in the model's file (DeepSeek-OCR), releases from before they knew the model import that file,
    with trust_remote_code; builds on the way to the first that does without are open. Other servers are not judged.

    ## Fix
    The newest transformers that runs this code; where the makers mended it, a new copy of the small files first.
    """
    if intent.other_engine:
        yield not_applicable(Text("{engine} runs models by code of its own", {"engine": intent.other_engine}))
        return
    version = installed_version(packages, "transformers")
    engine = installed_version(packages, intent.engine)
    config = model_files.config if model_files and model_files.config else {}
    known = _rows(intent, model_files, config, matrix)
    rows = tuple(row for row in known if _is_run(row, intent, engine, matrix))
    if intent.engine != "transformers" and not rows:
        yield not_applicable(Text("the engine runs the model by code of its own"))
        return
    if known and not rows:
        yield not_applicable(Text("without trust_remote_code transformers runs it by code of its own"))
        return
    if not rows or version is None:
        yield not_applicable(Text("no model whose own code is known to break"), subject="transformers")
        return
    broken = next((row for row in rows if row.breaks_with(version) and not _is_newer_copy(config, row)), None)
    if broken is None:
        text = Text("the code of {model} is not known to break with transformers {version}", _names(intent, version))
        yield ok(text, subject="transformers", observed=version)
        return
    unsure = broken.updated or _is_folder(intent.model) or _names_revision(intent)
    unsure = unsure or _may_do_without(broken, intent, engine, matrix)
    yield _judged(broken, version, packages, interpreter, intent, matrix.origin("remote_code").verified, unsure)


def _is_run(row: RemoteCode, intent: Intent, engine: str | None, matrix: Matrix) -> bool:
    """Whether the code of the repository is imported: by transformers, or by an engine for its configuration."""
    if row.only_trusted and not intent.launch.trust_remote_code:
        return False
    if intent.engine == "transformers":
        return True
    first = row.engines.get(intent.engine, "")
    if not first or not intent.launch.trust_remote_code:  # without it nothing of the repository is imported
        return False
    releases = [one.since for one in matrix.all_engines.get(intent.engine, ())]
    return standing(engine, first, releases) == "lacks"


def _may_do_without(row: RemoteCode, intent: Intent, engine: str | None, matrix: Matrix) -> bool:
    """The engine's release knows the architecture, but some of these were still seen to import the file."""
    return intent.engine != "transformers" and any(
        matrix.engine_knows(intent.engine, engine or "", name) for name in row.architectures
    )


def _judged(
    row: RemoteCode,
    version: str,
    packages: Packages,
    interpreter: Interpreter | None,
    intent: Intent,
    day: str,
    unsure: bool,
) -> Judgement:
    words = "transformers {version} does not run the code that {model} brings: {what} (public reports; table of {day})"
    words += "; here a newer or mended copy may lie" if unsure else ""
    return (warn if unsure else fail)(
        Text(words, {**_names(intent, version), "what": row.what, "day": day}),
        fix=_fixes(row, packages, interpreter, intent),
        subject="transformers",
        observed=version,
        expected=f"{'>=' if _is_newer(row.takes, version) else '<='}{row.takes}",
        threshold=Threshold(value=row.takes, unit="version", source=row.source),
    )


def _is_newer(one: str, other: str) -> bool:
    found, than = number(one), number(other)
    return found is not None and than is not None and found > than


def _rows(
    intent: Intent, files: ModelFiles | None, config: Mapping[str, Any], matrix: Matrix
) -> tuple[RemoteCode, ...]:
    owner, name = _owner_and_name(intent.model)
    if _is_folder(intent.model):
        return matrix.remote_code_of(name, _architectures(config)) if files is not None and files.custom_code else ()
    rows = matrix.remote_code_of(name)
    return tuple(row for row in rows if not owner or owner.lower() in [one.lower() for one in row.owners])


def _is_folder(model: str) -> bool:
    """A path, not a name on the hub."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model


def _names_revision(intent: Intent) -> bool:
    """Of another day than the newest: by a flag, or as transformers' server writes it (NAME@REVISION)."""
    return "@" in intent.model or any(stated_flag(intent.command, one) for one in ("revision", "code-revision"))


def _owner_and_name(model: str) -> tuple[str, str]:
    """ "THUDM/glm-4v-9b" -> both; a name alone has no owner; of a path its last part is the name."""
    model = model if _is_folder(model) else model.partition("@")[0]
    parts = [one for one in re.split(r"[/\\]", model) if one]
    return (parts[0] if len(parts) == 2 else ""), (parts[-1] if parts else "")


def _architectures(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes that config.json names, alone and with the language model's behind a stroke."""
    outer, inner = _classes(config), _classes(config.get("llm_config"))
    return (*outer, *(f"{one}/{other}" for one in outer for other in inner))


def _classes(config: Any) -> Sequence[str]:
    names = config.get("architectures") if isinstance(config, Mapping) else None
    return [str(one) for one in names] if isinstance(names, (list, tuple)) else []


def _is_newer_copy(config: Mapping[str, Any], row: RemoteCode) -> bool:
    """config.json names the transformers that wrote it: one of these wrote no older copy."""
    return row.updated and row.breaks_with(str(config.get("transformers_version", "")))


def _names(intent: Intent, version: str) -> dict[str, str]:
    return {"model": intent.model, "version": version}


def _fixes(row: RemoteCode, packages: Packages, interpreter: Interpreter | None, intent: Intent) -> tuple[Fix, ...]:
    python = interpreter.executable if interpreter else None
    older = Fix(
        text=Text("install transformers {takes}, which runs this code", {"takes": row.takes}),
        commands=(install_line(python, [f"transformers=={row.takes}"], packages),),
        effort="install",
    )
    if intent.engine != "transformers":  # it forbids a transformers of that age
        first = row.engines[intent.engine]
        text = Text(
            "install {engine} {first}, which has a configuration of its own for it",
            {"engine": intent.engine, "first": first},
        )
        return (
            Fix(text=text, commands=(install_line(python, [f"{intent.engine}>={first}"], packages),), effort="install"),
        )
    if row.only_trusted:
        text = Text("start it without trust_remote_code: transformers has code of its own for it")
        without = line(changed(intent, {"trust_remote_code": None}))
        return (Fix(text=text, commands=(without,), effort="flag"), older)
    if not row.updated or _is_folder(intent.model):
        return (older,)
    name = intent.model.partition("@")[0]
    model = name if "/" in name else f"{row.owners[0]}/{name}"
    refresh = f"hf download {shlex.quote(model)} --include '*.py' '*.json' --force-download"
    return (Fix(text=Text("fetch the newest code of the model"), commands=(refresh,), effort="install"), older)
