"""PKG: torchaudio, xformers and bitsandbytes go with this torch."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from autoglm_doctor.api import (
    Findings,
    Fix,
    Interpreter,
    Judgement,
    Matrix,
    Packages,
    Text,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.checks.engine_pins import as_specifier, requires, takes
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import line, number

#: Compiled for one torch each, or asking for a range of them.
LIBRARIES = ("xformers", "bitsandbytes")


@check(
    "PKG011",
    "torch-companions",
    cause="TORCH_COMPANION_MISMATCH",
    explained_by=("PYT001", "TOR001", "PKG001", "PKG002", "PKG003", "TOR004"),
)
def torch_companions(
    packages: Packages, torch: Torch | None, interpreter: Interpreter | None, matrix: Matrix
) -> Findings:
    """torchaudio, xformers and bitsandbytes go with this torch.

    torchaudio and xformers are compiled against one torch (up to torchaudio 2.10 and xformers 0.0.33), newer ones and
    bitsandbytes ask for a range. A stranger ends with "undefined symbol" as soon as something imports it, and xformers
    goes on without its kernels.

    Measured by comparing the versions with the tables of their releases (Requires-Dist on PyPI) where their own
    metadata was not read; else PKG001 speaks of them. torchvision is TOR004's, and judged here only where no more than
    the version of torch is known. Yellow, since a server for pictures and text need not import them; torchvision is
    red: transformers' image processors do.

    ## Fix
    The release that belongs to this torch, in one line with the torch.
    """
    version = torch.version if torch and torch.version else installed_version(packages, "torch")
    if number(version) is None or not version or not published(version):
        yield not_applicable(Text("no published release of torch is known to be here"))
        return
    found = [*_audio(version, packages, interpreter, matrix)]
    found += [] if torch else [*_vision(version, packages, interpreter, matrix)]
    found += [one for name in LIBRARIES for one in _library(name, version, packages, interpreter, matrix)]
    yield from found
    if not found:
        yield not_applicable(Text("none of torch's companions is here, or their own metadata says more"))


def _audio(version: str, packages: Packages, python: Interpreter | None, matrix: Matrix) -> Iterator[Judgement]:
    there = installed_version(packages, "torchaudio")
    if not there or number(there) is None or requires(packages, "torchaudio", "torch"):
        return
    lines = {line(row.version) for row in matrix.torch.values() if line(row.torchaudio or "0") == line(there)}
    own = next((row.torchaudio for row in matrix.torch.values() if line(row.version) == line(version)), "")
    yield from _pair("torchaudio", there, own, version, lines, packages, python)


def _vision(version: str, packages: Packages, python: Interpreter | None, matrix: Matrix) -> Iterator[Judgement]:
    there = installed_version(packages, "torchvision")
    if not there or number(there) is None or requires(packages, "torchvision", "torch"):
        return
    lines = {line(row.version) for row in matrix.torch.values() if line(row.torchvision or "0") == line(there)}
    row = matrix.torchvision_for(version)
    yield from _pair("torchvision", there, f"{row.torchvision}.0" if row else "", version, lines, packages, python)


def _pair(
    name: str, there: str, own: str, version: str, lines: set[str], packages: Packages, python: Interpreter | None
) -> Iterator[Judgement]:
    if not lines or not own:  # newer than the table, or older
        return
    values = {"name": name, "there": there, "torch": version, "own": line(own)}
    if line(version) in lines:
        yield ok(Text("{name} {there} belongs to torch {torch}", values), subject=name, observed=there)
        return
    yield (fail if name == "torchvision" else warn)(
        Text("{name} {there} was not built for torch {torch}, which goes with {own}", values),
        fix=_fix([f"{name}=={line(own)}.*", f"torch=={version.partition('+')[0]}"], packages, python),
        subject=name,
        observed=there,
        expected=f"{line(own)}.*",
    )


def _library(
    name: str, version: str, packages: Packages, python: Interpreter | None, matrix: Matrix
) -> Iterator[Judgement]:
    there = installed_version(packages, name)
    said = matrix.needs(name, there, "torch") if there else ""
    if not there or not said or requires(packages, name, "torch"):
        return
    wanted, values = as_specifier(said), {"name": name, "there": there, "torch": version, "wanted": said}
    if takes(wanted, version):
        yield ok(Text("{name} {there} takes torch {torch}", values), subject=name, observed=there)
        return
    releases: list[str] = list(matrix.libraries(name))
    other = next((one for one in releases[::-1] if _fits(name, one, version, matrix)), "")
    requirement = f"{name}=={other}" if other else name
    yield warn(
        Text("{name} {there} was made for torch {wanted}; {torch} is here", values),
        cause="EXTENSION_ABI_MISMATCH" if name == "xformers" else "",
        fix=_fix([requirement, f"torch=={version.partition('+')[0]}"], packages, python),
        subject=name,
        observed=version,
        expected=said,
    )


def _fits(name: str, release: str, version: str, matrix: Matrix) -> bool:
    found = number(version)
    said = matrix.needs(name, release, "torch")
    return found is not None and (not said or SpecifierSet(as_specifier(said)).contains(found.public))


def _fix(wanted: list[str], packages: Packages, python: Interpreter | None) -> Fix:
    return Fix(
        text=Text("install {what}, and keep torch as it is", {"what": wanted[0]}),
        commands=(install_line(python.executable if python else None, wanted, packages),),
        effort="install",
    )
