"""DRV: the kernel module is of the flavour that drives the GPU."""

from __future__ import annotations

from autoglm_doctor.api import (
    Driver,
    Findings,
    Fix,
    Gpu,
    Host,
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
from autoglm_doctor.domain.system_packages import module_lines
from autoglm_doctor.domain.wheels import capability

#: NVIDIA's driver installation guide, "Kernel Modules": the open module is only for GPUs from Turing on, and those
#: before require the proprietary one. Blackwell is driven by the open one alone (NVIDIA's developer blog, 2024-07-17).
FIRST_OPEN, ONLY_OPEN = (7, 5), (10, 0)

_SOURCE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html"


@check("DRV007", "kernel-module-flavour", cause="KERNEL_MODULE_FLAVOUR_WRONG", explained_by=("DRV001", "DRV004"))
def kernel_module_flavour(
    driver: Driver,
    gpus: tuple[Gpu, ...] | None,
    torch_run: TorchRun | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The NVIDIA kernel module is of the flavour, open or proprietary, that the GPU needs.

    There are two. GPUs before Turing (compute capability 7.5) have no system processor for the open one; Blackwell
    (10.0 and later) is driven by the open one alone. The other one loads, and the kernel's log says "RmInitAdapter
    failed" or "requires use of the NVIDIA open kernel modules"; nvidia-smi shows no devices.

    Measured by comparing the flavour, where it is stated, with the capability of the GPUs. A GPU that answers NVML or
    torch has its module. WSL and a Jetson, whose modules are others, are not judged.

    ## Fix
    The other flavour, of the newest branch that still drives the GPU, then a reboot.
    """
    if intent.device == "cpu" or (host is not None and (host.wsl or host.tegra or host.system != "Linux")):
        yield not_applicable(Text("no NVIDIA kernel module of either flavour is in use here"))
        return
    if gpus and (driver.nvml_code == 0 or (torch_run is not None and torch_run.cuda_available)):
        yield ok(Text("the kernel module drives a GPU: it answers"))
        return
    if driver.open_module is None:
        yield unknown(Text("whether the kernel module is the open or the proprietary one is not known"))
        return
    has, wants = ("open", "proprietary") if driver.open_module else ("proprietary", "open")
    cards = [gpu for gpu in gpus or () if capability(gpu.compute_capability) is not None]
    wrong = [gpu for gpu in cards if _is_wrong(capability(gpu.compute_capability) or FIRST_OPEN, is_open=has == "open")]
    if not cards:
        yield unknown(Text("which GPUs the kernel module is to drive is not known"))
    elif not wrong:
        yield ok(Text("the {has} kernel module drives these GPUs", {"has": has}), observed=has)
    for gpu in wrong:
        yield fail(
            Text(
                "{gpu} needs the {wants} kernel module; the {has} one is installed",
                {"gpu": gpu.name, "wants": wants, "has": has},
            ),
            fix=_other(wants, matrix.last_branch_for(gpu.compute_capability), host),
            subject=f"gpu:{gpu.index}",
            observed=has,
            expected=wants,
            threshold=Threshold(value=gpu.compute_capability, unit="compute capability", source=_SOURCE),
        )


def _is_wrong(has: tuple[int, int], *, is_open: bool) -> bool:
    return has < FIRST_OPEN if is_open else has >= ONLY_OPEN


def _other(wants: str, branch: str, host: Host | None) -> Fix:
    """`branch`: the last one for this GPU, where later ones have dropped it."""
    lines, family = module_lines(host, is_open=wants == "open", branch=branch)
    words = "install the {wants} kernel module from NVIDIA's repository (here: for {family}), and reboot"
    if host is not None and host.container:
        words = "on the host of this container, " + words
    return Fix(
        text=Text(words, {"wants": wants, "family": family}),
        commands=("cat /proc/driver/nvidia/version", *lines, "sudo reboot"),
        effort="reboot",
        needs_root=True,
        reboot=True,
        url=_SOURCE,
    )
