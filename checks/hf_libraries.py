"""PKG: huggingface-hub and tokenizers are those that transformers takes."""

from __future__ import annotations

from packaging.specifiers import SpecifierSet

from autoglm_doctor.api import (
    Findings,
    Fix,
    Interpreter,
    Matrix,
    Packages,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
)
from autoglm_doctor.checks.engine_pins import requires
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.wheels import number

LIBRARIES = ("huggingface-hub", "tokenizers")


@check(
    "PKG012",
    "transformers-libraries",
    cause="HF_LIBS_CONFLICT",
    explained_by=("PYT001", "ENG002", "PKG001", "PKG002", "PKG003"),
)
def transformers_libraries(packages: Packages, interpreter: Interpreter | None, matrix: Matrix) -> Findings:
    """huggingface-hub and tokenizers are within the ranges of transformers.

    transformers compares both when it is imported, and ends with "tokenizers>=0.22.0,<=0.23.0 is required for a normal
    functioning of this module". The common case is huggingface-hub 1.x under transformers 4.

    Measured by comparing the versions with the table of transformers' releases (Requires-Dist of the wheels on PyPI).
    Where the metadata of the installed transformers was read, PKG001 compares that instead. Development versions are
    not judged.

    ## Fix
    The library in the range that this transformers asks for.
    """
    version = installed_version(packages, "transformers")
    wanted = {
        name: said
        for name in LIBRARIES
        if version
        and number(installed_version(packages, name)) is not None
        and not requires(packages, "transformers", name, name.replace("-", "_"))
        and (said := matrix.needs("transformers", version, name))
    }
    if not wanted:
        yield not_applicable(Text("nothing to compare with transformers here"))
    for name, said in wanted.items():
        there = installed_version(packages, name) or ""
        values = {"version": version, "name": name, "wanted": said, "there": there}
        if SpecifierSet(said).contains(there, prereleases=True):
            yield ok(Text("transformers {version} takes {name} {there}", values), subject="transformers")
            continue
        yield fail(
            Text("transformers {version} wants {name}{wanted}; {there} is installed", values),
            fix=_fix(wanted, interpreter, packages),
            subject="transformers",  # another transformers, where that is wrong, brings its own range
            observed=there,
            expected=said,
            threshold=Threshold(value=said, unit="version", source=f"Requires-Dist of transformers {version}"),
        )


def _fix(wanted: dict[str, str], interpreter: Interpreter | None, packages: Packages) -> Fix:
    lines = [f"{name}{said}" for name, said in wanted.items()]
    return Fix(
        text=Text("install what this transformers takes"),
        commands=(install_line(interpreter.executable if interpreter else None, lines, packages),),
        effort="install",
    )
