"""Ways out that do not depend on what is installed: a newer driver, a newer GPU, another engine."""

from __future__ import annotations

from autoglm_doctor.finding import Fix, Text

#: The newest branch that still knows every GPU since Maxwell, and old enough to be in every distribution: enough for
#: CUDA 11, 12 and 13 (590 drops Maxwell, Pascal and Volta; see compat_matrix.yaml for the minimums).
DRIVER_BRANCH = "580"

INSTALL_DRIVER = Fix(
    text=Text("install the NVIDIA driver and reboot"),
    commands=(f"sudo apt-get install -y nvidia-driver-{DRIVER_BRANCH}", "sudo reboot"),
    effort="reboot",
    needs_root=True,
    reboot=True,
)
NEWER_DRIVER = Fix(
    text=Text("install a newer driver (on the host, not in a container) and reboot"),
    commands=INSTALL_DRIVER.commands,
    effort="reboot",
    needs_root=True,
    reboot=True,
)
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


def newer_driver(minimum: str, words: str, wsl: bool = False, **values: str) -> Fix:
    """A driver of at least `minimum`; `words` say what it is good for."""
    if wsl:  # its driver is the one of Windows
        return ON_WINDOWS
    branch = str(max(int(DRIVER_BRANCH), int(minimum.split(".")[0])))
    return Fix(
        text=Text(
            "install driver {minimum} or newer (on the host, not in a container) and reboot" + words,
            {"minimum": minimum, **values},
        ),
        commands=(f"sudo apt-get install -y nvidia-driver-{branch}", "sudo reboot"),
        effort="reboot",
        needs_root=True,
        reboot=True,
    )
