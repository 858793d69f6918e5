"""Compiled packages that do not fit together: torch, its CUDA libraries, extensions, compilers at run time."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import MEASURED, REPORTS, TORCH, Signature

# uv picks the CUDA variant for the driver by itself; the pin keeps it from moving the torch that is there.
_TRIO = (
    "python3 -m pip list | grep -i torch",
    "uv pip install --reinstall-package torchvision torchvision --torch-backend=auto "
    '"torch==$(python3 -c "import torch; print(torch.__version__.split(\'+\')[0])")"',
)
_SHOW = ("python3 -m pip list | grep -i -E 'torch|flash|kernel|vllm|sglang|nvidia'", "python3 -m pip check")

#: xFormers: _cpp_lib.py, which says so in a warning and goes on without.
XFORMERS = "xFormers' source"
#: cuda/std/__cccl/cuda_toolkit.h compares nvcc with the headers of the runtime; those of the packages may differ.
_SAME_RELEASE = (
    "R=$(python3 -c \"from importlib.metadata import version as v; print('.'.join(v('nvidia-cuda-runtime')"
    '.split(\'.\')[:2]))") && python3 -m pip install "nvidia-cuda-nvcc==$R.*" "nvidia-cuda-crt==$R.*" '
    '"nvidia-nvvm==$R.*" "nvidia-cuda-cccl==$R.*"'
)

ROWS: tuple[Signature, ...] = (
    Signature(
        "CUDNN_CONV3D_REGRESSION",
        r"CuDNN Compatibility Issue|conv3d.{0,60}(slow|regression|memory)"
        r"|(regression|slow(er|ness)?)\b.{0,40}\bconv3d\b"
        r"|known bug in PyTorch \S+ .{0,4}nn\.Conv3d|nn\.Conv3d. implementation .{0,20}with CuDNN",
        "this torch 2.9 with a cuDNN before 9.15 computes Conv3d (the pictures' first layer) slowly and in much memory",
        "Install cuDNN 9.15 or newer.",
        ("python3 -m pip install 'nvidia-cudnn-cu12>=9.15'",),
        source=REPORTS,
        ends_start=True,
        sure="likely",
    ),
    Signature(
        "CUDA_LIBS_SHADOWED",
        r"cuDNN version incompatibility|undefined symbol: \w+, version lib(cublas|cudart|cudnn|cusparse|nvJitLink|nccl)"
        r"|undefined symbol: (__)?(nvJitLink|cublasLt|cudnn|nccl)\w*|libcudnn\S* .{0,40}(mismatch|incompatib)"
        r"|Could not load library libcudnn|CUDNN_STATUS_(SUBLIBRARY_(VERSION_MISMATCH|LOADING_FAILED)|VERSION_MISMATCH"
        r"|NOT_INITIALIZED)|libnccl.{0,40}undefined symbol"
        # nvidia-docker issue 1726, ChatGLM-6B 921, ms-swift 3390, CUDA.jl 3205; torch/backends/cudnn.
        r"|symbol \w+,? version lib(cu|nv|nccl)\S+ not defined in file lib(cu|nv|nccl)|Cannot load symbol cudnn\w+"
        r"|Unable to load any of \{libcudnn|Could not locate cudnn\w+\.dll|contains incompatible version of cudnn"
        r"|Loaded runtime CuDNN library: \S+ but source was compiled with",
        "another copy of a CUDA library is loaded in place of the one that torch brought",
        "Clear the loader's path, so that torch's own libraries are found first.",
        ("env | grep LD_LIBRARY_PATH", "unset LD_LIBRARY_PATH"),
        "setting",
        REPORTS,
        sure="likely",
    ),
    # cuBLAS refuses values that are right where its libcublasLt is another release's: vLLM 0.17's release notes, vllm
    # issue 35608, vllm-omni 1790, sglang-omni 93, pytorch 174320. With bitsandbytes and before Turing it is the GPU.
    Signature(
        "CUDA_LIBS_SHADOWED",
        r"CUBLAS_STATUS_INVALID_VALUE when calling .{0,3}cublas(Gemm|Lt|[SHD]gemm(Strided|Ex|\b))",
        "cuBLAS refuses a plain product: as a rule it has loaded the libcublasLt of another CUDA toolkit",
        "Clear the loader's path of the toolkit, or install the torch of the toolkit's own CUDA.",
        ("env | grep LD_LIBRARY_PATH", "unset LD_LIBRARY_PATH", "nvcc --version; python3 -m pip list | grep -i cublas"),
        "setting",
        REPORTS,
        sure="likely",
        ends_start=True,
        unless=r"bitsandbytes[/.]|MatMul8bitLt|\bbnb\.matmul|device-side assert|index out of (range|bounds)"
        r"|indexSelect\w*.{0,80}Assertion",
    ),
    Signature(
        "TORCH_COMPANION_MISMATCH",
        r"torchvision::nms|requires the Torchvision library|No module named 'torch(vision|audio)'"
        r"|partially initialized module 'torch(vision|audio)'"
        r"|(torchvision|torchaudio)[^ ]*: undefined symbol|torch(vision|audio).{0,80}(undefined symbol|different CUDA "
        r"versions|compiled with different|not compatible|Could not load)|Couldn't load custom C\+\+ ops"
        r"|Could not load (this library|library).{0,60}torchaudio",
        "torchvision or torchaudio is missing or belongs to another torch",
        "Install the companion that belongs to the installed torch.",
        _TRIO,
        source=MEASURED,
    ),
    Signature(
        "VLLM_CUDA_VARIANT_MISMATCH",
        r"lib(cudart|nvrtc|cublas(Lt)?|cufft|curand|cusparse|cusolver|nvJitLink|cupti|cudnn|nccl|cufile|nvshmem_host"
        r"|cusparseLt)\S*\.so\.\d+\S*: "
        r"cannot open shared object|lib(cudart|nvrtc|cublas)\.so\.\d+.{0,40}(not found|missing)"
        r"|\b(cudart|cublas|cublasLt)64_\d+\.dll.{0,20}(is not found|not found|missing)",
        "a compiled package needs the libraries of another CUDA than torch brought",
        "Install the engine's build for torch's CUDA (or torch for the engine's).",
        ("python3 -c 'import torch; print(torch.version.cuda)'", *_SHOW),
        source=REPORTS,
        ends_start=True,
    ),
    # vLLM warns of its own library, and fails later on, where it uses it; torchvision of its reader of pictures.
    *(
        Signature(
            cause,
            pattern,
            meaning,
            way_out,
            _SHOW,
            source=REPORTS,
            sure="likely",
            in_warnings=True,
        )
        for cause, pattern, meaning, way_out in (
            (
                "VLLM_TORCH_MISMATCH",
                r"Failed to import from vllm\._C\b.{0,40}Error\(.{0,300}undefined symbol",
                "vLLM's own library was built for another torch: torch was replaced after vLLM was installed",
                "Install vLLM and its torch together.",
            ),
            (
                "TORCH_COMPANION_MISMATCH",
                r"Failed to load image Python extension: .{0,200}(undefined symbol|libtorch_cuda_c\w+\.so: cannot)",
                "torchvision belongs to another torch",
                "Install the companion that belongs to the installed torch.",
            ),
        )
    ),
    # vLLM's own library, also by the names that it had before 0.3; FlashAttention beside it is an extension.
    Signature(
        "VLLM_TORCH_MISMATCH",
        r"\bvllm[/\\.]_(moe_|rocm_|punica_)?C\b\S*.{0,80}undefined symbol"
        r"|\b(quantization|attention|cache|pos_encoding|layernorm|activation)_ops\.cpython\S*.{0,80}undefined symbol",
        "vLLM's own library was built for another torch: torch was replaced after vLLM was installed",
        "Install vLLM and its torch together.",
        _SHOW,
        source=REPORTS,
        ends_start=True,
    ),
    *(
        Signature(
            "EXTENSION_ABI_MISMATCH",
            rf"{package} version .{{0,60}}does not match flashinfer version",
            "FlashInfer and its packages of ready kernels are of different releases, and it refuses to be imported",
            "Take the package away, which an upgrade left behind: FlashInfer then fetches or compiles its kernels.",
            (f"python3 -m pip uninstall -y {package}", "python3 -m pip list | grep -i flashinfer"),
            source=REPORTS,
            ends_start=True,
            unless=r"Ignoring incompatible flashinfer",  # from 0.7.2 on it goes on without
        )
        for package in ("flashinfer-cubin", "flashinfer-jit-cache")
    ),
    Signature(
        "EXTENSION_ABI_MISMATCH",
        r"undefined symbol|Could not load any common_ops library|_C\.abi3\.so.{0,80}(cannot|failed)"
        r"|has no attribute '_C'|'_OpNamespace' '_C\w*' object has no attribute|No module named 'vllm\._C'"
        r"|DLL load failed while importing (flash|_C)|was compiled (for|against|with) a different (version of )?torch"
        r"|\b(does not|doesn't|do not|don't|fails? to|cannot|can't|will not|won't) (load|import)\b.{0,60}"
        r"\b(C\+\+|CXX(11)?) ?ABI\b"
        r"|\b(C\+\+|CXX(11)?) ?ABI\b.{0,20}\b(mismatch|incompatib\w+|differs?|does not match)\b",
        "a compiled package was built for another torch",
        "Install the build of that package that belongs to the installed torch.",
        _SHOW,
        source=REPORTS,
        ends_start=True,
    ),
    Signature(
        "EXTENSION_ABI_MISMATCH",
        r"\w can't load C\+\+/CUDA extensions"
        r"|\bPyTorch (\S+)( with CUDA \d+)? \(you have (?!\1\)|\S+\+rocm)\d",
        "the compiled part of this package (xFormers) was built for another torch or Python, and stays unloaded",
        "Install the release of the package that was built for this torch.",
        ("python3 -m pip list | grep -i -E '^(torch|xformers) '", "python3 -m xformers.info"),
        source=XFORMERS,
        in_warnings=True,
    ),
    # triton 3.2, the one of torch 2.6, gave its module ops away; bitsandbytes does without from 0.45.1 on.
    Signature(
        "EXTENSION_ABI_MISMATCH",
        r"No module named 'triton\.ops\b",
        "a package asks for a part of triton that went with triton 3.2: as a rule a bitsandbytes from before 0.45.1",
        "Install a bitsandbytes from 0.45.1 on, or a newer release of the package that the traceback names.",
        ("python3 -m pip install --upgrade 'bitsandbytes>=0.45.1'",),
        source="bitsandbytes 1413 and 1492, triton 5471",
        ends_start=True,
    ),
    Signature(
        "TRITON_TORCH_MISMATCH",
        r"cannot import name '\w+' from 'triton|module 'triton\S*' has no attribute|No module named 'triton\."
        r"|ASTSource\.__init__\(\) got an unexpected|ASTSource\.__init__\(\) missing",
        "triton is not the version that this torch needs",
        "Install the triton that torch pins.",
        ("python3 -m pip check", "python3 -m pip install --force-reinstall --no-deps 'triton' torch"),
        source=REPORTS,
    ),
    # Also of Triton for AMD, which lacks what torch asks for; and on Windows, where torch brings none.
    Signature(
        "TRITON_TORCH_MISMATCH",
        r"'KernelMetadata' object has no attribute|Cannot find a working triton installation"
        r"|ModuleNotFoundError: No module named 'triton'",
        "triton is missing, or not the version that this torch needs",
        "Install the triton that torch pins.",
        ("python3 -m pip check", "python3 -m pip install --force-reinstall --no-deps 'triton' torch"),
        source="torch's inductor; vllm issue 10244",
        sure="likely",
        unless=r"A matching Triton is not available|Error caught was",  # xFormers goes on without
    ),
    Signature(
        "CUDA_HOME_INVALID",
        r"directory: '[^']*:[^']*/bin/nvcc'|CUDA_HOME.{0,40}(does not exist|is invalid|not a directory|no such)",
        "CUDA_HOME names no CUDA toolkit",
        "Set it to the folder of the toolkit, or unset it.",
        ("env | grep CUDA_HOME", "unset CUDA_HOME"),
        "setting",
        TORCH,
    ),
    Signature(
        "NVCC_MISSING_FOR_JIT",
        r"Could not find nvcc|nvcc:? (command )?not found|/?\bnvcc'|/nvcc: (not found|No such file)|nvcc.{0,20}missing"
        r"|CUDA_HOME environment variable is not set|Failed to find CUDA toolkit|nvcc not found",
        "the engine compiles kernels at its start and finds no nvcc",
        "Install the CUDA toolkit of torch's CUDA and set CUDA_HOME, or the engine's package of ready kernels.",
        ("nvcc --version", "env | grep CUDA_HOME"),
        source=REPORTS,
        ends_start=True,
    ),
    Signature(
        "NVCC_MISSING_FOR_JIT",
        r"CUDA compiler and CUDA toolkit headers are incompatible",
        "what compiles at the start finds an nvcc of another CUDA release than the headers beside it",
        "Install nvcc and its headers of the release of the package nvidia-cuda-runtime, or name one whole toolkit in "
        "CUDA_HOME; with vLLM, or let it sample by itself.",
        (
            "nvcc --version; env | grep CUDA_HOME; python3 -m pip list | grep -E 'nvidia-(cuda|nvvm)'",
            _SAME_RELEASE,
            "export VLLM_USE_FLASHINFER_SAMPLER=0",
        ),
        source="the source of CCCL (libcudacxx)",
        ends_start=True,
    ),
    Signature(
        "COMPILER_TOO_NEW_FOR_NVCC",
        r"unsupported GNU version! +gcc versions later than \d+",
        "gcc is newer than the nvcc that compiles kernels at the start can work with",
        "Install the newest gcc that the message allows beside it and name it to nvcc; with vLLM, or let it sample by "
        "itself (VLLM_USE_FLASHINFER_SAMPLER=0).",
        ("gcc --version; nvcc --version; ls /usr/bin/gcc-1[0-9]", "{older_gcc}"),
        source=REPORTS,
        ends_start=True,
    ),
    Signature(
        "COMPILER_OR_HEADERS_MISSING",
        r"Failed to find C compiler|Python\.h: No such file|\b(gcc|g\+\+|cc|c\+\+|clang"
        r"|ninja)['\"]?:? (command )?not found"
        r"|No such file or directory: '(gcc|g\+\+|cc|c\+\+|ninja)'|Ninja is required to load C\+\+|InvalidCxxCompiler"
        r"|command '\S*(gcc|g\+\+)' failed|No working C\+\+ compiler",
        "the engine compiles at its start and finds no compiler, or not the headers of Python",
        "Install a compiler and Python's headers.",
        ("sudo apt install build-essential python3-dev ninja-build",),
        source=REPORTS,
        ends_start=True,
    ),
    Signature(
        "CUDA_MAJOR_MIXED_PACKAGES",
        r"detected CUDA version \(\S+\) mismatches"
        r"|Installed CUDA version \S+ does not match the version torch was compiled with(?!.{0,40}\bbut since)"
        r"|version of Cuda that does not match the version used to compile"
        r"|CUDA versions? .{0,30}mismatch|nvidia-\S+-cu1[123]\b.{0,40}conflict",
        "packages for different CUDA versions are installed side by side",
        "Install them anew into an empty environment.",
        _SHOW,
        source=TORCH,
    ),
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        r"Fast download using 'hf_transfer' is enabled .{0,60}not available",
        "HF_HUB_ENABLE_HF_TRANSFER is set and the package hf_transfer is not installed: every download stops there",
        "Unset the variable, or install hf_transfer.",
        ("unset HF_HUB_ENABLE_HF_TRANSFER", "python3 -m pip install hf_transfer"),
        "setting",
        "the source of huggingface_hub before 1.0",
        ends_start=True,
    ),
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        r"BNB_CUDA_VERSION|NCCL_BUFFSIZE|ibv_reg_dmabuf_mr.{0,40}(fail|Cannot allocate)|Invalid value for env"
        r"|environment variable \S+ .{0,40}(is invalid|must be|not valid)",
        "an environment variable overrides something with a value that does not work here",
        "Look at the variables of the engine and of NCCL, and unset what you need not.",
        ("env | grep -E '^(NCCL|VLLM|SGLANG|BNB|CUDA|TORCH|PYTORCH|HF)_'",),
        "setting",
        REPORTS,
        sure="likely",
    ),
)
