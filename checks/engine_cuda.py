"""ENG: the engine and torch were built for the same CUDA."""

from __future__ import annotations

import re

from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    KernelLibrary,
    Matrix,
    ModelFiles,
    Packages,
    Text,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.checks.engine import NAMES
from autoglm_doctor.domain.compiled import is_stated
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.driver.fixes import new_enough
from autoglm_doctor.domain.driver.libcuda import in_use
from autoglm_doctor.domain.kernels import engine_library
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import fresh_fix, install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import arm_build, default_build, driver_major, index_of, number, torch_line
from autoglm_doctor.matrix import EngineRelease
from autoglm_doctor.matrix.numbers import within

#: vLLM's wheels on PyPI were built for CUDA 12 from here on; the table of its releases begins later. Release notes.
_CUDA_12 = Version("0.2.2")

#: All variants of an engine's library are linked with the same runtime: that for any GPU tells.
_ANY = "8.0"


@check(
    "ENG006",
    "engine-cuda",
    cause="VLLM_CUDA_VARIANT_MISMATCH",
    explained_by=("PYT001", "TOR001", "TOR003", "ENG001", "PKG001", "PKG002", "PKG003"),
)
def engine_cuda(
    packages: Packages,
    torch: Torch,
    kernels: tuple[KernelLibrary, ...] | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    host: Host | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The engine and torch were built for the same major release of CUDA.

    The engine's libraries ask for the CUDA runtime that they were linked with. A torch for another major brings another
    one, and the import ends with "libcudart.so.13: cannot open shared object file". It comes from naming an index for
    torch alone (`--torch-backend`, `--extra-index-url`): the engine itself is then still the wheel of PyPI.

    Measured by comparing the CUDA major of torch/version.py with the runtime that the engine's own library names in its
    headers (vLLM's _C, SGLang's common_ops). Where that was not read, with that of vLLM's wheel: its tag (+cu129) where
    it has one, else the table of its releases (the libraries in the wheels; CUDA 12 from 0.2.2 on by its release notes,
    13 from 0.20 on). Of a list that only states versions it is open where the driver runs no more than torch's CUDA and
    the project has a build of the release for just that. Without its files nothing is red in an image or on a Jetson,
    which may hold another build, nor a build of your own, nor SGLang, whose kernels are a package of their own.

    ## Fix
    The torch that this vLLM was built with, where the driver runs it; else an engine for the CUDA that the driver runs.
    On Arm (Grace, DGX Spark) PyPI has no torch with CUDA before 2.11: that comes from torch's own index.
    """
    version, has = installed_version(packages, intent.engine), number(torch.cuda)
    library = engine_library(kernels, intent.engine, _ANY)
    needs = library.cuda_major if library else None
    if needs is None and intent.engine == "vllm":
        needs = wheel_major(version, matrix)
    if version is None or has is None or (needs is None and intent.engine != "vllm"):
        what = "an engine and a torch for CUDA are not here, or which CUDA it was built for cannot be read"
        yield not_applicable(Text(what))
        return
    values = {
        "engine": NAMES[intent.engine],
        "version": version,
        "needs": needs,
        "torch": torch.version,
        "cuda": torch.cuda,
    }
    if needs is None:
        yield unknown(
            Text("which CUDA {engine} {version} was built for is in no table of ours", values), subject="torch"
        )
    elif has.major < needs and not cuda_was_read(torch):
        yield unknown(Text("of torch's CUDA only that it is {cuda} or newer is known", values), subject="torch")
    elif library is None and is_stated(packages) and _is_rather_built_for(version, has, needs, driver, matrix):
        words = "the project has a build of {engine} {version} for CUDA {cuda}, and which one this is was not said"
        yield unknown(Text(words, values), subject="torch")
    elif has.major != needs and library is None and _may_be_another_build(version, host):
        text = Text("an image, or a Jetson, may hold a build of {engine} {version} for another CUDA", values)
        yield unknown(text, subject="torch")
    elif has.major == needs:
        text = Text("{engine} {version} and torch {torch} were both built for CUDA {needs}", values)
        yield ok(text, subject="torch", observed=torch.cuda, expected=f"CUDA {needs}")
    else:
        taken = gpus_of(gpus, cuda, environment, intent)
        used = in_use(driver, cuda, matrix) if driver else None
        yield fail(
            Text("{engine} {version} was built for CUDA {needs}, torch {torch} for CUDA {cuda}", values),
            fix=_fixes(version, needs, Site(matrix, intent, used, taken, host, interpreter, packages, model_files)),
            subject="torch",
            observed=torch.cuda,
            expected=f"CUDA {needs}",
        )


def _is_rather_built_for(version: str, cuda: Version, needs: int, driver: Driver | None, matrix: Matrix) -> bool:
    """A driver that does not run the default wheel's CUDA, and wheels of the project for torch's beside it."""
    knows = driver_major(driver, matrix)
    builds = matrix.engine_builds.get("vllm", ())
    is_there = any(one.version == version and number(one.cuda) == cuda for one in builds)
    return is_there and knows is not None and cuda.major <= knows < needs


def _may_be_another_build(version: str, host: Host | None) -> bool:
    return "+cu" not in version and host is not None and (bool(host.container) or host.tegra)


def cuda_was_read(torch: Torch) -> bool:
    """Is the CUDA of this torch known, and not only the oldest one that its architectures allow (loose facts)?"""
    return bool(torch.location) or torch.architectures is None or "+" in torch.version


def wheel_major(version: str | None, matrix: Matrix) -> int | None:
    """The CUDA major of a wheel of vLLM; None for a build that nobody published, and for one before the table."""
    found = number(version)
    if found is None:
        return None
    tag = re.fullmatch(r"cu(\d{2})\d", found.local or "")
    if tag:
        return int(tag[1])
    if not published(version) or found.local:
        return None
    row = matrix.engine_release("vllm", str(found))
    return row.cuda_major if row else 12 if found >= _CUDA_12 else None


def _fixes(version: str, needs: int, site: Site) -> tuple[Fix, ...]:
    """The torch of this vLLM where the driver runs it; else the newest set that runs here."""
    # Without the tag: pip would look for a wheel on PyPI that only the project's own pages have.
    engine = site.intent.engine
    fresh = fresh_fix(site, engine, Text("a set that runs here, with the torch that it brings, in a new environment"))
    others = (fresh,) if fresh else install_fixes(site)
    if engine != "vllm" or number(version) is None:
        return others
    same, minimum = Version(version).public, site.matrix.minimum_driver(str(needs))
    row = site.matrix.engine_release("vllm", same)
    torch = row.torch if row else ""
    # Before the table of releases: an installer would choose the torch, and take the newest, for another CUDA again.
    is_default = bool(torch) and site.matrix.torch_cuda(torch).split(".")[0] == str(needs)
    too_old = site.driver and minimum and new_enough(site.driver, str(needs), minimum.minimum_driver) is False
    if not is_default or too_old:
        return others
    words, tag = "put torch's build for CUDA {needs} in its place, as PyPI has it", ""
    if default_build(torch, site.host.machine if site.host else "", site.matrix) == "cpu":
        tag = arm_build(torch, site.matrix)
        words = "put torch's build for CUDA {needs} in its place, from torch's own index: PyPI's for Arm has no CUDA"
        if not tag:
            return others
    wanted = [f"vllm=={same}", f"torch=={torch}" + (f"+{tag}" if tag else ""), *_transformers(same, row, site)]
    options = ("--force-reinstall", *(index_of(tag) if tag else ()))
    again = Fix(
        text=Text(words, {"needs": needs}),
        commands=(torch_line(site.python, wanted, site.packages, options),),
        effort="install",
    )
    return (again, *others)


def _transformers(vllm: str, row: EngineRelease | None, site: Site) -> list[str]:
    """What keeps pip from the newest transformers, where that is known to break this vLLM and its metadata allows it.

    The one that is here, if it goes with it; else the newest from before the release.
    """
    releases, asked = site.matrix.libraries("transformers"), row.transformers if row else ""
    newest = site.matrix.newest_release("transformers")

    def goes(one: str) -> bool:
        return within(one, asked) and not site.matrix.bad_pairs({"vllm": vllm, "transformers": one})

    here = installed_version(site.packages, "transformers") if site.packages else None
    if row is None or not newest or not within(newest, asked) or goes(newest):
        return []
    older = [one for one, its in releases.items() if its.released <= row.released and goes(one)]
    chosen = here if here and goes(here) else older[-1] if older else ""
    return [f"transformers=={chosen}"] if chosen else []
