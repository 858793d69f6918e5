"""DRV: the installed branch of the driver drives these GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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
    Judgement,
    Matrix,
    PciGpu,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.deployment import gpus_here, runs_on_cpu, variables_of
from autoglm_doctor.domain.driver.ways import NEWER_GPU, driver_for, windows_driver


class _Refused(NamedTuple):
    """A GPU that this driver does not drive."""

    name: str
    branch: str  # the last that drives it; the first, where the driver is too old for it
    too_old: bool = False
    capability: str = ""


@check("DRV004", "driver-supports-gpu", cause="DRIVER_DROPPED_GPU", explained_by=("HST001",))
def driver_supports_gpu(
    driver: Driver,
    gpus: tuple[Gpu, ...] | None,
    pci_gpus: tuple[PciGpu, ...] | None,
    host: Host | None,
    environment: Environment | None,
    cuda: Cuda | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The installed branch of the driver drives these GPUs.

    Each branch of NVIDIA's driver drives a range of generations. One that has dropped a GPU ignores it: the kernel's
    log says that the GPU "is supported through the NVIDIA 580.xx Legacy drivers", nvidia-smi finds no device or no
    driver at all, and CUDA ends with error 100. 470 is the last branch for Kepler (GTX 6xx and 7xx, K40, K80), 580 the
    last for Maxwell, Pascal and Volta (GTX 9xx and 10xx, P40, P100, V100). A branch older than a GPU does not know it.

    Measured by comparing the driver's branch with the compute capability of each GPU, and with the number on the PCI
    bus of those that the driver does not show: a dropped GPU is missing in its list. A GPU that the driver shows is
    driven, and so is one that it is bound to on the bus, though a container may not be given it. Red where the GPUs
    that are left do not suffice for the deployment. A GPU that is given to virtual machines (vfio-pci) is left out.

    NVIDIA's lists of legacy GPUs (supportedchips.html of each driver) and of the branches' CUDA releases. Not judged:
    the open kernel modules, which no GPU before Turing takes; nothing that is read tells which modules are loaded.

    ## Fix

    For an old GPU the last branch that drives it, and a reboot; a package manager's update must not replace it again.
    Only another machine helps where that branch would not drive the others. For a new one a newer driver.
    """
    version = driver.kernel_version or driver.version or driver.library_version or ""
    said = variables_of(environment, intent).get("CUDA_VISIBLE_DEVICES")
    hidden = said is not None and said.strip() in ("", "-1")
    why = _not_asked(host, intent, hidden)
    if why:
        yield not_applicable(Text(why))
        return
    if matrix.branch_of(version) is None:
        yield unknown(Text("the driver's branch is not known"))
        return
    seen = gpus or ()
    refused = [*_refused(seen, driver, version, matrix), *_missing(pci_gpus, seen, version, matrix)]
    others = _others(pci_gpus, seen, version, matrix)
    left = _left(seen, others, driver, refused)
    on_cpu = bool(runs_on_cpu(intent, environment, driver, gpus, cuda))
    if refused and left >= gpus_here(intent):
        values = {"version": version, "gpu": refused[0].name}
        yield not_applicable(Text("driver {version} does not drive {gpu}; the deployment takes others", values))
    elif refused:
        one = _first(refused, gpus_here(intent) - left)
        fix = _fixes(one, seen, others, host, matrix)
        yield _red(one, refused, version, fix, on_cpu)
    else:
        yield from _driven(seen, driver, version, matrix)


def _not_asked(host: Host | None, intent: Intent, hidden: bool) -> str:
    if intent.device == "cpu" or hidden:
        return "the deployment runs on the CPU"
    return "the driver of a Jetson comes with its system" if host is not None and host.tegra else ""


def _shown(gpu: Gpu, driver: Driver) -> bool:
    """NVML itself named it. What is stated or assumed has neither address nor UUID."""
    return driver.nvml_code == 0 and bool(gpu.uuid or gpu.pci_bus_id)


def _refused(gpus: tuple[Gpu, ...], driver: Driver, version: str, matrix: Matrix) -> Iterator[_Refused]:
    for gpu in gpus:
        one = gpu.compute_capability
        if _shown(gpu, driver):
            continue
        if matrix.drives(version, one) is False:
            yield _Refused(gpu.name, matrix.last_branch_for(one), capability=one)
            continue
        first = matrix.first_branch_for(one)
        if first and Version(version).major < int(first):
            yield _Refused(gpu.name, first, too_old=True, capability=one)


def _missing(
    pci_gpus: tuple[PciGpu, ...] | None, gpus: tuple[Gpu, ...], version: str, matrix: Matrix
) -> Iterator[_Refused]:
    """Dropped GPUs on the bus that the driver does not show; none where its GPUs are known without their addresses."""
    if any(not gpu.pci_bus_id for gpu in gpus):
        return
    shown = {_place(gpu.pci_bus_id) for gpu in gpus}
    for pci in pci_gpus or ():
        row = matrix.dropped_pci(pci.device_id)
        if row is None or pci.driver == "vfio-pci" or _place(pci.address) in shown:
            continue
        if Version(version).major > int(row.last_branch):
            yield _Refused(f"the GPU {pci.device_id} at {pci.address} ({row.what})", row.last_branch)


def _place(address: str) -> tuple[int, ...]:
    """ "00000000:01:00.0" of NVML and "0000:01:00.0" of sysfs are one place."""
    try:
        return tuple(int(part, 16) for part in address.replace(".", ":").split(":"))
    except ValueError:
        return ()


def _others(
    pci_gpus: tuple[PciGpu, ...] | None, gpus: tuple[Gpu, ...], version: str, matrix: Matrix
) -> tuple[PciGpu, ...]:
    """GPUs on the bus that the driver does not show here and has not dropped; none beside GPUs without addresses."""
    if any(not gpu.pci_bus_id for gpu in gpus):
        return ()
    shown = {_place(gpu.pci_bus_id) for gpu in gpus}
    rest = (pci for pci in pci_gpus or () if pci.driver != "vfio-pci" and _place(pci.address) not in shown)
    rows = ((pci, matrix.dropped_pci(pci.device_id)) for pci in rest)
    return tuple(pci for pci, row in rows if row is None or Version(version).major <= int(row.last_branch))


def _left(gpus: tuple[Gpu, ...], others: tuple[PciGpu, ...], driver: Driver, refused: list[_Refused]) -> int:
    """How many GPUs the driver does, or may, drive. A container may show fewer than are bound to it."""
    if not gpus and driver.nvml_code != 0:
        return len(others)
    named = sum(bool(one.capability) for one in refused)
    return len(gpus) - named + sum(pci.driver == "nvidia" for pci in others)


def _first(refused: list[_Refused], missing: int) -> _Refused:
    """The GPU to speak of: that of the newest branch which brings enough of them back."""
    old = sorted((one for one in refused if one.branch and not one.too_old), key=lambda one: -int(one.branch))
    if len(old) < len(refused):
        return refused[0]
    return old[min(max(missing, 1), len(old)) - 1]


def _red(first: _Refused, refused: list[_Refused], version: str, fix: tuple[Fix, ...], on_cpu: bool) -> Judgement:
    said = {"version": version, "gpu": first.name, "cc": first.capability, "branch": first.branch}
    said["gpu"] += f" (compute capability {first.capability})" if first.capability else ""
    if first.too_old:
        words = "driver {version} is older than {gpu}; {branch} is the first branch that drives it"
    elif first.branch:
        words = "driver {version} no longer drives {gpu}; {branch} is the last branch that does"
    else:
        words = "driver {version} does not drive {gpu}, and no branch in our table does"
    return (warn if on_cpu else fail)(
        Text(words, said),
        fix=fix,
        cause="DRIVER_TOO_OLD" if first.too_old else "",
        observed=version,
        expected=(">=" if first.too_old else "<=") + first.branch if first.branch else None,
        evidence={f"gpu {number}": one.name for number, one in enumerate(refused)},
    )


def _fixes(
    one: _Refused, gpus: tuple[Gpu, ...], others: tuple[PciGpu, ...], host: Host | None, matrix: Matrix
) -> tuple[Fix, ...]:
    wsl = host is not None and host.wsl
    if not one.branch or not (one.too_old or _drives_all(one.branch, gpus, others, matrix)):
        return (NEWER_GPU,)
    if wsl:
        return (windows_driver(one.branch, "first" if one.too_old else "last"), NEWER_GPU)
    if one.too_old:
        newer = driver_for(one.branch, gpus, host, matrix)
        return (newer, NEWER_GPU) if newer != NEWER_GPU else (NEWER_GPU,)
    package = f"nvidia-driver-{one.branch}"
    where = "on the host of this container" if host is not None and host.container else "on the host"
    text = Text(f"go back to driver {{branch}}, the last for this GPU ({where}), and reboot", {"branch": one.branch})
    commands = (f"sudo apt-get install -y {package}", f"sudo apt-mark hold {package}", "sudo reboot")
    return (Fix(text=text, commands=commands, effort="reboot", needs_root=True, reboot=True), NEWER_GPU)


def _drives_all(branch: str, gpus: tuple[Gpu, ...], others: tuple[PciGpu, ...], matrix: Matrix) -> bool:
    """Whether no other GPU of the machine is newer than an old branch; one that is known by its number only may be."""
    known = {gpu: matrix.first_branch_for(gpu) for gpu in matrix.capabilities}
    newest = max((int(first) for first in known.values() if first), default=0)
    new = [gpu.compute_capability for gpu in gpus if not matrix.last_branch_for(gpu.compute_capability)]
    wanted = [int(known.get(one) or newest) for one in new]
    return int(branch) >= max([*wanted, *(newest for _ in others)], default=0)


def _driven(gpus: tuple[Gpu, ...], driver: Driver, version: str, matrix: Matrix) -> Iterator[Judgement]:
    if not gpus:
        yield not_applicable(Text("no GPU is known that this driver could have dropped"))
    for gpu in gpus:
        said = {"version": version, "gpu": gpu.name, "cc": gpu.compute_capability}
        subject = f"gpu:{gpu.index}"
        if _shown(gpu, driver):
            yield ok(Text("driver {version} shows {gpu}", said), subject=subject, observed=version)
        elif matrix.drives(version, gpu.compute_capability) is None:
            yield unknown(Text("whether driver {version} drives {gpu} is in no table of ours", said), subject=subject)
        elif not matrix.knows_branch(version):
            yield unknown(Text("driver {version} is newer than our table of branches", said), subject=subject)
        else:
            text = Text("driver {version} drives {gpu} (compute capability {cc})", said)
            yield ok(text, subject=subject, observed=version)
