"""CUD: CUDA libraries that LD_LIBRARY_PATH puts before those of torch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.version import Version

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Intent,
    Judgement,
    Matrix,
    Packages,
    Text,
    Threshold,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.wheels import line, number

#: torch's own libraries carry a RUNPATH up to 1.12, which LD_LIBRARY_PATH overrides, and an RPATH from 1.13 on, which
#: it does not (read from the wheels' libtorch.so).
_OWN_PATH_FIRST = Version("1.13")
#: Up to 1.13 torch asks for libcublas and leaves it to that one to find its libcublasLt (NEEDED of the wheels'
#: libtorch_global_deps.so): pytorch issue 91067.
_ASKS_FOR_ALL = Version("2.0")
#: CUDA 12's libcusparse looks for nvJitLink by its own RUNPATH. From 2.6 on torch loads its own before anything asks
#: for one (torch/__init__.py of the wheels): pytorch issues 111469 and 140797.
_LOADS_FIRST = Version("2.6")
#: A libcublas finds its libcublasLt by its own RUNPATH, behind LD_LIBRARY_PATH: with this torch and that toolkit it
#: takes the toolkit's, and products in 16 bits end with CUBLAS_STATUS_INVALID_VALUE (vLLM 0.17's release notes, vllm
#: issue 35608, pytorch issue 174949): the line of torch, its CUDA, the toolkit's.
_OTHER_LT = ("2.10", "12.8", "12.9")
#: cuDNN of wheels whose metadata does not tell: pytorch issue 80637.
_CUDNN = {"1.12": "8.3.2"}

_NUMBER = r"[-_/]*v?(\d+(?:\.\d+)+)"
_CUDNN_FOLDER = re.compile(rf"cudnn(?:[-_]linux[-_\w]*?)?{_NUMBER}", re.IGNORECASE)
_CUDA_FOLDER = re.compile(rf"(?:^|/)cuda(?:[-_]?toolkit)?{_NUMBER}", re.IGNORECASE)
#: Folders that hold no library torch would take: for linking, of a tool, of a package or an environment.
_OTHER = re.compile(r"/(?:stubs|compat|extras|CUPTI)(?:/|$)|/envs/|-packages/|/nvidia/", re.IGNORECASE)
_FILES = (("cuDNN", "libcudnn.so."), ("CUDA", "libcudart.so."), ("CUDA", "libnvJitLink.so."))


@dataclass(frozen=True, slots=True)
class _Found:
    """What the loader meets first."""

    what: str  # "CUDA", "cuDNN"
    version: str
    folder: str


@check(
    "CUD003",
    "loader-path",
    cause="CUDA_LIBS_SHADOWED",
    explained_by=("PYT001", "TOR001", "TOR003"),
)
def loader_path(
    environment: Environment,
    torch: Torch,
    torch_run: TorchRun | None,
    packages: Packages | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """LD_LIBRARY_PATH does not put older CUDA libraries before torch's own.

    torch brings CUDA and cuDNN with it. Folders of an older toolkit or cuDNN in LD_LIBRARY_PATH, often set by a module
    system or a line in .bashrc, are looked through first where a library asks without a path of its own: "cuDNN
    version incompatibility", "undefined symbol: __nvJitLinkComplete_12_4", "libcublasLt.so.11 not defined".

    How strong torch's own path is depends on its release, read from the wheels: up to 1.12 LD_LIBRARY_PATH always
    wins (RUNPATH); from 1.13 on torch's libraries find their own (RPATH), but those of NVIDIA's packages ask for each
    other with a RUNPATH; from 2.6 on torch loads what they ask for itself. So: red for an older CUDA of the same major
    with torch 1, and an older CUDA 12 with torch before 2.6; red for an older cuDNN of the same major before 1.13, and
    yellow from 1.13 on, because its parts may get mixed. The same or a newer version, and another major, which has
    other file names, are no fault, but for one pair that was seen to fail: torch 2.10 for CUDA 12.8 with the
    toolkit 12.9 (yellow; where torch has computed with it, or nvidia-cublas-cu12 is of 12.9 as well, none).

    Measured by the names of the library files in these folders, else by the version in the folder's name; a folder
    without one is not judged. A torch that was really imported with this path has got past what stops an import.

    ## Fix

    Take these folders out of LD_LIBRARY_PATH: torch needs none of them.
    """
    variables = variables_of(environment, intent)
    path = variables.get("LD_LIBRARY_PATH", "")
    if not [entry for entry in path.split(":") if entry]:
        yield not_applicable(Text("LD_LIBRARY_PATH is not set"))
        return
    if not torch.cuda:
        yield not_applicable(Text("this torch does not use CUDA"))
        return
    found = list(_first_of_each(path, environment))
    if not found:
        yield not_applicable(Text("LD_LIBRARY_PATH names no folder of CUDA or cuDNN whose version could be told"))
        return
    brings = {one: torch.cuda if one.what == "CUDA" else _cudnn(torch, packages, matrix) for one in found}
    fails = {one: _takes_other_lt(one, torch, torch_run, packages) for one in found}
    alone = {
        one: _judge(one, brings[one], torch, torch_run, _fix(path, [one], environment), fails[one]) for one in found
    }
    bad = [one for one in found if alone[one].status in ("fail", "warn")]
    for one in found:
        fixes = _fix(path, bad, environment)
        yield _judge(one, brings[one], torch, torch_run, fixes, fails[one]) if one in bad else alone[one]


def _first_of_each(path: str, environment: Environment) -> Iterator[_Found]:
    """Per kind of library, the first folder that holds it. A nameless CUDA folder before it leaves it open."""
    seen: set[str] = set()
    for entry in path.split(":"):
        folder = entry.rstrip("/")
        for one in _files(folder, environment) if environment.libraries is not None else _named(folder):
            if one.what not in seen:
                seen.add(one.what)
                if one.version:
                    yield one


def _files(folder: str, environment: Environment) -> Iterator[_Found]:
    for library in environment.libraries or ():
        where, _, name = library.path.rpartition("/")
        what = next((what for what, stem in _FILES if name.startswith(stem)), "")
        if where == folder and what and not _OTHER.search(folder + "/"):
            yield _Found(what, library.version, folder)


def _named(folder: str) -> Iterator[_Found]:
    if _OTHER.search(folder + "/"):
        return
    if "cudnn" in folder.lower():  # the CUDA in its name is the one that it is made for
        match = _CUDNN_FOLDER.search(folder)
        yield _Found("cuDNN", match[1] if match else "", folder)
    elif re.search(r"(?:^|/)cuda", folder, re.IGNORECASE):
        match = _CUDA_FOLDER.search(folder)
        yield _Found("CUDA", match[1] if match else "", folder)


def _cudnn(torch: Torch, packages: Packages | None, matrix: Matrix) -> str:
    """The cuDNN that this torch brings; "" when not known."""
    major = (torch.cuda or "").partition(".")[0]
    installed = installed_version(packages, f"nvidia-cudnn-cu{major}") if packages else None
    row = matrix.torch_release(torch.version)
    is_default = row is not None and line(torch.cuda or "") == row.cuda
    return installed or (row.cudnn if row and is_default else "") or _CUDNN.get(line(torch.version), "")


def _takes_other_lt(one: _Found, torch: Torch, run: TorchRun | None, packages: Packages | None) -> bool:
    """The pair of which products in 16 bits fail, unless the libcublas itself was put to the toolkit's release."""
    built, major = torch.cuda or "", (torch.cuda or "").partition(".")[0]
    if one.what != "CUDA" or (line(torch.version or ""), line(built), line(one.version)) != _OTHER_LT:
        return False
    cublas = installed_version(packages, f"nvidia-cublas-cu{major}") if packages else None
    return line(cublas or "") != line(one.version) and not (run is not None and run.devices)


def _judge(
    one: _Found, built: str, torch: Torch, run: TorchRun | None, fixes: tuple[Fix, ...], fails: bool
) -> Judgement:
    said = {"what": one.what, "has": one.version, "folder": one.folder, "built": built, "torch": torch.version or "?"}
    has, wants, release = number(one.version), number(built), number(torch.version)
    if has is None or wants is None or release is None:
        return unknown(Text("LD_LIBRARY_PATH has {what} {has}; which one torch {torch} brings is not known", said))
    if has.major != wants.major:
        return ok(Text("{what} {has} in LD_LIBRARY_PATH has other file names than torch's {built}", said))
    if fails:
        text = (
            "LD_LIBRARY_PATH puts CUDA {has} ({folder}) before the {built} of torch {torch}: its libcublasLt is taken"
        )
        return warn(Text(text, said), fix=fixes, subject=one.what, observed=one.version, expected=line(built))
    if has.release[:2] >= wants.release[:2]:
        return ok(Text("{what} {has} in LD_LIBRARY_PATH is no older than torch's {built}", said))
    if one.what == "CUDA" and (release >= _LOADS_FIRST or (release >= _ASKS_FOR_ALL and wants.major < 12)):
        return ok(Text("CUDA {has} in LD_LIBRARY_PATH: torch {torch} takes its own first", said))
    if one.what == "CUDA" and run is not None and run.import_error is None:
        return ok(Text("CUDA {has} in LD_LIBRARY_PATH, and torch {torch} was imported all the same", said))
    text = "LD_LIBRARY_PATH puts {what} {has} ({folder}) before the {built} that torch {torch} was built with"
    mixed = one.what == "cuDNN" and release >= _OWN_PATH_FIRST
    return (warn if mixed else fail)(
        Text(text + (": its parts may get mixed" if mixed else ""), said),
        fix=fixes,
        subject=one.what,
        observed=one.version,
        expected=f">={line(built)}",
        threshold=Threshold(value=line(built), unit=one.what, source="what torch was built with"),
    )


def _fix(path: str, bad: list[_Found], environment: Environment) -> tuple[Fix, ...]:
    """One line without all that is bad: half of it would leave the other half."""
    rest = [entry for entry in path.split(":") if entry and not any(_is_like(entry, one, environment) for one in bad)]
    folders = ", ".join(dict.fromkeys(one.folder for one in bad))
    line_ = f"export LD_LIBRARY_PATH={shlex.quote(':'.join(rest))}" if rest else "unset LD_LIBRARY_PATH"
    return (
        Fix(text=Text("take {folders} out of LD_LIBRARY_PATH", {"folders": folders}), commands=(line_,)),
        Fix(
            text=Text("see who sets it"),
            commands=("grep -n LD_LIBRARY_PATH ~/.bashrc ~/.profile /etc/profile.d/*.sh /etc/environment",),
        ),
    )


def _is_like(entry: str, bad: _Found, environment: Environment) -> bool:
    """The folder itself, and others of its kind behind it: they would be the first then."""
    is_it = _CUDNN_FOLDER if bad.what == "cuDNN" else _CUDA_FOLDER
    folder = entry.rstrip("/")
    holds = any(one.what == bad.what for one in _files(folder, environment))
    return holds or folder == bad.folder or bool(is_it.search(entry)) or "..." in entry
