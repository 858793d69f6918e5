"""PKG: torchaudio, torchcodec, xformers and bitsandbytes go with this torch."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Host,
    Intent,
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
from autoglm_doctor.checks.engine_cuda import cuda_was_read
from autoglm_doctor.checks.engine_pins import as_specifier, requires, takes
from autoglm_doctor.checks.extensions import is_wheel_of_torch
from autoglm_doctor.domain.compiled import (
    bitsandbytes_for,
    bitsandbytes_lacks,
    codec_for,
    codec_torches,
    is_stated,
)
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.deployment import variables_of
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
    packages: Packages,
    torch: Torch | None,
    interpreter: Interpreter | None,
    host: Host | None,
    environment: Environment | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torchaudio, torchcodec, xformers and bitsandbytes go with this torch.

    torchaudio and xformers are compiled against one torch (up to torchaudio 2.10 and xformers 0.0.33), newer ones and
    bitsandbytes ask for a range. A stranger ends with "undefined symbol" as soon as something imports it, and xformers
    goes on without its kernels. bitsandbytes brings one library for each CUDA release that it was built for: before
    0.50 it has none for another one ("Configured CUDA binary not found"), and since then none for another major.

    Measured by comparing the versions with the tables of their releases (Requires-Dist on PyPI) where their own
    metadata was not read; else PKG001 speaks of them. torchcodec's metadata says nothing: of PyPI's wheels for x86-64
    we read which symbols they ask for, and which lines of torch have them. For bitsandbytes also with the names of the
    libraries in its wheels for Linux x86-64, unless BNB_CUDA_VERSION names another one. torchvision is TOR004's, and
    judged here only where no more than the version of torch is known. Yellow, since a server for pictures and text need
    not import them; torchvision is red: transformers' image processors do.

    More that are known to fail: bitsandbytes before 0.45.1 imports triton.ops, which triton 3.2 (torch 2.6) removed.
    AutoAWQ's wheels were compiled for torch 2.0 (up to 0.1.5) and 2.1 (to 0.1.8): yellow for plain transformers, since
    they may have been built here; red where no more than versions and an AWQ model is stated. Its later kernels (0.0.6
    is for torch 2.2) are only missed: yellow.

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
    on_x86 = host is None or (host.system == "Linux" and host.machine != "aarch64")
    found += _codec(version, packages, interpreter) if on_x86 else []
    found += _triton_ops(version, packages, interpreter, host, matrix)
    found += _awq(version, packages, interpreter, intent, matrix)
    if torch and on_x86 and not variables_of(environment, intent).get("BNB_CUDA_VERSION"):
        found += _bitsandbytes(torch, packages, interpreter, matrix)
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


def _codec(version: str, packages: Packages, python: Interpreter | None) -> Iterator[Judgement]:
    one = next((d for d in packages.distributions if d.name.lower() == "torchcodec"), None)
    lines = codec_torches(one.version, version) if one and not one.editable else ()
    if one is None or not lines or line(version) in lines or not is_wheel_of_torch(version, packages):
        return
    other = codec_for(version)
    yield warn(
        Text(
            "torchcodec {there} does not load with torch {torch}; it was built for {lines}",
            {"there": one.version, "torch": version, "lines": " and ".join(lines)},
        ),
        fix=_fix(
            [f"torchcodec=={other}" if other else "torchcodec", f"torch=={version.partition('+')[0]}"], packages, python
        ),
        subject="torchcodec",
        observed=one.version,
        expected=other or "another release",
    )


def _bitsandbytes(torch: Torch, packages: Packages, python: Interpreter | None, matrix: Matrix) -> Iterator[Judgement]:
    there, cuda = installed_version(packages, "bitsandbytes"), torch.cuda or ""
    newest = bitsandbytes_lacks(there, cuda) if there and cuda_was_read(torch) else ""
    if not newest or any(one.editable for one in packages.distributions if one.name.lower() == "bitsandbytes"):
        return
    other = bitsandbytes_for(cuda, [one for one in matrix.libraries("bitsandbytes") if _fits_all(one, torch, matrix)])
    wanted = [f"bitsandbytes=={other}" if other else "bitsandbytes"]
    yield warn(
        Text(
            "bitsandbytes {there} has no library for CUDA {cuda}, which torch {torch} was built for",
            {"there": there or "", "cuda": cuda, "torch": torch.version},
        ),
        cause="EXTENSION_ABI_MISMATCH",
        fix=_fix([*wanted, f"torch=={torch.version.partition('+')[0]}"], packages, python),
        subject="bitsandbytes",
        observed=there,
        expected=f"CUDA {newest}",
    )


def _triton_ops(
    version: str, packages: Packages, python: Interpreter | None, host: Host | None, matrix: Matrix
) -> Iterator[Judgement]:
    """bitsandbytes and the triton that is here, or that came with the torch of a list that need not name it."""
    there, triton = installed_version(packages, "bitsandbytes"), _triton(version, packages, host, matrix)
    if not there or number(there) is None or not triton or number(triton) is None:
        return
    rows = matrix.bad_pairs({"bitsandbytes": there, "triton": triton})
    for row in (row for row in rows if set(row.packages) == {"bitsandbytes", "triton"}):
        values = {"there": there, "triton": triton, "what": row.what}
        yield warn(
            Text("bitsandbytes {there} does not go with triton {triton}: {what}", values),
            cause="EXTENSION_ABI_MISMATCH",
            fix=_fix([row.instead], packages, python),
            subject="bitsandbytes",
            observed=there,
            expected=row.instead,
        )


def _awq(
    version: str, packages: Packages, python: Interpreter | None, intent: Intent, matrix: Matrix
) -> Iterator[Judgement]:
    """Kernels for AWQ, which transformers imports for such a model; vLLM and SGLang have their own."""
    for name in ("autoawq", "autoawq-kernels") if intent.engine == "transformers" else ():
        there = installed_version(packages, name)
        if not there or number(there) is None:
            continue
        for row in matrix.bad_pairs({name: there, "torch": version}):
            values = {"name": name, "there": there, "torch": version, "what": row.what}
            yield (fail if "awq" in intent.model.lower() and is_stated(packages) and name == "autoawq" else warn)(
                Text("{name} {there} does not go with torch {torch}: {what}", values),
                cause="EXTENSION_ABI_MISMATCH",
                fix=_fix([row.instead], packages, python),
                subject=name,
                observed=there,
                expected=row.instead,
            )


def _triton(version: str, packages: Packages, host: Host | None, matrix: Matrix) -> str:
    there = installed_version(packages, "triton") or installed_version(packages, "triton-windows")
    on_linux = installed_version(packages, "vllm") is not None if host is None else host.system == "Linux"
    if there or not is_stated(packages) or not on_linux or (host and host.machine == "aarch64") or "+cpu" in version:
        return there or ""
    row = matrix.torch_release(version)
    return row.triton.lstrip("~=") if row else ""


def _fits_all(release: str, torch: Torch, matrix: Matrix) -> bool:
    return _fits("bitsandbytes", release, torch.version, matrix)


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
