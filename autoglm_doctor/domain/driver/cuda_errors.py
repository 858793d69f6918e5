"""What a failed cuInit means and what helps. Codes: cuda.h (CUresult)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autoglm_doctor.domain.driver.faults import broken_library, crashed, hangs, is_damaged, waited, wedged
from autoglm_doctor.domain.driver.fixes import KERNEL_LOG, USE_GPU_MACHINE
from autoglm_doctor.facts import Cuda, Driver, Environment, Gpu, Host, Reading
from autoglm_doctor.finding import Fix, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class InitFault:
    """The verdict on one return code; `cause` "" leaves the check's own."""

    text: Text
    fixes: tuple[Fix, ...]
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    cuda: Cuda
    driver: Driver | None
    host: Host | None
    variables: Mapping[str, str]
    gpus: tuple[Gpu, ...] | None = None  # as NVML shows them

    @property
    def inside(self) -> bool:
        return self.host is not None and bool(self.host.container)

    @property
    def library(self) -> str:
        return self.cuda.library or "libcuda.so.1"


def init_fault(
    cuda: Cuda,
    driver: Driver | None,
    host: Host | None,
    environment: Environment | None,
    gpus: tuple[Gpu, ...] | None = None,
) -> InitFault:
    """Cause, words and fixes for libcuda that does not load or cuInit that does not return 0."""
    variables = environment.variables if environment else {}
    case = _Case(cuda=cuda, driver=driver, host=host, variables=variables, gpus=gpus)
    if cuda.init_code is None:
        return _not_loaded(case)
    code = 100 if cuda.init_code == 0 else cuda.init_code  # started, and shows no device
    return _BY_CODE.get(code, _other)(case)


def silent_cuda(cuda: Reading[Cuda], driver: Driver | None, host: Host | None) -> InitFault | None:
    """libcuda hung or crashed before it told anything; None when there is no answer for other reasons."""
    if hangs(cuda):
        words = "starting CUDA hangs, most likely on a wedged GPU: no answer within {limit}"
        log, reset = wedged()
        text = Text(words, {"limit": waited(cuda.why)})
        return InitFault(text=text, fixes=(log, _UVM, reset), cause="DRIVER_HANGS")
    signal = crashed(cuda)
    if not signal:
        return None
    fault = broken_library("libcuda.so.1", f"it crashes when CUDA starts ({signal})", driver, host)
    return InitFault(text=fault.text, fixes=fault.fixes, cause=fault.cause)


def _reboot(text: str) -> Fix:
    return Fix(text=Text(text), commands=("sudo reboot",), effort="reboot", needs_root=True, reboot=True)


_TRY = Fix(
    text=Text("see what libcuda says in the environment of the deployment"),
    commands=("python -c \"import ctypes; print(ctypes.CDLL('libcuda.so.1').cuInit(0))\"",),
)
_UVM = Fix(
    text=Text("load the module nvidia_uvm anew (stop every program on the GPUs first)"),
    commands=("sudo rmmod nvidia_uvm", "sudo modprobe nvidia_uvm", "sudo nvidia-modprobe -u -c 0"),
    effort="restart",
    needs_root=True,
)
_CONTAINER = Fix(
    text=Text("start the container with all of the driver: devices, compute and utility libraries"),
    commands=("docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility --rm ubuntu nvidia-smi",),
    effort="restart",
)
_NO_CARD = Fix(
    text=Text(
        "the kernel's log says why (on the host): RmInitAdapter failed (power, BIOS), a GPU that this branch of the "
        "driver no longer knows, or the open module on a GPU before Turing; is it on the bus at all?"
    ),
    commands=(*KERNEL_LOG.commands, "lspci -nnk -d 10de:"),
    effort="hardware",
    needs_root=True,
)
_FIND = "ldconfig -p | grep libcuda.so; echo $LD_LIBRARY_PATH"


def _on_jetson(case: _Case) -> tuple[Fix, ...]:
    """Its driver is part of the board's system (L4T); () on another machine."""
    if case.host is None or not case.host.tegra:
        return ()
    anew = Fix(
        text=Text("install the driver's libraries of the board again"),
        commands=("sudo apt-get install --reinstall -y nvidia-l4t-cuda", "sudo ldconfig"),
        effort="install",
        needs_root=True,
    )
    runtime = Fix(
        text=Text("start the container with NVIDIA's runtime, which brings the board's libraries (put your image)"),
        commands=("docker run --runtime nvidia --rm IMAGE",),
        effort="restart",
    )
    return (runtime,) if case.inside else (anew,)


def _not_loaded(case: _Case) -> InitFault:
    said = {"error": case.cuda.load_error or "no reason given"}
    if is_damaged(case.cuda.load_error):
        fault = broken_library("libcuda.so.1", said["error"], case.driver, case.host)
        return InitFault(text=fault.text, fixes=_on_jetson(case) or fault.fixes, cause=fault.cause)
    if case.inside:
        text = Text("libcuda.so.1 does not load in this container: {error}", said)
        return InitFault(text=text, fixes=_on_jetson(case) or (_CONTAINER,), cause="CONTAINER_WITHOUT_GPU")
    if case.host is not None and case.host.wsl:
        fix = Fix(
            text=Text("put WSL's libraries on the loader's path"),
            commands=("export LD_LIBRARY_PATH=/usr/lib/wsl/lib:$LD_LIBRARY_PATH", "ls -l /usr/lib/wsl/lib"),
        )
        return InitFault(text=Text("libcuda.so.1 does not load: {error}", said), fixes=(fix,), cause="WSL_LIBCUDA_STUB")
    version = case.driver.version if case.driver else None
    branch = version.split(".")[0] if version else "580"
    fix = Fix(
        text=Text("install the compute library of the driver"),
        commands=(f"sudo apt-get install -y libnvidia-compute-{branch}", _FIND),
        effort="install",
        needs_root=True,
    )
    return InitFault(text=Text("libcuda.so.1 does not load: {error}", said), fixes=_on_jetson(case) or (fix,))


def _stub(case: _Case) -> InitFault:
    fix = Fix(
        text=Text("take the toolkit's `stubs` folder, meant for linking only, out of the loader's path"),
        commands=("export LD_LIBRARY_PATH=$(echo $LD_LIBRARY_PATH | tr : '\\n' | grep -v stubs | paste -sd:)", _FIND),
    )
    text = Text("{library} is a stub of the CUDA toolkit, not the driver's library", {"library": case.library})
    return InitFault(text=text, fixes=(fix,), cause="CUDA_STUB_LIBRARY")


def _busy(_: _Case) -> InitFault:
    fixes = (
        Fix(
            text=Text("see who holds the GPU and in which compute mode it is; the default mode lets programs share it"),
            commands=("nvidia-smi --query-gpu=index,compute_mode --format=csv", "sudo nvidia-smi -c DEFAULT"),
            needs_root=True,
        ),
    )
    return InitFault(text=Text("the GPU is busy or closed to new programs (CUDA error 46)"), fixes=fixes)


def _no_device(case: _Case) -> InitFault:
    visible = case.variables.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        fix = Fix(
            text=Text("unset it, or name GPUs that exist"), commands=("nvidia-smi -L", "unset CUDA_VISIBLE_DEVICES")
        )
        text = Text('CUDA_VISIBLE_DEVICES="{value}" hides all GPUs', {"value": visible})
        return InitFault(text=text, fixes=(fix,), cause="CUDA_VISIBLE_DEVICES_HIDES_GPUS")
    if case.inside:
        text = Text("CUDA finds no GPU in this container (error 100)")
        last = (_NO_CARD,) if case.gpus == () else ()
        return InitFault(text=text, fixes=_on_jetson(case) or (_CONTAINER, *last), cause="CONTAINER_WITHOUT_GPU")
    if case.gpus == () and case.driver is not None and case.driver.nvml_code == 0:
        text = Text("the driver is loaded and shows no GPU, neither to NVML nor to CUDA: it could not start any card")
        return InitFault(text=text, fixes=(_NO_CARD, USE_GPU_MACHINE), cause="NO_GPU")
    fixes = (
        Fix(
            text=Text("see whether the device files are there and yours to open; this makes them"),
            commands=("ls -l /dev/nvidia*", "sudo nvidia-modprobe -u -c 0"),
            needs_root=True,
        ),
    )
    return InitFault(text=Text("CUDA finds no GPU (error 100)"), fixes=fixes)


def _fabric(case: _Case) -> InitFault:
    version = case.driver.version if case.driver else None
    branch = version.split(".")[0] if version else "580"
    fix = Fix(
        text=Text("start the fabric manager, of exactly the driver's version (on the host, not in a container)"),
        commands=(
            f"sudo apt-get install -y nvidia-fabricmanager-{branch}",
            "sudo systemctl enable --now nvidia-fabricmanager",
            "systemctl status nvidia-fabricmanager",
        ),
        effort="install",
        needs_root=True,
    )
    text = Text("the NVSwitch fabric is not ready (CUDA error 802): the fabric manager does not run or does not fit")
    return InitFault(text=text, fixes=(fix,), cause="FABRIC_MANAGER_MISSING")


def _no_compat() -> Fix:
    return Fix(
        text=Text("take cuda-compat out of the loader's path, so that the driver's own libcuda is found"),
        commands=(
            "export LD_LIBRARY_PATH=$(echo $LD_LIBRARY_PATH | tr : '\\n' | grep -v compat | paste -sd:)",
            # The loader reads *.conf only: another name switches a file off and keeps it.
            "for f in $(grep -l compat /etc/ld.so.conf.d/*.conf); do sudo mv $f $f.off; done; sudo ldconfig",
            _FIND,
        ),
        needs_root=True,
    )


def _mismatch(case: _Case) -> InitFault:
    if "compat" in case.library:
        text = Text("{library} of cuda-compat does not fit the driver (CUDA error 803)", {"library": case.library})
        return InitFault(text=text, fixes=(_no_compat(),), cause="CUDA_COMPAT_LIB_SHADOWS_DRIVER")
    text = Text("{library} does not fit the loaded kernel module (CUDA error 803)", {"library": case.library})
    fixes: tuple[Fix, ...] = (_reboot("reboot, so that the module of the installed driver is loaded"),)
    if case.inside:
        find = Fix(text=Text("the image brings a driver library of its own: find and remove it"), commands=(_FIND,))
        fixes = (find, *fixes)
    return InitFault(text=text, fixes=fixes, cause="NVML_DRIVER_LIBRARY_MISMATCH")


def _forward(case: _Case) -> InitFault:
    newer = Fix(
        text=Text("install a driver on the host that knows this CUDA itself"),
        commands=("sudo apt-get install -y nvidia-driver-580", "sudo reboot"),
        effort="reboot",
        needs_root=True,
        reboot=True,
    )
    text = Text("cuda-compat is not supported on this GPU (CUDA error 804): {library}", {"library": case.library})
    return InitFault(text=text, fixes=(_no_compat(), newer), cause="CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU")


def _uvm(case: _Case) -> InitFault:
    said = {"code": case.cuda.init_code}
    text = Text("the driver answers, but CUDA does not start (error {code}): mostly the module nvidia_uvm", said)
    fixes = (_UVM, _reboot("reboot"))
    return InitFault(text=text, fixes=(_CONTAINER, *fixes) if case.inside else fixes, cause="UVM_MODULE_BROKEN")


def _other(case: _Case) -> InitFault:
    said = {"code": case.cuda.init_code, "name": case.cuda.init_error or "no name"}
    return InitFault(text=Text("CUDA does not start: error {code} ({name})", said), fixes=(_TRY, _reboot("reboot")))


_BY_CODE: Mapping[int, Callable[[_Case], InitFault]] = {
    3: _uvm,
    34: _stub,
    46: _busy,
    100: _no_device,
    802: _fabric,
    803: _mismatch,
    804: _forward,
    999: _uvm,
}
