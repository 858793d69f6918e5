"""PKG: compiled packages were built for this torch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from autoglm_doctor.api import (
    Distribution,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Matrix,
    Packages,
    Text,
    Toolchain,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
)
from autoglm_doctor.checks.engine_cuda import cuda_was_read
from autoglm_doctor.checks.engine_pins import requires
from autoglm_doctor.checks.newer_cuda import ABI, CUDA, TORCH, is_for_newer_cuda, marks, may_have, with_newer_cuda
from autoglm_doctor.domain.compiled import FIRST_FOR_ARM, KERNELS, kernel_torches
from autoglm_doctor.domain.conflicts import install_line, installed_version, remove_line
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import capabilities, line, number

#: Packages with libraries that link torch's, and wheels whose local version says for which torch.
EXTENSIONS = frozenset(
    {"flash-attn", "flash-attn-3", "sgl-kernel", "sglang-kernel", "flashinfer-python", "causal-conv1d", "mamba-ssm"}
    | {"gptqmodel", "auto-gptq", "autoawq-kernels", "torch-scatter", "torch-sparse", "torch-cluster", "grouped-gemm"}
)

_BLACKWELL = (10, 0)
#: GPUs of Arm machines, for which PyPI had no kernels at first: Grace's, and Jetson's, which has a torch of its own.
_JETSON = re.compile(r"\bjetson\b|\borin\b|\bthor\b|\bxavier\b|\btegra\b", re.IGNORECASE)
_OF_ARM = re.compile(r"\bG[HB]\d{2,3}\b|\bspark\b", re.IGNORECASE)


@check(
    "PKG005",
    "extensions-match",
    cause="EXTENSION_ABI_MISMATCH",
    explained_by=("PYT001", "TOR001", "TOR003", "PKG001", "PKG002", "PKG003", "ENG006"),
)
def extensions_match(
    packages: Packages,
    torch: Torch | None,
    interpreter: Interpreter | None,
    host: Host | None,
    gpus: tuple[Gpu, ...] | None,
    toolchain: Toolchain | None,
    environment: Environment | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """Compiled packages were built for this torch.

    flash-attn, sgl-kernel and their like link torch's own libraries. Built for another line of torch, another major of
    CUDA or the other C++ ABI they end with "undefined symbol" or "libcudart.so.12: cannot open".

    Measured by what their local versions say (2.5.5+cu118torch2.2cxx11abiTRUE) against torch/version.py, and for the
    ABI against the table of torch's wheels on PyPI (TorchConfig.cmake in them: the new one from 2.7 on). SGLang's
    kernels say nothing, nor does their metadata before 0.4.7: of PyPI's wheels for x86-64 we read which symbols they
    ask for, and which lines of torch have them; those for Arm, from 0.3.14 on, ask for the same. They are judged for
    SGLang alone, and not where the project's own wheel for another CUDA may be here, which bears the same version: with
    a torch for CUDA 13 before 0.4.2, and before 0.3.0 with one for CUDA 12.8, on Blackwell, or where the GPUs are not
    known. SGLang's kernels for a newer CUDA than torch's run where the libraries of that CUDA are found: yellow, and
    open on Arm and in images, which bring them along, and where a path, a package or a toolkit may hold them. Another
    package without such a mark, an editable one, or a torch that nobody published, is not judged: their libraries would
    have to be loaded.

    ## Fix
    The same package again, for the torch that is here. Its project's page of releases has one file for each torch. Of
    SGLang's kernels the release that goes with this torch, or the torch that they were built with.
    """
    version = torch.version if torch else installed_version(packages, "torch")
    if version is not None and not published(version):
        yield not_applicable(Text("torch {torch} is a build that nobody published", {"torch": version}))
        return
    cuda = (torch.cuda if torch and cuda_was_read(torch) else None) or _tag_cuda(version or "")
    is_wheel = is_wheel_of_torch(version or "", packages)
    marked = {one: _faults(one, version or "", cuda, is_wheel, matrix) for one in _marked(packages, intent)}
    found = {one: faults for one, faults in marked.items() if faults is not None}
    for one in _kernels(packages, host, gpus) if is_wheel and intent.engine == "sglang" else ():
        known = kernel_torches(one.version, version or "", cuda, older_cards=_are_older(gpus))
        found |= {one: [] if line(version or "") in known else ["torch " + " or ".join(known)]} if known else {}
    newer = [one for one in marked if version and not found.get(one) and is_for_newer_cuda(one, cuda)]
    if newer and not any(found.values()):
        here = _with_cuda(version or "", cuda, torch, "CUDA", matrix)
        is_open = _on_arm(host, gpus) or bool(host and host.container) or may_have(newer[0], packages, environment)
        yield with_newer_cuda(newer[0], here, packages, toolchain, interpreter, is_open=is_open)
        return
    if not found or version is None:
        yield not_applicable(Text("no compiled package here says for which torch it was built"))
        return
    bad = {one: faults for one, faults in found.items() if faults}
    if not bad:
        names = ", ".join(sorted(one.name for one in found))
        yield ok(Text("built for torch {torch}: {names}", {"torch": version, "names": names}), observed=len(found))
        return
    said = "; ".join(f"{one.name} {one.version} was built for {' and '.join(faults)}" for one, faults in bad.items())
    here = _with_cuda(version, cuda, torch, said, matrix)
    yield fail(
        Text("{said}; this is torch {here}", {"said": said, "here": here}),
        fix=_fix(tuple(bad), version, interpreter, packages, matrix),
        subject="torch",
        observed=version,
        evidence={one.name: one.version for one in bad},
    )


def _marked(packages: Packages, intent: Intent) -> list[Distribution]:
    """vLLM imports none of SGLang's kernels: what is left of them harms nobody."""
    judged = EXTENSIONS - KERNELS if intent.engine == "vllm" else EXTENSIONS
    return [one for one in packages.distributions if canonicalize_name(one.name) in judged and marks(one)]


def _kernels(packages: Packages, host: Host | None, gpus: tuple[Gpu, ...] | None) -> list[Distribution]:
    """SGLang's kernels as PyPI has them, whose metadata does not speak of torch: else PKG001 compares it."""
    if host is not None and (host.tegra or host.system != "Linux"):
        return []
    if any(_JETSON.search(gpu.name) for gpu in gpus or ()):
        return []
    found = [one for one in packages.distributions if canonicalize_name(one.name) in KERNELS]
    if _on_arm(host, gpus):
        found = [one for one in found if (number(one.version) or FIRST_FOR_ARM) >= FIRST_FOR_ARM]
    torch = next((one for one in packages.distributions if one.name.lower() == "torch"), None)
    own = bool(torch and torch.editable)
    return [one for one in found if not own and not one.editable and not requires(packages, one.name.lower(), "torch")]


def _on_arm(host: Host | None, gpus: tuple[Gpu, ...] | None) -> bool:
    """The machine as it is told, else by its GPUs."""
    if host is not None and host.machine:
        return host.machine == "aarch64"
    return any(_OF_ARM.search(gpu.name) or _JETSON.search(gpu.name) for gpu in gpus or ())


def _are_older(gpus: tuple[Gpu, ...] | None) -> bool:
    """Every GPU is known, and none is of Blackwell."""
    known = capabilities(gpus)
    return bool(known) and len(known) == len(gpus or ()) and known[-1] < _BLACKWELL


def _with_cuda(version: str, cuda: str, torch: Torch | None, said: str, matrix: Matrix) -> str:
    """torch and its CUDA, as far as that was read; of the version alone only where the CUDA is what does not fit."""
    if cuda and (_tag_cuda(version) or (torch and torch.location)):
        return f"{version} for CUDA {cuda}"
    if not cuda or "CUDA" not in said:
        return version
    is_default = matrix.torch_cuda(version) == cuda
    return f"{version}, by default built for CUDA {cuda}" if is_default else f"{version} for CUDA {cuda}"


def _tag_cuda(version: str) -> str:
    found = re.fullmatch(r"cu(\d{2})(\d)", version.partition("+")[2])
    return f"{found[1]}.{found[2]}" if found else ""


def is_wheel_of_torch(version: str, packages: Packages) -> bool:
    """A wheel of PyPI or of torch's own index, as far as the list tells; conda builds with the new ABI long since."""
    if not published(version):
        return False
    one = next((d for d in packages.distributions if d.name.lower() == "torch"), None)
    lines = one.requires if one else ()
    return "+" in version or not lines or any(text.startswith("nvidia-") for text in lines)


def _faults(one: Distribution, version: str, cuda: str, is_wheel: bool, matrix: Matrix) -> list[str] | None:
    """What it was built for and this torch is not; None where nothing could be compared."""
    compared = list(_compared(one, version, cuda, is_wheel, matrix)) if number(version) else []
    return [said for said, fits in compared if not fits] if compared else None


def _compared(one: Distribution, version: str, cuda: str, is_wheel: bool, matrix: Matrix) -> Iterator[tuple[str, bool]]:
    """What it was built for, and whether this torch is that."""
    local = marks(one)
    built, toolkit, abi = TORCH.search(local), CUDA.search(local), ABI.search(local)
    if built:
        yield f"torch {built[1]}.{built[2]}", f"{built[1]}.{built[2]}" == line(version)
    if toolkit and cuda and not is_for_newer_cuda(one, cuda):
        yield f"CUDA {toolkit[1]}", int(toolkit[1]) == int(cuda.split(".")[0])
    # Of torch 2.6 one build (cu126) has the new ABI and the others the old one.
    has = matrix.torch_cxx11_abi(version) if is_wheel and line(version) != "2.6" else None
    if abi and has is not None:
        yield f"the {'old' if has else 'new'} C++ ABI", (abi[1].lower() == "true") == has


def _fix(
    bad: tuple[Distribution, ...], version: str, python: Interpreter | None, packages: Packages, matrix: Matrix
) -> tuple[Fix, ...]:
    executable = python.executable if python else None
    own = [one for one in bad if canonicalize_name(one.name) in KERNELS]
    own = [one for one in own if "+" not in one.version or kernel_torches(one.version, version, _tag_cuda(version))]
    others = [one for one in bad if one not in own]
    fixes = []
    for one in own:
        fix = Fix(
            text=Text("install kernels and a torch that belong to each other"),
            commands=tuple(_lines(executable, one, _pair(one, version, packages, matrix), packages)),
            effort="install",
        )
        fixes.append(fix)
    if others:
        wanted = [f"{one.name}=={one.version.partition('+')[0]}" for one in others]
        options = ["--force-reinstall", "--no-deps", "--no-cache-dir", "--no-build-isolation"]
        again = Fix(
            text=Text("install it again for the torch that is here; a build from source needs nvcc and takes long"),
            commands=(install_line(executable, wanted, packages, options),),
            effort="install",
        )
        fixes.append(again)
    return tuple(fixes)


def _lines(executable: str | None, kernels: Distribution, wanted: list[str], packages: Packages) -> Iterator[str]:
    """The old name goes first: both hold the module sgl_kernel, and taking one out later takes the files of both."""
    pin = next(one for one in wanted if one.partition("==")[0] in KERNELS)
    name, _, version = pin.partition("==")
    if name != canonicalize_name(kernels.name):
        yield remove_line(executable, [kernels.name], packages)
    yield install_line(executable, wanted, packages)
    # The wheel for another CUDA bears the same version: pip would leave it there.
    if (installed_version(packages, name) or "").partition("+")[0] == version:
        yield install_line(executable, [pin], packages, ["--force-reinstall", "--no-deps"])


def _pair(kernels: Distribution, version: str, packages: Packages, matrix: Matrix) -> list[str]:
    """What the SGLang that is here pins; else the kernels of this torch; else the torch of these kernels."""
    rows = [row for row in matrix.engines.get("sglang", ()) if row.torch and row.kernel[-1:].isdigit()]
    rows = [row for row in rows if ">" not in row.kernel]
    sglang = installed_version(packages, "sglang")
    if sglang and published(sglang):
        own = next((row for row in rows if number(row.since) == number(sglang)), None)
        if own:
            return [f"sglang=={sglang}", f"torch=={own.torch}", own.kernel.replace(" ", "==")]
    fitting = next((row for row in reversed(rows) if line(row.torch) == line(version)), None)
    if fitting:
        return [fitting.kernel.replace(" ", "=="), f"torch=={version.partition('+')[0]}"]
    built = kernel_torches(kernels.version, "2.9")
    return [
        f"{canonicalize_name(kernels.name)}=={kernels.version.partition('+')[0]}",
        f"torch=={built[-1]}.*" if built else "torch",
    ]
