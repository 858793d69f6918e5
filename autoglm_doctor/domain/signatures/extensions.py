"""Compiled packages beside torch that do not load: bitsandbytes, FlashAttention, sgl-kernel, xFormers."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import REPORTS, Signature

_SHOW = (
    "python3 -m pip list | grep -i -E 'torch|flash|kernel|xformers|bitsandbytes|vllm|sglang'",
    "python3 -m pip check",
)
_ANOTHER = "Install the build of that package that belongs to the installed torch."
_BNB_FAILS = (
    r"Could not (find the bitsandbytes CUDA binary|load bitsandbytes native library)|CUDA Setup failed despite"
    r"|libbitsandbytes_cuda\d+\w*\.(so|dll): cannot open"
)

ROWS: tuple[Signature, ...] = (
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        _BNB_FAILS,
        "BNB_CUDA_VERSION makes bitsandbytes look for a library that is not there",
        "Unset the variable.",
        ("unset BNB_CUDA_VERSION", "python3 -m bitsandbytes"),
        "setting",
        "bitsandbytes issue 1559",
        sure="likely",
        after=r"BNB_CUDA_VERSION=\d",
    ),
    Signature(
        "EXTENSION_ABI_MISMATCH",
        rf"{_BNB_FAILS}|libbitsandbytes_cpu\.(so|dll): (cannot open|undefined symbol)"
        r"|has no attribute 'cget_managed_ptr'|No module named 'bitsandbytes\.",
        "bitsandbytes has no library for the CUDA of this torch, or is older than what asks for it",
        "Install the newest bitsandbytes; see what it says of itself.",
        ("python3 -m pip install --upgrade bitsandbytes", "python3 -m bitsandbytes"),
        source="bitsandbytes issues 1559 and 1614",
        sure="likely",
    ),
    Signature(
        "EXTENSION_ABI_MISMATCH",
        r"No module named '((vllm_)?flash_attn_\d_cuda|flash_attn_cuda|(sgl_kernel\.)?common_ops|awq_ext|exllamav2_ext"
        r"|deep_gemm_cpp)'|'_OpNamespace' '(\w+_C|sgl_kernel|sgl_kernel_npu)' object has no attribute"
        r"|xFormers wasn't build with CUDA support",
        "the compiled part of a package is missing or was built for another torch",
        _ANOTHER,
        _SHOW,
        source="sglang issue 18203, xformers 1143, flash-attention 933",
        sure="likely",
    ),
    # Also where such a package is imported before torch, which loads these libraries.
    Signature(
        "EXTENSION_ABI_MISMATCH",
        r"(?<!/)(?<!Python extension: )\b(libc10(_cuda)?|libtorch(_cuda(_cu|_cpp)?|_cpu|_python)?)\.so: "
        r"cannot open shared object",
        "a compiled package asks for a library of another torch than the installed one",
        _ANOTHER,
        ("python3 -c 'import torch; print(torch.__version__)'", *_SHOW),
        source="flash-attention issue 1644, pytorch 110074",
        sure="likely",
    ),
    Signature(
        "DEPENDENCY_CONFLICT",
        r"\b(sgl[-_]kernel|sglang[-_]kernel|flashinfer[-_]python|flashinfer) (is installed with version \S+, which is "
        r"less than the minimum|with minimum required version \S+ is not installed)",
        "the installed package of kernels is older than this SGLang asks for",
        "Install the release that the message names.",
        ("python3 -m pip install --upgrade 'sglang[all]'", *_SHOW),
        source="sglang issue 6160",
        ends_start=True,
    ),
    Signature(
        "DEPENDENCY_CONFLICT",
        r"package flash_attn seems to be not installed|cannot import name '\w+' from '(flash_attn|sgl_kernel"
        r"|flashinfer|xformers|bitsandbytes)\b",
        "FlashAttention or another package of kernels is missing, or of another release than what asks for it",
        "Install the release that belongs to this torch, or take torch's own attention (sdpa).",
        ("python3 -m pip install flash-attn --no-build-isolation", *_SHOW),
        source=REPORTS,
        sure="likely",
    ),
)
