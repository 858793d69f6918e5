"""The GPU under load: what its driver, its kernels and its hardware answer."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import NVIDIA, REPORTS, TORCH, VLLM, Signature

#: The wheels of FlashInfer 0.5.2 to 0.7.2: jit/core.py (what it ends with) and compilation_context.py (why).
FLASHINFER = "FlashInfer's source, 0.5 to 0.7"
_FLASHINFER_DROPS = r"FlashInfer requires (GPUs with )?sm ?75"
_TOO_OLD_TOOLKIT = r"SM ?12(0|\.x|\.1\+) requires CUDA >= 12\.\d"
_NEWER_TOOLKIT = "Install a CUDA toolkit from 12.9 on and name it in CUDA_HOME; with vLLM, or let it sample by itself."
_COMPILER = (
    "nvcc --version; ls -d /usr/local/cuda*; env | grep CUDA_HOME",
    "export VLLM_USE_FLASHINFER_SAMPLER=0",
)

_ARCHITECTURES = ("python3 -c 'import torch; print(torch.__version__, torch.cuda.get_arch_list())'",)
_PTXAS_MEANS = "triton's own assembler (ptxas) does not know this GPU"
_PTXAS_WAY_OUT = (
    "Let triton take the assembler of a CUDA toolkit that knows the GPU, or install a newer torch with its triton."
)
_PTXAS_COMMANDS = (
    "export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas",
    "export TRITON_PTXAS_BLACKWELL_PATH=/usr/local/cuda/bin/ptxas",
)
_VERSIONS = ("nvidia-smi", "python3 -c 'import torch; print(torch.version.cuda)'")
_NEWER_PTX = r"unsupported toolchain|CUDA_ERROR_UNSUPPORTED_PTX_VERSION|cudaErrorUnsupportedPtxVersion"
_NEWER_KERNELS = "kernels were compiled by a CUDA that is newer than the driver"
_OLDER_KERNELS = "Install a newer driver, or the build of the engine for the driver's CUDA."
_LOADED_LIBCUDA = ("ldconfig -p | grep libcuda.so", "env | grep LD_LIBRARY_PATH")

ROWS: tuple[Signature, ...] = (
    Signature(
        "FABRIC_MANAGER_MISSING",
        r"Error 802|CUDA_ERROR_SYSTEM_NOT_READY|cudaErrorSystemNotReady|system not yet initialized",
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
    Signature(
        "CUDA_COMPAT_LIB_SHADOWS_DRIVER",
        r"Error 803|CUDA_ERROR_SYSTEM_DRIVER_MISMATCH|unsupported display driver / cuda driver combination",
        "a libcuda of another driver (cuda-compat) is loaded in place of the driver's own",
        "Take the cuda-compat folder out of the loader's path.",
        _LOADED_LIBCUDA,
        "setting",
        NVIDIA,
        in_warnings=True,
    ),
    Signature(
        "CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU",
        r"Error 804|CUDA_ERROR_COMPAT_NOT_SUPPORTED|forward compatibility was attempted on non supported HW",
        "the forward compatibility of CUDA (cuda-compat) does not work on a GPU of this class",
        "Install a newer driver on the host, or take the cuda-compat folder out of the loader's path.",
        _LOADED_LIBCUDA,
        "setting",
        NVIDIA,
        in_warnings=True,
    ),
    Signature(
        "TRITON_PTXAS_NEWER_THAN_DRIVER",
        rf"(triton|ptxas).{{0,200}}({_NEWER_PTX})|ptxas\S* .{{0,40}}Unsupported \.version"
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
        "BF16_UNSUPPORTED_GPU",
        r"bfloat16 is (only|not) supported on GPUs|bfloat16 is not supported on|bf16.{0,40}(is not|isn't|only) support"
        r"|device (kernel )?does not support bfloat16|Feature '\.bf16' requires",
        "the GPU has no bfloat16 (it came with compute capability 8.0)",
        "Let the engine compute in float16.",
        ("{half}",),
        "flag",
        VLLM,
        ends_start=True,
    ),
    # pytorch issue 57773: older cuBLAS on GPUs before Volta. Other reasons are rarer.
    Signature(
        "BF16_UNSUPPORTED_GPU",
        r"CUBLAS_STATUS_NOT_SUPPORTED when calling .{0,120}CUDA_R_16BF",
        "cuBLAS does not multiply in bfloat16 on this GPU (it came with compute capability 8.0)",
        "Let the engine compute in float16.",
        ("nvidia-smi --query-gpu=name,compute_cap --format=csv", "{half}"),
        "flag",
        REPORTS,
        sure="hint",
    ),
    # FlashInfer drops a GPU that its CUDA compiler is too old for, and then says of all of them that they are too old.
    # The words about SM 12.x alone, as its warning has them, stand in the logs of healthy servers as well.
    Signature(
        "NVCC_MISSING_FOR_JIT",
        _FLASHINFER_DROPS,
        "FlashInfer cannot compile for this GPU: it finds a CUDA compiler that is too old for it",
        _NEWER_TOOLKIT,
        _COMPILER,
        source=FLASHINFER,
        after=_TOO_OLD_TOOLKIT,
    ),
    Signature(
        "NVCC_MISSING_FOR_JIT",
        rf"(?<!device capability: )({_TOO_OLD_TOOLKIT})|nvcc fatal *: Unsupported gpu architecture 'compute_1[0-2]\d",
        "what compiles at the start finds a CUDA compiler that is too old for this GPU",
        _NEWER_TOOLKIT,
        _COMPILER,
        source=FLASHINFER,
        sure="likely",
    ),
    Signature(
        "GPU_TOO_OLD_FOR_ENGINE",
        _FLASHINFER_DROPS,
        "FlashInfer compiles for none of these GPUs: they are older than Turing, or its CUDA compiler is too old",
        "On a GPU before Turing start vLLM with its own sampler; on a newer one install a newer CUDA toolkit.",
        ("nvidia-smi --query-gpu=name,compute_cap --format=csv", *_COMPILER),
        "setting",
        FLASHINFER,
        sure="hint",
    ),
    # vllm/engine/arg_utils.py from 0.8 on; before, the assertion of v1/attention/backends/flash_attn.py.
    Signature(
        "GPU_TOO_OLD_FOR_ENGINE",
        r"VLLM_USE_V1=1 is not supported with Compute Capability < 8|assert is_fa_version_supported\(",
        "this vLLM's V1 engine needs a GPU of compute capability 8.0, and VLLM_USE_V1 asks for it",
        "Take the variable away (an older vLLM then chooses V0), or vLLM from 0.10.2 on, whose V1 runs on 7.0 and 7.5.",
        ("unset VLLM_USE_V1", "export VLLM_USE_V1=0"),
        "setting",
        VLLM,
        ends_start=True,
    ),
    Signature(
        "GPU_TOO_OLD_FOR_ENGINE",
        r"GPUs? with compute capability (below|less than) [\d.]+ (is|are) not supported"
        r"|only supports? GPUs with (a )?(CUDA |compute )?capability (>=|of at least)"
        r"|FlashAttention only supports Ampere GPUs or newer"
        r"|requires? (an? )?(compute capability|sm_?\d\d)[^.]{0,40}(or (higher|newer|above))"
        r"|(SGLang|vLLM).{0,30}(only supports sm\d+|doesn't work on|does not (support|work on)).{0,40}"
        r"(GPU|Tesla|[PV]100|sm_?\d\d|Pascal|Volta)",
        "the engine has no kernels for a GPU this old",
        "Take an engine or an older version of it that supports this GPU, or a newer GPU.",
        ("nvidia-smi --query-gpu=name,compute_cap --format=csv",),
        "hardware",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "GPU_ARCH_NOT_IN_WHEEL",
        r"no kernel image|cudaErrorNoKernelImageForDevice|PyTorch no longer supports this GPU because it is too old"
        r"|CUDA_ERROR_NO_BINARY_FOR_GPU|device kernel image is invalid"
        r"|No compiled \w*cutlass\w*.{0,120}CUDA device capability: (9|1[0-9])\d\b"
        r"|no kernel function .* for (sm_|compute capability)|CUDA kernel \S+ has no device code compatible with",
        "the installed binaries have no code for this GPU",
        "Install a torch whose CUDA variant covers this GPU, and the engine's build for it.",
        _ARCHITECTURES,
        source=REPORTS,
        ends_start=True,
        in_warnings=True,
    ),
    Signature(
        "GPU_ARCH_NOT_IN_WHEEL",
        r"ptxas\S* .{0,40}Value 'sm_\w+' is not defined",
        _PTXAS_MEANS,
        _PTXAS_WAY_OUT,
        _PTXAS_COMMANDS,
        "setting",
        REPORTS,
        ends_start=True,
    ),
    # It ends so after any error of its own, of which the lines around tell.
    Signature(
        "GPU_ARCH_NOT_IN_WHEEL",
        r"ptxas\b.{0,200}--gpu-name[= ]sm_(103|110|121)[af]?\b.{0,300}exit status 255",
        _PTXAS_MEANS,
        _PTXAS_WAY_OUT,
        _PTXAS_COMMANDS,
        "setting",
        REPORTS,
        sure="likely",
        ends_start=True,
        unless=r"\bptxas\b[^:]{0,80}\b(error|fatal) *: (?!Value 'sm_)",
    ),
    Signature(
        "GPU_ARCH_NOT_IN_WHEEL",
        r"is not compatible with the current PyTorch installation|torch\S* does not include kernels for this GPU",
        "the installed torch was not built for this GPU, and warns of it",
        "Install a torch whose CUDA variant covers this GPU, and the engine's build for it.",
        _ARCHITECTURES,
        source=TORCH,
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "CPU_ONLY_TORCH",
        r"Torch not compiled with CUDA enabled",
        "the installed torch is built without CUDA",
        "Install the CUDA build of torch that the engine requires.",
        ("uv pip install --reinstall-package torch torch --torch-backend=auto",),
        ends_start=True,
    ),
    Signature(
        "CPU_ONLY_TORCH",
        r"PyTorch \S+\+cu\d+\b.{0,30}\(you have \S+\+cpu\)",
        "a package was built for a torch with CUDA, and the installed torch is built without",
        "Install the CUDA build of torch that the engine requires.",
        ("uv pip install --reinstall-package torch torch --torch-backend=auto",),
        source="xFormers' source",
        in_warnings=True,
    ),
    Signature(
        "CPU_ONLY_TORCH",
        r"is_available\(\) *(==|is|returns|->|:) *False|torch.{0,20}\bCPU[- ]only\b"
        r"|\bCPU (build|version|wheel) .{0,20}torch|torch CPU (build|version|wheel)",
        "torch sees no CUDA; most often it is built without it",
        "See whether torch is built with CUDA; if not, install the build that the engine requires.",
        (
            "python3 -c 'import torch; print(torch.__version__, torch.version.cuda)'",
            "uv pip install --reinstall-package torch torch --torch-backend=auto",
        ),
        source=REPORTS,
        sure="hint",
    ),
    Signature(
        "DRIVER_TOO_OLD",
        r"CUDA driver version is insufficient|NVIDIA driver on your system is too old|cudaErrorInsufficientDriver"
        r"|undefined symbol: (?-i:cu[A-Z])\w+|driver version .{0,40} (is )?(too old|insufficient|not supported)",
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
        r"|CUDA_ERROR_UNKNOWN|cudaErrorUnknown"
        r"|nvidia[-_]uvm.{0,40}(fail|missing|no such|not found)",
        "CUDA does not start although the driver is there: the nvidia_uvm module is broken (after sleep or an update)",
        "Load the module anew, or reboot.",
        ("sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm", "sudo reboot"),
        "reboot",
        REPORTS,
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "MIG_UNSUPPORTED_BY_ENGINE",
        r"\bMIG[- ].{0,60}(not supported|unsupported|invalid|fail)"
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
        r"No CUDA GPUs are available|Found no NVIDIA driver|invalid device ordinal|CUDA_ERROR_NO_DEVICE"
        r"|no CUDA-capable device is detected|No CUDA-capable device|Device string must not be empty",
        "CUDA shows no GPU to torch",
        "Look at CUDA_VISIBLE_DEVICES and, in a container, at how it was given its GPUs.",
        ("env | grep CUDA_VISIBLE_DEVICES", "nvidia-smi -L"),
        "setting",
        TORCH,
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
        r"\bXid\b.{0,40}\b79\b|has fallen off the bus|Unable to determine the device handle|GPU is lost"
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
        r"|CUDA error: (unknown error|an illegal instruction|hardware stack error)|\bXid\b.{0,40}\b(48|63|64|74|94"
        r"|95)\b",
        "the GPU or its driver failed under work",
        "Look at the GPU's error counters and the kernel's log.",
        ("nvidia-smi -q -d ECC,ROW_REMAPPER", "sudo dmesg | grep -i -E 'xid|nvrm'"),
        "hardware",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "QUANT_UNSUPPORTED_GPU",
        r"not supported for\W{1,8}the current GPU|not implemented for 'Float8"
        r"|type fp8e\w+ not supported in this architecture"
        r"|FP8 .{0,80}(compute capability|requires?|need).{0,60}(8\.9|9\.0|higher|newer|Ada|Hopper)"
        r"|No compiled \w*cutlass\w*.{0,120}CUDA device capability: [5-8]\d\b"
        r"|torch\._scaled_mm is only supported on|Failed to find a kernel that can implement"
        r"|(quantization|marlin|awq|gptq).{0,80}(requires?|needs?|minimum) (compute )?capability"
        r"|(fp8|fp4|nvfp4|mxfp4|awq|gptq).{0,60}(is|are) not supported (on|by) (this|your|the current) (GPU|device"
        r"|hardware)",
        "the GPU lacks what the kernels of this quantisation need",
        "Take a checkpoint in a form that this GPU computes.",
        ("nvidia-smi --query-gpu=name,compute_cap --format=csv", "{no_quantization}"),
        "flag",
        VLLM,
        ends_start=True,
    ),
)
