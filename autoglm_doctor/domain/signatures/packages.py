"""Packages that are missing, exclude each other, or have no build for this Python."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import REPORTS, TRANSFORMERS, Signature

_CHECK = ("python3 -m pip check", "python3 -m pip list | grep -i -E 'vllm|sglang|transformers|torch'")
_PIP_CHECK = ("python3 -m pip check",)
_EXCLUDED = "a package is missing or of a version that another one excludes"
_SEE = "See what is missing or excludes what, and install it."
_HUB_MEANS = "tokenizers or huggingface-hub is outside the range that transformers accepts"
_HUB_WAY_OUT = "Install the set that transformers asks for."
_HUB_COMMANDS = ("python3 -m pip check", "python3 -m pip install --upgrade transformers tokenizers huggingface-hub")

ROWS: tuple[Signature, ...] = (
    Signature(
        "NUMPY2_ABI",
        r"No module named 'numpy\._core",
        "something was written with NumPy 2, and NumPy 1 is installed",
        "Install NumPy 2, where the other packages allow it.",
        ("python3 -m pip list | grep -i numpy", "python3 -m pip install 'numpy>=2'", "python3 -m pip check"),
        source=REPORTS,
        sure="likely",
    ),
    # numba/__init__.py; before 0.57 it did not say so (whisper discussion 1103).
    Signature(
        "NUMPY2_ABI",
        r"Numba needs NumPy \S+ or less|initialization of _internal failed without raising",
        "NumPy is newer than this numba, which vLLM imports, was built for",
        "Install the NumPy that the message allows, or a newer numba where the engine allows it.",
        (
            "python3 -m pip list | grep -i -E 'numpy|numba'",
            "python3 -m pip install 'numpy<2.3'",
            "python3 -m pip check",
        ),
        source="numba's source",
        ends_start=True,
    ),
    Signature(
        "NUMPY2_ABI",
        r"_ARRAY_API not found|compiled using NumPy 1|Could not infer dtype of numpy"
        r"|numpy\._?core\.multiarray failed to"
        r"|was removed in the NumPy 2\.\d release|downgrade to 'numpy<2'|module compiled against A[PB]I version"
        r"|expected np\.ndarray \(got numpy\.ndarray\)|No module named 'numpy\.core\.\w+|has no attribute '_ilp64'"
        r"|Unable to avoid copy while creating an array|cannot import name '\w+' from 'numpy(\.core(\.\w+)?)?'"
        r"|numpy\.dtype size changed|Numpy is not available|module 'numpy' has no attribute '(float|int|bool"
        r"|object)_?'",
        "a package was built for NumPy 1 and NumPy 2 is installed",
        "Install NumPy 1 beside it.",
        ("python3 -m pip install 'numpy<2'",),
        source=REPORTS,
        in_warnings=True,
    ),
    Signature(
        "HF_LIBS_CONFLICT",
        r"is required for a normal functioning of this module|cannot import name .* from 'huggingface_hub"
        r"|cannot import name .* from 'tokenizers|No module named '(huggingface_hub|tokenizers)\."
        r"|module 'huggingface_hub\S*' has no attribute",
        _HUB_MEANS,
        _HUB_WAY_OUT,
        _HUB_COMMANDS,
        source=REPORTS,
        ends_start=True,
    ),
    # pip says it while it installs; what fails says more.
    Signature(
        "HF_LIBS_CONFLICT",
        r"(?<![\w-])(transformers|accelerate|tokenizers|datasets?) \S+ (requires|has requirement) "
        r"(huggingface[-_]hub|tokenizers)\b",
        _HUB_MEANS,
        _HUB_WAY_OUT,
        _HUB_COMMANDS,
        source=REPORTS,
        sure="likely",
        warns=True,
    ),
    # The libraries around transformers of another age than it.
    Signature(
        "HF_LIBS_CONFLICT",
        r"cannot import name '\w+' from '(accelerate|peft|datasets|diffusers|trl)\b"
        r"|Accelerator\.\w+\(\) got an unexpected keyword|got an unexpected keyword argument 'use_auth_token'",
        "transformers and a library beside it (accelerate, peft, huggingface-hub) are of releases that do not fit",
        "Install the newest ones that the engine allows, together.",
        ("python3 -m pip check", "python3 -m pip install --upgrade transformers accelerate peft huggingface-hub"),
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "HF_LIBS_CONFLICT",
        r"Either a revision or a version must be specified",
        "the package kernels is newer than transformers was written for: from 0.15 on it wants each kernel's version",
        "Install a kernels from before 0.15, or a newer transformers.",
        ("python3 -m pip list | grep -i -E 'kernels|transformers'", "python3 -m pip install 'kernels<0.15'"),
        source=REPORTS,
        ends_start=True,
    ),
    Signature(
        "PYTHON_UNSUPPORTED",
        r"requires? (a different )?Python|Requires-Python|no matching distribution found for (vllm|sglang|torch)\b"
        r"|(not support(ed)?|fails?|unsupported) (on|under|with|by)? ?Python 3\.\d+",
        "the engine has no build for this Python",
        "Make an environment with a Python that it supports.",
        ("uv venv --python 3.12",),
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "ENGINE_NOT_INSTALLED",
        r"No module named '?(vllm|sglang|transformers)'?(?![\w.])|(vllm|sglang|transformers"
        r"|llama-server): command not found"
        r"|Missing dependencies for serving",
        "the engine is not installed in the environment that runs",
        "Activate the right environment, or install the engine.",
        ("which -a python3 vllm llama-server", "python3 -m pip install {engine}"),
        source=TRANSFORMERS,
        ends_start=True,
    ),
    Signature(
        "DEPENDENCY_CONFLICT",
        r"which is incompatible\.",
        _EXCLUDED,
        _SEE,
        _PIP_CHECK,
        source=REPORTS,
        sure="likely",
        warns=True,
    ),
    # transformers from 4.52 on; weights in safetensors are read with any torch.
    Signature(
        "DEPENDENCY_CONFLICT",
        r"upgrade torch to at least v2\.6",
        "this transformers reads weights in .bin files only with torch from 2.6 on",
        "Take the model's weights in safetensors, or the engine with a torch from 2.6 on.",
        ("ls -l {folder}", *_CHECK),
        source="LlamaFactory issue 8379",
    ),
    Signature(
        "DEPENDENCY_CONFLICT",
        r"Descriptors cannot (be created|not be created) directly|cannot import name 'builder' from 'google\.protobuf"
        r"|module 'google\.protobuf\S*' has no attribute",
        "protobuf is of another age than the package that was generated for it",
        "Install the protobuf that the other packages ask for.",
        ("python3 -m pip check", "python3 -m pip list | grep -i protobuf"),
        source="protobuf's source",
    ),
    Signature(
        "DEPENDENCY_CONFLICT",
        r"requires the following packages that were not found in your environment"
        r"|requires Accelerate: |requires jinja2>=",
        _EXCLUDED,
        _SEE,
        _PIP_CHECK,
        source=TRANSFORMERS,
    ),
    Signature(
        "DEPENDENCY_CONFLICT",
        r"distribution was not found and is required|VersionConflict|ContextualVersionConflict|DistributionNotFound"
        r"|ModuleNotFoundError: No module named(?! 'transformers_modules\.)|PackageNotFoundError",
        _EXCLUDED,
        _SEE,
        _PIP_CHECK,
        source=REPORTS,
        sure="likely",
    ),
    # The last of all: some package of another age than what imports from it.
    Signature(
        "DEPENDENCY_CONFLICT",
        r"cannot import name '\w+' from '(?!transformers_modules|__main__)[\w.]+'(?!.{0,300}circular import)"
        r"(?! \((?!\S*(packages|/lib/python3|vllm|sglang))\S+\.py)",  # a program's own file
        "a package is of another release than the one that imports from it was written for",
        _SEE,
        _PIP_CHECK,
        source=REPORTS,
        sure="hint",
    ),
)
