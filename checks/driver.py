"""DRV: the NVIDIA driver is there, and its parts belong together."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import InvalidVersion, Version

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
    PciGpu,
    Reading,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.deployment import runs_on_cpu
from autoglm_doctor.domain.driver.absent import no_answer, no_driver, without_nvml
from autoglm_doctor.domain.driver.faults import Fault, own_words, silent_nvml
from autoglm_doctor.domain.driver.fixes import ON_CPU, REBOOT

#: nvmlReturn_t (nvml.h): library not found, library/kernel mismatch.
NOT_FOUND, MISMATCH = 12, 18


@check("DRV001", "driver-present", cause="DRIVER_NOT_INSTALLED", required=True, explained_by=("HST001", "DRV004"))
def driver_present(
    driver: Reading[Driver],
    gpus: Reading[tuple[Gpu, ...]],
    pci_gpus: tuple[PciGpu, ...] | None,
    host: Host | None,
    cuda: Cuda | None,
    environment: Environment | None,
    intent: Intent,
) -> Findings:
    """An NVIDIA driver is installed, loaded and answers.

    Without a driver no CUDA program runs. NVML (the library behind nvidia-smi) is asked first; then the loaded kernel
    module, libcuda and nvidia-smi itself. A GPU on the PCI bus without a driver, a free driver bound to it
    (nouveau, nova), a container without devices and a machine without a GPU need different remedies and are told
    apart; so is a machine where CUDA works and only NVML is missing, as in a container that was started without the
    driver's `utility` libraries. With `--device auto` a machine without a GPU is judged for the CPU instead; a driver
    that is there and ill stays red, since whoever asks it whether there is a GPU meets the illness.

    NVML is asked in a child process with a time limit (docs/sick-machines.md tells the limits, `--timeout` multiplies
    them). One that never comes back is DRIVER_HANGS: most likely it is stuck on a wedged GPU, less likely it is slow,
    as without persistence mode. One that dies shows a library that is damaged or belongs to another driver.

    A Jetson has libcuda, and NVML only partly or not at all; torch and vLLM do without. So CUDA that starts is enough,
    and where it was not tried or does not start, this is unknown and CUD001 says what is wrong.

    No threshold: NVML's return code decides (nvml.h: 0 success, 4 no permission, 9 driver not loaded, 999 unknown).

    ## Fix

    Install the driver of the distribution and reboot; in a container, start it with `--gpus all`. For a driver that
    hangs: read the kernel's log, stop what runs on the GPU and reset it, or reboot; for one that is only slow,
    persistence mode and `--timeout 4`.
    """
    on_cpu = bool(runs_on_cpu(intent, environment, driver.value, gpus.value, cuda))
    silent = silent_nvml(driver, gpus, host)
    if intent.device == "cpu":
        yield not_applicable(Text("the deployment runs on the CPU"))
    elif silent is not None:
        end = driver.why if driver.value is None else gpus.why
        yield _red(intent, on_cpu, silent, {"end": end})
    elif host is not None and host.tegra and not _answers(driver):
        yield _jetson(driver, cuda)
    elif _only_nvml_is_missing(driver, cuda):
        yield _without_nvml(driver.value, host, intent)
    elif driver.value is not None and driver.outcome == "known":
        yield _known(driver.value, pci_gpus, host, intent, on_cpu)
    elif driver.outcome == "absent":
        yield _absent(pci_gpus, host, intent, on_cpu)
    else:
        yield unknown(Text("the driver could not be read: {why}", {"why": driver.why or driver.outcome}))


def _works(cuda: Cuda | None) -> bool:
    return cuda is not None and cuda.init_code == 0 and bool(cuda.devices)


def _answers(driver: Reading[Driver]) -> bool:
    return driver.value is not None and driver.value.nvml_code == 0


def _jetson(driver: Reading[Driver], cuda: Cuda | None) -> Judgement:
    """Its NVML is missing or refuses: no sign of a fault, and vLLM asks torch there (cuda_platform_plugin)."""
    said = {"error": own_words(driver.value) if driver.value else driver.why}
    if _works(cuda):
        words = "CUDA starts; NVML does not, which is usual on a Jetson: torch and vLLM do without it"
        return ok(Text(words), evidence=_evidence(driver.value) if driver.value else None)
    why = "CUDA was not tried" if cuda is None else "CUDA does not start either"
    return unknown(Text("a Jetson tells nothing through NVML ({error}), and " + why, said))


def _only_nvml_is_missing(driver: Reading[Driver], cuda: Cuda | None) -> bool:
    """libcuda has started and shows devices: the driver is there and works, whatever could not be found."""
    works = _works(cuda)
    code = driver.value.nvml_code if driver.value is not None else None
    return works and (driver.outcome == "absent" or (driver.outcome == "known" and code == NOT_FOUND))


def _without_nvml(driver: Driver | None, host: Host | None, intent: Intent) -> Judgement:
    # torch computes without NVML; vLLM finds its platform by it and SGLang asks nvidia-smi.
    judge = warn if intent.engine == "transformers" else fail
    fault = without_nvml(driver, host)
    return judge(fault.text, fix=fault.fixes, cause=fault.cause, evidence=_evidence(driver) if driver else None)


def _evidence(driver: Driver) -> dict[str, str | int | None]:
    return {
        "version": driver.version,
        "nvml_code": driver.nvml_code,
        "nvml_error": driver.nvml_error,
        "read_by": ", ".join(driver.read_by),
    }


def _known(
    driver: Driver, pci_gpus: tuple[PciGpu, ...] | None, host: Host | None, intent: Intent, on_cpu: bool
) -> Judgement:
    evidence = _evidence(driver)
    if driver.nvml_code == 0:
        return ok(Text("driver {version} answers", {"version": driver.version or "?"}), observed=driver.version)
    if driver.nvml_code is None and driver.nvml_error is None and driver.version:
        return ok(Text("driver {version}", {"version": driver.version}), observed=driver.version, evidence=evidence)
    if driver.nvml_code is None:
        return unknown(Text("the driver is there, but NVML did not answer"), evidence=evidence)
    if driver.nvml_code == MISMATCH:  # DRV002 judges that: the driver itself is there
        version = driver.kernel_version or driver.version
        words = "the kernel module of driver {version} is loaded" if version else "the driver's kernel module is loaded"
        return ok(Text(words, {"version": version}), evidence=evidence)
    if "nvidia-smi" in driver.read_by and driver.nvml_code == NOT_FOUND:
        return ok(Text("driver {version}, says nvidia-smi", {"version": driver.version or "?"}), evidence=evidence)
    return _red(intent, on_cpu, no_answer(driver, pci_gpus, host), evidence)


def _absent(pci_gpus: tuple[PciGpu, ...] | None, host: Host | None, intent: Intent, on_cpu: bool) -> Judgement:
    if not pci_gpus and intent.device == "auto":
        return not_applicable(Text("there is no NVIDIA GPU here: everything is judged for the CPU"))
    return _red(intent, on_cpu, no_driver(pci_gpus, host))


def _red(
    intent: Intent, on_cpu: bool, fault: Fault, evidence: Mapping[str, str | int | None] | None = None
) -> Judgement:
    """Red; yellow with --device auto where all the rest is judged for the CPU, too."""
    judge = warn if on_cpu else fail
    fixes = (*fault.fixes, ON_CPU) if intent.device == "auto" else fault.fixes
    return judge(fault.text, fix=fixes, cause=fault.cause, evidence=evidence)


@check("DRV002", "driver-libraries-match", cause="NVML_DRIVER_LIBRARY_MISMATCH", explained_by=("DRV001",))
def driver_libraries_match(driver: Driver, host: Host | None, intent: Intent) -> Findings:
    """The driver's libraries belong to the loaded kernel module.

    After an update of the packages (often an unattended one) the old kernel module stays loaded until the next boot,
    and every new CUDA program dies while the running ones go on. NVML says so with code 18; where NVML gives no
    answer, the version in the libraries' file name is held against the one of the loaded module.

    ## Fix

    Reboot. Where that has to wait: stop everything on the GPUs and reload the modules.
    """
    if intent.device == "cpu":
        yield not_applicable(Text("the deployment runs on the CPU"))
        return
    kernel, library = driver.kernel_version, driver.library_version
    versions: dict[str, object] = {"kernel": kernel or "?", "library": library or "?"}
    mismatch = bool(kernel and library and not _same(kernel, library))
    if driver.nvml_code == 0 and not (kernel and library):
        yield ok(Text("NVML started, which it refuses to with another kernel module"), observed=driver.version)
    elif driver.nvml_code == 0 and not mismatch:
        yield ok(Text("libraries and kernel module agree"), observed=driver.version)
    elif driver.nvml_code == MISMATCH or (mismatch and driver.nvml_code != 0):
        both = "driver/library version mismatch: the kernel module is {kernel}, the libraries are {library}"
        text = Text(both if kernel and library else "driver/library version mismatch, says NVML", versions)
        yield fail(text, fix=_reload(), observed=library, expected=kernel)
    elif kernel and library:
        # NVML itself compares when it starts and was content: another copy of the library lies on the path.
        yield ok(Text("NVML accepts the kernel module {kernel} (its file says {library})", versions))
    elif host is not None and host.tegra:
        yield not_applicable(Text("the libraries of a Jetson come with its kernel"))
    else:
        yield unknown(Text("NVML did not start and only one of the two versions is known"))


def _same(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _reload() -> tuple[Fix, ...]:
    modules = "nvidia_uvm nvidia_drm nvidia_modeset nvidia"
    reload_modules = Fix(
        text=Text("without a reboot: stop every program on the GPUs, then reload the modules"),
        commands=("sudo lsof /dev/nvidia*", f"sudo rmmod {modules}", "sudo modprobe nvidia"),
        effort="restart",
        needs_root=True,
    )
    return (REBOOT, reload_modules)
