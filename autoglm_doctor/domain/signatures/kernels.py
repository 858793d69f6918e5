"""The kernels of torch and of the engine, and the GPU that they were or were not made for."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import REPORTS, TORCH, VLLM, Signature

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
#: A torch for the CPU is no fault by itself.
_FAILS = r"\b(fail\w*|error|cannot|can't|no|not|doesn't|isn't|unable|wrong|instead|although|only|False|wants?|needs?)\b"
_PTXAS_MEANS = "triton's own assembler (ptxas) does not know this GPU"
_PTXAS_WAY_OUT = (
    "Let triton take the assembler of a CUDA toolkit that knows the GPU, or install a newer torch with its triton."
)
_PTXAS_COMMANDS = (
    "export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas",
    "export TRITON_PTXAS_BLACKWELL_PATH=/usr/local/cuda/bin/ptxas",
)

ROWS: tuple[Signature, ...] = (
    Signature(
        "BF16_UNSUPPORTED_GPU",
        r"bfloat16 is (only|not) supported on GPUs|bfloat16 is not supported on|bf16.{0,40}(is not|isn't|only) support"
        r"|device (kernel )?(does not|doesn't) support .?(torch\.)?b(fl)?oat16|Feature '[^']*\bbf16\b[^']*' requires"
        r"|(does not|doesn't) support bf16|bfloat16'?( dtype)? (is )?not supported|bf16/gpu not supported"
        r"|You can use float16 instead by explicitly setting",
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
        r"|FlashAttention\S*( forward)? only supports? (Ampere|Hopper|Turing)|too old to be supported by the triton"
        r"|GPUTooOldForTriton"
        r"|compute capability of the GPU should be >= ?8"
        r"|Feature '(?![^']*(bf16|fp?8|e4m3|e5m2|e2m1))[^']*' requires \.target sm_"
        r"|(SGLang|vLLM).{0,20}only supports? sm ?\d+|Minimum compute capability"
        r"|with (compute|CUDA) capability \(?\d[. ]\d\)?\)? is not supported"
        r"|FlashInfer\b.{0,30}(requires sm\d+\+|not supported\W{1,3}sm_?[567]\d)"
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
        r"|invalid device function|cudaErrorInvalidDeviceFunction|is not a recognized processor for this target"
        r"|Arch conditional MMA instruction used without targeting|Unsupported CUDA arch(itecture)?\b"
        r"|Unknown CUDA arch \(|no kernel function .* for (sm_|compute capability)"
        r"|CUDA kernel \S+ has no device code compatible with",
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
        r"is not compatible with the current PyTorch installation|PyTorch install supports CUDA capabilities"
        r"|install PyTorch with a following CUDA|is not yet supported in this version of the container"
        r"|torch\S* does not include kernels for this GPU",
        "the installed torch was not built for this GPU, and warns of it",
        "Install a torch whose CUDA variant covers this GPU, and the engine's build for it.",
        _ARCHITECTURES,
        source=TORCH,
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "CPU_ONLY_TORCH",
        r"Torch not compiled with CUDA enabled|(torch )?not compiled with CUDA support"
        r"|module 'torch\._C' has no attribute '_cuda",
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
        r"is_available\(\) *(==|is|returns|->|:|=)? *False|\btorch\.version\.cuda\W{1,3}(is |== ?)?None"
        r"|Cannot access accelerator device when none"
        rf"|\btorch\b[- =]*\d\S*\+cpu\b.{{0,80}}{_FAILS}|{_FAILS}.{{0,80}}\btorch\b[- =]*\d\S*\+cpu\b"
        r"|Distributed package doesn't have NCCL|(?<!bitsandbytes was )compiled without GPU support"
        r"|torch.{0,20}\bCPU[- ]only\b"
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
    # It loads its library for the CPU where torch sees no GPU; where it has none for torch's CUDA, it told of that.
    Signature(
        "CPU_ONLY_TORCH",
        r"bitsandbytes was compiled without GPU support",
        "bitsandbytes sees no CUDA in torch; most often torch is built without it",
        "See whether torch is built with CUDA; if not, install the build that the engine requires.",
        (
            "python3 -c 'import torch; print(torch.__version__, torch.version.cuda)'",
            "python3 -m bitsandbytes",
        ),
        source="the source of bitsandbytes",
        sure="hint",
        unless=r"Could not find the bitsandbytes \w+ binary|CUDA Setup failed despite",
    ),
    Signature(
        "QUANT_UNSUPPORTED_GPU",
        r"not supported for\W{1,8}the current GPU|not implemented for 'Float8"
        r"|type fp8e\w+ not supported in this architecture"
        r"|FP8 .{0,80}(compute capability|requires?|need).{0,60}(8\.9|9\.0|higher|newer|Ada|Hopper)"
        r"|No compiled \w*cutlass\w*.{0,120}CUDA device capability: [5-8]\d\b"
        r"|Marlin does not support weight_bits|No FP4 kernel|int8 Matmul not supported|cublasLt ran into an error"
        r"|(fp8|fp4|nvfp4|mxfp4|marlin|deepgemm)\b.{0,60}(requires?|needs?|only supported).{0,50}"
        r"(Ampere|Hopper|Blackwell|\bSM ?\d\d|capability)|cutlass_fp8_supported|Feature '[^']*(e4m3|e5m2|e2m1"
        r"|fp?8)[^']*' requires|FP8 is not supported on"
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
    # Blocks that an engine chose for GPUs with more of it: A100 and H100 have 163 and 227 KiB a block, others 64 or 99.
    Signature(
        "GPU_TOO_OLD_FOR_ENGINE",
        r"out of resource: shared memory, Required",
        "a kernel needs more shared memory a block than this GPU has",
        "Take a newer release of the engine, another attention backend, or a smaller block.",
        ("nvidia-smi --query-gpu=name,compute_cap --format=csv",),
        "flag",
        "triton's source",
        sure="hint",
        unless=r"\bautotun\w+",
    ),
    # xFormers lists each of its kernels with what speaks against it: the GPU need not be the reason.
    Signature(
        "GPU_ARCH_NOT_IN_WHEEL",
        r"requires device with capability <.{0,60}\(too new\)",
        "the kernels of this package (xFormers) were made for older GPUs",
        "Install a newer release of it with its torch.",
        _ARCHITECTURES,
        source="xFormers' source",
        sure="likely",
    ),
    Signature(
        "GPU_TOO_OLD_FOR_ENGINE",
        r"requires device with capability >",
        "a kernel of this package needs a newer GPU",
        "Take an engine or an older version of it that supports this GPU, or a newer GPU.",
        ("nvidia-smi --query-gpu=name,compute_cap --format=csv",),
        "hardware",
        "xFormers' source",
        sure="hint",
    ),
)
