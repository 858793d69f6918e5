"""Finding the checks: built in, from installed plug-ins, from a folder; and which of them to run."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from autoglm_doctor.api import Check
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.interruption import cpu_limit
from autoglm_doctor.limits import CHECK_CPU_SECONDS
from autoglm_doctor.runner import needs

ENTRY_POINTS = "autoglm_doctor.checks"


@dataclass(frozen=True, slots=True)
class Registry:
    """All checks by code order, and what could not be loaded, one sentence each."""

    checks: tuple[Check, ...]
    troubles: tuple[str, ...] = ()


def load_checks(folder: Path | None = None) -> Registry:
    """Built-in checks, plug-ins of the entry point group, and the modules of a folder (`--checks-dir`).

    A plug-in that does not load, asks for a fact that does not exist or takes a used code costs a sentence, never the
    run. A folder that cannot be read is the user's mistake.

    Raises:
        DoctorError: `folder` is no folder, a built-in check does not load, or two of them share a code.
    """
    checks = {check.code: check for check in _built_in()}
    troubles: list[str] = []
    for source, check in _foreign(folder, troubles):
        if check.code in checks:
            troubles.append(f"{source}: the code {check.code} is taken; the check is left out")
            continue
        try:
            needs(check)
        except Exception as error:  # a plug-in's annotations can fail in any way
            troubles.append(f"{source}: {error}")
            continue
        checks[check.code] = check
    return Registry(tuple(checks[code] for code in sorted(checks)), tuple(troubles))


@functools.cache
def _built_in() -> tuple[Check, ...]:
    import autoglm_doctor.checks as package

    found: dict[str, Check] = {}
    for info in pkgutil.iter_modules(package.__path__):
        for check in _checks_of(_import_built_in(f"{package.__name__}.{info.name}")):
            needs(check)  # a misspelt fact is told by every command, not only when the check runs
            if check.code in found:
                raise DoctorError(f"two checks have the code {check.code}")
            found[check.code] = check
    return tuple(found.values())


def _import_built_in(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a mistake of its author, who wants to know which file
        raise DoctorError(
            f"checks/{name.rsplit('.', 1)[-1]}.py does not load: {type(error).__name__}: {error}"
        ) from error


def _checks_of(module: ModuleType) -> Iterator[Check]:
    return (value for value in vars(module).values() if isinstance(value, Check))


def _foreign(folder: Path | None, troubles: list[str]) -> Iterator[tuple[str, Check]]:
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS):
        try:
            with cpu_limit(CHECK_CPU_SECONDS):
                loaded = entry.load()
        except (Exception, SystemExit) as error:  # a plug-in can fail in any way
            troubles.append(f"plug-in {entry.name}: {type(error).__name__}: {error}")
            continue
        checks = [loaded] if isinstance(loaded, Check) else _checks_of(loaded)
        yield from ((f"plug-in {entry.name}", check) for check in checks)
    if folder is not None:
        yield from _from_folder(folder, troubles)


def _from_folder(folder: Path, troubles: list[str]) -> Iterator[tuple[str, Check]]:
    if not folder.is_dir():
        raise DoctorError(f"--checks-dir: {folder} is no folder")
    for path in sorted(folder.glob("*.py")):
        try:
            spec = importlib.util.spec_from_file_location(f"autoglm_doctor_plugin_{path.stem}", path)
            if spec is None or spec.loader is None:
                raise ImportError("no loader for this file")
            module = importlib.util.module_from_spec(spec)
            with cpu_limit(CHECK_CPU_SECONDS), _no_bytecode():
                spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:  # as above
            troubles.append(f"{path.name}: {type(error).__name__}: {error}")
            continue
        yield from ((path.name, check) for check in _checks_of(module))


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """The folder is the user's: no __pycache__ is made in it."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def choose(checks: Sequence[Check], select: Sequence[str], skip: Sequence[str]) -> tuple[Check, ...]:
    """The checks whose code or name starts with, or is, one of `select` (all when empty), without those of `skip`.

    Raises:
        DoctorError: a pattern that matches nothing: a misspelt code must not silently judge less.
    """
    validate(checks, [*select, *skip])
    chosen = [c for c in checks if not select or any(matches(c, p) for p in select)]
    return tuple(c for c in chosen if not any(matches(c, p) for p in skip))


def matches(check: Check, pattern: str) -> bool:
    """A whole name, or the beginning of a code: "VRM", "VRM001", "weights-fit"."""
    return check.name == pattern or check.code.startswith(pattern.upper())


def validate(checks: Sequence[Check], patterns: Sequence[str]) -> None:
    """Raises: DoctorError for a pattern that matches no check."""
    for pattern in patterns:
        if not pattern or not any(matches(check, pattern) for check in checks):
            raise DoctorError(f"no check matches {pattern!r}; `autoglm-doctor list` shows them")
