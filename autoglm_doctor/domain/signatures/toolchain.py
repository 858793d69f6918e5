"""What compiles kernels at run time: nvcc and the toolkit's headers, the compiler of the system, the linker."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import REPORTS, TORCH, Signature

_SHOW = "nvcc --version; ls -d /usr/local/cuda*; env | grep CUDA_HOME"
_TOOLKIT = "Install the CUDA toolkit of torch's CUDA and set CUDA_HOME, or the engine's package of ready kernels."
_COMPILERS = ("sudo apt install build-essential python3-dev ninja-build", "gcc --version; g++ --version")

ROWS: tuple[Signature, ...] = (
    Signature(
        "NVCC_MISSING_FOR_JIT",
        r"CUDA_HOME does not exist, unable to compile|CUDA_HOME is None\b.{0,40}nvcc|cannot find NVCC\b|NVCC not found"
        r"|Failed to find nvcc|\bnvcc: No such file|nvcc( executable)? (was |is |could )?not (be )?(found|installed)"
        r"|Could not find (a )?CUDA (installation|toolkit|lib directory)\b"
        r"|CUDA toolkit (was |is )?not (found|installed)|No CMAKE_CUDA_COMPILER could be found"
        r"|CMAKE_CUDA_COMPILER-NOTFOUND",
        "the engine compiles kernels at its start and finds no nvcc",
        _TOOLKIT,
        (_SHOW,),
        source="deepspeed, deep_gemm, tvm-ffi, CMake",
        ends_start=True,
    ),
    Signature(
        "NVCC_MISSING_FOR_JIT",
        r"fatal error: '?(cuda(_\w+)?|curand\w*|cublas\w*|cusparse\w*|cusolver\w*|cufft\w*|nvrtc|nvToolsExt"
        r"|nvtx3/\w+|thrust/\S+|cub/\S+|cuda/\S+|nv/target|cooperative_groups|mma|crt/\w+)(\.h|\.cuh|\.hpp)?'?"
        r"(: No such file| file not found)"
        r"|cannot find -l(cudart|nvrtc|cublas(Lt)?|cudnn|curand|cusparse)\b",
        "nvcc is there without the toolkit's other headers or libraries",
        _TOOLKIT,
        (_SHOW, "python3 -m pip list | grep -E 'nvidia-(cuda|curand|cublas)'"),
        source="flashinfer issue 4410, vllm 29590",
        ends_start=True,
    ),
    Signature(
        "NVCC_MISSING_FOR_JIT",
        r"nvcc fatal *: (Unknown option '-{0,2}(static-global-template-stub|generate-dependencies-with-compile|threads)"
        r"|Value 'c\+\+\d\d' is not defined for option 'std'|Unsupported gpu architecture 'compute_(8\d|90)a?')",
        "what compiles at the start finds a CUDA compiler that is too old for it",
        "Install the CUDA toolkit of torch's CUDA and name it in CUDA_HOME; with vLLM, or let it sample by itself.",
        (_SHOW, "export VLLM_USE_FLASHINFER_SAMPLER=0"),
        source="flashinfer issue 1532, sglang 4120",
        ends_start=True,
    ),
    Signature(
        "CUDA_HOME_INVALID",
        r"CUDA_HOME\b.{0,60}\b(doesn't exist|is not a valid|points to a non-?existent)",
        "CUDA_HOME names no CUDA toolkit",
        "Set it to the folder of the toolkit, or unset it.",
        ("env | grep CUDA_HOME", "unset CUDA_HOME"),
        "setting",
        TORCH,
        unless=r"default cuda_home=",
    ),
    Signature(
        "COMPILER_TOO_NEW_FOR_NVCC",
        r"unsupported clang version!|is greater than the maximum required version by CUDA"
        r"|unsupported Microsoft Visual Studio version!",
        "the compiler of the system is newer than the nvcc that compiles kernels can work with",
        "Install the newest compiler that the message allows beside it and name it to nvcc in CC and CXX.",
        ("gcc --version; nvcc --version; ls /usr/bin/gcc-1[0-9]", "{older_gcc}"),
        source=TORCH,
        ends_start=True,
    ),
    Signature(
        "COMPILER_OR_HEADERS_MISSING",
        r"unable to execute '\S*(gcc|g\+\+|cc|clang)'|cannot execute '?(cc1plus|cc1|as)\b"
        r"|trying to exec '?(cc1plus|cc1|as)\b|Failed to preprocess host compiler properties"
        r"|fatal error: '?(stdio|stdlib|stddef|stdint|string|limits|math|assert|features|pyconfig)\.h'?"
        r"(: No such file| file not found)|fatal error: '?(cstdio|cstdlib|iostream|vector|type_traits)'?: No such file"
        r"|cannot find (crt1|crti|Scrt1)\.o|(error|fail)\w*\b.{0,60}which: no (gcc|g\+\+|cc|c\+\+|ninja) in "
        r"|CMAKE_C(XX)?_COMPILER not set"
        r"|\b(g\+\+|gcc)(-\d+)?: No such file or directory",
        "the engine compiles at its start and finds no whole C++ compiler",
        "Install a compiler and Python's headers.",
        _COMPILERS,
        source=REPORTS,
        ends_start=True,
    ),
    # Scripts ask so, of what they may do without.
    Signature(
        "COMPILER_OR_HEADERS_MISSING",
        r"which: no (gcc|g\+\+|cc|c\+\+) in ",
        "there is no C++ compiler on the path, and engines compile at their start",
        "Install a compiler and Python's headers.",
        _COMPILERS,
        source=REPORTS,
        sure="hint",
        warns=True,
    ),
    # What failed stands in the compiler's own lines above; without them it is most often a header or a link.
    Signature(
        "COMPILER_OR_HEADERS_MISSING",
        r"Command '\['\S*\b(gcc|cc|clang)', '\S*/(main|cuda_utils|__triton_launcher)\.c'.{0,1500}non-zero exit status",
        "Triton could not compile its part for the driver: as a rule Python.h or the link libcuda.so is missing",
        "See the compiler's own words further up; then install what is missing.",
        (*_COMPILERS, "ldconfig -p | grep libcuda.so"),
        source="pytorch issue 92745",
        sure="hint",
    ),
)
