"""The words of installers, compilers and loaders: over several lines, and those of machines on which all is well."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.signatures import symptoms_of
from autoglm_doctor.domain.signatures.resolvers import transformers_is_older
from autoglm_doctor.domain.signatures.system import asks_for_a_newer_glibc

CONFLICT, TORCH = "DEPENDENCY_CONFLICT", "VLLM_TORCH_MISMATCH"
HINT = "hint: You're on {}, but `{}` (v2.7.0) only has wheels for the following platforms: {}"

SEVERAL = [
    pytest.param(
        "ERROR: Cannot install -r requirements.txt (line 21) and torch==2.1.1 because these package versions have "
        "conflicting dependencies.\nThe conflict is caused by:\n    The user requested torch==2.1.1\n"
        "    vllm 0.5.4 depends on torch==2.4.0",
        TORCH,
        id="pip: the engine's torch",
    ),
    pytest.param(
        "ERROR: Cannot install pydantic==2.5.0 and supabase because these package versions have conflicting "
        "dependencies.\nThe conflict is caused by:\n    The user requested pydantic==2.5.0",
        CONFLICT,
        id="pip: other packages",
    ),
    pytest.param(
        "  × No solution found when resolving dependencies:\n  ╰─▶ Because vllm==0.11.0 depends on torch==2.8.0 and "
        "you require torch==2.9.0, we can conclude that your requirements and vllm==0.11.0 are incompatible.",
        TORCH,
        id="uv: the engine's torch",
    ),
    pytest.param(
        "  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of\n"
        "      xformers==0.0.33+5d4b92a5 and vllm==0.11.1rc6 depends on xformers, we can\n"
        "      conclude that vllm cannot be used.",
        CONFLICT,
        id="uv: a package of a nightly build",
    ),
    pytest.param(
        "  ╰─▶ Because faiss-cpu==1.8.0.post1 has no wheels with a matching Python\n      ABI tag (e.g., `cp313`)",
        "PYTHON_UNSUPPORTED",
        id="uv: broken in the middle of a sentence",
    ),
    pytest.param(
        "error: Distribution `vllm==0.11.0 @ registry+x` can't be installed because it doesn't have a source "
        "distribution or wheel for the current platform\n\n"
        + HINT.format("Windows (`win_amd64`)", "vllm", "`manylinux1_x86_64`"),
        "OS_UNSUPPORTED_BY_ENGINE",
        id="uv: an engine on Windows",
    ),
    pytest.param(
        "error: Distribution `torch==2.7.0 @ registry+x` can't be installed because it doesn't have a source "
        "distribution or wheel for the current platform\n\n"
        + HINT.format(
            "Linux (`manylinux_2_27_x86_64`)", "torch", "`manylinux_2_28_aarch64`, `manylinux_2_28_x86_64`, `win_amd64`"
        ),
        "GLIBC_TOO_OLD",
        id="uv: an older glibc",
    ),
    pytest.param(
        "So, because myapp depends on both torch (^2.7) and vllm (^0.8.4), version solving failed.\n"
        "Because vllm (0.8.4) depends on torch (2.6.0)",
        TORCH,
        id="Poetry: the engine's torch",
    ),
    pytest.param(
        "UnsatisfiableError: The following specifications were found to be incompatible with your system:\n"
        "  - feature:/linux-64::__glibc==2.17=0\nYour installed version is: 2.17",
        "GLIBC_TOO_OLD",
        id="conda: an older glibc",
    ),
    pytest.param(
        "UnsatisfiableError: The following specifications were found to be incompatible with the existing python "
        "installation in your environment:\n  - pytorch=2.1 -> python[version='>=3.10,<3.11.0a0']",
        "PYTHON_UNSUPPORTED",
        id="conda: another Python",
    ),
    pytest.param(
        "WARNING: BNB_CUDA_VERSION=124 environment variable detected; loading libbitsandbytes_cuda124.so.\n"
        "Could not find the bitsandbytes CUDA binary at PosixPath('/v/libbitsandbytes_cuda124.so')",
        "ENV_VAR_OVERRIDE_WRONG",
        id="bitsandbytes with the variable",
    ),
    pytest.param(
        '    with open(vocab_file, encoding="utf-8") as vocab_handle:\n'
        "TypeError: expected str, bytes or os.PathLike object, not NoneType",
        "MODEL_FILES_INCOMPLETE",
        id="a slow tokenizer without its file",
    ),
    pytest.param(
        "/tmp/tmpx/main.c:1:10: fatal error: Python.h: No such file or directory\n"
        "subprocess.CalledProcessError: Command '['/usr/bin/gcc', '/tmp/tmpx/main.c', '-o', 'x.so']' returned non-zero "
        "exit status 1.",
        "COMPILER_OR_HEADERS_MISSING",
        id="Triton without Python's headers",
    ),
    pytest.param(
        "/usr/bin/ld: cannot find -lcuda: No such file or directory\n"
        "subprocess.CalledProcessError: Command '['/usr/bin/gcc', '/tmp/tmpx/cuda_utils.c', '-o', 'x.so']' returned "
        "non-zero exit status 1.",
        "LIBCUDA_DEV_LINK_MISSING",
        id="Triton without the link",
    ),
]

QUIET = [
    "Collecting torch==2.8.0 (from vllm==0.11.0)",
    "   1: fact: vllm (0.8.4) depends on torch (2.6.0)",
    "Requirement already satisfied: numpy<2 in /v/lib (from vllm) (1.26.4)",
    "Successfully installed numpy-2.2.6 torch-2.8.0 vllm-0.11.0",
    "vllm requires numpy<2.3, and numpy 2.2.6 is there",
    "Resolved 150 packages in 2.1s",
    HINT.format("Windows (`win_amd64`)", "torch", "`linux_aarch64`"),
    HINT.format("Linux (`manylinux_2_35_x86_64`)", "vllm", "`manylinux1_aarch64`"),
    HINT.format("Linux (`manylinux_2_31_x86_64`)", "a", "`manylinux1_x86_64`, `manylinux_2_35_x86_64`"),
    "Installed CUDA version 12.6 does not match the version torch was compiled with 12.4 but since the APIs are "
    "compatible, accepting this combination",
    "INFO 06-04 08:55:18 [importing.py:16] Triton not installed or not compatible; certain GPU-related functions will "
    "not be available.",
    "WARNING: BNB_CUDA_VERSION=124 environment variable detected; loading libbitsandbytes_cuda124.so.",
    "No chat template found, defaulting to 'string' content format",
    "Using default chat template of the tokenizer",
    "nvcc: NVIDIA (R) Cuda compiler driver",
    "/usr/bin/gcc -O3 -shared /tmp/tmpx/main.c -lcuda -o /tmp/tmpx/cuda_utils.so",
    "    libstdc++.so.6 => /lib/x86_64-linux-gnu/libstdc++.so.6 (0x00007f)",
    "    libtorch_cuda.so => /v/torch/lib/libtorch_cuda.so (0x00007f)",
    "    libcudart.so.12 => /v/nvidia/cuda_runtime/lib/libcudart.so.12 (0x00007f)",
    "found cuda_runtime.h in /usr/local/cuda/include",
    "CUDA_HOME=/usr/local/cuda",
    "cuDNN 9.10 was found; the GPU does conv3d in bf16",
    "ImportError: cannot import name 'x' from partially initialized module 'y' (most likely due to a circular import)",
    "AttributeError: 'Screen' object has no attribute 'visual'",
    "KeyError: 'phone'",
    "KeyError: 'steps'",
    "KeyError: 'dots'",
    "prompt updates corresponding to field changes",
    "the roles of the messages alternate",
    "`np.float_` and `np.float64` are the same",
    "EOFError: Ran out of input",
]


@pytest.mark.parametrize(("text", "cause"), SEVERAL)
def test_the_line_that_says_most_is_the_root(text: str, cause: str) -> None:
    assert symptoms_of([text], "vllm")[0].signature.cause == cause


@pytest.mark.parametrize("line", QUIET, ids=lambda line: line[:50])
@pytest.mark.parametrize("engine", ["", "vllm", "llamacpp"], ids=["no engine", "vLLM", "llama.cpp"])
def test_neighbours_of_these_words_are_no_symptom(line: str, engine: str) -> None:
    assert [one.signature.cause for one in symptoms_of([line], engine)] == []


@pytest.mark.parametrize(
    ("wanted", "has", "older"),
    [
        pytest.param(">=4.45.0", "4.40.1", True, id="older"),
        pytest.param("<5,>=4.56.0", "5.3.0", False, id="newer than the range"),
        pytest.param("<5,>=4.56.0", "4.40.0", True, id="older than the range"),
        pytest.param("==4.57.1", "4.40.0", False, id="an exact release"),
        pytest.param(">=4.45.0", "4.46.0.dev0+x", False, id="a build that is new enough"),
    ],
)
def test_what_pip_says_of_an_engines_transformers(wanted: str, has: str, older: bool) -> None:
    line = f"vllm 0.6.3 requires transformers{wanted}, but you have transformers {has} which is incompatible."
    assert transformers_is_older(line) is older
    cause = "TRANSFORMERS_TOO_OLD_FOR_ENGINE" if older else "TRANSFORMERS_TOO_NEW_FOR_ENGINE"
    assert symptoms_of([line])[0].signature.cause == cause


@pytest.mark.parametrize(
    ("here", "wheels", "newer"),
    [
        pytest.param("2_27_x86_64", "`manylinux_2_28_x86_64`", True, id="one that is newer"),
        pytest.param("2_28_x86_64", "`manylinux_2_28_x86_64`", False, id="the same"),
        pytest.param("2_27_x86_64", "`manylinux_2_17_x86_64`, `manylinux_2_28_x86_64`", False, id="one fits"),
        pytest.param("2_27_x86_64", "`manylinux_2_28_aarch64`", False, id="another architecture"),
        pytest.param("2_27_x86_64", "`linux_x86_64`, `manylinux_2_28_x86_64`", False, id="one that does not tell"),
        pytest.param("2_27_x86_64", "`win_amd64`", False, id="no Linux"),
    ],
)
def test_wheels_for_a_newer_glibc(here: str, wheels: str, newer: bool) -> None:
    assert asks_for_a_newer_glibc(HINT.format(f"Linux (`manylinux_{here}`)", "torch", wheels)) is newer
