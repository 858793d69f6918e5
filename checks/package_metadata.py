"""PKG: the metadata of the packages that matter can be read, and says what is really there."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from autoglm_doctor.api import (
    Distribution,
    Findings,
    Fix,
    Intent,
    Interpreter,
    Judgement,
    Packages,
    Text,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.compiled import is_stated
from autoglm_doctor.domain.conflicts import install_line, installed_version

#: Packages whose damage breaks a deployment.
WATCHED = ("torch", "transformers", "numpy", "tokenizers", "huggingface-hub", "safetensors")


@check("PKG002", "metadata-readable", cause="PACKAGE_METADATA_BROKEN", explained_by=("PYT001",))
def metadata_readable(
    packages: Packages, torch: Torch | None, interpreter: Interpreter | None, intent: Intent
) -> Findings:
    """The packages that matter are installed once, and whole.

    An interrupted pip leaves folders such as `~orch` and metadata without a file; a second torch in another folder of
    sys.path means that what imports is not what was installed or upgraded last.

    Measured by reading the metadata in every folder of the interpreter's sys.path and, for torch, comparing it with
    torch/version.py. Only the engine, torch, transformers, numpy, tokenizers, huggingface-hub and safetensors count;
    another package in two folders is common and harmless, since the first one wins, and so is the same version twice.
    A torch of another release that hides the installed one is red: nothing here was compiled for it. A build of your
    own that is used where it lies (an editable installation) is yellow at most: it was built anew, and its metadata is
    that of the build before.

    ## Fix
    Install the damaged package again; take away the copy that is not meant.
    """
    watched = {*WATCHED, intent.engine}
    python = interpreter.executable if interpreter else None
    found = [
        *_faults(packages, watched, python),
        *_duplicates(packages, watched, python),
        *_strange_torch(packages, torch, interpreter),
        *_unreadable(packages, watched, python),
    ]
    yield from found
    if not packages.distributions and not found:
        yield not_applicable(Text("no package is installed for this Python: there is no metadata to read"))
    elif not found:
        aside = len(packages.faults)
        note = f"; {aside} faults in packages that do not matter here" if aside else ""
        values = {"packages": len(packages.distributions), "note": note}
        yield ok(Text("the metadata of {packages:count} packages was read{note}", values))


def _again(name: str, packages: Packages, python: str | None) -> Fix:
    version = installed_version(packages, name)
    wanted = f"{name}=={_release(version)}" if version and _is_version(version) else name
    command = install_line(python, [wanted], packages, ["--force-reinstall", "--no-deps"])
    return Fix(text=Text("install {name} again", {"name": name}), commands=(command,), effort="install")


def _faults(packages: Packages, watched: Iterable[str], python: str | None) -> Iterator[Judgement]:
    seen = set()
    for fault in packages.faults:
        name = next((name for name in sorted(watched) if concerns(fault, name)), None)
        if name is not None and name not in seen:
            seen.add(name)
            text = Text("the installation of {name} is damaged: {fault}", {"name": name, "fault": fault})
            yield warn(text, fix=_again(name, packages, python), subject=name, observed=fault)


def concerns(fault: str, name: str) -> bool:
    """Is the package named by a folder in the sentence? pip turns the first letter of what it removes into "~"."""
    for folder in re.findall(r"[^/\s]+(?=\.(?:dist|egg)-info\b)|~[^/\s]+", fault):
        stem = canonicalize_name(folder.lstrip("~").removesuffix(".dist-info").split("-")[0])
        if stem == name or (folder.startswith("~") and len(stem) > 2 and name.endswith(stem)):
            return True
    return False


def _duplicates(packages: Packages, watched: Iterable[str], python: str | None) -> Iterator[Judgement]:
    """Another copy in the same folder is a broken upgrade; one further down the path matters for torch alone."""
    first = {canonicalize_name(d.name): d for d in packages.distributions}
    for other in packages.shadowed:
        name = canonicalize_name(other.name)
        same_folder = other.location == first[name].location
        if name not in watched or not (same_folder or name == "torch") or _same(other.version, first[name].version):
            continue
        values = {"name": name, "version": other.version, "folder": other.location, "used": first[name].version}
        template = "{name} is installed twice: {used} is used, {version} lies in {folder}"
        template += " as well" if same_folder else " and is hidden"
        if not other.location:
            template = "{name} is installed twice: {used} and {version}, and which of them is used is not known"
        yield warn(
            Text(template, values),
            cause="DUPLICATE_TORCH_INSTALL" if name == "torch" else "",
            fix=_again(name, packages, python),
            subject=name,
            observed=other.version,
            expected=first[name].version,
        )


def _strange_torch(packages: Packages, torch: Torch | None, interpreter: Interpreter | None) -> Iterator[Judgement]:
    """The torch that imports is another release than the one that is installed.

    From another folder it hides the installed one, and what was compiled for that one breaks: red, and without a
    subject, since it explains what is found wrong with this torch.
    """
    listed = next((d for d in packages.distributions if canonicalize_name(d.name) == "torch"), None)
    if torch is None or listed is None or _same_release(listed.version, torch.version):
        return
    python = interpreter.executable if interpreter else None
    values = {"version": torch.version, "folder": torch.location, "listed": listed.version}
    text = Text("torch {version} in {folder} is what imports, but {listed} is what was installed", values)
    cause, again = "DUPLICATE_TORCH_INSTALL", _again("torch", packages, python)
    if not torch.location and is_stated(packages):
        text = Text("torch {version} is stated to be there and {listed} to be installed: one hides the other", values)
        yield fail(text, cause=cause, fix=again, observed=torch.version, expected=listed.version)
        return
    own = _is_own_build(listed, torch, interpreter)
    if not own and listed.location and torch.location and posixpath.dirname(torch.location) != listed.location:
        fixes = (_without(torch.location, python), again)
        yield fail(text, cause=cause, fix=fixes, observed=torch.version, expected=listed.version)
    else:
        fix = _renew(torch.location, python) if own else again
        yield warn(text, cause=cause, fix=fix, subject="torch", observed=torch.version, expected=listed.version)


def _is_own_build(listed: Distribution, torch: Torch, interpreter: Interpreter | None) -> bool:
    """Is it one torch, built anew after it was installed, and no stranger that hides the installed one?

    Either the metadata says that the sources are used where they lie, or it lies beside them (setup.py develop). And
    what hides an installed package comes before it on sys.path: a torch that comes later, or is on no sys.path at all
    (an import hook), is found only because there is none where the metadata lies.
    """
    folder = posixpath.dirname(torch.location)
    if posixpath.basename(folder) in ("", "site-packages", "dist-packages"):
        return False
    if listed.editable or folder == listed.location:
        return True
    path = interpreter.sys_path if interpreter else ()
    if listed.location not in path:
        return False
    return folder not in path[: path.index(listed.location) + 1]


def _renew(folder: str, python: str | None) -> Fix:
    """The line that torch's own README gives for a build from source."""
    source, program = shlex.quote(posixpath.dirname(folder)), shlex.quote(python or "python3")
    words = "if {folder} is a build of your own, install it once more, so that its metadata is of this build"
    return Fix(
        text=Text(words, {"folder": folder}),
        commands=(f"cd {source} && {program} -m pip install --no-build-isolation -v -e .",),
        effort="install",
    )


def _release(version: str) -> str:
    return version.split("+")[0]


def _same(one: str, other: str) -> bool:
    """Is it one version, however it is written?"""
    return one == other or (_is_version(one) and _is_version(other) and Version(one) == Version(other))


def _same_release(one: str, other: str) -> bool:
    """Do they differ at most in what was built or packed again (local part, a, rc, post, dev)?"""
    if not (_is_version(one) and _is_version(other)):
        return _release(one) == _release(other)
    return Version(Version(one).base_version) == Version(Version(other).base_version)


def _without(folder: str, python: str | None) -> Fix:
    return Fix(
        text=Text("take {folder} off PYTHONPATH, or remove it: it hides what is installed", {"folder": folder}),
        commands=(
            f"env -u PYTHONPATH {shlex.quote(python or 'python3')} -c 'import torch; print(torch.__file__)'",
            "unset PYTHONPATH",
        ),
        effort="setting",
    )


def _unreadable(packages: Packages, watched: Iterable[str], python: str | None) -> Iterator[Judgement]:
    """A version or a requirement that no tool can read: what depends on it was not compared."""
    for one in packages.distributions:
        name = canonicalize_name(one.name)
        fault = _fault_of(one) if name in watched else ""
        if fault:
            text = Text("the metadata of {name} cannot be understood: {fault}", {"name": name, "fault": fault})
            yield warn(text, fix=_again(name, packages, python), subject=name, observed=fault)


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _fault_of(one: Distribution) -> str:
    if not _is_version(one.version):
        return f"{one.version[:60]!r} is no version"
    for line in one.requires:
        try:
            Requirement(line)
        except InvalidRequirement:
            return f"it requires {line[:60]!r}"
    return ""
