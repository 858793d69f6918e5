"""PKG: the Hugging Face libraries beside each other are those that they take."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from autoglm_doctor.api import (
    Findings,
    Fix,
    Intent,
    Interpreter,
    Judgement,
    Matrix,
    Packages,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.checks.engine_pins import requires
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.wheels import number
from autoglm_doctor.matrix import KnownPair

LIBRARIES = ("huggingface-hub", "tokenizers")
#: Who asks for them.
_PARENTS = ("transformers", "accelerate")
#: Of the known pairs those among these alone are judged here.
_FAMILY = frozenset((*_PARENTS, *LIBRARIES, "kernels", "peft"))
#: Only some programs import it: the engines that load adapters by code of their own do not.
_OPTIONAL = frozenset({"peft"})


@check(
    "PKG012",
    "transformers-libraries",
    cause="HF_LIBS_CONFLICT",
    explained_by=("PYT001", "ENG002", "PKG001", "PKG002", "PKG003"),
)
def transformers_libraries(
    packages: Packages, interpreter: Interpreter | None, intent: Intent, matrix: Matrix
) -> Findings:
    """huggingface-hub, tokenizers, kernels and peft go with transformers and accelerate.

    transformers compares the first two when it is imported, and ends with "tokenizers>=0.22.0,<=0.23.0 is required for
    a normal functioning of this module". The common case is huggingface-hub 1.x under transformers 4. Others fail later
    and say less: accelerate with a huggingface-hub from before split_torch_state_dict_into_shards, and transformers 5.0
    to 5.12 with kernels 0.15 ("Either a revision or a version must be specified"). peft says of no transformers that it
    is too old or too new, and imports caches that come and go ("cannot import name 'EncoderDecoderCache'"); that is
    yellow with vLLM and SGLang, which do without it.

    Measured by comparing the versions with the tables of their releases (Requires-Dist of the wheels on PyPI), and with
    the pairs that are known to fail whatever the metadata says. Where the metadata of the installed transformers or
    accelerate was read, PKG001 compares that instead, and only the known pairs are left. A release that the index
    lists no more, since it was withdrawn (4.57.0), has the range in which the releases before and after it agree.
    Development versions are not judged.

    ## Fix
    The library in the range that transformers or accelerate asks for.
    """
    found = [
        *(judged for parent in _PARENTS for judged in _ranges(parent, packages, interpreter, matrix)),
        *_pairs(packages, interpreter, intent, matrix),
    ]
    yield from found
    if not found:
        yield not_applicable(Text("nothing to compare with transformers here"))


def _ranges(parent: str, packages: Packages, interpreter: Interpreter | None, matrix: Matrix) -> Iterator[Judgement]:
    """By what the release of one of them asks for."""
    version = installed_version(packages, parent)
    wanted = {
        name: said
        for name in LIBRARIES
        if version
        and number(installed_version(packages, name)) is not None
        and not requires(packages, parent, name, name.replace("-", "_"))
        and (said := _range(parent, version, name, matrix))
    }
    for name, said in wanted.items():
        there = installed_version(packages, name) or ""
        values = {"parent": parent, "version": version, "name": name, "wanted": said, "there": there}
        if SpecifierSet(said).contains(there, prereleases=True):
            yield ok(Text("{parent} {version} takes {name} {there}", values), subject=parent)
            continue
        yield fail(
            Text("{parent} {version} wants {name}{wanted}; {there} is installed", values),
            fix=_fix([f"{name}{said}" for name, said in wanted.items()], interpreter, packages),
            subject=parent,  # another release of it, where that is wrong, brings its own range
            observed=there,
            expected=said,
            threshold=Threshold(value=said, unit="version", source=f"Requires-Dist of {parent} {version}"),
        )


def _range(parent: str, version: str, name: str, matrix: Matrix) -> str:
    """What this release takes of a library; "" where it is not known."""
    rows, found = matrix.libraries(parent), number(version)
    if version in rows or found is None or found.is_prerelease or found.local:
        return matrix.needs(parent, version, name)
    before = max((one for one in map(Version, rows) if one < found), default=None)
    after = min((one for one in map(Version, rows) if one > found), default=None)
    if before is None or after is None or after.release[:2] != found.release[:2]:  # an unknown line, or a newer release
        return ""
    said = {matrix.needs(parent, str(one), name) for one in (before, after)}
    return said.pop() if len(said) == 1 else ""


def _pairs(packages: Packages, python: Interpreter | None, intent: Intent, matrix: Matrix) -> Iterator[Judgement]:
    """Those that fail beside each other whatever the metadata says."""
    there = {name: version for name in sorted(_FAMILY) if (version := _release(name, packages))}
    for row in matrix.bad_pairs(there):
        if set(row.packages) <= _FAMILY:
            yield _pair(row, there, python, packages, intent)


def _release(name: str, packages: Packages) -> str:
    """What is installed, but for a development version: that may be on either side of a bound."""
    version = installed_version(packages, name) or ""
    found = number(version)
    return "" if found is None or found.is_devrelease else version


def _pair(
    row: KnownPair, there: dict[str, str], interpreter: Interpreter | None, packages: Packages, intent: Intent
) -> Judgement:
    parent, name = row.packages
    is_unused = parent in _OPTIONAL and intent.engine != "transformers"
    values = {"parent": parent, "version": there[parent], "name": name, "there": there[name], "what": row.what}
    return (warn if is_unused else fail)(
        Text("{parent} {version} does not go with {name} {there}: {what}", values),
        fix=_fix([row.instead], interpreter, packages),
        subject=parent,
        observed=there[name],
        expected=row.instead,
        threshold=Threshold(value=row.packages[name], unit="version", source=row.source),
    )


def _fix(lines: list[str], interpreter: Interpreter | None, packages: Packages) -> Fix:
    return Fix(
        text=Text("install what it takes"),
        commands=(install_line(interpreter.executable if interpreter else None, lines, packages),),
        effort="install",
    )
