"""DRV: the driver runs the CUDA that the engine's wheel was built for, where torch's own is not known."""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    Interpreter,
    Matrix,
    ModelFiles,
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
from autoglm_doctor.checks.engine_cuda import wheel_major
from autoglm_doctor.domain.deployment import gpus_of, runs_on_cpu
from autoglm_doctor.domain.driver.fixes import new_enough
from autoglm_doctor.domain.driver.libcuda import forward_compatible, in_use
from autoglm_doctor.domain.driver.ways import driver_for
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site

#: Packages whose tag tells the CUDA of an engine's kernels, the most telling first.
_KERNELS: Mapping[str, tuple[str, ...]] = {"vllm": ("vllm",), "sglang": ("sglang-kernel", "sgl-kernel", "sglang")}


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
    model_files: ModelFiles | None,
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

    The engine's newest release that this driver runs, with its torch, or a newer driver.
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
    used = in_use(driver, cuda, matrix)
    fits = new_enough(used, str(needs), row.minimum_driver)
    if fits is None:
        yield unknown(Text("the driver's version is not known"))
    elif fits:
        text = Text("{driver} runs CUDA {cuda}, for which {package} {version} was built", values)
        yield ok(text, observed=driver.version, expected=row.minimum_driver, threshold=limit)
    elif forward_compatible(cuda, environment, torch.value, intent):
        yield unknown(Text("a forward-compatibility package is in use; which CUDA it brings is not known"))
    else:
        taken = gpus_of(gpus, cuda, environment, intent)
        site = Site(matrix, intent, used, taken, host, interpreter, packages, model_files)
        yield fail(
            Text(
                "{package} {version} was built for CUDA {cuda}, which needs driver {minimum}; here is {driver}", values
            ),
            fix=_fixes(site, row.minimum_driver, gpus),
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
    major = wheel_major(version, matrix) if name == "vllm" else row.cuda_major if row else None
    other = major is not None and any(name in "".join(there) for name in _other_cuda(major))
    return name, version, None if other else major


def _is_foreign(there: Mapping[str, str], host: Host | None) -> bool:
    """The engine may be another build than PyPI's: an image's, one for Arm, one beside a torch from elsewhere."""
    if host is not None and (host.container or host.tegra or host.system != "Linux"):
        return True
    return "torch" in there or (host is not None and host.machine not in ("", "x86_64"))


def _other_cuda(major: int) -> tuple[str, ...]:
    """How libraries of another CUDA major end: nvidia-cublas-cu12."""
    return tuple(f"-cu{one}" for one in (11, 12, 13) if one != major)


def _fixes(site: Site, minimum: str, gpus: tuple[Gpu, ...] | None) -> tuple[Fix, ...]:
    """What suits this driver in all that is known of it (PTX, too), then a newer driver."""
    found = tuple(one for one in install_fixes(site) if not one.reboot)
    return (*found, driver_for(minimum, gpus, site.host, site.matrix))
