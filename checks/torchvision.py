"""TOR: torchvision belongs to torch."""

from __future__ import annotations

import re

from packaging.version import Version

from autoglm_doctor.api import (
    SMOKE,
    Driver,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Matrix,
    ModelFiles,
    Packages,
    Text,
    Threshold,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.conflicts import disagreement, install_line, installed_version
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import line, number
from autoglm_doctor.matrix import TorchCompanions

_ROOTS = ("PYT001", "TOR001", "TOR003", "PKG001", "PKG002")


@check(
    "TOR004",
    "torchvision-matches",
    cause="TORCH_COMPANION_MISMATCH",
    explained_by=(*_ROOTS, "PKG003"),
)
def torchvision_matches(
    torch: Torch,
    packages: Packages,
    model_files: ModelFiles | None,
    interpreter: Interpreter | None,
    host: Host | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torchvision belongs to this torch.

    torchvision is compiled against one release line of torch. A stranger fails with "operator torchvision::nms does
    not exist" or "undefined symbol", and takes transformers' image processors with it.

    Measured by comparing the installed versions with the pairs in torchvision's own metadata; and on Linux by the
    build: the default index's torchvision does not load with a torch for the CPU alone (+cpu).

    ## Fix
    The torchvision of this torch. Naming the torch in the same line keeps pip from moving it. Where the engine pins
    another torch than the one that is there, the engine's own: PKG001 says so.
    """
    version = installed_version(packages, "torchvision")
    row = matrix.torchvision_for(torch.version)
    lines = torch_lines_of(version, matrix) if version else ()
    values = {"version": version, "torch": torch.version, "wanted": row.torchvision if row else ""}
    fix = _companion_fix(torch, row, packages, interpreter)
    if version is None:
        if intent.engine == "transformers" and _sees(model_files, intent):
            text = Text("torchvision is not installed; transformers needs it to prepare pictures")
            yield warn(text, fix=fix, observed="not installed", expected=_requirement(row))
        else:
            yield not_applicable(Text("torchvision is not installed"))
    elif row is None or not lines:
        yield unknown(Text("whether torchvision {version} belongs to torch {torch} is in no table of ours", values))
    elif line(torch.version) in lines and _is_for_cuda_alone(version, torch.version, host):
        text = Text(
            "torchvision {version} of the default index was built for CUDA, and does not load with torch {torch}",
            values,
        )
        yield fail(text, fix=fix, observed=version, expected=f"{version}+cpu")
    elif line(torch.version) in lines:
        text = Text("torchvision {version} belongs to torch {torch}", values)
        yield ok(text, observed=version, expected=f"{row.torchvision}.*")
    elif _is_nightly(torch.version) or _is_nightly(version):
        yield unknown(
            Text("which nights of torchvision ({version}) and torch ({torch}) go together is not known", values)
        )
    else:
        site = Site(matrix, intent, driver, gpus, host, interpreter, packages)
        # An engine that pins torch decides which pair is right: keeping the torch that it forbids helps nobody.
        python = interpreter.version if interpreter else "3.12"
        only_torch = _engine_torch(site) in lines  # then the engine's demand on torch (PKG003) is the root
        pinned = disagreement(packages, intent.engine, ("torch", "torchvision"), python, host)
        yield fail(
            Text("torchvision {version} was not built for torch {torch}, which goes with {wanted}", values),
            fix=_engine_fix(pinned.parent_version, site) if pinned else _torch_of_engine(site) or fix,
            subject=pinned.name if pinned else "torch" if only_torch else "torchvision",
            observed=version,
            expected=f"{row.torchvision}.*",
            threshold=Threshold(value=row.torchvision, unit="version", source=row.source),
            explained_by=(*_ROOTS, "PKG003") if only_torch else _ROOTS,
        )


def _is_for_cuda_alone(version: str, torch: str, host: Host | None) -> bool:
    """A plain number is the default index's wheel, which on Linux is linked with torch's CUDA libraries.

    Tried with torchvision 0.28.0 beside torch 2.13.0+cpu: "operator torchvision::nms does not exist".
    """
    found = number(version)
    is_plain = found is not None and found.local is None and not found.is_prerelease
    return (
        is_plain and torch.endswith("+cpu") and host is not None and host.system == "Linux" and host.machine == "x86_64"
    )


def _requirement(row: TorchCompanions | None) -> str:
    return f"torchvision=={row.torchvision}.*" if row else "torchvision"


def _companion_fix(
    torch: Torch, row: TorchCompanions | None, packages: Packages, interpreter: Interpreter | None
) -> Fix:
    """The torchvision of the torch that is there, and that torch beside it."""
    executable = interpreter.executable if interpreter else None
    listed = installed_version(packages, "torch") or torch.version.split("+")[0]  # as pip knows it
    wanted = [_requirement(row), f"torch=={listed}"]
    return Fix(
        text=Text("install the torchvision of torch {line}", {"line": line(torch.version)}),
        commands=(install_line(executable, wanted, packages, _same_index(listed)),),
        effort="install",
    )


def _engine_fix(version: str, site: Site) -> Fix:
    """The installed engine again, which brings its own pair."""
    engine = f"{site.intent.engine}=={version}"
    return Fix(
        text=Text("let pip bring the pair that {engine} pins", {"engine": engine}),
        commands=(install_line(site.python, [engine], site.packages),),
        effort="install",
    )


def _is_nightly(version: str) -> bool:
    """Nightlies of torchvision are built for that night's torch, whatever the tables say of their numbers."""
    found = number(version)
    return found is not None and found.is_devrelease


def _torch_of_engine(site: Site) -> tuple[Fix, ...]:
    """Where the engine is known to have been built for another torch: what puts that right. () where it was not."""
    wanted, torch = _engine_torch(site), site.version("torch")
    return install_fixes(site) if wanted and torch is not None and wanted != line(torch) else ()


def _engine_torch(site: Site) -> str:
    """The line of torch that the engine's release pins; "" where it is not known."""
    version = site.version(site.intent.engine)
    row = site.matrix.engine_release(site.intent.engine, version) if version else None
    return line(row.torch) if row is not None and row.torch else ""


def torch_lines_of(torchvision: str, matrix: Matrix) -> tuple[str, ...]:
    """The lines of torch that a torchvision goes with, by its metadata; () for one that is newer than the table.

    One release may serve two lines (0.29.2 asks for torch>=2.14), and another of its line only the older (0.29.0).
    """
    rows = [row for row in matrix.torch.values() if row.torchvision]
    exact = [row for row in rows if row.torchvision == torchvision.partition("+")[0]]
    same = exact or [row for row in rows if line(row.torchvision) == line(torchvision)]
    found, newest = number(torchvision), max((Version(row.torchvision) for row in rows), default=None)
    if not same and found is not None and newest is not None and found < newest:
        return ("older than the table",)
    return tuple(dict.fromkeys(line(row.version) for row in same))


def _sees(model_files: ModelFiles | None, intent: Intent) -> bool:
    """Does the model take pictures? (The one made for the final stage is fed without torchvision.)"""
    config = model_files.config if model_files else None
    return intent.model != SMOKE and bool(config and config.get("vision_config"))


def _same_index(version: str) -> tuple[str, ...]:
    """A torch that pip lists with a local version came from torch's own index, and so must its companion."""
    tag = version.partition("+")[2]
    is_index = tag == "cpu" or re.fullmatch(r"cu\d+", tag) is not None
    return ("--extra-index-url", f"https://download.pytorch.org/whl/{tag}") if is_index else ()
