"""triton's assembler (ptxas): the variable that names another one, and what brings one that knows the GPU."""

from __future__ import annotations

import posixpath

from packaging.version import Version

from autoglm_doctor.domain.resolve.fixes import fresh_fix
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.system_packages import toolkit_fix
from autoglm_doctor.domain.wheels import capability, number, torch_lines
from autoglm_doctor.facts import Toolchain
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.matrix import Matrix

#: From this capability on triton uses its second assembler, in the releases that have one.
BLACKWELL = (10, 0)

FIRST, SECOND = "TRITON_PTXAS_PATH", "TRITON_PTXAS_BLACKWELL_PATH"

#: What triton 3.3 makes of "ptxas-blackwell": no shell can export it.
UNUSUAL = "TRITON_PTXAS-BLACKWELL_PATH"

_SOURCE = "https://github.com/triton-lang/triton/issues/8539"


def variable_of(triton: str, gpu: str) -> str:
    """The variable that this triton asks for another assembler for a capability; "" where its release is not known.

    get_ptxas() in triton/backends/nvidia/compiler.py of the wheels: 3.3.1, 3.5.1, 3.6.0 and 3.8.0.
    """
    release = number(triton)
    if release is None:
        return ""
    if (capability(gpu) or (0, 0)) < BLACKWELL or release < Version("3.3"):
        return FIRST
    return SECOND if release >= Version("3.6") else FIRST if release >= Version("3.4") else UNUSUAL


def assembler_fixes(triton: str, gpu: str, toolchain: Toolchain | None, site: Site) -> tuple[Fix, ...]:
    """That of a CUDA toolkit that knows the GPU, and the torch whose triton does."""
    first, variable = site.matrix.capabilities[gpu].first_cuda, variable_of(triton, gpu)
    torch = _newer_torch(gpu, site)
    if variable not in (FIRST, SECOND):
        return torch
    return (_toolkits(variable, first, gpu, toolchain, site), *torch)


def _toolkits(variable: str, first: str, gpu: str, toolchain: Toolchain | None, site: Site) -> Fix:
    """The toolkit that is there, where it is new enough; else one to install."""
    nvcc, has = (toolchain.nvcc or "", toolchain.nvcc_version) if toolchain else ("", "")
    if nvcc.startswith("/") and number(has) is not None and site.matrix.compiles_for(has, gpu):
        path = posixpath.join(posixpath.dirname(nvcc), "ptxas")
        return Fix(
            text=Text("give triton the assembler of the CUDA toolkit that is there ({has})", {"has": has}),
            commands=(f"{path} --version", f"export {variable}={path}"),
            effort="setting",
            url=_SOURCE,
        )
    *install, home = toolkit_fix(site.host, first).commands
    path = f"{home.partition('=')[2]}/bin/ptxas"
    return Fix(
        text=Text("give triton the assembler of a CUDA toolkit >= {first}, of NVIDIA's repository", {"first": first}),
        commands=(*install, f"{path} --version", f"export {variable}={path}"),
        effort="install",
        needs_root=True,
        url=_SOURCE,
    )


def _newer_torch(gpu: str, site: Site) -> tuple[Fix, ...]:
    """The engine pins its torch: a newer engine then."""
    least, engine = _least_torch(gpu, site.matrix), site.intent.engine
    if not least:
        return ()
    if engine in site.matrix.engines:
        words = "or start anew with a torch >= {least}, whose triton knows the GPU, and an engine that is made for it"
        fresh = fresh_fix(site, engine, Text(words, {"least": least}))
        return (fresh,) if fresh else ()
    lines = torch_lines(None, site.interpreter, site.packages, site.driver, site.gpus, site.host, site.matrix)
    words = "or install the newest torch: since {least} its triton knows the GPU"
    return (Fix(text=Text(words, {"least": least}), commands=lines, effort="install"),) if lines else ()


def _least_torch(gpu: str, matrix: Matrix) -> str:
    """The first torch whose triton has an assembler for a capability; "" of none."""
    for version, row in matrix.torch.items():
        has = matrix.triton_ptxas(row.triton.lstrip("~="), gpu) if row.triton else ""
        if has and matrix.compiles_for(has, gpu):
            return version
    return ""
