"""PKG: compilers for what is compiled when the server starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.utils import canonicalize_name
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
    Toolchain,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.engine import NAMES
from autoglm_doctor.domain.builds import release_of
from autoglm_doctor.domain.deployment import engine_version, gpus_of, runs_on_cpu, variables_of
from autoglm_doctor.domain.jit import SAMPLER, Need, nvcc_need
from autoglm_doctor.domain.jit_compiler import TooOld, is_at_least, too_old
from autoglm_doctor.domain.launch_line import line
from autoglm_doctor.domain.model import model_config
from autoglm_doctor.domain.system_packages import compiler_fixes, toolkit_fix
from autoglm_doctor.domain.wheels import number

#: vLLM's second engine, which compiles the model at its start, is the default from this release on (release notes).
VLLM_COMPILES = Version("0.8")

_ROOTS = ("HST001", "PYT001", "ENG001", "ENG003", "ENG004")


@check("PKG007", "c-compiler", cause="COMPILER_OR_HEADERS_MISSING", explained_by=_ROOTS)
def c_compiler(
    toolchain: Toolchain | None,
    host: Host | None,
    interpreter: Interpreter | None,
    packages: Packages | None,
    environment: Environment | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    intent: Intent,
) -> Findings:
    """A C compiler and Python's headers are there for triton.

    Before its first kernel triton compiles a small C library against Python.h, and one more for every kernel. Without a
    compiler that ends with "Failed to find C compiler", without headers with "Python.h: No such file or directory".
    vLLM and SGLang run triton kernels when they start; slim container images and cloud machines have no compiler.

    Measured by looking for $CC, gcc and clang, as triton does, and for Python.h in the include folder of the
    deployment's Python and where $CPATH and $C_INCLUDE_PATH send the compiler. Red for SGLang and for vLLM from 0.8 on;
    yellow for earlier releases and for `--enforce-eager`, where it depends on the model. Kernels that an earlier run
    left in triton's cache are not looked for.

    ## Fix
    The compiler and the headers of the distribution; for a Python that is not the distribution's, that Python again:
    those of uv, pyenv and conda bring their headers along.
    """
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if why_not or intent.engine not in ("vllm", "sglang") or (host is not None and host.system != "Linux"):
        yield not_applicable(Text(why_not or "no engine is run here that starts triton's kernels in any case"))
        return
    if toolchain is None:
        yield unknown(Text("which compilers are there was not read"))
        return
    missing = [
        name
        for name, gone in (("a C compiler", toolchain.cc == ""), ("Python.h", toolchain.python_headers is False))
        if gone
    ]
    said = {"engine": NAMES[intent.engine], "missing": " and ".join(missing), "cc": toolchain.cc}
    if missing:
        certain = intent.engine == "sglang" or _compiles(intent, engine_version(packages, intent))
        words = "{engine} compiles with triton when it starts, and {missing} is not there"
        yield (fail if certain else warn)(
            Text(words if certain else "{missing} is not there; {engine} needs it where the model uses triton", said),
            fix=compiler_fixes(
                host, interpreter, compiler=toolchain.cc == "", headers=toolchain.python_headers is False
            ),
            observed=f"no {missing[0]}",
            expected="gcc or clang, and Python.h",
        )
    elif toolchain.cc is None or toolchain.python_headers is None:
        yield unknown(Text("whether a C compiler and Python's headers are there is only known in part"))
    else:
        yield ok(Text("{cc} and Python.h are there for triton", said), observed=toolchain.cc)


def _compiles(intent: Intent, version: str | None) -> bool:
    """vLLM compiles at its start; one whose release is not known is one of the last eighteen months."""
    found = release_of(version)
    return not intent.launch.enforce_eager and (found is None or found >= VLLM_COMPILES)


@check("PKG008", "cuda-compiler", cause="NVCC_MISSING_FOR_JIT", explained_by=_ROOTS)
def cuda_compiler(
    toolchain: Toolchain | None,
    host: Host | None,
    packages: Packages | None,
    torch: Torch | None,
    environment: Environment | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """nvcc is there where the engine compiles CUDA code at its start.

    PyPI's wheels bring the CUDA libraries and no compiler. vLLM from 0.21 on samples with FlashInfer, SGLang from
    0.5.9 on has kernels of its own; both are compiled while the server starts, which ends with "Could not find nvcc" or
    "nvcc: not found". The engines' own container images hold a compiler.

    Measured by looking where FlashInfer does: under $CUDA_HOME or $CUDA_PATH alone where one is set, else on PATH and
    in /usr/local/cuda; FLASHINFER_NVCC may name another compiler for the toolkit's headers. Which release compiles what
    was read from the wheels of both engines. Red where the server does not start without; yellow where it depends on
    the attention, or on a release that is not known. Quiet with flashinfer-jit-cache or VLLM_USE_FLASHINFER_SAMPLER=0,
    for servers that sample nothing (embeddings, scores), for processed log-probabilities, for GPUs that FlashInfer has
    no kernels for, and for releases after vLLM 0.33, which sample by themselves where compiling fails.

    An nvcc that FlashInfer refuses is as none: on capability 12.x (RTX 50, RTX PRO Blackwell) it wants CUDA 12.9, and
    on 12.0 from 0.7.1 on CUDA 12.8. With an older one, as in images for CUDA 12.8, vLLM 0.21 to 0.30 end with
    "FlashInfer requires GPUs with sm75 or higher", whatever CUDA torch was built for. An nvcc that has no code for the
    GPU, or whose release is not known, proves nothing: unknown.

    ## Fix
    For vLLM, its own sampler. Else the CUDA toolkit of torch's CUDA release, or the engine's container image.
    """
    cards = [one.compute_capability for one in gpus_of(gpus, cuda, environment, intent) or ()]
    version = engine_version(packages, intent)
    installed = {str(canonicalize_name(d.name)): d.version for d in packages.distributions} if packages else {}
    config = model_config(intent, model_files)
    pools = model_files.pooling if model_files else None
    variables = variables_of(environment, intent)
    need = nvcc_need(intent, version, installed, variables, cards, config, pools=pools)
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if why_not or need is None or (host is not None and host.system != "Linux"):
        yield not_applicable(Text(why_not or "nothing here is known to compile CUDA code at its start"))
    elif toolchain is None or (toolchain.nvcc is None and not _named(toolchain, intent)):
        yield unknown(Text("whether nvcc is there is not known"))
    elif _named(toolchain, intent) and toolchain.cuda_home:
        said = {"nvcc": _named(toolchain, intent), "folder": toolchain.cuda_home}
        yield ok(
            Text("{nvcc} is named by FLASHINFER_NVCC, beside the toolkit in {folder}", said), observed=said["nvcc"]
        )
    elif toolchain.nvcc and (old := _too_old(toolchain, need, version, installed, variables, cards, torch, matrix)):
        yield _refused(old, need, version, toolchain, torch, host, intent)
    elif toolchain.nvcc and not all(_compiles_for(toolchain.nvcc_version, card, matrix) for card in cards):
        said = {"nvcc": toolchain.nvcc, "version": toolchain.nvcc_version or "?", "gpus": ", ".join(cards)}
        yield unknown(Text("whether {nvcc} of CUDA {version} compiles for these GPUs ({gpus}) is not known", said))
    elif toolchain.nvcc:
        said = {"nvcc": toolchain.nvcc, "version": toolchain.nvcc_version or "?"}
        yield ok(Text("{nvcc} of CUDA {version} is there", said), observed=toolchain.nvcc)
    elif _named(toolchain, intent):
        said = {"nvcc": _named(toolchain, intent)}
        yield unknown(Text("FLASHINFER_NVCC names {nvcc}; where its toolkit is, no variable tells", said))
    elif toolchain.nvcc_in_packages:
        said = {"nvcc": toolchain.nvcc_in_packages}
        yield unknown(Text("nvcc is only in a Python package ({nvcc}), where not every engine finds it", said))
    elif need.without == "unknown":
        said = {"version": version or ""}
        yield unknown(
            Text("there is no nvcc; whether this build ({version}) compiles with it, its version does not tell", said)
        )
    else:
        yield _without(need, version, toolchain, toolkit_fix(host, (torch.cuda if torch else None) or "13.0"), intent)


def _compiles_for(cuda: str, gpu: str, matrix: Matrix) -> bool:
    """Whether nothing speaks against it: the release must be known, a GPU that is not is judged by nobody."""
    return number(cuda) is not None and matrix.compiles_for(cuda, gpu) is not False


def _named(toolchain: Toolchain, intent: Intent) -> str:
    """What FLASHINFER_NVCC names: FlashInfer takes it, SGLang's own kernels do not."""
    return (toolchain.flashinfer_nvcc or "") if intent.engine == "vllm" else ""


def _too_old(
    toolchain: Toolchain,
    need: Need,
    version: str | None,
    installed: Mapping[str, str],
    variables: Mapping[str, str],
    cards: Sequence[str],
    torch: Torch | None,
    matrix: Matrix,
) -> TooOld | None:
    has = (torch.version if torch else "") or installed.get("torch", "")
    return too_old(toolchain.nvcc_version, need, version, has, installed, variables, cards, matrix)


def _refused(
    old: TooOld,
    need: Need,
    version: str | None,
    toolchain: Toolchain,
    torch: Torch | None,
    host: Host | None,
    intent: Intent,
) -> Judgement:
    """An nvcc that FlashInfer does not take for this GPU, found before any other."""
    said = {"version": version or "", "cuda": toolchain.nvcc_version, "flashinfer": old.flashinfer, "gpu": old.gpu}
    said["needs"] = old.needs
    words = ", with nvcc of CUDA {cuda}; FlashInfer {flashinfer} takes none before {needs} for capability {gpu}"
    newest = (torch.cuda if torch else None) or ""
    release = newest if is_at_least(newest, old.needs) else old.needs
    return (fail if need.without == "fail" else warn)(
        Text(need.what + words, said),
        fix=(_own_sampler(intent), toolkit_fix(host, release)),
        observed=f"nvcc {toolchain.nvcc_version}",
        expected=f"nvcc >= {old.needs}",
        threshold=Threshold(value=old.needs, unit="CUDA", source="compilation_context.py in FlashInfer's wheels"),
    )


def _own_sampler(intent: Intent) -> Fix:
    return Fix(
        text=Text("let vLLM sample by itself, which compiles nothing with nvcc"),
        commands=(f"{SAMPLER}=0 {line(intent)}",),
        effort="setting",
    )


def _without(need: Need, version: str | None, toolchain: Toolchain, toolkit: Fix, intent: Intent) -> Judgement:
    said = {"version": version or "", "folder": toolchain.cuda_home}
    where = "in {folder}, which a variable names, is no nvcc" if toolchain.cuda_home else "there is no nvcc"
    return (fail if need.without == "fail" else warn)(
        Text(need.what + ", and " + where, said),
        fix=(_own_sampler(intent), toolkit) if need.way_out == "sampler" else (toolkit,),
        observed="no nvcc",
        expected="nvcc",
    )
