"""PKG: no release that its own makers took back."""

from __future__ import annotations

import re

from autoglm_doctor.api import (
    Findings,
    Fix,
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
    warn,
)
from autoglm_doctor.checks.engine import model_type
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.published import published
from autoglm_doctor.matrix import KnownBad


@check(
    "PKG010",
    "known-bad-release",
    cause="KNOWN_BAD_RELEASE",
    explained_by=("PYT001", "ENG002", "PKG001", "PKG002", "PKG003"),
)
def known_bad_release(
    packages: Packages,
    interpreter: Interpreter | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """No package here is a release that its makers withdrew.

    Projects take releases back: they stay where they were installed, and no newer environment gets them. transformers
    4.57.0 was withdrawn for an error in its setup.

    Measured by comparing the installed versions with the known-bad releases of the matrix; where only some models fail,
    the engine's for this model (vLLM 0.8.4 does not start GLM-4-0414), while those of transformers are ENG002's. Yellow
    where the release works all the same, red where the table says that it does not. Builds of your own are not judged.
    One that an engine here asks for by its number (SGLang 0.5.3) is left alone: nothing else would do there; and so is
    one whose fault was in its installation, which is over.

    ## Fix
    The next release.
    """
    kind = model_type(model_files, intent)
    known = [row for row in matrix.known_bad if not row.models or (row.package == intent.engine and kind in row.models)]
    rows = [row for row in known if not row.once_installed]
    there = {row.package: installed_version(packages, row.package) for row in known}
    bad = [row for row in rows if _is_bad(row, there[row.package] or "", kind, matrix)]
    over = [row for row in known if row.once_installed and _is_bad(row, there[row.package] or "", kind, matrix)]
    pinned = [row for row in bad if _is_pinned(row.package, there[row.package] or "", packages, matrix)]
    bad = [row for row in bad if row not in pinned]
    if not any(there.values()):
        yield not_applicable(Text("none of the packages of which a release was withdrawn is installed"))
    elif pinned and not bad:
        names = ", ".join(f"{row.package} {there[row.package]}" for row in pinned)
        yield not_applicable(Text("{names} was withdrawn, and an engine here asks for just that", {"names": names}))
    elif over and not bad:
        names = ", ".join(f"{row.package} {there[row.package]}" for row in over)
        yield not_applicable(
            Text("{names} was withdrawn for its installation alone; here it is done", {"names": names})
        )
    elif not bad:
        names = ", ".join(f"{name} {version}" for name, version in there.items() if version)
        yield ok(Text("not withdrawn: {names}", {"names": names}))
    for row in bad:
        version = there[row.package]
        # Withdrawn releases that are in use were installed, and mostly run.
        yield (warn if row.in_part else fail)(
            Text("{package} {version}: {what}", {"package": row.package, "version": version, "what": row.what}),
            fix=_fix(row, interpreter, packages),
            subject=row.package,
            observed=version,
            expected=row.instead,
            threshold=Threshold(value=row.instead, unit="version", source=row.source),
        )


def _is_bad(row: KnownBad, version: str, kind: str, matrix: Matrix) -> bool:
    return bool(version) and published(version) and matrix.is_known_bad(row.package, version, kind) == row


def _is_pinned(package: str, version: str, packages: Packages, matrix: Matrix) -> bool:
    """Does an engine here name this very release?"""
    pin = re.compile(rf"{re.escape(package)}\s*\(?==\s*{re.escape(version)}(?![\w.])", re.IGNORECASE)
    if any(pin.match(text) for one in packages.distributions for text in one.requires):
        return True
    engines = ((name, installed_version(packages, name)) for name in matrix.engines)
    rows = (matrix.engine_release(name, found) for name, found in engines if found)
    return any(row is not None and getattr(row, package, "") == version for row in rows)


def _fix(row: KnownBad, interpreter: Interpreter | None, packages: Packages) -> Fix:
    # Its own line, and no newer one: an engine may forbid that.
    first = row.instead.removeprefix(">=")
    wanted = f"{row.package}~={first}" if row.instead.startswith(">=") else f"{row.package}{row.instead}"
    return Fix(
        text=Text("install the next release"),
        commands=(install_line(interpreter.executable if interpreter else None, [wanted], packages),),
        effort="install",
    )
