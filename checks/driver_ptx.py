"""DRV: the driver compiles the kernels that the engine holds as PTX only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
    KernelLibrary,
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
from autoglm_doctor.checks.engine import NAMES
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import runs_on_cpu, taken_gpus, variables_of
from autoglm_doctor.domain.driver.libcuda import forward_compatible, in_use
from autoglm_doctor.domain.driver.ways import driver_for
from autoglm_doctor.domain.kernels import code_for, engine_library, flash_attention_2
from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.vision_attention import head_width, takes_fa2_on_hopper
from autoglm_doctor.domain.wheels import capability, number
from autoglm_doctor.profiles import find_profile

_SOURCE = "PTX ISA in the engine's library; NVIDIA's table of PTX ISAs in cuda-bindings"
_FA2 = "FlashAttention-2"

#: Model types whose attention has sinks.
_OWN_ATTENTION = {"gpt_oss", "mimo_v2"}


class _Ptx(NamedTuple):
    """PTX that the driver must compile for one GPU."""

    isa: str  # "8.8"
    cuda: str  # release whose driver compiles it; "": not in our table
    what: str  # what it is, for the reader
    sure: bool = False  # the engine does nothing without it


class _Case(NamedTuple):
    """What one GPU is judged by."""

    engine: str  # with its version
    ptx: _Ptx | None
    has: str  # the newest CUDA release that this driver knows
    backend: str  # the attention backend that was asked for, in capitals; "": vLLM's own choice
    fa2: bool  # FlashAttention-2 was asked for
    pictures: bool  # the model has a vision tower that takes FlashAttention-2 from 12.0 on
    blackwell: bool  # and so does what is asked for on 10.x, where FlashAttention-4 comes with 0.17
    other: str  # why text may take another backend
    tower: str  # "" where it does not on 9.0, "open" where that is not known, else "sure"
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
    kernels: tuple[KernelLibrary, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    interpreter: Interpreter | None,
    host: Host | None,
    torch: Torch | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The driver compiles the kernels that the engine brings as PTX only.

    Any driver of a CUDA major runs compiled code of all its releases, but it compiles PTX only up to its own release.
    vLLM's wheel has FlashAttention-2 compiled for 8.0 alone. On GPUs from 9.0 on the driver must compile it, and an
    older one ends the first request, or the start, with "the provided PTX was compiled with an unsupported toolchain":
    vLLM 0.12 to 0.19 needs driver 575 (CUDA 12.9) there, 0.20 and later 580, although torch works with an older one.

    Measured by comparing the CUDA release of that PTX with the newer of what libcuda says and what the driver's branch
    knows. The PTX is read from the headers of the engine's own libraries; where they were not read, it is that of the
    published wheel (a tag such as +cu129 tells it). Red wherever the engine's common kernels are there as PTX only (in
    a build of one's own). Red for FlashAttention-2 on 12.x (RTX 50, RTX PRO, GB10), where vLLM takes it by itself, but
    for a quantised KV cache and attention of another kind; on 10.x (B200, B300), where text goes through FlashInfer
    first (vllm/platforms/cuda.py), red for models with a vision tower in 0.12 to 0.16, and open for others and later,
    when FlashAttention-4 comes; on 9.0 (H100, H200), which has FlashAttention-3, for the vision tower with vLLM 0.11 to
    0.13, and where VLLM_FLASH_ATTN_VERSION=2 asks for it. Other attention backends are not judged.

    vLLM issues 31700 and 47397; its documentation's page on troubleshooting (pull request 28305).

    ## Fix

    The newest vLLM that needs no newer driver for this model and GPU, or a newer driver.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, cuda)
    version = installed_version(packages, intent.engine)
    read = any(engine_library(kernels, intent.engine, gpu.compute_capability) for gpu in gpus)
    listed = intent.engine == "vllm" and published(version)
    if on_cpu or version is None or not (read or listed):
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
        needed = _needed(version, gpu.compute_capability, kernels, site)
        case = _case(version, needed, environment, site, compat=compat)
        yield _judge(gpu, case, site)


def _newest(driver: Driver, matrix: Matrix) -> str:
    """The newest CUDA that the driver knows: of its branch, or of a libcuda that is newer; "" when not known."""
    said = [driver.cuda_version or "", matrix.newest_cuda(driver.version or "")]
    return max((one for one in said if number(one)), key=Version, default="")


def _needed(version: str, gpu: str, kernels: tuple[KernelLibrary, ...] | None, site: Site) -> _Ptx | None:
    """What the driver must compile for this GPU; None where compiled code serves, or when not known."""
    matrix, engine = site.matrix, site.intent.engine
    library = engine_library(kernels, engine, gpu)
    if library is not None and code_for(library, gpu).by.startswith("compute"):
        return _Ptx(library.ptx, matrix.ptx_cuda(library.ptx), "its kernels", sure=True)
    attention = flash_attention_2(kernels) if engine == "vllm" else None
    if attention is not None:
        compiled = not code_for(attention, gpu).by.startswith("compute")
        return None if compiled else _Ptx(attention.ptx, matrix.ptx_cuda(attention.ptx), _FA2)
    isa = matrix.engine_needs_driver_for_ptx(engine, version, gpu, _machine(site)) if published(version) else ""
    tag = re.search(r"\+cu(\d{2})(\d)\b", version)
    return _Ptx(isa, f"{tag[1]}.{tag[2]}" if tag else matrix.ptx_cuda(isa), _FA2) if isa else None


def _machine(site: Site) -> str:
    return site.host.machine if site.host else ""


def _case(version: str, needed: _Ptx | None, environment: Environment | None, site: Site, *, compat: bool) -> _Case:
    intent = site.intent
    said = variables_of(environment, intent) if not _from(version, "0.15.0rc0") else {}
    flag = stated_flag(intent.command, "attention-backend")
    backend = (said.get("VLLM_ATTENTION_BACKEND", "") if flag is None else flag).upper()
    profile = find_profile(intent.profile or intent.model)
    configs = (site.files.config if site.files else None, profile.config if profile else None)
    pictures = next((config for config in configs if config and config.get("vision_config")), None)
    own = stated_flag(intent.command, "mm-encoder-attn-backend") is not None
    return _Case(
        engine=f"{NAMES[intent.engine]} {version}",
        ptx=needed,
        has=_newest(site.driver, site.matrix) if site.driver else "",
        backend=backend,
        fa2=said.get("VLLM_FLASH_ATTN_VERSION") == "2",
        pictures=pictures is not None and not own and _from(version, "0.12"),
        blackwell=not _from(version, "0.17.0rc0"),
        other=_other_backend(intent, [config for config in configs if config]),
        tower="" if pictures is None or own else takes_fa2_on_hopper(version, head_width(pictures)),
        compat=compat,
    )


def _from(version: str, first: str) -> bool:
    found = number(version)
    return found is not None and found >= Version(first)


def _other_backend(intent: Intent, configs: Sequence[Mapping[str, Any]]) -> str:
    """Why vLLM may compute text with another backend than FlashAttention-2 on 12.x; "" where nothing speaks for it.

    It takes no quantised KV cache and no sinks there (supports_kv_cache_dtype and supports_sink of its flash_attn.py),
    and latent attention has backends of its own.
    """
    words = [word.partition("=")[0].replace("_", "-") for word in intent.command]
    if any(word.startswith(("-ac", "--attention-config")) for word in words):
        return "the command chooses the attention itself"
    cache = stated_flag(intent.command, "kv-cache-dtype") or "auto"
    if cache not in ("auto", "bfloat16", "float16", "half"):
        return "vLLM takes another kernel for a KV cache of fewer bits"
    kinds = {str(config.get("model_type")) for config in configs}
    if kinds & _OWN_ATTENTION or any("kv_lora_rank" in config or "mamba" in str(config)[:9999] for config in configs):
        return "this model has attention of another kind"
    return ""


def _judge(gpu: Gpu, case: _Case, site: Site) -> Judgement:
    subject, one = f"gpu:{gpu.index}", capability(gpu.compute_capability) or (0, 0)
    values: dict[str, object] = {"engine": case.engine, "gpu": gpu.name, "has": case.has}
    values["driver"] = f"driver {site.driver.version}" if site.driver and site.driver.version else "the driver"
    if case.ptx is None or (one < (10, 0) and not (case.fa2 or case.tower or case.ptx.sure)):
        return not_applicable(Text("{engine} runs compiled code on {gpu}", values), subject=subject)
    values |= {"needs": case.ptx.cuda, "what": case.ptx.what, "isa": case.ptx.isa}
    if not case.ptx.cuda:
        return unknown(Text("which driver compiles PTX {isa} of {engine} is not known", values), subject=subject)
    if not case.has:
        return unknown(Text("the newest CUDA that the driver knows is not known"), subject=subject)
    wanted = f">={case.ptx.cuda}"
    if Version(case.has) >= Version(case.ptx.cuda):
        text = Text("{driver} compiles PTX of CUDA {needs}, which {engine} brings for {gpu}", values)
        return ok(text, subject=subject, observed=case.has, expected=wanted)
    open_ = _open(one, case)
    if open_:
        return unknown(Text("{driver} compiles no PTX of CUDA {needs}; " + open_, values), subject=subject)
    words = "{engine} brings {what} for {gpu} as PTX of CUDA {needs}; {driver} compiles up to CUDA {has}"
    return fail(
        Text(words, values),
        fix=_fixes(case, site),
        subject=subject,
        observed=case.has,
        expected=wanted,
        threshold=Threshold(value=case.ptx.cuda, unit="CUDA", source=_SOURCE),
    )


def _open(gpu: tuple[int, int], case: _Case) -> str:
    """Why FlashAttention-2 may not be what is used, or this driver not what compiles it; "" where both are sure."""
    if case.compat:
        return "a forward-compatibility package is in use, and which CUDA it brings is not known"
    if case.ptx is not None and case.ptx.sure:
        return ""
    if case.backend and "FLASH_ATTN" not in case.backend:
        return "whether a kernel other than FlashAttention-2 needs that is open"
    if gpu < (10, 0) and not case.fa2:
        return "" if case.tower == "sure" else "which attention vLLM takes for the pictures on {gpu} is open"
    if case.fa2 or (gpu >= (12, 0) and (case.pictures or case.backend)):
        return ""
    if gpu[0] == 12:
        return case.other
    if case.blackwell and (case.pictures or case.backend):
        return ""
    return "vLLM tries FlashInfer first on {gpu}, and whether this model makes it take FlashAttention-2 is open"


def _fixes(case: _Case, site: Site) -> tuple[Fix, ...]:
    """What suits this driver in all that is known of it, then a newer driver."""
    newer = driver_for(
        site.matrix.branch_for_cuda(case.ptx.cuda if case.ptx else ""), site.gpus, site.host, site.matrix
    )
    return (*(one for one in install_fixes(site) if not one.reboot), newer)
