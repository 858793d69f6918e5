"""PKG: the linker finds libcuda for what triton compiles."""

from __future__ import annotations

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
    Matrix,
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
from autoglm_doctor.domain.builds import release_of
from autoglm_doctor.domain.deployment import engine_version, runs_on_cpu, variables_of
from autoglm_doctor.domain.makers import of_another_maker
from autoglm_doctor.domain.wheels import number

#: triton's wheels say -lcuda up to 3.5.1 and link libcuda.so.1 by its whole name from here on (`libraries` in
#: backends/nvidia/driver.py; 2.3.1, 3.0 to 3.5.1 and 3.6 to 3.8 were read).
BY_NAME_TEXT = "3.6.0"
BY_NAME = Version(BY_NAME_TEXT)
#: The first torch that pins such a triton.
WITH_IT = Version("2.10")


@check(
    "PKG019",
    "libcuda-for-linker",
    cause="LIBCUDA_DEV_LINK_MISSING",
    explained_by=("HST001", "DRV001", "PYT001", "ENG001", "PKG007"),
)
def libcuda_for_linker(
    toolchain: Toolchain | None,
    host: Host | None,
    packages: Packages | None,
    torch: Torch | None,
    environment: Environment | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """libcuda.so lies beside libcuda.so.1 for what triton compiles.

    The driver's library is libcuda.so.1. The linker looks for the name without the number, a link that some packages
    of the driver leave out, as do containers: "/usr/bin/ld: cannot find -lcuda", when triton builds its first piece of
    C code. triton from 3.6 on (torch 2.10) asks for the whole name and needs no link.

    Judged by what is stated (`diagnose`); on this machine the folders of the driver are not searched. Red where an
    engine runs triton at its start, yellow elsewhere. Not judged with LIBRARY_PATH or TRITON_LIBCUDA_PATH set, which
    send the linker elsewhere, nor in a container unless its inside is told of: its runtime makes the link.

    ## Fix

    A link in the folder of the driver's library.
    """
    variables = variables_of(environment, intent)
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    named = next((one for one in ("LIBRARY_PATH", "TRITON_LIBCUDA_PATH") if variables.get(one)), "")
    why_not = why_not or ("the GPUs are not NVIDIA's" if of_another_maker(gpus, torch) else "")
    if why_not or toolchain is None or toolchain.libcuda_link is None or (host is not None and host.system != "Linux"):
        yield not_applicable(Text(why_not or "whether libcuda.so is there for the linker is not read"))
        return
    if named:
        yield not_applicable(Text("{named} sends the linker elsewhere, which was not looked at", {"named": named}))
        return
    release = _triton(packages, torch, intent, matrix)
    said = {"triton": release or "", "engine": f"{intent.engine} {engine_version(packages, intent)}"}
    if toolchain.libcuda_link:
        yield ok(Text("libcuda.so is there for the linker", said))
    elif release is None and _is_unreadable(packages, torch, intent):
        yield unknown(Text("there is no libcuda.so, and which triton {engine} brings is not known", said))
    elif (found := number(release)) is not None and found >= BY_NAME:
        yield ok(Text("there is no libcuda.so, and triton {triton} does without", said), observed=release)
    else:
        sure = found is not None and intent.engine in ("vllm", "sglang")
        words = "there is no libcuda.so beside libcuda.so.1: triton {triton} cannot link what it compiles"
        yield (fail if sure else warn)(
            Text(words if found else "there is no libcuda.so for the linker, which triton before 3.6 wants", said),
            fix=_link(),
            observed="no libcuda.so",
            expected="libcuda.so",
            threshold=Threshold(value="3.6", unit="triton", source="backends/nvidia/driver.py in triton's wheels"),
        )


def _triton(packages: Packages | None, torch: Torch | None, intent: Intent, matrix: Matrix) -> str | None:
    """As installed, else what the installed torch pins, else what the engine's torch does; None where none is known."""
    installed = {str(canonicalize_name(d.name)): d.version for d in packages.distributions} if packages else {}
    if "triton" in installed:
        return installed["triton"]
    version = engine_version(packages, intent)
    row = matrix.engine_release(intent.engine, version) if version else None
    for one in (installed.get("torch"), torch.version if torch else "", row.torch if row else ""):
        found = matrix.torch_release(one) if one else None
        if found is not None and found.triton:
            return found.triton.lstrip("~=> ")
        if (release := release_of(one)) is not None and release >= WITH_IT:
            return BY_NAME_TEXT
    return None


def _is_unreadable(packages: Packages | None, torch: Torch | None, intent: Intent) -> bool:
    """Whether what would tell the triton is a build without a number. One older than the tables has an old triton."""
    installed = next((d.version for d in packages.distributions if d.name.lower() == "torch"), "") if packages else ""
    said = (installed, torch.version if torch else "", engine_version(packages, intent))
    return any(one and release_of(one) is None for one in said)


def _link() -> Fix:
    # Without the library the folder would be ".", and the link a harmless-looking one to itself.
    library = """$(/sbin/ldconfig -p | awk '/libcuda\\.so\\.1/ {print $NF; exit}')"""
    return Fix(
        text=Text("put the link beside the driver's library (in a container: into the image)"),
        commands=(f'lib="{library}"', '[ -n "$lib" ] && sudo ln -s libcuda.so.1 "$(dirname "$lib")/libcuda.so"'),
        effort="setting",
        needs_root=True,
    )
