"""What an exception of the libraries means: a table from the words of the message to a cause and a way out.

The wording was collected by breaking small models in many ways and loading them with transformers 5 and vLLM 0.32,
and from public incident reports (column `source`). The first row that matches wins, so the narrow ones stand first.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from autoglm_doctor.facts import Failure
from autoglm_doctor.finding import Effort, Fix, Text
from autoglm_doctor.intent import Intent

MEASURED = "measured on damaged copies of a small model"
REPORTS = "public incident reports"

#: The first transformers that knows the architecture glm4v and holds the fixes that the matrix asks for.
GLM4V_TRANSFORMERS = "4.53.2"


@dataclass(frozen=True, slots=True)
class Signature:
    """One row. `commands` may hold {download} (fetch the weights again) and {folder} (where they lie)."""

    cause: str
    pattern: str  # searched in "EXCEPTION: MESSAGE", without regard to case
    meaning: str  # one sentence without a full stop, for the finding
    way_out: str
    commands: tuple[str, ...]
    effort: Effort = "install"
    source: str = MEASURED
    engine_may_cope: bool = False  # vLLM and SGLang bring code of their own for this


_DOWNLOAD = ("{download}",)
_UPGRADE = (f"python3 -m pip install --upgrade 'transformers>={GLM4V_TRANSFORMERS}'",)
# uv picks the CUDA variant for the driver by itself; the pin keeps it from moving the torch that is there.
_TRIO = (
    "python3 -m pip list | grep -i torch",
    "uv pip install --reinstall-package torchvision torchvision --torch-backend=auto "
    '"torch==$(python3 -c "import torch; print(torch.__version__.split(\'+\')[0])")"',
)
_WHO_HOLDS = ("nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv",)

TABLE: tuple[Signature, ...] = (
    Signature(
        "RAM_TOO_SMALL",
        r"DefaultCPUAllocator: can't allocate memory|^MemoryError",
        "main memory ran out",
        "Free main memory, raise the limit of the container or add swap.",
        ("free -h", "ps aux --sort=-rss | head"),
        "setting",
    ),
    Signature(
        "VRAM_TOO_SMALL_FOR_WEIGHTS",
        r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory",
        "the memory of the GPU ran out",
        "End what else holds memory of the GPU; if nothing does, take a larger GPU or a quantised checkpoint.",
        _WHO_HOLDS,
        "restart",
        REPORTS,
    ),
    Signature(
        "GPU_ARCH_NOT_IN_WHEEL",
        r"no kernel image is available",
        "the installed torch has no code for this GPU",
        "Install a torch whose CUDA variant covers this GPU.",
        ("python3 -c 'import torch; print(torch.__version__, torch.cuda.get_arch_list())'",),
        source=REPORTS,
    ),
    Signature(
        "CPU_ONLY_TORCH",
        r"Torch not compiled with CUDA enabled",
        "the installed torch is built without CUDA",
        "Install the CUDA build of torch that the engine requires.",
        ("uv pip install --reinstall-package torch torch --torch-backend=auto",),
    ),
    Signature(
        "DRIVER_TOO_OLD",
        r"CUDA driver version is insufficient|NVIDIA driver on your system is too old",
        "the NVIDIA driver is older than the CUDA of this torch",
        "Install a newer driver, or a torch of an older CUDA.",
        ("nvidia-smi", "python3 -c 'import torch; print(torch.version.cuda)'"),
        source=REPORTS,
    ),
    Signature(
        "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
        r"No CUDA GPUs are available|Found no NVIDIA driver|invalid device ordinal",
        "CUDA shows no GPU to torch",
        "Look at CUDA_VISIBLE_DEVICES and, in a container, at how it was given its GPUs.",
        ("env | grep CUDA_VISIBLE_DEVICES", "nvidia-smi -L"),
        "setting",
        REPORTS,
    ),
    Signature(
        "GPU_HARDWARE_ERROR",
        r"uncorrectable ECC|unspecified launch failure|illegal memory access|CUDA error: unknown error",
        "the GPU or its driver failed under work",
        "Look at the GPU's error counters and the kernel's log.",
        ("nvidia-smi -q -d ECC,ROW_REMAPPER", "sudo dmesg | grep -i -E 'xid|nvrm'"),
        "hardware",
        REPORTS,
    ),
    Signature(
        "MODEL_FILES_LFS_POINTER",
        r"header too large|HeaderTooLarge",
        "a weight file is no safetensors file (a git-lfs pointer or a saved web page)",
        "Download the weights again.",
        _DOWNLOAD,
    ),
    Signature(
        "MODEL_FILE_TRUNCATED",
        r"file not fully covered|MetadataIncompleteBuffer|header too small|HeaderTooSmall|invalid JSON in header"
        r"|InvalidHeader|while deserializing header",
        "a weight file is cut short or damaged",
        "Download the weights again.",
        _DOWNLOAD,
    ),
    Signature(
        "MODEL_SHARD_MISSING",
        r"No such file or directory.*\.safetensors|no file named model\.safetensors"
        r"|referenced in index but missing",
        "a weight file is missing",
        "Download the weights again.",
        _DOWNLOAD,
    ),
    Signature(
        "MODEL_TENSORS_MISSING",
        r"Cannot copy out of meta tensor|not initialized from checkpoint",
        "the weight files lack tensors that the model needs",
        "Download the weights again.",
        _DOWNLOAD,
    ),
    Signature(
        "MODEL_NEEDS_REMOTE_CODE",
        r"trust_remote_code|contains custom code which must be executed",
        "the model wants to run code from its own repository, which the doctor does not do unasked",
        "Read that code; if you trust it, let the doctor run it.",
        ("ls -l {folder}/*.py",),
        "flag",
        engine_may_cope=True,
    ),
    Signature(
        "QUANTIZATION_PACKAGE_MISSING",
        r"ImportError.*(bitsandbytes|gptq|awq|optimum|compressed.tensors|auto.round|fbgemm|torchao)",
        "the package for this model's quantisation is not installed",
        "Install the package that the message names.",
        ("python3 -m pip list | grep -i -E 'bitsandbytes|gptq|awq|optimum|compressed|torchao'",),
        engine_may_cope=True,
    ),
    Signature(
        "TRANSFORMERS_TOO_OLD_FOR_MODEL",
        r"does not recognize this architecture|cannot import name '(Glm4v|AutoModelForImageTextToText)"
        r"|has no attribute '?(Glm4v|AutoModelForImageTextToText)|Unrecognized processing class",
        "the installed transformers does not know this kind of model",
        "Install a transformers that knows it and that the engine allows.",
        _UPGRADE,
        engine_may_cope=True,
    ),
    Signature(
        "MODEL_CONFIG_WRONG",
        r"ignore_mismatched_sizes|size mismatch|Unrecognized model in|config\.json.* is not a valid JSON"
        r"|module 'torch' has no attribute '(b?float|int|half)|not a valid JSON file",
        "config.json is damaged or does not belong to these weights",
        "Download the model again, config.json and weights from the same place.",
        _DOWNLOAD,
    ),
    Signature(
        "CHAT_TEMPLATE_MISSING",
        r"chat_template is not set|have a chat template|default chat template is no longer allowed",
        "the model's folder has no chat template",
        "Download the model's chat_template.jinja, or give one to the engine with --chat-template.",
        _DOWNLOAD,
        "flag",
    ),
    Signature(
        "MODEL_FILES_INCOMPLETE",
        r"instantiate the backend tokenizer|requires the (protobuf|sentencepiece) library"
        r"|Can't load (tokenizer|image processor|feature extractor|processor|video)"
        r"|preprocessor_config\.json|tokenizer\.json|JSONDecodeError|TemplateSyntaxError",
        "a file beside the weights (tokenizer, preprocessor, chat template) is missing or damaged",
        "Download the model's small files again.",
        _DOWNLOAD,
    ),
    Signature(
        "TORCH_COMPANION_MISMATCH",
        r"torchvision::nms|requires the Torchvision library|torchvision|torchaudio",
        "torchvision or torchaudio is missing or belongs to another torch",
        "Install the companion that belongs to the installed torch.",
        _TRIO,
    ),
    Signature(
        "LIBSTDCXX_TOO_OLD",
        r"GLIBCXX_\S+.{0,3} not found",
        "the C++ library that is loaded first is too old",
        "Put a newer libstdc++ first in the loader's path (in conda: install libstdcxx-ng).",
        ("conda install --yes --channel conda-forge libstdcxx-ng",),
        source=REPORTS,
    ),
    Signature(
        "GLIBC_TOO_OLD",
        r"GLIBC_\S+.{0,3} not found",
        "a binary package needs a newer C library than this system has",
        "Use a newer system or the engine's container.",
        ("ldd --version",),
        "reboot",
        REPORTS,
    ),
    Signature(
        "EXTENSION_ABI_MISMATCH",
        r"undefined symbol",
        "a compiled package was built for another torch",
        "Install the build of that package that belongs to the installed torch.",
        ("python3 -m pip list | grep -i -E 'torch|flash|kernel|vllm|sglang'",),
        source=REPORTS,
    ),
    Signature(
        "NUMPY2_ABI",
        r"_ARRAY_API not found|compiled using NumPy 1",
        "a package was built for NumPy 1 and NumPy 2 is installed",
        "Install NumPy 1 beside it.",
        ("python3 -m pip install 'numpy<2'",),
        source=REPORTS,
    ),
    Signature(
        "HF_LIBS_CONFLICT",
        r"is required for a normal functioning of this module|cannot import name .* from 'huggingface_hub",
        "tokenizers or huggingface-hub is outside the range that transformers accepts",
        "Install the set that transformers asks for.",
        ("python3 -m pip check", "python3 -m pip install --upgrade transformers tokenizers huggingface-hub"),
        source=REPORTS,
    ),
    Signature(
        "DISK_FULL",
        r"No space left on device|Disk quota exceeded",
        "the disk is full",
        "Free space where the temporary files and the weights go.",
        ('df -h "${TMPDIR:-/tmp}" "${HF_HOME:-$HOME}"',),
        "setting",
        REPORTS,
    ),
)


def recognise(failure: Failure) -> Signature | None:
    """The first row whose pattern is found in the exception's name and message; None: not in the table."""
    said = f"{failure.exception}: {failure.message}"
    return next((row for row in TABLE if re.search(row.pattern, said, re.IGNORECASE | re.DOTALL)), None)


def download_command(intent: Intent, folder: str) -> str:
    """The line that fetches the weights again; for a folder of unknown origin the line that shows its sizes."""
    if intent.model.startswith((".", "/", "~")) or intent.model == "smoke":
        return f"ls -l {shlex.quote(folder)}"
    return f"hf download {shlex.quote(intent.model)} --force-download"


def fix_for(signature: Signature, intent: Intent, folder: str) -> Fix:
    """The row's way out with its commands filled in for this deployment."""
    places = {"{download}": download_command(intent, folder), "{folder}": shlex.quote(folder)}
    commands = []
    for command in signature.commands:
        for place, words in places.items():
            command = command.replace(place, words)
        commands.append(command)
    return Fix(text=Text(signature.way_out), commands=tuple(commands), effort=signature.effort)
