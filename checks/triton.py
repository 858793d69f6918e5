"""PKG: triton belongs to this torch, and what it compiles loads on the driver."""

from __future__ import annotations

from collections.abc import Sequence

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
    Packages,
    Reading,
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
from autoglm_doctor.checks.engine_pins import as_specifier, requires
from autoglm_doctor.domain.assembler import BLACKWELL, FIRST, SECOND, assembler_fixes, variable_of
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.deployment import gpus_of, runs_on_cpu, variables_of
from autoglm_doctor.domain.driver.libcuda import forward_compatible, in_use
from autoglm_doctor.domain.driver.ways import driver_for
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import capability, driver_cuda, line, number

#: The assembler of this CUDA release is the first whose code no CUDA 11 driver was seen to load (triton 2.2); that of
#: 12.1 loaded on some (pytorch issue 119054, triton issues 2971 and 1955, vllm issue 5713).
NEVER_ON_11 = Version("12.3")

#: The source of a reading that somebody wrote down: what it leaves out may be there all the same.
STATED = "stated"


@check(
    "PKG004",
    "triton-matches",
    cause="TRITON_TORCH_MISMATCH",
    explained_by=("PYT001", "TOR001", "TOR003", "PKG001", "PKG002", "PKG003"),
)
def triton_matches(
    packages: Packages, interpreter: Interpreter | None, host: Host | None, intent: Intent, matrix: Matrix
) -> Findings:
    """triton belongs to this torch.

    torch.compile imports the insides of one release line of triton and ends with "cannot import name 'triton_key'" or
    "cannot import name 'AttrsDescriptor'" on another. vLLM and SGLang compile and run triton kernels at their start;
    plain transformers rarely does, and gets a warning.

    Measured by comparing the two installed versions with what the wheel of torch demands on Linux (Requires-Dist on
    PyPI), by release line: 3.5.1 in the place of 3.5.0 is no fault. Where the metadata of the installed torch was
    read, PKG001 compares it. Development versions and builds of your own are not judged.

    ## Fix
    The triton of this torch.
    """
    torch, triton = installed_version(packages, "torch"), installed_version(packages, "triton")
    if torch is None or triton is None:
        yield not_applicable(Text("torch and triton are not both known to be installed"))
        return
    row, values = matrix.torch_release(torch), {"torch": torch, "triton": triton}
    if requires(packages, "torch", "triton"):
        yield not_applicable(Text("torch's own metadata names its triton: PKG001 compares it"))
    elif not (published(torch) and published(triton)) or (host is not None and host.system != "Linux"):
        yield not_applicable(Text("torch {torch} with triton {triton}: not both are wheels of PyPI for Linux", values))
    elif row is None or not row.triton:
        yield unknown(Text("which triton belongs to torch {torch} is in no table of ours", values))
    elif line(triton) == line(row.triton.lstrip("~=")):
        yield ok(Text("triton {triton} belongs to torch {torch}", values), observed=triton, expected=row.triton)
    else:
        wanted = f"triton{as_specifier(row.triton)}"
        python = interpreter.executable if interpreter else None
        say = fail if intent.engine in matrix.engines else warn
        yield say(
            Text("torch {torch} goes with {wanted}; {triton} is installed", {**values, "wanted": wanted}),
            fix=Fix(
                text=Text("install the triton of torch {torch}", values),
                commands=(install_line(python, [wanted], packages),),
                effort="install",
            ),
            subject="triton",
            observed=triton,
            expected=row.triton,
            threshold=Threshold(value=row.triton, unit="version", source="Requires-Dist of torch's wheel on PyPI"),
        )


@check(
    "PKG006",
    "triton-code-loads",
    cause="TRITON_PTXAS_NEWER_THAN_DRIVER",
    explained_by=("DRV001", "DRV002", "DRV003", "GPU002", "PYT001", "TOR001", "TOR003"),
)
def triton_code_loads(
    packages: Packages,
    driver: Driver,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    interpreter: Interpreter | None,
    host: Host | None,
    torch: Torch | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """What triton compiles loads on this driver.

    triton brings an assembler of its own (ptxas), whatever CUDA torch was built with: a torch for CUDA 11.8 has one of
    CUDA 12. Code of a newer CUDA major than the driver's does not load: "Triton Error [CUDA]: device kernel image is
    invalid". Within a major it does. From capability 10.0 on a second assembler is used, of CUDA 13 since triton 3.7:
    torch 2.12 computes with driver 575, and torch.compile does not.

    Measured by comparing the CUDA release of the assembler, which was read from triton's wheels, with the newest one
    that the driver knows. Red for vLLM and SGLang, which start triton's code in any case; yellow for plain transformers
    and for the assemblers of CUDA 12.0 and 12.1 on a driver of CUDA 11, which some kernels got past. Nothing is said
    where TRITON_PTXAS_PATH names another assembler.

    ## Fix
    The assembler of the driver's own CUDA major, or a newer driver.
    """
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    triton = _triton(packages, matrix)
    if why_not or triton is None or (host is not None and host.system != "Linux"):
        yield not_applicable(Text(why_not or "triton is not known to be installed"))
        return
    cards = [one.compute_capability for one in gpus_of(gpus, cuda, environment, intent) or ()]
    gpu = max(cards, key=lambda one: capability(one) or (0, 0), default="")
    variable = variable_of(triton, gpu) or FIRST
    if variables_of(environment, intent).get(variable):
        yield not_applicable(Text("{variable} names another assembler", {"variable": variable}))
        return
    site = Site(matrix, intent, in_use(driver, cuda, matrix), gpus, host, interpreter, packages)
    by_compat = forward_compatible(cuda, environment, torch, intent)
    # Alone, without the torch that brings it along, triton is there to be used.
    is_used = intent.engine in matrix.engines or (torch is None and site.version("torch") is None)
    has = number(matrix.triton_ptxas(triton, gpu))
    yield _loads(triton, has, variable, site, by_compat=by_compat, is_used=is_used)


@check(
    "PKG018",
    "triton-knows-gpu",
    cause="GPU_ARCH_NOT_IN_WHEEL",
    explained_by=("DRV001", "GPU002", "PYT001", "TOR001", "TOR003", "TOR005", "ENG004"),
)
def triton_knows_gpu(
    packages: Packages,
    gpus: tuple[Gpu, ...] | None,
    environment: Reading[Environment],
    driver: Driver | None,
    cuda: Cuda | None,
    host: Host | None,
    interpreter: Interpreter | None,
    toolchain: Toolchain | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """triton's own assembler knows the GPU.

    torch can have code for a GPU of which triton's ptxas has never heard: that of triton 3.5 is of CUDA 12.8 and knows
    neither the B300 (10.3) nor Thor (11.0) nor the GB10 of the DGX Spark (12.1), that of 3.6 not Thor. The first kernel
    ends with "ptxas fatal: Value 'sm_121a' is not defined for option 'gpu-name'" (triton's issue 8539; vLLM's issues
    29317, 29469 and pull request 30484). That of torch's nightly builds, pytorch-triton 3.5.0+git7416ffcb, is no newer
    than the release of its number, and may be older.

    Measured by comparing the CUDA release of the assembler, which was read from triton's wheels, with the first one
    that compiles for the GPU. Red for vLLM and SGLang, which start triton's code in any case; yellow for plain
    transformers. Open where the variables are only stated in part: one that many set on these machines names another
    assembler. For Blackwell that is TRITON_PTXAS_PATH up to triton 3.5 and TRITON_PTXAS_BLACKWELL_PATH from 3.6 on; the
    other one changes nothing.

    ## Fix
    The assembler of a CUDA toolkit that knows the GPU, or a newer torch with its triton.
    """
    why_not = runs_on_cpu(intent, environment.value, driver, gpus, cuda)
    whole = _triton(packages, matrix)
    if why_not or whole is None or (host is not None and host.system != "Linux"):
        yield not_applicable(Text(why_not or "triton is not known to be installed"))
        return
    triton = _release_of(whole, packages)
    cards = [one.compute_capability for one in gpus_of(gpus, cuda, environment.value, intent) or ()]
    strange = _strange(triton, cards, matrix) if published(triton) else None
    strange = strange if strange or triton == whole else None
    variables = variables_of(environment.value, intent)
    if any(variables.get(name) for name in _named(triton, cards, matrix)):
        yield not_applicable(Text("a variable names another assembler"))
    elif strange is None or (strange and (environment.value is None or environment.source == STATED)):
        yield unknown(Text("whether triton {triton} assembles for these GPUs is not known", {"triton": triton}))
    elif not strange:
        yield ok(Text("the assembler of triton {triton} knows the GPU", {"triton": triton}), observed=triton)
    else:
        said = {"triton": triton, "gpu": strange, "cuda": matrix.triton_ptxas(triton, strange)}
        yield (fail if intent.engine in matrix.engines else warn)(
            Text("the assembler of triton {triton} is of CUDA {cuda} and does not know capability {gpu}", said),
            fix=assembler_fixes(
                triton, strange, toolchain, Site(matrix, intent, driver, gpus, host, interpreter, packages)
            ),
            subject="triton",
            observed=f"CUDA {said['cuda']}",
            expected=f"CUDA >= {matrix.capabilities[strange].first_cuda}",
        )


def _strange(triton: str, cards: Sequence[str], matrix: Matrix) -> str | None:
    """The first GPU that triton's assembler does not know; "" of none; None where that is not known."""
    answers = {gpu: matrix.compiles_for(has, gpu) for gpu in cards if (has := matrix.triton_ptxas(triton, gpu))}
    unknown_one = next((gpu for gpu, knows in answers.items() if knows is False and _is_new(gpu)), "")
    return unknown_one or ("" if answers and None not in answers.values() else None)


def _is_new(gpu: str) -> bool:
    """Blackwell and later; how triton fares on GPUs that an assembler no longer knows is not judged."""
    return (capability(gpu) or (0, 0)) >= BLACKWELL


def _named(triton: str, cards: Sequence[str], matrix: Matrix) -> tuple[str, ...]:
    """The variables that count: of a triton of one's own, or for GPUs that are not known, each may."""
    strange = _strange(triton, cards, matrix) if published(triton) else None
    return (FIRST, SECOND) if strange is None else (variable_of(triton, strange or max(cards, key=_order)),)


def _order(gpu: str) -> tuple[int, int]:
    return capability(gpu) or (0, 0)


def _loads(triton: str, has: Version | None, variable: str, site: Site, *, by_compat: bool, is_used: bool) -> Judgement:
    """The release of CUDA that triton assembles for against the newest that the libcuda in use knows."""
    knows, version = number(driver_cuda(site.driver, site.matrix)), (site.driver.version if site.driver else "") or "?"
    said = {"triton": triton, "ptxas": str(has), "driver": version, "cuda": str(knows)}
    if has is None or knows is None or not published(triton):
        return unknown(Text("which CUDA triton {triton} assembles for, or the driver knows, is not known", said))
    if has.major <= knows.major:
        text = Text("triton {triton} assembles for CUDA {ptxas}, driver {driver} knows CUDA {cuda}", said)
        return ok(text, observed=str(has), expected=f"CUDA {knows.major}")
    if by_compat:
        return unknown(Text("a forward-compatibility package is in use; which CUDA it brings is not known"))
    return (fail if is_used and not (knows.major == 11 and has < NEVER_ON_11) else warn)(
        Text(
            "triton {triton} assembles for CUDA {ptxas}, and driver {driver} loads nothing newer than its {cuda}", said
        ),
        fix=_ways_out(variable, has, knows, site),
        subject="triton",
        observed=f"CUDA {has}",
        expected=f"CUDA {knows.major}",
        threshold=Threshold(value=str(knows), unit="CUDA", source="CUDA compatibility guide: one major"),
    )


def _ways_out(variable: str, has: Version, knows: Version, site: Site) -> tuple[Fix, ...]:
    row = site.matrix.minimum_driver(str(has))
    words = ", which loads what triton assembles"
    newer = driver_for(row.minimum_driver if row else "", site.gpus, site.host, site.matrix, words)
    return (_assembler(variable, knows.major, site.interpreter, site.packages or Packages()), newer)


def _triton(packages: Packages, matrix: Matrix) -> str | None:
    """The installed triton; that of torch's default wheel where only torch is stated, and its metadata was not read."""
    found, torch = installed_version(packages, "triton") or _nightly(packages), installed_version(packages, "torch")
    if found or torch is None or any(one.requires for one in packages.distributions if one.name.lower() == "torch"):
        return found
    row = matrix.torch_release(torch) if not torch.partition("+")[2].startswith(("cpu", "rocm", "xpu")) else None
    return row.triton or None if row else None


def _nightly(packages: Packages) -> str | None:
    """The triton of torch's nightly builds, and of its index for releases before they are published."""
    return installed_version(packages, "pytorch-triton")


def _release_of(triton: str, packages: Packages) -> str:
    """The release that a nightly build leads to; any other version as it is."""
    return triton.partition("+")[0] if triton == _nightly(packages) else triton


def _assembler(variable: str, major: int, interpreter: Interpreter | None, packages: Packages) -> Fix:
    """ptxas out of NVIDIA's own package; CUDA 11 and 12 have one each."""
    python = interpreter.executable if interpreter else "python3"
    folder = f"$({python} -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')"
    return Fix(
        text=Text("give triton an assembler of the driver's own CUDA major, in the shell that starts the server"),
        commands=(
            install_line(python if interpreter else None, [f"nvidia-cuda-nvcc-cu{major}"], packages),
            f'export {variable}="{folder}/nvidia/cuda_nvcc/bin/ptxas"',
        ),
        effort="install",
    )
