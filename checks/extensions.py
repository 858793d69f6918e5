"""PKG: compiled packages were built for this torch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from autoglm_doctor.api import (
    Distribution,
    Findings,
    Fix,
    Interpreter,
    Matrix,
    Packages,
    Text,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
)
from autoglm_doctor.checks.engine_cuda import cuda_was_read
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import line, number

#: Packages with libraries that link torch's, and wheels whose local version says for which torch.
EXTENSIONS = frozenset(
    {"flash-attn", "flash-attn-3", "sgl-kernel", "sglang-kernel", "flashinfer-python", "causal-conv1d", "mamba-ssm"}
    | {"gptqmodel", "auto-gptq", "autoawq-kernels", "torch-scatter", "torch-sparse", "torch-cluster", "grouped-gemm"}
)

_CUDA = re.compile(r"cu(\d{2})\d{0,2}(?!\d)")
_TORCH = re.compile(r"(?:torch|pt)(\d)\.?(\d{1,2})(?!\d)")
_ABI = re.compile(r"cxx11abi(true|false)", re.IGNORECASE)


@check(
    "PKG005",
    "extensions-match",
    cause="EXTENSION_ABI_MISMATCH",
    explained_by=("PYT001", "TOR001", "TOR003", "PKG001", "PKG002", "PKG003", "ENG006"),
)
def extensions_match(
    packages: Packages, torch: Torch | None, interpreter: Interpreter | None, matrix: Matrix
) -> Findings:
    """Compiled packages were built for this torch.

    flash-attn, sgl-kernel and their like link torch's own libraries. Built for another line of torch, another major of
    CUDA or the other C++ ABI they end with "undefined symbol" or "libcudart.so.12: cannot open".

    Measured by what their local versions say (2.5.5+cu118torch2.2cxx11abiTRUE) against torch/version.py, and for the
    ABI against the table of torch's wheels on PyPI (TorchConfig.cmake in them: the new one from 2.7 on). A package
    without such a mark, or a torch that nobody published, is not judged: their libraries would have to be loaded.

    ## Fix
    The same package again, for the torch that is here. Its project's page of releases has one file for each torch.
    """
    version = torch.version if torch else installed_version(packages, "torch")
    marked = [one for one in packages.distributions if canonicalize_name(one.name) in EXTENSIONS and _marks(one)]
    if version is None or not marked:
        yield not_applicable(Text("no compiled package here says for which torch it was built"))
        return
    cuda = (torch.cuda if torch and cuda_was_read(torch) else None) or _tag_cuda(version)
    is_wheel = _is_wheel(version, packages)
    if not published(version):
        yield not_applicable(Text("torch {torch} is a build that nobody published", {"torch": version}))
        return
    found = {one: list(_faults(one, version, cuda, is_wheel, matrix)) for one in marked}
    bad = {one: faults for one, faults in found.items() if faults}
    if not bad:
        names = ", ".join(sorted(one.name for one in marked))
        yield ok(Text("built for torch {torch}: {names}", {"torch": version, "names": names}), observed=len(marked))
        return
    said = "; ".join(f"{one.name} {one.version} was built for {' and '.join(faults)}" for one, faults in bad.items())
    yield fail(
        Text("{said}; this is torch {torch} for CUDA {cuda}", {"said": said, "torch": version, "cuda": cuda or "?"}),
        fix=_fix(tuple(bad), interpreter, packages),
        subject="torch",
        observed=version,
        evidence={one.name: one.version for one in bad},
    )


def _marks(one: Distribution) -> str:
    """What the local version says of torch or CUDA; "" when it says nothing."""
    local = one.version.partition("+")[2]
    return local if any(mark.search(local) for mark in (_CUDA, _TORCH, _ABI)) else ""


def _tag_cuda(version: str) -> str:
    found = re.fullmatch(r"cu(\d{2})(\d)", version.partition("+")[2])
    return f"{found[1]}.{found[2]}" if found else ""


def _is_wheel(version: str, packages: Packages) -> bool:
    """A wheel of PyPI or of torch's own index, as far as the list tells; conda builds with the new ABI long since."""
    if not published(version):
        return False
    one = next((d for d in packages.distributions if d.name.lower() == "torch"), None)
    lines = one.requires if one else ()
    return "+" in version or not lines or any(text.startswith("nvidia-") for text in lines)


def _faults(one: Distribution, version: str, cuda: str, is_wheel: bool, matrix: Matrix) -> Iterator[str]:
    local, found = _marks(one), number(version)
    built, toolkit, abi = _TORCH.search(local), _CUDA.search(local), _ABI.search(local)
    if found is None or not published(version):
        return
    if built and f"{built[1]}.{built[2]}" != line(version):
        yield f"torch {built[1]}.{built[2]}"
    if toolkit and cuda and int(toolkit[1]) != int(cuda.split(".")[0]):
        yield f"CUDA {toolkit[1]}"
    # Of torch 2.6 one build (cu126) has the new ABI and the others the old one.
    has = matrix.torch_cxx11_abi(version) if is_wheel and line(version) != "2.6" else None
    if abi and has is not None and (abi[1].lower() == "true") != has:
        yield f"the {'old' if has else 'new'} C++ ABI"


def _fix(bad: tuple[Distribution, ...], interpreter: Interpreter | None, packages: Packages) -> Fix:
    wanted = [f"{one.name}=={one.version.partition('+')[0]}" for one in bad]
    options = ["--force-reinstall", "--no-deps", "--no-cache-dir", "--no-build-isolation"]
    return Fix(
        text=Text("install it again for the torch that is here; a build from source needs nvcc and takes long"),
        commands=(install_line(interpreter.executable if interpreter else None, wanted, packages, options),),
        effort="install",
    )
