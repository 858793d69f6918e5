"""What it means when the driver's libraries hang, crash, are damaged or refuse to start, and what helps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.domain.driver.fixes import (
    KERNEL_LOG,
    OPEN_DEVICES,
    OTHER_COPIES,
    PATIENCE,
    REBOOT,
    REBOOT_HOST,
    RESTART_CONTAINER,
    RESTART_POD,
    reset_gpu,
)
from autoglm_doctor.domain.driver.ways import DRIVER_BRANCH, INSTALL_DRIVER, ON_WINDOWS
from autoglm_doctor.facts import Cuda, Driver, Gpu, Host, Reading
from autoglm_doctor.finding import Fix, Text

NVML = "libnvidia-ml.so.1"

#: nvmlReturn_t (nvml.h).
NO_PERMISSION, FUNCTION_NOT_FOUND, NOT_SUPPORTED, GPU_IS_LOST, RESET_REQUIRED = 4, 13, 3, 15, 16

# Signals that a program brings on itself. SIGKILL and SIGTERM come from others: a memory limit, a user.
_CRASH = re.compile(r"killed by (SIG(?:SEGV|BUS|ABRT|ILL|FPE|SYS|TRAP))")
# What glibc's loader says of a file that is there and is no library for this process (elf/dl-load.c).
_DAMAGED = re.compile(
    r"file too short|invalid ELF header|wrong ELF class|cannot read file data|ELF file|undefined symbol"
    r"|cannot make segment|Permission denied|Exec format"
)
_LIMIT = re.compile(r"no answer within ([\d.e+-]+ s)")
_MOVED = re.compile(r"asking NVML about GPU ([1-9]\d*)(?: \(after ([\d.]+) s\))?")
_REFUSED = re.compile(r"\(code (\d+)\)")


#: One GPU may take so many times longer than those before it on average, and pass for slow; more is a hang.
PATIENT = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A red: what is wrong, in words, and what helps, best first."""

    cause: str
    text: Text
    fixes: tuple[Fix, ...]


def hangs(reading: Reading[Any]) -> bool:
    """The probe was killed at its time limit."""
    return reading.outcome == "timeout"


def crashed(reading: Reading[Any]) -> str:
    """The signal that ended the probe by its own doing; "" when it ended otherwise."""
    found = _CRASH.search(reading.why) if reading.outcome == "failed" else None
    return found[1] if found else ""


def is_damaged(words: str | None) -> bool:
    """Do the loader's words speak of a file that is there, but is no library?"""
    return bool(words and _DAMAGED.search(words))


def own_words(driver: Driver) -> str:
    """What NVML or the loader said; what nvidia-smi added may be anything, and belongs to the evidence."""
    return (driver.nvml_error or "").partition("; nvidia-smi: ")[0]


def waited(why: str) -> str:
    """The limit that was reached: "30 s"."""
    found = _LIMIT.search(why)
    return found[1] if found else "its time limit"


def slow(why: str) -> int:
    """How many GPUs had answered when the limit was reached, of a driver that is slow; 0 of one that hangs.

    A driver that starts its GPUs one after the other for seconds each is slow, and so are all of them; where some
    answered at once and one never does, that one hangs. Readings that tell no times count as slow.
    """
    found, limit = _MOVED.search(why), _LIMIT.search(why)
    if found is None:
        return 0
    before = int(found[1])
    if found[2] is None or limit is None:
        return before
    took, all_seconds = float(found[2]), float(limit[1].split()[0])
    return before if all_seconds - took <= PATIENT * took / before else 0


def refused(why: str) -> int | None:
    """The code with which NVML refused, of a reading's `why`. "Not supported" is no fault: integrated GPUs say so."""
    found = _REFUSED.search(why)
    code = int(found[1]) if found else None
    return None if code == NOT_SUPPORTED else code


def gpu_in(why: str) -> str:
    """The number of the GPU that a reading's `why` speaks of; "" when it names none."""
    found = re.search(r"GPU (\d+)", why)
    return found[1] if found else ""


def silent_nvml(driver: Reading[Driver], gpus: Reading[tuple[Gpu, ...]], host: Host | None) -> Fault | None:
    """NVML hung or crashed before it told anything; None when it answered, or its silence has other reasons."""
    if driver.value is None:
        end: Reading[Any] = driver
    elif driver.value.nvml_code is None and driver.value.nvml_error:
        end = gpus  # the driver is known from elsewhere; the other fact of the probe tells how it ended
    else:
        return None
    if hangs(end):
        text = Text(
            "the driver is stuck, most likely on a wedged GPU: NVML gave no answer within {limit}",
            {"limit": waited(end.why)},
        )
        return Fault(cause="DRIVER_HANGS", text=text, fixes=hung())
    signal = crashed(end)
    return broken_library(NVML, f"it crashes ({signal})", driver.value, host) if signal else None


def wedged(index: str = "") -> tuple[Fix, ...]:
    """A GPU that no longer answers its driver."""
    return (KERNEL_LOG, reset_gpu(index))


def hung(index: str = "") -> tuple[Fix, ...]:
    """A driver that let its time limit pass: mostly a wedged GPU."""
    log, reset = wedged(index)
    return (log, PATIENCE, reset)


def broken_library(library: str, how: str, driver: Driver | None, host: Host | None) -> Fault:
    """A library of the driver that crashes, is damaged or lacks functions."""
    text = Text("the driver's library {library} is broken: {how}", {"library": library, "how": how})
    if host is not None and host.container:
        text = Text("{library} in this container is broken: {how}", {"library": library, "how": how})
        # An image that was made from a running container keeps empty files where the host's libraries were.
        damaged = is_damaged(how)
        cause = "CONTAINER_IMAGE_BUNDLES_DRIVER" if damaged else "DRIVER_LIBRARY_BROKEN"
        anew = RESTART_POD if host.container == "kubernetes" else RESTART_CONTAINER
        first = (OTHER_COPIES, anew) if damaged else (anew, OTHER_COPIES)
        return Fault(cause=cause, text=text, fixes=(*first, REBOOT_HOST))
    return Fault(cause="DRIVER_LIBRARY_BROKEN", text=text, fixes=_again(driver, host))


def _again(driver: Driver | None, host: Host | None) -> tuple[Fix, ...]:
    if host is not None and host.wsl:  # its libraries come from Windows
        return (ON_WINDOWS, OTHER_COPIES)
    return (reinstall_libraries(driver, host), OTHER_COPIES, REBOOT)


def reinstall_libraries(driver: Driver | None, host: Host | None) -> Fix:
    """The driver's user-space libraries, installed again with the tool of the distribution."""
    version = (driver.kernel_version or driver.version or driver.library_version) if driver else None
    branch = version.split(".")[0] if version else DRIVER_BRANCH
    system = host.distribution if host else ""
    if re.search(r"Fedora|Red Hat|CentOS|Rocky|Alma|Amazon", system):
        command = "sudo dnf reinstall -y 'nvidia-driver*'"
    elif "Debian" in system:
        command = "sudo apt-get install --reinstall -y libnvidia-ml1 libcuda1"
    else:
        command = f"sudo apt-get install --reinstall -y libnvidia-compute-{branch}"
    return Fix(
        text=Text("install the driver's libraries again"), commands=(command,), effort="install", needs_root=True
    )


def refusal(driver: Driver, host: Host | None) -> Fault:
    """nvmlInit returns a code that has no remedy of its own elsewhere."""
    code, error = driver.nvml_code, own_words(driver) or "no reason given"
    said = {"error": error, "code": code}
    if is_damaged(error):
        return broken_library(NVML, error, driver, host)
    if code == FUNCTION_NOT_FOUND:
        return broken_library(NVML, "it lacks functions that every driver since R384 has", driver, host)
    if code == NO_PERMISSION:
        text = Text("this user may not open the driver's device files: {error}", said)
        return Fault(cause="GPU_DEVICE_FILES_CLOSED", text=text, fixes=(OPEN_DEVICES,))
    if code in (GPU_IS_LOST, RESET_REQUIRED):
        text = Text("the driver has lost a GPU and does not start: {error}", said)
        return Fault(cause="GPU_FELL_OFF_BUS", text=text, fixes=wedged())
    text = Text("the driver is installed and does not start: {error} (code {code})", said)
    inside = host is not None and bool(host.container)  # its driver is the host's: nothing to install in it
    last = () if inside else (INSTALL_DRIVER,)
    return Fault(cause="DRIVER_DOES_NOT_START", text=text, fixes=(KERNEL_LOG, REBOOT_HOST, *last))


def slow_driver(gpus: Reading[tuple[Gpu, ...]]) -> Fault | None:
    """NVML answered for some GPUs, each after a long time, and had not come to the end; None when that is not so."""
    done = slow(gpus.why) if hangs(gpus) else 0
    if not done:
        return None
    said = {"n": done, "limit": waited(gpus.why)}
    words = "the driver is slow: NVML had answered for {n} GPU(s) within {limit}, so that the others are not known"
    return Fault(cause="DRIVER_SLOW", text=Text(words, said), fixes=(PATIENCE, KERNEL_LOG))


def unread_gpus(
    gpus: Reading[tuple[Gpu, ...]], driver: Driver | None, host: Host | None, cuda: Cuda | None = None
) -> Fault | None:
    """NVML started and then hung, crashed or refused when asked about the GPUs; None when that is no fault.

    A GPU that may not be opened is a fault where CUDA cannot start for it either: NVML alone may ask for more rights.
    """
    index, limit = gpu_in(gpus.why), {"limit": waited(gpus.why)}
    if driver is None or driver.nvml_code != 0:
        return None  # the driver itself is ill: DRV001
    if hangs(gpus):
        which = "it is wedged" if index else "a GPU is wedged"
        text = Text(which + ", most likely: NVML told of the driver and then fell silent for {limit}", limit)
        return Fault(cause="DRIVER_HANGS", text=text, fixes=hung(index))
    signal = crashed(gpus)
    if signal:
        return broken_library(NVML, f"asked about a GPU, it crashes ({signal})", driver, host)
    code = refused(gpus.why)
    if code is None:
        return None
    said = Text("{why}", {"why": gpus.why})
    if code != NO_PERMISSION:
        return Fault(cause="GPU_NOT_READABLE", text=said, fixes=wedged(index))
    if cuda is None or (cuda.init_code == 0 and cuda.devices):
        return None
    return Fault(cause="GPU_DEVICE_FILES_CLOSED", text=said, fixes=(OPEN_DEVICES, KERNEL_LOG))
