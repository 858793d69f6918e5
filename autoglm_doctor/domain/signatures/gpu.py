"""The GPU under load: what its driver and its hardware answer."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import NVIDIA, REPORTS, TORCH, VLLM, Signature

_VERSIONS = ("nvidia-smi", "python3 -c 'import torch; print(torch.version.cuda)'")
_NEWER_PTX = r"unsupported toolchain|CUDA_ERROR_UNSUPPORTED_PTX_VERSION|cudaErrorUnsupportedPtxVersion"
_NEWER_KERNELS = "kernels were compiled by a CUDA that is newer than the driver"
_OLDER_KERNELS = "Install a newer driver, or the build of the engine for the driver's CUDA."
#: The bus number of the GPU stands between, and may look like one of the errors'.
_XID = r"\bXids?\b(?: ?\([^)]*\))?[^\w(]{0,4}(?:errors?|codes?|events?|number)?[^\w(]{0,3}"
#: How ollama, NVIDIA's images and people tell the number with which CUDA did not start.
_STARTS = (
    r"\b(?:cuInit(?:\(0\))?|cudaGetDeviceCount(?:\(\))?|driver library init failure)(?: ?returned| failed|:)*[: ]*"
)
_LOADED_LIBCUDA = ("ldconfig -p | grep libcuda.so", "env | grep LD_LIBRARY_PATH")

ROWS: tuple[Signature, ...] = (
    Signature(
        "FABRIC_MANAGER_MISSING",
        r"Error \(?802|CUDA_ERROR_SYSTEM_NOT_READY|cudaErrorSystemNotReady|system not yet initialized"
        rf"|{_STARTS}802\b",
        "the NVSwitch fabric is not running",
        "Start the fabric manager of the driver's own version.",
        ("sudo systemctl enable --now nvidia-fabricmanager", "systemctl status nvidia-fabricmanager"),
        "setting",
        NVIDIA,
        in_warnings=True,
    ),
    # What its own log says (gpu-operator issue 544, siderolabs/pkgs issue 720).
    Signature(
        "FABRIC_MANAGER_MISSING",
        r"fabric manager NVIDIA GPU driver interface version \S+ (don't|doesn't|does not) match",
        "the fabric manager is of another version than the driver, and does not start",
        "Install the fabric manager of exactly the driver's version.",
        ("cat /proc/driver/nvidia/version; dpkg -l | grep fabricmanager", "systemctl status nvidia-fabricmanager"),
        "install",
        NVIDIA,
    ),
    # Without NVSwitches it has nothing to do, says so and ends with an error.
    Signature(
        "FABRIC_MANAGER_MISSING",
        r"nvidia-fabricmanager\S*:? .{0,60}(fail|not loaded|inactive)"
        r"|Fabric\b.{0,20}\b(State|Status)\W{1,9}(In Progress|Not Started)"
        r"|\bfabric ?manager\b(?!/socket).{0,40}(not (running|started|found|installed)|failed|never reported|missing)"
        r"|Failed to start \S*nvidia-fabricmanager|query NVSwitch device information .{0,40}failed",
        "the fabric manager of the NVSwitches does not run",
        "Install the fabric manager of exactly the driver's version and start it.",
        (
            "systemctl status nvidia-fabricmanager; nvidia-smi -q | grep -A3 Fabric",
            "sudo systemctl enable --now nvidia-fabricmanager",
        ),
        "setting",
        REPORTS,
        sure="likely",
        unless=r"NV_WARN_NOTHING_TO_DO",
    ),
    Signature(
        "CUDA_COMPAT_LIB_SHADOWS_DRIVER",
        r"Error \(?803|CUDA_ERROR_SYSTEM_DRIVER_MISMATCH|unsupported display driver ?/ ?cuda driver combination"
        rf"|cudaErrorSystemDriverMismatch|{_STARTS}803\b",
        "a libcuda of another driver (cuda-compat) is loaded in place of the driver's own",
        "Take the cuda-compat folder out of the loader's path.",
        _LOADED_LIBCUDA,
        "setting",
        NVIDIA,
        in_warnings=True,
    ),
    Signature(
        "CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU",
        r"Error \(?804|CUDA_ERROR_COMPAT_NOT_SUPPORTED|forward compatibility was attempted on non supported HW"
        rf"|cudaErrorCompatNotSupported|{_STARTS}804\b",
        "the forward compatibility of CUDA (cuda-compat) does not work on a GPU of this class",
        "Install a newer driver on the host, or take the cuda-compat folder out of the loader's path.",
        _LOADED_LIBCUDA,
        "setting",
        NVIDIA,
        in_warnings=True,
    ),
    Signature(
        "TRITON_PTXAS_NEWER_THAN_DRIVER",
        rf"(triton|ptxas).{{0,200}}({_NEWER_PTX})|(ptxas\S* .{{0,40}}|fatal *: )Unsupported \.version"
        r"|Triton Error \[CUDA\]: device kernel image is invalid"
        r"|PTX JIT compiler library not found|PTX .* version .* (is )?not supported",
        _NEWER_KERNELS,
        _OLDER_KERNELS,
        _VERSIONS,
        "reboot",
        NVIDIA,
        ends_start=True,
    ),
    # cudaError 222: PTX that is newer than the driver's compiler for it (vllm-project/vllm/pull/28305), and Triton's
    # where the trace leads through it.
    Signature(
        "TRITON_PTXAS_NEWER_THAN_DRIVER",
        _NEWER_PTX,
        _NEWER_KERNELS,
        _OLDER_KERNELS,
        _VERSIONS,
        "reboot",
        NVIDIA,
        ends_start=True,
        after=r"Triton Error|\btriton[/.]|\bptxas\b",
    ),
    Signature(
        "DRIVER_TOO_OLD",
        _NEWER_PTX,
        _NEWER_KERNELS,
        _OLDER_KERNELS,
        _VERSIONS,
        "reboot",
        NVIDIA,
        ends_start=True,
    ),
    Signature(
        "DRIVER_TOO_OLD",
        r"CUDA driver version is insufficient|NVIDIA driver on your system is too old|cudaErrorInsufficientDriver"
        r"|undefined symbol: (?-i:cu[A-Z])\w+|driver version .{0,40} (is )?(too old|insufficient|not supported)"
        r"|\b(NVIDIA|CUDA) driver (is )?too old|ptxas too old|old CUDA driver detected"
        r"|update your GPU driver by downloading"
        r"|not supported in the installed CUDA driver|cudaErrorCallRequiresNewerDriver"
        rf"|{_STARTS}35\b|driver (does not|doesn't) support CUDA 1\d",
        "the NVIDIA driver is older than the CUDA of this torch",
        "Install a newer driver, or a torch of an older CUDA.",
        _VERSIONS,
        source=REPORTS,
        in_warnings=True,
    ),
    Signature(
        "UVM_MODULE_BROKEN",
        r"CUDA unknown error|initialize CUDA: unknown error|(cuInit|cudaGetDeviceCount).{0,40}\b999\b"
        r"|\b(cuda|cu(?-i:[A-Z])\w+|nvidia|driver)\b.{0,60}\berror:? \(?999\b"
        r"|\berror:? \(?999\b\W{0,4}(unknown error|CUDA|initialization)|(?<!http)(?<!http )\berror:? \(?999\b\)?[.!]?$"
        r"|CUDA_ERROR_UNKNOWN|cudaErrorUnknown|Setting the available devices to be zero"
        rf"|{_STARTS}999\b|\b(cuInit(\(0\))?|driver library init failure)( returned| failed|:)[: ]*3\b"
        rf"|cudaGetDeviceCount\(\).{{0,160}}\bError 3: initialization error"
        r"|could not insert '?nvidia[-_]uvm|nvidia[-_]uvm: Unknown symbol"
        r"|(init|initiali[sz]e) (the )?(GPU|CUDA)\b.{0,10}: unknown error"
        r"|\bunknown error\b.{0,40}\b(suspend|resume|sleep|hibernat\w+)\b"
        r"|nvidia[-_]uvm(?!-tools).{0,40}(fail|missing|no such|not found)",
        "CUDA does not start although the driver is there: the nvidia_uvm module is broken (after sleep or an update)",
        "Load the module anew, or reboot.",
        ("sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm", "sudo reboot"),
        "reboot",
        REPORTS,
        sure="likely",
        in_warnings=True,
    ),
    # torch says so of cudaErrorInitializationError: also after a fork.
    Signature(
        "UVM_MODULE_BROKEN",
        r"CUDA driver initialization failed, you might not have a CUDA gpu|\bError 304: OS call failed"
        r"|CUDA_ERROR_OPERATING_SYSTEM|(?<!fork)\bcudaErrorInitializationError|CUDA_ERROR_NOT_INITIALIZED.{0,40}cuInit",
        "CUDA does not start although the driver is there, as with a nvidia_uvm module that is broken or has no node",
        "Load the module anew, or reboot.",
        ("ls -l /dev/nvidia*", "sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm", "sudo reboot"),
        "reboot",
        TORCH,
        sure="hint",
        in_warnings=True,
        unless=r"forked subprocess|\bos\.fork|multiprocessing[/.]popen_fork",
    ),
    # What the linker takes at build time, in lib64/stubs of a toolkit.
    Signature(
        "CUDA_LIBS_SHADOWED",
        r"CUDA driver is a stub library|CUDA_ERROR_STUB_LIBRARY|cudaErrorStubLibrary",
        "the toolkit's stub of libcuda is loaded in place of the driver's own",
        "Take the folder of stubs out of the loader's path.",
        ("env | grep LD_LIBRARY_PATH", "ldconfig -p | grep libcuda.so"),
        "setting",
        NVIDIA,
    ),
    Signature(
        "MIG_UNSUPPORTED_BY_ENGINE",
        r"\bMIG[- ].{0,60}(not supported|unsupported|invalid|fail|not found|not a valid)"
        r"|(invalid device ordinal|(unknown|invalid) device|Invalid Argument|Not Supported)\b.{0,60}\bMIG\b"
        r"|ValueError: invalid literal for int\(\).{0,20}'MIG-"
        r"|device >= 0 && device < num_gpus",
        "the engine cannot use the slices of a GPU (MIG) that it was given",
        "Give each server one slice, or turn MIG off.",
        ("nvidia-smi -L", "env | grep CUDA_VISIBLE_DEVICES"),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
        r"ValueError: invalid literal for int\(\).{0,20}'GPU-",
        "vLLM before 0.24 reads numbers in CUDA_VISIBLE_DEVICES, and it names the GPU by its UUID",
        "Name the GPUs by their numbers.",
        ("nvidia-smi -L", "export CUDA_VISIBLE_DEVICES=0"),
        "setting",
        VLLM,
    ),
    Signature(
        "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
        r"No CUDA GPUs are available|invalid device ordinal|CUDA_ERROR_NO_DEVICE"
        r"|no CUDA-capable device is detected|No CUDA-capable device|Device string must not be empty|cudaErrorNoDevice"
        r"|CUDA_VISIBLE_DEVICES is set to empty string|AssertionError: Invalid device id"
        r"|cudaErrorInvalidDevice\b|CUDA_ERROR_INVALID_DEVICE|device >= num_gpus",
        "CUDA shows no GPU to torch",
        "Look at CUDA_VISIBLE_DEVICES and, in a container, at how it was given its GPUs.",
        ("env | grep CUDA_VISIBLE_DEVICES", "nvidia-smi -L"),
        "setting",
        TORCH,
    ),
    Signature(
        "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
        r"invalid literal for int\(\) with base 10: ''|IndexError: list index out of range",
        "CUDA_VISIBLE_DEVICES is empty, or names fewer GPUs than the engine asks for",
        "Name the GPUs by their numbers, or unset it.",
        ("env | grep CUDA_VISIBLE_DEVICES", "nvidia-smi -L", "unset CUDA_VISIBLE_DEVICES"),
        "setting",
        VLLM,
        sure="likely",
        after=r"physical_device_id|CUDA_VISIBLE_DEVICES\W{1,3}\.split",
    ),
    # NCCL, of two processes on one GPU.
    Signature(
        "TOO_FEW_GPUS",
        r"Duplicate GPU detected",
        "two processes of the engine share one GPU: there are too few for the command, or they are slices (MIG)",
        "Ask for as many GPUs as nvidia-smi shows.",
        ("nvidia-smi -L", "env | grep CUDA_VISIBLE_DEVICES", "{fewer_gpus}"),
        "flag",
        NVIDIA,
        sure="likely",
        ends_start=True,
    ),
    Signature(
        "GPU_MEMORY_TAKEN_BY_OTHERS",
        r"CUDA-capable devices? ?(\(s\))? (is/)?are busy or unavailable|cudaErrorDevicesUnavailable"
        r"|in use by another process"
        r"|\bExclusive[_ ]Process\b.{0,80}\b(fail|error|cannot|can't|refuse|second|another)"
        r"|\b(fail|error|cannot|can't|refuse|second|another)\w*\b.{0,80}\bExclusive[_ ]Process\b",
        "another program has this GPU for itself (compute mode), or it does not answer",
        "End what else runs on it, or let several programs use it.",
        (
            "nvidia-smi -q -d COMPUTE; nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv",
            "sudo nvidia-smi -c DEFAULT",
        ),
        "setting",
        NVIDIA,
        sure="hint",
    ),
    Signature(
        "TOO_FEW_GPUS",
        r"World size \(\d+\) is larger than the number of available GPUs|requires? \d+ GPUs? but only \d+"
        r"|number of required GPUs exceeds|placement group .*\{'GPU'|world size .{0,40}(exceeds|larger than).{0,30}GPU",
        "the command asks for more GPUs than there are",
        "Ask for as many GPUs as nvidia-smi shows.",
        ("nvidia-smi -L", "{fewer_gpus}"),
        "flag",
        VLLM,
        ends_start=True,
    ),
    Signature(
        "GPU_FELL_OFF_BUS",
        rf"{_XID}79\b|\b(has fallen|fell) off the bus|Unable to determine the device handle|GPU is lost|GPU_?IS_?LOST"
        r"|\bnvidia\b.{0,20}: Unable to change power state from D3cold"
        r"|CUDA_ERROR_DEVICE_UNAVAILABLE",
        "the GPU fell off the bus (power, riser or cable)",
        "Look at the GPU's power and its slot; then restart the machine.",
        ("sudo dmesg | grep -i -E 'xid|nvrm' | tail",),
        "hardware",
        NVIDIA,
    ),
    Signature(
        "GPU_HARDWARE_ERROR",
        r"uncorrectable|\bECC.{0,20}error|unspecified launch failure|illegal memory access|misaligned address"
        r"|CUDA error: (unknown error|an illegal instruction|hardware stack error)"
        rf"|{_XID}(48|6[1-4]|74|92|94|95|119|120|140|14[4-9]|150)\b|Timeout waiting for RPC from GSP"
        r"|CUDA_ERROR_(ECC|NVLINK)_UNCORRECTABLE"
        r"|CUDA_ERROR_(HARDWARE_STACK_ERROR|ILLEGAL_ADDRESS|LAUNCH_FAILED|CONTAINED)"
        r"|cudaError(IllegalAddress|LaunchFailure|HardwareStackError|Contained)|\brow.?remapp\w* failure"
        r"|GPU_?(requires|is_?required)?_?reset_?required|\bGPU requires reset",
        "the GPU or its driver failed under work",
        "Look at the GPU's error counters and the kernel's log.",
        ("nvidia-smi -q -d ECC,ROW_REMAPPER", "sudo dmesg | grep -i -E 'xid|nvrm'"),
        "hardware",
        REPORTS,
        sure="likely",
    ),
)
