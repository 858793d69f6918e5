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
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.deployment import gpus_of
from autoglm_doctor.domain.driver.fixes import new_enough
from autoglm_doctor.domain.driver.libcuda import in_use
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import fresh_fix, install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import number

#: vLLM's wheels on PyPI were built for CUDA 12 from here on; the table of its releases begins later. Release notes.
_CUDA_12 = Version("0.2.2")


@check(
    "ENG006",
    "engine-cuda",
    cause="VLLM_CUDA_VARIANT_MISMATCH",
    explained_by=("PYT001", "TOR001", "TOR003", "ENG001", "PKG001", "PKG002", "PKG003"),
)
def engine_cuda(
    packages: Packages,
    torch: Torch,
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
    """vLLM and torch were built for the same major release of CUDA.

    vLLM's libraries ask for the CUDA runtime that they were linked with. A torch for another major brings another one,
    and the import ends with "libcudart.so.13: cannot open shared object file". It comes from naming an index for
    torch alone (`--torch-backend`, `--extra-index-url`): vLLM itself is then still the wheel of PyPI.

    Measured by comparing the CUDA major of torch/version.py with that of vLLM's wheel: its tag (+cu129) where it has
    one, else the table of its releases (the libraries in the wheels; CUDA 12 from 0.2.2 on by its release notes, 13
    from 0.20 on). Builds of your own are not judged, nor is SGLang, whose kernels are a package of their own.

    ## Fix
    The torch that this vLLM was built with, where the driver runs it; else a vLLM for the CUDA that the driver runs.
    """
    version = installed_version(packages, "vllm") if intent.engine == "vllm" else None
    has, needs = number(torch.cuda), wheel_major(version, matrix)
    if version is None or has is None:
        what = "vLLM is not what serves here" if intent.engine != "vllm" else "a vLLM and a torch for CUDA are not here"
        yield not_applicable(Text(what))
        return
    values = {"version": version, "needs": needs, "torch": torch.version, "cuda": torch.cuda}
    if needs is None:
        yield unknown(Text("which CUDA vLLM {version} was built for is in no table of ours", values), subject="torch")
    elif has.major < needs and not cuda_was_read(torch):
        yield unknown(Text("of torch's CUDA only that it is {cuda} or newer is known", values), subject="torch")
    elif has.major == needs:
        text = Text("vLLM {version} and torch {torch} were both built for CUDA {needs}", values)
        yield ok(text, subject="torch", observed=torch.cuda, expected=f"CUDA {needs}")
    else:
        taken = gpus_of(gpus, cuda, environment, intent)
        used = in_use(driver, cuda, matrix) if driver else None
        yield fail(
            Text("vLLM {version} was built for CUDA {needs}, torch {torch} for CUDA {cuda}", values),
            fix=_fixes(version, needs, Site(matrix, intent, used, taken, host, interpreter, packages, model_files)),
            subject="torch",
            observed=torch.cuda,
            expected=f"CUDA {needs}",
        )


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
    same, minimum = Version(version).public, site.matrix.minimum_driver(str(needs))
    row = site.matrix.engine_release("vllm", same)
    torch = row.torch if row else ""
    fresh = fresh_fix(site, "vllm", Text("a vLLM that runs here, with the torch that it brings, in a new environment"))
    others = (fresh,) if fresh else install_fixes(site)
    # Before the table of releases: an installer would choose the torch, and take the newest, for another CUDA again.
    is_default = bool(torch) and site.matrix.torch_cuda(torch).split(".")[0] == str(needs)
    too_old = site.driver and minimum and new_enough(site.driver, str(needs), minimum.minimum_driver) is False
    if not is_default or too_old:
        return others
    wanted = [f"vllm=={same}", f"torch=={torch}"]
    again = Fix(
        text=Text("put torch's build for CUDA {needs} in its place, as PyPI has it", {"needs": needs}),
        commands=(install_line(site.python, wanted, site.packages, ["--force-reinstall"]),),
        effort="install",
    )
    return (again, *others)
