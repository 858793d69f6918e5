"""DRV: the driver runs the CUDA that the engine's wheel was built for, where torch's own is not known."""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    Matrix,
    Packages,
    Reading,
    Text,
    Threshold,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.checks.engine import NAMES
from autoglm_doctor.checks.engine_pins import published
from autoglm_doctor.domain.conflicts import install_line
from autoglm_doctor.domain.deployment import gpus_of, runs_on_cpu, variables_of
from autoglm_doctor.domain.driver.fixes import NEWER_DRIVER, new_enough
from autoglm_doctor.domain.wheels import engine_requirement, number

#: Packages whose tag tells the CUDA of an engine's kernels, the most telling first.
_KERNELS: Mapping[str, tuple[str, ...]] = {"vllm": ("vllm",), "sglang": ("sglang-kernel", "sgl-kernel", "sglang")}

#: vLLM's wheels on PyPI were built for CUDA 12 from here on; the table of its releases begins later. Release notes.
_CUDA_12 = Version("0.2.2")


@check(
    "DRV005",
    "driver-runs-engine-cuda",
    cause="DRIVER_TOO_OLD",
    explained_by=("DRV001", "DRV003", "DRV004", "PYT001", "TOR001", "TOR003", "ENG001"),
)
def driver_runs_engine_cuda(
    driver: Driver,
    packages: Packages,
    torch: Reading[Torch],
    torch_run: TorchRun | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    host: Host | None,
    interpreter: Interpreter | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The driver is new enough for the CUDA that the engine was built with.

    DRV003 asks this of torch. Where torch's build could not be read and the engine's version is known, the engine's
    wheel tells it: vLLM from 0.20 on and SGLang from 0.5.11 on are for CUDA 13 and need driver 580, those before for
    CUDA 12 and need 525.

    Measured by the tag of the engine's or its kernels' version (+cu129), else by the table of its releases on PyPI.
    Builds of your own, images, wheels for Arm, a torch from elsewhere, and machines where libcuda comes from a
    forward-compatibility package are not judged.

    Minimum drivers: 11.x 450.80.02, 12.x 525.60.13, 13.x 580.65.06 (NVIDIA CUDA release notes, table 2).

    ## Fix

    The engine's last release for the driver's CUDA, or a newer driver.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, cuda)
    why = on_cpu or _not_asked(torch, torch_run, intent, matrix)
    if why:
        yield not_applicable(Text(why))
        return
    package, version, needs = _built_for(packages, host, intent, matrix)
    row = matrix.minimum_driver(str(needs)) if needs else None
    if needs is None or row is None:
        yield unknown(Text("which CUDA this {engine} was built for is not known", {"engine": NAMES[intent.engine]}))
        return
    values = {"package": package, "version": version, "cuda": needs, "minimum": row.minimum_driver}
    values["driver"] = f"driver {driver.version}" if driver.version else f"a driver for CUDA {driver.cuda_version}"
    limit = Threshold(value=row.minimum_driver, unit="driver", source=row.source)
    fits = new_enough(driver, str(needs), row.minimum_driver)
    if fits is None:
        yield unknown(Text("the driver's version is not known"))
    elif fits:
        text = Text("{driver} runs CUDA {cuda}, for which {package} {version} was built", values)
        yield ok(text, observed=driver.version, expected=row.minimum_driver, threshold=limit)
    elif forward_compatible(cuda, environment, intent):
        yield unknown(Text("a forward-compatibility package is in use; which CUDA it brings is not known"))
    else:
        taken = gpus_of(gpus, cuda, environment, intent)
        yield fail(
            Text(
                "{package} {version} was built for CUDA {cuda}, which needs driver {minimum}; here is {driver}", values
            ),
            fix=_fixes(driver, taken, packages, interpreter, intent, matrix),
            observed=driver.version or driver.cuda_version,
            expected=row.minimum_driver,
            threshold=limit,
        )


def _not_asked(torch: Reading[Torch], run: TorchRun | None, intent: Intent, matrix: Matrix) -> str:
    if intent.engine not in matrix.engines:
        return "this engine's CUDA is torch's"
    if torch.value is not None:
        return "torch's own CUDA is known: DRV003 judges it"
    if torch.outcome == "absent":
        return "torch is not installed"
    return "torch sees CUDA with this driver" if run is not None and run.cuda_available else ""


def _built_for(packages: Packages, host: Host | None, intent: Intent, matrix: Matrix) -> tuple[str, str, int | None]:
    """Package, version and CUDA major of the engine's build; None where it is not known."""
    there: dict[str, str] = {canonicalize_name(one.name): one.version for one in packages.distributions}
    for name in _KERNELS[intent.engine]:
        tag = re.search(r"\+cu(\d{2})\d\b", there.get(name, ""))
        if tag:
            return name, there[name], int(tag[1])
    version, name = there.get(intent.engine, ""), str(intent.engine)
    if not published(version) or "+" in version or _is_foreign(there, host):
        return name, version, None
    row = matrix.engine_release(name, version)
    if row is not None:
        major = row.cuda_major
        return name, version, None if any(other in "".join(there) for other in _other_cuda(major)) else major
    return name, version, 12 if name == "vllm" and (number(version) or Version("0")) >= _CUDA_12 else None


def _is_foreign(there: Mapping[str, str], host: Host | None) -> bool:
    """The engine may be another build than PyPI's: an image's, one for Arm, one beside a torch from elsewhere."""
    if host is not None and (host.container or host.tegra or host.system != "Linux"):
        return True
    return "torch" in there or (host is not None and host.machine not in ("", "x86_64"))


def _other_cuda(major: int) -> tuple[str, ...]:
    """How libraries of another CUDA major end: nvidia-cublas-cu12."""
    return tuple(f"-cu{one}" for one in (11, 12, 13) if one != major)


def forward_compatible(cuda: Cuda | None, environment: Environment | None, intent: Intent) -> bool:
    """Whether libcuda comes, or is asked to come, from a cuda-compat package, which is newer than the driver."""
    said = variables_of(environment, intent)
    asked = said.get("VLLM_ENABLE_CUDA_COMPATIBILITY", "").lower() in ("1", "true", "yes")
    found = "compat" in ((cuda.library if cuda else "") or "")
    return asked or found or "compat" in said.get("LD_LIBRARY_PATH", "")


def _fixes(
    driver: Driver,
    gpus: tuple[Gpu, ...] | None,
    packages: Packages,
    interpreter: Interpreter | None,
    intent: Intent,
    matrix: Matrix,
) -> tuple[Fix, ...]:
    wanted = engine_requirement(intent.engine, driver, gpus, matrix)
    if wanted is None or wanted == intent.engine:
        return (NEWER_DRIVER,)
    earlier = Fix(
        text=Text("take the newest {engine} whose CUDA the driver runs", {"engine": NAMES[intent.engine]}),
        commands=(install_line(interpreter.executable if interpreter else None, [wanted], packages),),
        effort="install",
    )
    return (earlier, NEWER_DRIVER)
