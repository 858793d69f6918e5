"""Which environment `uv run` will take, by uv's own rules but without running uv: it would sync, and change things.

In a project that is .venv in the root of its workspace (UV_PROJECT_ENVIRONMENT names another, --active takes
$VIRTUAL_ENV); outside of one --python, $VIRTUAL_ENV, $CONDA_PREFIX, then .venv in this folder or above. Held against
uv 0.13 in tests/test_target.py.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Options of `uv run` and of uv itself that take a value in the next word (uv 0.13).
# fmt: off
_VALUES = frozenset([
    "--extra", "--no-extra", "--group", "--no-group", "--only-group", "--no-editable-package", "--env-file", "-w",
    "--with", "--with-editable", "--with-requirements", "--package", "--python-platform", "--index",
    "--default-index", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--index-strategy",
    "--keyring-provider", "-P", "--upgrade-package", "--upgrade-group", "--resolution", "--prerelease",
    "--prerelease-package", "--fork-strategy", "--exclude-newer", "--exclude-newer-package",
    "--no-sources-package", "--reinstall-package", "--link-mode", "-C", "--config-setting",
    "--config-settings-package", "--no-build-isolation-package", "--no-build-package", "--no-binary-package",
    "--no-binary", "--cache-dir", "--refresh-package", "-p", "--python", "--color", "--allow-insecure-host",
    "--directory", "--project", "--config-file",
])
# fmt: on
_MODULE = ("-m", "--module")
_SCRIPT = ("-s", "--script", "--gui-script")


@dataclass(frozen=True, slots=True, kw_only=True)
class UvRun:
    """A parsed `uv run` line."""

    directory: Path  # where the command will run
    project: Path  # where the search for a project starts
    python: str = ""
    active: bool = False
    no_project: bool = False
    is_python: bool = False  # runs a module or a .py file, with the environment's own python
    command: tuple[str, ...] = ()


class NoEnvironmentError(Exception):
    """uv will take an environment that we cannot look at; the message is a sentence for the user."""


def parse_uv(words: Sequence[str], environ: Mapping[str, str], cwd: Path) -> UvRun:
    """Read the words after `uv`.

    Raises:
        NoEnvironmentError: no `uv run`, or one that makes an environment of its own at start.
    """
    left, flags, values = _split(list(words))
    if left[:1] != ["run"]:
        raise NoEnvironmentError(f"uv {' '.join(left[:2])} makes an environment of its own")
    left, more_flags, more_values = _split(left[1:])
    flags, values = flags | more_flags, {**values, **more_values}
    if "--isolated" in flags:
        raise NoEnvironmentError("uv run --isolated makes an environment of its own")
    directory = cwd / (values.get("--directory") or environ.get("UV_WORKING_DIR") or "")
    program = next(iter(left), "")
    is_script = bool(flags & set(_SCRIPT)) or program.endswith(".py")
    if is_script and _carries_dependencies(directory / program):
        raise NoEnvironmentError(f"{program} carries its own dependencies, for which uv run makes an environment")
    return UvRun(
        directory=directory,
        project=directory / (values.get("--project") or environ.get("UV_PROJECT") or ""),
        python=values.get("--python") or values.get("-p") or environ.get("UV_PYTHON", ""),
        active="--active" in flags,
        no_project="--no-project" in flags or environ.get("UV_NO_PROJECT", "").lower() in ("1", "true"),
        is_python=is_script or bool(flags & set(_MODULE)) or program == "-",
        command=tuple(left),
    )


def _split(words: list[str]) -> tuple[list[str], set[str], dict[str, str]]:
    """Options in front (flags, and values by name) and the words after them."""
    flags: set[str] = set()
    values: dict[str, str] = {}
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            break
        if name in _VALUES:
            values[name] = value if equals else (words.pop(0) if words else "")
        else:
            flags.add(name)
            if name in _MODULE:
                break
    return words, flags, values


def _carries_dependencies(script: Path) -> bool:
    """Inline script metadata (PEP 723)."""
    try:
        return re.search(r"^# /// script\s*$", script.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def uv_environment(run: UvRun, environ: Mapping[str, str]) -> Path:
    """The folder of the environment that uv takes, or the interpreter that --python names.

    Raises:
        NoEnvironmentError: uv will pick a Python by itself.
    """
    root = None if run.no_project else project_root(run.project)
    if root is not None:
        if run.active and environ.get("VIRTUAL_ENV"):
            return Path(environ["VIRTUAL_ENV"])
        return root / (environ.get("UV_PROJECT_ENVIRONMENT") or ".venv")
    if run.python:
        path = run.directory / run.python
        if path.exists():
            return path
        raise NoEnvironmentError(f"uv run looks for a Python {run.python} by itself")
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(variable):
            return Path(environ[variable])
    for folder in (run.directory, *run.directory.parents):
        if (folder / ".venv" / "pyvenv.cfg").is_file():
            return folder / ".venv"
    raise NoEnvironmentError("uv run finds no environment and takes a Python by itself")


def project_root(start: Path) -> Path | None:
    """The root of the workspace that `start` belongs to; None outside of a project that uv manages."""
    above = [start, *start.parents]
    member = next((folder for folder in above if (folder / "pyproject.toml").is_file()), None)
    if member is None:
        return None
    data = _pyproject(member)
    uv = data.get("tool", {}).get("uv", {})
    if uv.get("managed") is False:
        return None  # any other pyproject.toml makes a project, with or without [project]
    if "workspace" in uv:
        return member
    for folder in member.parents:
        workspace = _pyproject(folder).get("tool", {}).get("uv", {}).get("workspace")
        if workspace is not None:
            return folder if _belongs(member, folder, workspace) else member
    return member


def _belongs(member: Path, root: Path, workspace: Mapping[str, Any]) -> bool:
    def listed(key: str) -> bool:
        return any(member in root.glob(pattern) for pattern in workspace.get(key, ()))

    return listed("members") and not listed("exclude")


def _pyproject(folder: Path) -> dict[str, Any]:
    """pyproject.toml, or {} when there is none. Python 3.10 has no parser: there the tables that matter are seen."""
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    try:
        tomllib: Any = importlib.import_module("tomllib")
    except ImportError:
        return _rough(text)
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except ValueError:
        return {}
    return data


def _rough(text: str) -> dict[str, Any]:
    """[tool.uv.workspace] with its members, and managed = false."""
    uv: dict[str, Any] = {}
    if re.search(r"^\s*managed\s*=\s*false", text, re.MULTILINE):
        uv["managed"] = False
    _, is_workspace, rest = text.partition("[tool.uv.workspace]")
    if is_workspace:
        lists = re.findall(r"^(members|exclude)\s*=\s*\[([^\]]*)\]", rest.split("\n[")[0], re.MULTILINE)
        uv["workspace"] = {key: re.findall(r"""["']([^"']+)["']""", value) for key, value in lists}
    return {"tool": {"uv": uv}}
