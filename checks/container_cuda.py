"""CUD: the container's image asks for no newer CUDA than the host's driver offers."""

from __future__ import annotations

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Intent,
    Matrix,
    Text,
    Threshold,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.driver.ways import driver_for
from autoglm_doctor.domain.requirement import Offer, cuda_wanted, holds, requirements
from autoglm_doctor.domain.wheels import driver_cuda, driver_major

OFF = Fix(
    text=Text("start it without the question: the driver runs the image's CUDA major; kernels in PTX alone would fail"),
    commands=("docker run --gpus all -e NVIDIA_DISABLE_REQUIRE=1 IMAGE",),
    effort="restart",
)


@check(
    "CUD005",
    "image-cuda",
    cause="CONTAINER_REQUIRES_NEWER_CUDA",
    explained_by=("DRV001", "DRV003", "DRV004", "DRV005", "DRV006"),
)
def image_cuda(
    driver: Driver,
    environment: Environment | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    torch_run: TorchRun | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The container image asks for no newer CUDA than the driver offers.

    Images say in NVIDIA_REQUIRE_CUDA what they need ("cuda>=12.8", and per product family the older driver branches
    that will do). NVIDIA's container toolkit compares when it starts the container, and ends with "requirement error:
    unsatisfied condition: cuda>=12.8". It compares releases: an image of CUDA 12.8 is refused on a driver of 12.4,
    although programs of CUDA 12.8 mostly run there. It compares in its older mode alone: by CDI (podman, `--device
    nvidia.com/gpu=all`, many a Kubernetes, its runtime from 1.18 on) nobody does.

    Measured by reading the variables NVIDIA_REQUIRE_*: a space is "or", a comma is "and". Where NVML answers, or CUDA
    has started, the container runs already and was let through. An image that is only named, as stated facts do, counts
    as asked about where nothing speaks of CDI, of Kubernetes or of a text from within it. Where the answer hangs on the
    product family, and the name of the GPU does not tell it, this is unknown.

    Source: the NVIDIA container toolkit's page on environment variables; the variables of NVIDIA's own CUDA images.

    ## Fix

    An image for the CUDA of the driver, or NVIDIA_DISABLE_REQUIRE=1 where the driver runs the same CUDA major; else a
    newer driver on the host.
    """
    asked = requirements(variables_of(environment, intent))
    if not asked:
        yield not_applicable(Text("no image says here which CUDA it needs"))
        return
    if _runs(driver, gpus, cuda, torch_run):
        yield not_applicable(Text("the container runs, so that its image's demand on CUDA was met or switched off"))
        return
    cards = gpus or ()
    offer = Offer(
        cuda=driver_cuda(driver, matrix),
        driver=driver.version,
        capabilities=tuple(gpu.compute_capability for gpu in cards),
        names=tuple(gpu.name for gpu in cards),
    )
    answers = {one: holds(one, offer) for one in asked}
    refused = next((one for one, answer in answers.items() if answer is False), None)
    wanted = cuda_wanted(refused or asked[0])
    values = {"wanted": f"CUDA {wanted}" if wanted else asked[0][:80], "driver": offer.driver or "?"}
    values["cuda"] = offer.cuda or "?"
    if refused is not None:
        yield fail(
            Text("the image asks for {wanted}; driver {driver} offers CUDA {cuda}", values),
            fix=_fixes(driver, wanted, gpus, matrix),
            observed=offer.cuda,
            expected=f">={wanted}" if wanted else refused[:80],
            threshold=Threshold(value=wanted, unit="CUDA", source="NVIDIA_REQUIRE_CUDA") if wanted else None,
        )
    elif None in answers.values():
        yield unknown(Text("whether driver {driver} meets what the image asks for ({wanted}) is not known", values))
    else:
        yield ok(Text("driver {driver} meets what the image asks for ({wanted})", values), observed=offer.cuda)


def _runs(driver: Driver, gpus: tuple[Gpu, ...] | None, cuda: Cuda | None, torch_run: TorchRun | None) -> bool:
    """The container was let through: something in it has seen the GPUs, or how much of their memory is free."""
    started = cuda is not None and cuda.init_code == 0
    started = started or any(0 < gpu.free_bytes < gpu.total_bytes for gpu in gpus or ())
    return driver.nvml_code == 0 or started or (torch_run is not None and torch_run.cuda_available)


def _fixes(driver: Driver, wanted: str, gpus: tuple[Gpu, ...] | None, matrix: Matrix) -> tuple[Fix, ...]:
    major = driver_major(driver, matrix)
    same = major is not None and wanted.split(".")[0].isdigit() and int(wanted.split(".")[0]) <= major
    newer = driver_for(matrix.branch_for_cuda(wanted) if wanted else "", gpus, None, matrix)
    return (OFF, newer) if same else (newer,)
