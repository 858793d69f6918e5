"""Lines that fetch files of a model again, to where the engine looks for them."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Sequence

from autoglm_doctor.facts import ModelFiles, Reading
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.intent import UNNAMED, Intent
from autoglm_doctor.profiles import PROFILES

#: ModelFiles.found_by of a snapshot in the hub's cache.
CACHE = "hugging face cache"


#: Reading.source of a model that is not there: looked for as a path, or a file where its folder should be.
BY_PATH, IS_FILE = "path", "file"


def names_a_path(model: str) -> bool:
    """Not a name of a hub: "/data/model", "./model", "~/model", "a/b/c"; "s3://bucket/model" is a store's address."""
    return "://" not in model and (model.startswith(("/", ".", "~")) or model.count("/") > 1)


def wrong_path(files: Reading[ModelFiles], intent: Intent) -> bool:
    """Whether the model is named by a path where no model folder is. A GGUF file is one that engines take."""
    by_path = names_a_path(intent.model) or files.source in (BY_PATH, IS_FILE)
    gguf = files.source == IS_FILE and intent.model.lower().endswith(".gguf")
    return files.outcome == "absent" and by_path and not gguf


def path_fixes(files: Reading[ModelFiles], intent: Intent) -> tuple[Fix, ...]:
    """What helps where no folder is: name the right one, or fetch the model to there."""
    parent = posixpath.dirname(intent.model) or "."
    look = Fix(
        text=Text("name the folder that holds config.json; this shows what is there"),
        commands=(f"ls -la {_shell(parent)}",),
        effort="flag",
    )
    if files.source == IS_FILE:
        return (look,)
    profile = PROFILES.get(intent.profile)
    fetch = Fix(
        text=Text("download the model to there"),
        commands=(
            f"hf download {profile.hub_names[0] if profile else 'ORG/MODEL'} --local-dir {_shell(intent.model)}",
        ),
        effort="install",
    )
    return (look, fetch)


def _shell(path: str) -> str:
    """Quoted, with a leading "~/" left to the shell."""
    return "~/" + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def file_fixes(files: ModelFiles, intent: Intent, fault: str, names: Sequence[str]) -> tuple[Fix, ...]:
    """What helps against one kind of fault (WeightFile.fault), best first; a download of these files last."""
    again = download(files, intent, names)
    folder = _folder(files)
    if fault == "lfs_pointer" and files.found_by == "path":
        pull = Fix(
            text=Text("fetch what the pointers stand for"),
            commands=(f"git -C {folder} lfs install --local", f"git -C {folder} lfs pull"),
            effort="install",
        )
        return (pull, again)
    if fault == "unreadable":
        allow = Fix(
            text=Text("give the server's user the right to read them"),
            commands=(f"ls -lL {folder}", f"chmod -R a+rX {folder}"),
        )
        return (allow, again)
    if fault == "header_limit":
        split = Fix(
            text=Text("take a version of the checkpoint that is split into more files"),
            commands=(f"ls -lS {folder}",),
            effort="install",
        )
        return (split, again)
    return (again,)


def _folder(files: ModelFiles) -> str:
    """The folder as a shell takes it; a gap to fill where nobody named it."""
    return "MODEL_FOLDER" if files.path == UNNAMED else shlex.quote(files.path)


def download(files: ModelFiles, intent: Intent, names: Sequence[str]) -> Fix:
    """One line that fetches the named files, or the whole model for no names."""
    folder = _folder(files)
    words = "".join(f" {shlex.quote(name)}" for name in names)
    name = hub_name(files, intent)
    if files.found_by == "modelscope cache":
        line = f"modelscope download --model {name}{words} --local_dir {folder}"
    else:
        where = "" if files.found_by == CACHE else f" --local-dir {folder}"
        force = " --force-download" if names else ""  # without it, a damaged file counts as there
        line = f"hf download {name}{words}{where}{force}"
    return Fix(
        text=Text("download {what} again", {"what": "them" if names else "it"}), commands=(line,), effort="install"
    )


def hub_name(files: ModelFiles, intent: Intent) -> str:
    """The name to download by. A folder does not tell its own: then that of the known profile, else a gap to fill."""
    if files.found_by not in ("path", "gguf"):
        return intent.model if intent.model != UNNAMED else "ORG/MODEL"
    profile = PROFILES.get(intent.profile)
    return profile.hub_names[0] if profile else "ORG/MODEL"
