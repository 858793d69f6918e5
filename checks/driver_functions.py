"""DRV: the driver has the functions that the engine's kernels cannot be loaded without."""

from __future__ import annotations

from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Gpu,
    Host,
    Intent,
    Interpreter,
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
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import runs_on_cpu
from autoglm_doctor.domain.driver.libcuda import GEFORCE, forward_compatible, in_use
from autoglm_doctor.domain.driver.ways import driver_for
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import driver_cuda, number


@check(
    "DRV008",
    "driver-has-functions",
    cause="DRIVER_TOO_OLD",
    explained_by=("DRV001", "DRV003", "DRV004", "DRV005", "PYT001", "ENG001"),
)
def driver_has_functions(
    driver: Driver,
    packages: Packages,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    interpreter: Interpreter | None,
    host: Host | None,
    torch: Torch | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The driver has the functions that the engine's kernels ask for as they are loaded.

    Every driver of a CUDA major runs the compiled code of all its releases, but a function of libcuda is only there
    from the release on that brought it. SGLang's kernels from 0.2.6 to 0.3.5 (SGLang 0.4.9.post3 to 0.5.1.post2) name
    those of green contexts, which came with CUDA 12.4: with an older driver (535, 545) the import ends with "undefined
    symbol: cuGreenCtxDestroy", although torch works. Later ones load that part by itself and do without it.

    Measured by comparing the newest CUDA that libcuda knows with a table of such releases, which was read from their
    wheels. Where the kernels' release is not stated it is the one that the engine's release pins. Builds of your own
    are not judged. Open in a container with data-center GPUs where CUDA itself was not asked: images bring a newer
    libcuda for those (cuda-compat), which the container toolkit puts in front.

    ## Fix

    The newest engine that runs here, or a newer driver.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus or (), cuda)
    package, version = _kernels(packages, intent, matrix)
    asked = None if on_cpu or not published(version) else matrix.function_asked(package, version)
    if asked is None:
        yield not_applicable(Text(on_cpu or "no kernels that ask more of a driver than its CUDA major are known here"))
        return
    used = in_use(driver, cuda, matrix)
    has = driver_cuda(used, matrix)
    said = {"package": package, "version": version, "function": asked.function, "needs": asked.cuda, "has": has}
    said["driver"] = f"driver {driver.version}" if driver.version else "the driver"
    if number(has) is None:
        yield unknown(Text("the newest CUDA that the driver knows is not known"))
    elif Version(str(has)) >= Version(asked.cuda):
        text = Text("{driver} knows CUDA {has}: it has the functions that {package} {version} asks for", said)
        yield ok(text, observed=has, expected=f">={asked.cuda}")
    elif forward_compatible(cuda, environment, torch, intent):
        yield unknown(Text("a forward-compatibility package is in use, and which CUDA it brings is not known"))
    elif cuda is None and host is not None and host.container and not _are_geforce(gpus):
        yield unknown(
            Text("an image for CUDA may bring a newer libcuda for these GPUs, and which one is used is not known")
        )
    else:
        site = Site(matrix, intent, used, gpus, host, interpreter, packages, model_files)
        newer = driver_for(matrix.branch_for_cuda(asked.cuda), gpus, host, matrix)
        words = "{package} {version} asks libcuda for {function}, which came with CUDA {needs}; {driver} knows {has}"
        yield fail(
            Text(words, said),
            fix=(*(one for one in install_fixes(site) if not one.reboot), newer),
            subject=package,
            observed=has,
            expected=f">={asked.cuda}",
            threshold=Threshold(value=asked.cuda, unit="CUDA", source=asked.source),
        )


def _are_geforce(gpus: tuple[Gpu, ...] | None) -> bool:
    """Cards on which no other libcuda than the driver's own starts."""
    return bool(gpus) and all(GEFORCE.search(gpu.name) for gpu in gpus or ())


def _kernels(packages: Packages, intent: Intent, matrix: Matrix) -> tuple[str, str | None]:
    """The package of SGLang's kernels and its release, which the engine's own pins where it is not listed."""
    if intent.engine != "sglang":
        return "", None
    there = installed_version(packages, "sgl-kernel")
    engine = installed_version(packages, "sglang")
    row = matrix.engine_release("sglang", engine) if engine and published(engine) else None
    pinned, _, version = row.kernel.partition(" ") if row and row.since == engine else ("", "", "")
    return ("sgl-kernel", there) if there else (pinned, version or None)
