"""What pip, uv, Poetry and conda say while they choose releases."""

from __future__ import annotations

import re

from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.signatures.row import REPORTS, Signature

_CHECK = ("python3 -m pip check", "python3 -m pip list | grep -i -E 'vllm|sglang|transformers|torch'")
_PYTHON = ("python3 --version", "uv venv --python 3.12")
_TAGS = r"(Python|ABI|abi)"
#: Whose own requirements are exact.
_ENGINE = r"\b(vllm|sglang)(\[\S*\])?"
#: What an engine is made of; of other programs' packages pip tells as well.
_STACK = (
    r"(vllm|sglang|sgl[-_]kernel|torch\w*|triton|transformers|tokenizers|huggingface[-_]hub|accelerate|safetensors|xformers"
    r"|flash[-_]attn|flashinfer[-\w]*|numpy|numba|ray|compressed[-_]tensors|bitsandbytes|xgrammar|outlines[-\w]*|pydantic"
    r"|fastapi|uvicorn|openai|mistral[-_]common|tiktoken|sentencepiece|protobuf|pillow|opencv[-\w]*|gguf|llguidance|einops"
    r"|msgspec|pyzmq|lark|peft|auto[-_]?gptq|autoawq|optimum|qwen[-_]vl[-_]utils|ml[-_]dtypes|cuda-python|nvidia-\S+)"
)
_WANTS = re.compile(r"requires transformers\S*?>=(\d[\d.]*)\S*, but you(?:'ll)? have transformers (\d\S*)", re.I)


def transformers_is_older(message: str) -> bool:
    """Whether pip says that an engine wants at least a newer transformers."""
    said = _WANTS.search(message)
    try:
        return said is not None and Version(said[2]) < Version(said[1])
    except InvalidVersion:
        return False


ROWS: tuple[Signature, ...] = (
    Signature(
        "PYTHON_UNSUPPORTED",
        r"no wheels with a matching Python\b|only (has|have|found) wheels .{0,60}with the following Python"
        rf"|does not support the identified {_TAGS} tags?"
        r"|The wheel is compatible with CPython .{0,40}but you're using"
        r"|(current|requested) Python version \([^)]*\) does not satisfy Python"
        r"|Cannot install on Python version \d|newer than PyO3's maximum supported version"
        r"|with the existing python installation in your environment",
        "there is no wheel for this Python",
        "Make an environment with a Python that there are wheels for.",
        _PYTHON,
        source="uv's source; vllm issue 26994",
    ),
    Signature(
        "PYTHON_UNSUPPORTED",
        r"requirement (vllm|sglang|torch|triton|flash[-_]attn|sgl[-_]kernel)\b\S* \(from versions: none\)"
        r"|Unable to find installation candidates for (vllm|sglang|torch|triton)\b",
        "there is no wheel for this Python (or this system)",
        "Make an environment with a Python that there are wheels for.",
        _PYTHON,
        source="vllm issue 6622, poetry 7237",
        sure="likely",
    ),
    # What the packages of today write and an older Python does not know.
    Signature(
        "PYTHON_UNSUPPORTED",
        r"unsupported operand type\(s\) for \|: '(type|ABCMeta|_GenericAlias|NoneType|EnumMeta|ModelMetaclass)' and "
        r"'(type|NoneType|ABCMeta|_GenericAlias)'"
        r"|cannot import name '(Self|StrEnum|ParamSpec|TypeAlias|NotRequired|Required|Unpack|Never|override"
        r"|assert_never|LiteralString|TypeGuard|Concatenate)' from '(typing|enum)'",
        "the code was written for a newer Python than this one",
        "Make an environment with a newer Python.",
        _PYTHON,
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "TORCH_COMPANION_MISMATCH",
        r"\b(torchvision|torchaudio) \S+ (requires|has requirement) torch==\S+ but you"
        r"|\b(torchvision|torchaudio)[= (]\S+ (depends on|requires) torch\b.{0,200}(we can conclude|is incompatible)",
        "torchvision or torchaudio belongs to another torch",
        "Install the companion that belongs to the installed torch.",
        ("python3 -m pip list | grep -i torch", "uv pip install --torch-backend=auto torch torchvision torchaudio"),
        source="sdnext issue 3531",
        sure="likely",
    ),
    Signature(
        "TRITON_TORCH_MISMATCH",
        r"\btorch \S+ (requires|has requirement) triton==",
        "triton is not the version that this torch needs",
        "Install the triton that torch pins.",
        ("python3 -m pip check", "python3 -m pip install --force-reinstall --no-deps triton torch"),
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "NUMPY2_ABI",
        r"(requires|has requirement) numpy[^ ]*<2(\.0)*(?![\d.])[^ ]*, but you('ll)? have numpy 2\.",
        "a package wants NumPy 1 and NumPy 2 is installed",
        "Install NumPy 1 beside it.",
        ("python3 -m pip install 'numpy<2'", "python3 -m pip check"),
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "TRANSFORMERS_TOO_OLD_FOR_ENGINE",
        rf"{_ENGINE} \S+ requires transformers",
        "the installed transformers is older than this engine asks for",
        "Install the transformers that the engine asks for.",
        ("python3 -m pip install --upgrade transformers", *_CHECK),
        source="SimpleVLA-RL issue 53",
        sure="likely",
        when=transformers_is_older,
    ),
    Signature(
        "VLLM_TORCH_MISMATCH",
        rf"(?<!fact: ){_ENGINE}\S*( \([^)]*\)| \d\S*)? (depends on|has requirement) "
        r"torch(vision|audio)?( \(|[=<>!~]=?)\d",
        "the engine needs exactly another torch than the one asked for or installed",
        "Install the engine and its torch together, into an environment of their own.",
        _CHECK,
        source="vllm issues 5576 and 28030; S2R 2",
        sure="likely",
    ),
    Signature(
        "VLLM_TORCH_MISMATCH",
        rf"Cannot install .{{0,200}}(\btorch==.{{0,200}}{_ENGINE}|{_ENGINE}.{{0,200}}\btorch==).{{0,200}}"
        r"conflicting dependencies|package `(vllm|sglang)` requires `torch",
        "the engine needs exactly another torch than the one asked for",
        "Install the engine and its torch together, into an environment of their own.",
        _CHECK,
        source="S2R issue 2",
        sure="likely",
    ),
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_ENGINE",
        rf"{_ENGINE}[^ ,]* depends on transformers\S*<\d.{{0,60}}you require transformers(>=|==)\d",
        "the transformers asked for is newer than this engine allows",
        "Ask for the transformers that the engine allows, or for a newer engine.",
        _CHECK,
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "HF_LIBS_CONFLICT",
        r"\b(transformers|accelerate|tokenizers|datasets|diffusers|peft)\S* (depends on|has requirement) "
        r"(huggingface[-_]hub|tokenizers)\b.{0,120}(, but you|you require|conclude)",
        "tokenizers or huggingface-hub is outside the range that transformers accepts",
        "Install the set that transformers asks for.",
        ("python3 -m pip check", "python3 -m pip install --upgrade transformers tokenizers huggingface-hub"),
        source=REPORTS,
        sure="likely",
    ),
    # The lines around it name the packages; where they name an engine's, they say more.
    Signature(
        "DEPENDENCY_CONFLICT",
        r"ResolutionImpossible|these package versions have conflicting dependencies|resolution-too-deep"
        r"|No solution found when resolving|your requirements are unsatisfiable|\bversion solving failed\b"
        r"|LibMambaUnsatisfiableError|\bUnsatisfiableError\b|PackagesNotFoundError"
        r"|can't be installed because it doesn't have a source distribution or wheel for the current platform",
        "the packages asked for exclude each other, or there is none for this system",
        "Install the engine alone into an empty environment, without versions, and the rest after it.",
        ("uv venv --python 3.12 && uv pip install vllm --torch-backend=auto", "python3 -m pip check"),
        source="pip, uv, Poetry and conda",
        sure="hint",
    ),
    Signature(
        "DEPENDENCY_CONFLICT",
        rf"^\s*(ERROR: )?({_STACK}\S* \d\S* requires \S+|\S+ \d\S* requires {_STACK}(?![\w-])\S*), "
        r"which is not installed\.",
        "a package is missing that another one needs",
        "Install it.",
        ("python3 -m pip check",),
        source="pip",
        sure="hint",
        warns=True,
    ),
)
