"""Ways out that do not depend on what is installed: a newer driver, a newer GPU, another engine."""

from __future__ import annotations

from autoglm_doctor.domain.wheels import capability
from autoglm_doctor.facts import Gpu, Host, PciGpu
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.matrix import Matrix

#: The newest branch that still knows every GPU since Maxwell, and old enough to be in every distribution: enough for
#: CUDA 11, 12 and 13 (590 drops Maxwell, Pascal and Volta; see compat_matrix.yaml for the minimums).
DRIVER_BRANCH = "580"

#: GPUs from Blackwell on take NVIDIA's open kernel modules only (README of open-gpu-kernel-modules 615.71.09).
OPEN_ONLY = (10, 0)

#: NVIDIA numbers its chips upwards: 0x2900 and more are Blackwell and what came after (pci.ids).
_FIRST_BLACKWELL = 0x2900

NEWER_GPU = Fix(
    text=Text("use a machine with a newer GPU, or judge for the CPU"),
    commands=("nvidia-smi --query-gpu=name,compute_cap --format=csv", "autoglm-doctor check --device cpu"),
    effort="hardware",
)
WITH_TRANSFORMERS = Fix(
    text=Text("serve with transformers, which runs wherever torch does"),
    commands=("autoglm-doctor check --engine transformers",),
    effort="flag",
)
ON_WINDOWS = Fix(
    text=Text("install the driver in Windows (never inside WSL), then restart WSL"),
    commands=("wsl.exe --update", "wsl.exe --shutdown"),
    effort="install",
)


def install_driver(pci_gpus: tuple[PciGpu, ...] | None = None) -> Fix:
    """A first driver, for the GPUs on the bus."""
    opened = "-open" if any(_number(gpu) >= _FIRST_BLACKWELL for gpu in pci_gpus or ()) else ""
    return Fix(
        text=Text("install the NVIDIA driver and reboot"),
        commands=(f"sudo apt-get install -y nvidia-driver-{DRIVER_BRANCH}{opened}", "sudo reboot"),
        effort="reboot",
        needs_root=True,
        reboot=True,
    )


def _number(gpu: PciGpu) -> int:
    try:
        return int(gpu.device_id, 16)
    except ValueError:
        return 0


#: For a machine of which nobody knows the GPUs.
INSTALL_DRIVER = install_driver()


def newer_driver(
    minimum: str, words: str = "", *, wsl: bool = False, container: bool = False, gpu: str = "", **values: str
) -> Fix:
    """A driver of at least `minimum`; `words` say what it is good for. `gpu`: the newest compute capability there."""
    said = {"minimum": minimum or DRIVER_BRANCH, **values}
    if wsl:  # its driver is the one of Windows, whose versions have the branch in common only
        text = "install driver {minimum} or newer in Windows (never inside WSL), then start WSL anew" + words
        return _windows(Text(text, {**said, "minimum": said["minimum"].split(".")[0]}))
    opened = "-open" if (capability(gpu) or (0, 0)) >= OPEN_ONLY else ""
    where = "on the host of this container" if container else "(on the host, not in a container)"
    return Fix(
        text=Text(f"install driver {{minimum}} or newer {where} and reboot" + words, said),
        commands=(f"sudo apt-get install -y nvidia-driver-{_branch(minimum)}{opened}", "sudo reboot"),
        effort="reboot",
        needs_root=True,
        reboot=True,
    )


def driver_for(
    minimum: str,
    gpus: tuple[Gpu, ...] | None,
    host: Host | None,
    matrix: Matrix,
    words: str = "",
    **values: str,
) -> Fix:
    """A newer driver for these GPUs, all of the machine; another machine where that driver drops one of them."""
    cards = [one.compute_capability for one in gpus or ()]
    if any(matrix.drives(_branch(minimum), card) is False for card in cards):
        return NEWER_GPU
    return newer_driver(
        minimum,
        words,
        wsl=host is not None and host.wsl,
        container=host is not None and bool(host.container),
        gpu=max(cards, key=lambda card: capability(card) or (0, 0), default=""),
        **values,
    )


def windows_driver(branch: str, wanted: str) -> Fix:
    """A driver of one branch in Windows, which is the `wanted` ("first", "last") for a GPU."""
    words = f"install a driver of branch {{branch}} in Windows, the {wanted} for this GPU, then start WSL anew"
    return _windows(Text(words, {"branch": branch}))


def _windows(text: Text) -> Fix:
    return Fix(text=text, commands=ON_WINDOWS.commands, effort="reboot", needs_root=True, reboot=True)


def _branch(minimum: str) -> str:
    """The branch whose package is installed: old enough to be everywhere, new enough for what is wanted."""
    return str(max(int(DRIVER_BRANCH), int((minimum or DRIVER_BRANCH).split(".")[0])))
