"""Ways out of a driver that is missing, does not answer or is too old for torch's CUDA."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.driver.ways import DRIVER_BRANCH, ON_WINDOWS, driver_for
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import companion, torch_choice, torch_line
from autoglm_doctor.facts import Driver, Gpu, Torch
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.intent import Engine

REBOOT = Fix(
    text=Text("reboot, so that the kernel module of the installed driver is loaded"),
    commands=("sudo reboot",),
    effort="reboot",
    needs_root=True,
    reboot=True,
)
REBOOT_HOST = Fix(
    text=Text("reboot the machine; an update of the driver that was never finished ends with it, too"),
    commands=("sudo reboot",),
    effort="reboot",
    needs_root=True,
    reboot=True,
)
KERNEL_LOG = Fix(
    text=Text("see in the kernel's log (of the host) what happened to the GPU: lines with Xid or NVRM name it"),
    commands=("sudo dmesg --ctime | grep -iE 'xid|nvrm' | tail",),
    needs_root=True,
)
OPEN_DEVICES = Fix(
    text=Text("see who may open the device files; mostly the group video, which counts from the next login on"),
    commands=("ls -l /dev/nvidia*", 'sudo usermod -aG video,render "$USER"'),
    needs_root=True,
)
OTHER_COPIES = Fix(
    text=Text("find all copies; one that no driver package owns (an image's own, an empty one) is to be removed"),
    commands=(
        "find / -xdev \\( -name 'libnvidia-ml.so*' -o -name 'libcuda.so*' \\) -exec ls -l {} + 2>/dev/null",
        "ldconfig -p | grep -E 'libcuda|libnvidia-ml'; echo $LD_LIBRARY_PATH",
    ),
)
RESTART_CONTAINER = Fix(
    text=Text("start the container again, so that it takes the libraries of the host's driver of today (put its name)"),
    commands=("docker restart NAME",),
    effort="restart",
)
RESTART_POD = Fix(
    text=Text("start the pod again, so that it takes the libraries of its node's driver of today (put its name)"),
    commands=("kubectl rollout restart deployment/NAME",),
    effort="restart",
)
GIVE_GPUS = Fix(
    text=Text("start the container with its GPUs"),
    commands=("docker run --gpus all --rm ubuntu nvidia-smi",),
    effort="restart",
)
TOOLKIT = Fix(
    text=Text("if that is refused, install the NVIDIA container toolkit on the host and configure docker"),
    commands=(
        "sudo apt-get install -y nvidia-container-toolkit",
        "sudo nvidia-ctk runtime configure --runtime=docker",
        "sudo systemctl restart docker",
    ),
    effort="install",
    needs_root=True,
)
POD = Fix(
    text=Text("ask for GPUs in the pod: resources.limits nvidia.com/gpu; then look at what the node offers"),
    commands=("kubectl describe nodes | grep nvidia.com/gpu",),
)
GIVE_UTILITY = Fix(
    text=Text("start the container with the driver's utility libraries too"),
    commands=("docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility --rm ubuntu nvidia-smi",),
    effort="restart",
)
POD_UTILITY = Fix(
    text=Text("give the pod the driver's utility libraries too (put the name of your deployment)"),
    commands=("kubectl set env deployment/NAME NVIDIA_DRIVER_CAPABILITIES=compute,utility",),
    effort="restart",
)
NOUVEAU = Fix(
    text=Text("keep the free driver from binding, install NVIDIA's and reboot"),
    commands=(
        "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/blacklist-nouveau.conf",
        "sudo update-initramfs -u",
        f"sudo apt-get install -y nvidia-driver-{DRIVER_BRANCH}",
        "sudo reboot",
    ),
    effort="reboot",
    needs_root=True,
    reboot=True,
)
LOAD_MODULE = Fix(
    text=Text("load the kernel module; if it is not there, build it for the running kernel"),
    commands=(
        "sudo modprobe nvidia",
        'sudo apt-get install -y dkms "linux-headers-$(uname -r)"',
        "sudo dkms autoinstall",
        "sudo dmesg | grep -i -E 'nvidia|key was rejected' | tail",
    ),
    effort="install",
    needs_root=True,
)
USE_GPU_MACHINE = Fix(
    text=Text("use a machine with an NVIDIA GPU, or judge for the CPU"),
    commands=("lspci -d 10de:", "autoglm-doctor check --device cpu"),
    effort="hardware",
)

#: Without persistence mode every program starts each GPU anew: 20 s were seen on eight of them.
PATIENCE = Fix(
    text=Text("if the driver is only slow: keep it loaded (persistence mode) and ask again with longer time limits"),
    commands=("sudo nvidia-smi -pm 1", "autoglm-doctor check --timeout 4"),
    effort="setting",
    needs_root=True,
)
ON_CPU = Fix(
    text=Text("leave the GPU alone, and judge for the CPU"),
    commands=("autoglm-doctor check --device cpu",),
    effort="flag",
)


def reset_gpu(index: str = "") -> Fix:
    """Reset one GPU, or all of them where it is not known which one."""
    which = f" -i {index}" if index else ""
    return Fix(
        text=Text("stop every program on the GPU and reset it (on the host); reboot where that fails or hangs as well"),
        commands=("sudo fuser -v /dev/nvidia*", f"sudo nvidia-smi --gpu-reset{which}", "sudo reboot"),
        effort="reboot",
        needs_root=True,
        reboot=True,
    )


def nvml_fixes(driver: Driver | None, *, wsl: bool) -> tuple[Fix, ...]:
    """What brings libnvidia-ml.so.1 back where libcuda works; the package of the branch that is installed."""
    again = Fix(
        text=Text("let the loader find the library, if it is only not listed"),
        commands=("sudo ldconfig", "ldconfig -p | grep libnvidia-ml"),
        needs_root=True,
    )
    if wsl:  # its libraries come from Windows, and a package would put others in front of them
        return (again, ON_WINDOWS)
    version = (driver.kernel_version or driver.version) if driver else None
    branch = version.split(".")[0] if version else DRIVER_BRANCH
    install = Fix(
        text=Text("install the libraries of driver {branch}", {"branch": branch}),
        commands=(f"sudo apt-get install -y libnvidia-compute-{branch}",),
        effort="install",
        needs_root=True,
    )
    return (again, install)


def new_enough(driver: Driver, cuda: str, minimum: str) -> bool | None:
    """By version or by the CUDA that libcuda knows; None when neither is known."""
    answers = []
    if driver.version:
        with suppress(InvalidVersion):
            answers.append(Version(driver.version) >= Version(minimum))
    if driver.cuda_version and driver.cuda_version.split(".")[0].isdigit():
        answers.append(int(driver.cuda_version.split(".")[0]) >= int(cuda.split(".")[0]))
    return any(answers) if answers else None


def driver_fixes(site: Site, driver: Driver, torch: Torch, machine: tuple[Gpu, ...] | None) -> tuple[Fix, ...]:
    """What makes this driver and torch fit, the least invasive first.

    `machine` is all GPUs, which another driver must still drive; those of the site are what the deployment takes.
    """
    found: tuple[Fix, ...] = ()
    engine = _engine(site)
    if engine is not None:  # it pins its torch: another CUDA means another release of it, not another torch beside it
        asked = dataclasses.replace(site, intent=dataclasses.replace(site.intent, engine=engine))
        found = tuple(one for one in install_fixes(asked) if not one.reboot)
    if not any(one.effort == "install" for one in found):
        wheel = _wheel_fix(site, driver, torch)
        found = (*found, wheel) if wheel else found
    row = site.matrix.minimum_driver(torch.cuda) if torch.cuda else None
    return (*found, driver_for(row.minimum_driver if row else "", machine or site.gpus, site.host, site.matrix))


def _engine(site: Site) -> Engine | None:
    """The installed engine, the intended one first."""
    names: tuple[Engine, ...] = ("vllm", "sglang")
    first: tuple[Engine, ...] = (site.intent.engine,) if site.intent.engine in names else ()
    return next((name for name in (*first, *names) if site.version(name)), None)


def _wheel_fix(site: Site, driver: Driver, torch: Torch) -> Fix | None:
    python, matrix = site.interpreter, site.matrix
    choice = torch_choice(torch.version, driver, site.gpus, site.host, matrix, python.version if python else "")
    row = matrix.minimum_driver(choice.cuda) if choice and choice.cuda else None
    if choice is None or row is None or not new_enough(driver, choice.cuda, row.minimum_driver):
        return None
    machine = site.host.machine if site.host else ""
    wanted = [choice.requirement, companion(choice.version, choice.options, matrix, machine)]
    options = ("--force-reinstall", *choice.options)
    return Fix(
        text=Text("install torch built for CUDA {cuda}", {"cuda": choice.cuda}),
        commands=(torch_line(python.executable if python else None, wanted, site.packages, options),),
        effort="install",
    )
