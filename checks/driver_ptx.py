"""DRV: the driver compiles the kernels that the engine holds as PTX only."""

from __future__ import annotations

import re
from typing import NamedTuple

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
    Judgement,
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
)
from autoglm_doctor.checks.engine import model_type
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.deployment import runs_on_cpu, taken_gpus, variables_of
from autoglm_doctor.domain.driver.libcuda import forward_compatible, in_use
from autoglm_doctor.domain.driver.ways import driver_for
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import capability, number
from autoglm_doctor.profiles import find_profile

_SOURCE = "PTX ISA in vLLM's wheel (_vllm_fa2_C.abi3.so); NVIDIA's table of PTX ISAs in cuda-bindings"


class _Case(NamedTuple):
    """What one GPU is judged by."""

    version: str  # of vLLM
    needs: str  # CUDA release whose driver compiles the PTX
    has: str  # the newest CUDA release that this driver knows
    backend: str  # the attention backend that was asked for, in capitals; "": vLLM's own choice
    fa2: bool  # FlashAttention-2 was asked for
    pictures: bool  # the model has a vision tower, whose attention is another choice
    compat: bool  # a libcuda of which no more is known than that it is newer takes the driver's place


@check(
    "DRV006",
    "driver-compiles-ptx",
    cause="DRIVER_TOO_OLD",
    explained_by=("DRV001", "DRV003", "DRV004", "DRV005", "PYT001", "ENG001", "ENG004", "ENG006", "GPU002"),
)
def driver_compiles_ptx(
    driver: Driver,
    packages: Packages,
    gpus: tuple[Gpu, ...],
    cuda: Cuda | None,
    environment: Environment | None,
    interpreter: Interpreter | None,
    host: Host | None,
    torch: Torch | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The driver compiles the kernels that vLLM brings as PTX only.

    Any driver of a CUDA major runs compiled code of all its releases, but it compiles PTX only up to its own release.
    vLLM's wheel has FlashAttention-2 compiled for 8.0 alone. On GPUs from 9.0 on the driver must compile it, and an
    older one ends the first request, or the start, with "the provided PTX was compiled with an unsupported toolchain":
    vLLM 0.12 to 0.19 needs driver 575 (CUDA 12.9) there, 0.20 and later 580, although torch works with an older one.

    Measured by comparing the CUDA release of that PTX (read from vLLM's wheels; a tag such as +cu129 tells it) with
    the newer of what libcuda says and what the driver's branch knows. Red on 12.x (RTX 50, RTX PRO, GB10), where vLLM
    takes FlashAttention-2 by itself; on 10.x (B200, B300), where text goes through FlashInfer first
    (vllm/platforms/cuda.py), red for models with a vision tower and open for others; on 9.0, which has
    FlashAttention-3, only where VLLM_FLASH_ATTN_VERSION=2 or the like asks for it. Builds of your own are not judged,
    nor are other attention backends.

    vLLM issues 31700 and 47397; its documentation's page on troubleshooting (pull request 28305).

    ## Fix

    The newest vLLM whose PTX the driver compiles, or a newer driver.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, cuda)
    version = installed_version(packages, "vllm") if intent.engine == "vllm" else None
    if on_cpu or version is None or not published(version):
        what = "only published wheels of vLLM are known to bring kernels as PTX only"
        yield not_applicable(Text(on_cpu or what))
        return
    taken = taken_gpus(gpus, cuda, environment, intent)
    if not taken:
        yield unknown(Text("which GPU the deployment sees is not known"))
    used = in_use(driver, cuda, matrix)
    compat = forward_compatible(cuda, environment, torch, intent)
    site = Site(matrix, intent, used, gpus, host, interpreter, packages, model_files)
    for gpu in (one.gpu for one in taken):
        needs = _needs(version, gpu.compute_capability, matrix)
        case = _case(version, needs, _newest(used, matrix), environment, model_files, intent, compat=compat)
        yield _judge(gpu, case, site)


def _newest(driver: Driver, matrix: Matrix) -> str:
    """The newest CUDA that the driver knows: of its branch, or of a libcuda that is newer; "" when not known."""
    said = [driver.cuda_version or "", matrix.newest_cuda(driver.version or "")]
    return max((one for one in said if number(one)), key=Version, default="")


def _needs(version: str, gpu: str, matrix: Matrix) -> str:
    """The CUDA release of the PTX for this GPU; "" where compiled code serves, or when not known."""
    isa = matrix.engine_needs_driver_for_ptx("vllm", version, gpu)
    tag = re.search(r"\+cu(\d{2})(\d)\b", version)
    return (f"{tag[1]}.{tag[2]}" if tag else matrix.ptx_cuda(isa)) if isa else ""


def _case(
    version: str,
    needs: str,
    has: str,
    environment: Environment | None,
    files: ModelFiles | None,
    intent: Intent,
    *,
    compat: bool,
) -> _Case:
    said = variables_of(environment, intent)
    line = " ".join(intent.command)
    flag = re.search(r"--attention-backend[= ](\S+)", line)
    backend = (flag[1] if flag else said.get("VLLM_ATTENTION_BACKEND", "")).upper()
    profile = find_profile(intent.profile or intent.model)
    configs = (files.config if files else None, profile.config if profile else None)
    return _Case(
        version=version,
        needs=needs,
        has=has,
        backend=backend,
        fa2=said.get("VLLM_FLASH_ATTN_VERSION") == "2",
        pictures=any(config.get("vision_config") for config in configs if config),
        compat=compat,
    )


def _judge(gpu: Gpu, case: _Case, site: Site) -> Judgement:
    subject, one = f"gpu:{gpu.index}", capability(gpu.compute_capability) or (0, 0)
    values: dict[str, object] = {"version": case.version, "gpu": gpu.name, "needs": case.needs, "has": case.has}
    values["driver"] = f"driver {site.driver.version}" if site.driver and site.driver.version else "the driver"
    if not case.needs or (one < (10, 0) and not case.fa2):
        return not_applicable(Text("vLLM {version} runs compiled code on {gpu}", values), subject=subject)
    if not case.has:
        return unknown(Text("the newest CUDA that the driver knows is not known"), subject=subject)
    if number(case.has) >= number(case.needs):  # type: ignore[operator]
        text = Text("{driver} compiles PTX of CUDA {needs}, which vLLM {version} brings for {gpu}", values)
        return ok(text, subject=subject, observed=case.has, expected=f">={case.needs}")
    open_ = _open(one, case)
    if open_:
        return unknown(Text("{driver} compiles no PTX of CUDA {needs}; " + open_, values), subject=subject)
    words = (
        "vLLM {version} brings FlashAttention-2 for {gpu} as PTX of CUDA {needs}; {driver} compiles up to CUDA {has}"
    )
    return fail(
        Text(words, values),
        fix=_fixes(gpu, case, site),
        subject=subject,
        observed=case.has,
        expected=f">={case.needs}",
        threshold=Threshold(value=case.needs, unit="CUDA", source=_SOURCE),
    )


def _open(gpu: tuple[int, int], case: _Case) -> str:
    """Why FlashAttention-2 may not be what is used, or this driver not what compiles it; "" where both are sure."""
    if case.compat:
        return "a forward-compatibility package is in use, and which CUDA it brings is not known"
    if case.backend and "FLASH_ATTN" not in case.backend:
        return "whether a kernel other than FlashAttention-2 needs that is open"
    if gpu >= (12, 0) or case.pictures or case.fa2 or case.backend:
        return ""
    return "vLLM tries FlashInfer first on {gpu}, and whether this model makes it take FlashAttention-2 is open"


def _fixes(gpu: Gpu, case: _Case, site: Site) -> tuple[Fix, ...]:
    newer = driver_for(site.matrix.branch_for_cuda(case.needs), site.gpus, site.host, site.matrix)
    wanted = _older(gpu, case, model_type(site.files, site.intent), site.matrix)
    if not wanted:
        return (newer,)
    older = Fix(
        text=Text("take the newest vLLM whose kernels the driver compiles"),
        commands=(install_line(site.python, [f"vllm=={wanted}"], site.packages or Packages()),),
        effort="install",
    )
    return (older, newer)


def _older(gpu: Gpu, case: _Case, model: str, matrix: Matrix) -> str:
    """The newest release with code for this GPU and PTX that the driver compiles, if it knows the model; "" of none."""
    has, known = number(case.has) or Version("0"), matrix.models.get(model)
    first = number(known.vllm) if known and known.vllm else None
    for row in reversed(matrix.engines["vllm"]):
        needs = number(matrix.ptx_cuda(row.fa2_ptx)) if row.fa2_ptx else None
        if needs is None or needs > has or row.cuda_major > has.major or Version(row.since).is_prerelease:
            continue
        if matrix.runs_compiled_for(gpu.compute_capability, row.sass.split()):
            return row.since if first is None or Version(row.since) >= first else ""
    return ""
