"""DRV: the driver is new enough for the CUDA of torch."""

from __future__ import annotations

import dataclasses

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
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
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.domain.deployment import gpus_of, runs_on_cpu
from autoglm_doctor.domain.driver.fixes import driver_fixes, new_enough
from autoglm_doctor.domain.driver.libcuda import forward_compatible, in_use
from autoglm_doctor.domain.resolve.site import Site


@check(
    "DRV003",
    "driver-runs-torch-cuda",
    cause="DRIVER_TOO_OLD",
    required=True,
    explained_by=("DRV001", "DRV004", "PYT001", "TOR001", "TOR003"),
)
def driver_runs_torch_cuda(
    driver: Driver,
    torch: Torch,
    torch_run: TorchRun | None,
    packages: Packages | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    interpreter: Interpreter | None,
    host: Host | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The driver is new enough for the CUDA that torch was built with.

    Every release of a CUDA major runs on the oldest driver of that major (minor-version compatibility): a CUDA 12.8
    wheel runs on driver 535, a CUDA 13 wheel does not. A driver whose libcuda knows the major, or on which a real
    product succeeded on every GPU, is new enough whatever the table says (forward-compatibility package). Where such a
    package is in use and CUDA was not started with it, this stays open.

    Minimum drivers: 11.x 450.80.02, 12.x 525.60.13, 13.x 580.65.06 (NVIDIA CUDA release notes, table 2).

    ## Fix

    Least invasive first: the engine's last release for the driver's CUDA major, or torch's wheel for it; a newer
    driver last, since it takes a reboot.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if on_cpu or torch.cuda is None:
        yield not_applicable(Text(on_cpu or "this torch does not use CUDA"))
    elif torch_run is not None and _ran_everywhere(torch_run):
        facts = {"driver": _named(driver), "cuda": torch.cuda}
        yield ok(Text("torch for CUDA {cuda} computed on every GPU with {driver}", facts))
    else:
        used = in_use(driver, cuda, matrix)
        taken = gpus_of(gpus, cuda, environment, intent)
        site = Site(matrix, intent, used, taken, host, interpreter, packages, model_files)
        by_compat = forward_compatible(cuda, environment, torch, intent)
        yield _for_cuda(torch.cuda, used, torch, site, gpus, by_compat=by_compat)


def _for_cuda(
    cuda: str, driver: Driver, torch: Torch, site: Site, gpus: tuple[Gpu, ...] | None, *, by_compat: bool
) -> Judgement:
    """The driver (with the libcuda in use) against the CUDA that torch was built with."""
    row = site.matrix.minimum_driver(cuda)
    facts: dict[str, object] = {"driver": _named(driver), "cuda": cuda, "newest": driver.cuda_version}
    if row is None:
        return unknown(Text("the matrix does not know which driver CUDA {cuda} needs", facts))
    threshold = Threshold(value=row.minimum_driver, unit="driver", source=row.source)
    facts["minimum"] = row.minimum_driver
    fits = new_enough(driver, cuda, row.minimum_driver)
    if fits is None:
        return unknown(Text("the driver's version is not known"))
    if fits:
        by_version = new_enough(dataclasses.replace(driver, cuda_version=None), cuda, row.minimum_driver)
        why = "which needs {minimum}" if by_version else "since its libcuda knows CUDA {newest}"
        text = Text("{driver} runs CUDA {cuda}, " + why, facts)
        return ok(text, observed=driver.version, expected=row.minimum_driver, threshold=threshold)
    if by_compat:
        return unknown(Text("a forward-compatibility package is in use; which CUDA it brings is not known"))
    return fail(
        Text("torch was built for CUDA {cuda}, which needs driver {minimum}; here is {driver}", facts),
        fix=driver_fixes(site, driver, torch, gpus),
        observed=driver.version,
        expected=row.minimum_driver,
        threshold=threshold,
    )


def _named(driver: Driver) -> str:
    if driver.version:
        return f"driver {driver.version}"
    return f"a driver for CUDA {driver.cuda_version}" if driver.cuda_version else "a driver of unknown version"


def _ran_everywhere(run: TorchRun) -> bool:
    """Whether a real product succeeded on every GPU that torch sees."""
    return bool(run.devices) and all(
        device.allocation_error is None
        and device.products
        and all(product.error is None and product.relative_error is not None for product in device.products)
        for device in run.devices
    )
