"""PKG: nvcc takes the C compiler that it finds."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Text,
    Threshold,
    Toolchain,
    check,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.deployment import engine_version, gpus_of, runs_on_cpu, variables_of
from autoglm_doctor.domain.host_compiler import NEWEST_GCC, gcc_of, why_not_told
from autoglm_doctor.domain.jit import SAMPLER, Need, nvcc_need
from autoglm_doctor.domain.launch_line import line
from autoglm_doctor.domain.model import model_config
from autoglm_doctor.domain.system_packages import older_gcc


@check(
    "PKG014",
    "nvcc-takes-compiler",
    cause="COMPILER_TOO_NEW_FOR_NVCC",
    explained_by=("HST001", "PYT001", "ENG001", "ENG003", "ENG004", "PKG007", "PKG008"),
)
def nvcc_takes_compiler(
    toolchain: Toolchain | None,
    host: Host | None,
    packages: Packages | None,
    environment: Environment | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    model_files: ModelFiles | None,
    intent: Intent,
) -> Findings:
    """gcc is not too new for the nvcc that compiles kernels when the server starts.

    nvcc leaves the C++ part of its work to gcc. A newer one than its release knows ends the compilation with
    "unsupported GNU version! gcc versions later than 14 are not supported": with a distribution of this year and a
    CUDA toolkit of last year. torch and the engine are healthy then, and only the kernels that are built at the start
    are missing (see PKG008).

    Measured by comparing the version of gcc ($CC where FlashInfer compiles) with the limit of nvcc's release, as
    crt/host_config.h of NVIDIA's packages has it: 11 for CUDA 11.8, 12 up to 12.3, 13 up to 12.6, 14 for 12.8 and 12.9,
    15 up to 13.3, 16 for 13.4 and 13.5. Not judged where nvcc is the distribution's, conda's or Nix's, which choose a
    gcc of their own, and where variables such as NVCC_CCBIN choose one. Never red: a gcc that lies beside nvcc, which
    it prefers, is not looked for.

    ## Fix
    For vLLM, its own sampler, which compiles nothing. Else an older gcc beside the new one, named to nvcc.
    """
    cards = [one.compute_capability for one in gpus_of(gpus, cuda, environment, intent) or ()]
    version = engine_version(packages, intent)
    installed = {str(canonicalize_name(d.name)): d.version for d in packages.distributions} if packages else {}
    variables = variables_of(environment, intent)
    config, pools = model_config(intent, model_files), model_files.pooling if model_files else None
    need = nvcc_need(intent, version, installed, variables, cards, config, pools=pools)
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if why_not or need is None or (host is not None and (host.system != "Linux" or host.tegra)):
        yield not_applicable(Text(why_not or "nothing here is known to compile CUDA code at its start"))
    elif toolchain is None or not toolchain.nvcc:
        yield not_applicable(Text("no nvcc is known here whose compiler could be judged"))
    else:
        yield _judge(toolchain, need, version, host, intent, why_not_told(toolchain, intent.engine, variables))


def _judge(
    tools: Toolchain, need: Need, version: str | None, host: Host | None, intent: Intent, why_not: str
) -> Judgement:
    gcc, newest = gcc_of(tools), NEWEST_GCC.get(tools.nvcc_version, 0)
    said = {"nvcc": tools.nvcc, "cuda": tools.nvcc_version, "gcc": gcc, "newest": newest, "version": version or ""}
    if why_not or gcc is None:
        return unknown(Text(why_not, said))
    limit = Threshold(value=newest, unit="gcc", source=f"crt/host_config.h of CUDA {tools.nvcc_version}")
    if gcc <= newest:
        text = Text("nvcc of CUDA {cuda} takes gcc up to {newest}; this is {gcc}", said)
        return ok(text, observed=gcc, expected=f"<={newest}", threshold=limit)
    words = ", with nvcc of CUDA {cuda}, which takes no gcc after {newest}; this is {gcc}"
    return warn(
        Text(need.what + words, said),
        fix=_fixes(newest, need, host, intent),
        observed=gcc,
        expected=f"<={newest}",
        threshold=limit,
    )


def _fixes(newest: int, need: Need, host: Host | None, intent: Intent) -> tuple[Fix, ...]:
    """FlashInfer names $CC to nvcc; to the kernels of SGLang the variable of nvcc itself does."""
    said = {"newest": newest}
    commands, program = older_gcc(host, newest)
    chosen = f"CC={program}" if intent.engine == "vllm" else f"NVCC_PREPEND_FLAGS='-ccbin {program}'"
    older = Fix(
        text=Text("install gcc {newest} beside the other one, and let nvcc take it", said),
        commands=(*commands, f"{chosen} {line(intent)}"),
        effort="install",
        needs_root=True,
    )
    own = Fix(
        text=Text("let vLLM sample by itself, which compiles nothing with nvcc"),
        commands=(f"{SAMPLER}=0 {line(intent)}",),
        effort="setting",
    )
    return (own, older) if need.way_out == "sampler" else (older,)
