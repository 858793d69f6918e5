"""Releases of Python packages that exclude each other or do not know the model."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import LLAMACPP, MEASURED, REPORTS, SGLANG, TRANSFORMERS, VLLM, Signature

#: The first transformers that knows the architecture glm4v and holds the fixes that the matrix asks for.
GLM4V_TRANSFORMERS = "4.53.2"

_UPGRADE = (f"python3 -m pip install --upgrade 'transformers>={GLM4V_TRANSFORMERS}'",)
_CHECK = ("python3 -m pip check", "python3 -m pip list | grep -i -E 'vllm|sglang|transformers|torch'")
_PIN = (*_CHECK, "python3 -m pip install 'transformers<5'")
_PIP_CHECK = ("python3 -m pip check",)
_EXCLUDED = "a package is missing or of a version that another one excludes"
_SEE = "See what is missing or excludes what, and install it."
_OWN_CODE = "the model's own code or its preprocessor_config.json was written for an older transformers"
_OLDER = "Install the older transformers that the model's page names, or a newer copy of the model's small files."
_HUB_MEANS = "tokenizers or huggingface-hub is outside the range that transformers accepts"
_HUB_WAY_OUT = "Install the set that transformers asks for."
_HUB_COMMANDS = ("python3 -m pip check", "python3 -m pip install --upgrade transformers tokenizers huggingface-hub")
_MODEL_CLASSES = r"(Glm4v|Glm46V|AutoModelForImageTextToText|AutoVideoProcessor|BaseVideoProcessor|Qwen\d)"

ROWS: tuple[Signature, ...] = (
    Signature(
        "QUANTIZATION_PACKAGE_MISSING",
        r"(ImportError|ModuleNotFoundError|PackageNotFoundError|No module named).{0,200}"
        r"(bitsandbytes|gptq|awq|optimum|compressed.tensors|auto.round|fbgemm|torchao)"
        r"|(bitsandbytes|auto-?gptq|gptqmodel|autoawq|optimum|compressed.tensors|torchao).{0,60}(is not installed"
        r"|required)",
        "the package for this model's quantisation is not installed",
        "Install the package that the message names.",
        ("python3 -m pip list | grep -i -E 'bitsandbytes|gptq|awq|optimum|compressed|torchao'",),
        engine_may_cope=True,
    ),
    Signature(
        "HF_LIBS_CONFLICT",
        r"is required for a normal functioning of this module|cannot import name .* from 'huggingface_hub"
        r"|cannot import name .* from 'tokenizers",
        _HUB_MEANS,
        _HUB_WAY_OUT,
        _HUB_COMMANDS,
        source=REPORTS,
        ends_start=True,
    ),
    # pip says it while it installs; what fails says more.
    Signature(
        "HF_LIBS_CONFLICT",
        r"(?<![\w-])(transformers|accelerate|tokenizers|datasets?) \S+ requires (huggingface[-_]hub|tokenizers)\b",
        _HUB_MEANS,
        _HUB_WAY_OUT,
        _HUB_COMMANDS,
        source=REPORTS,
        sure="likely",
        warns=True,
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
        "VLLM_TORCH_MISMATCH",
        r"(vllm|sglang)\S* \S+ requires torch(vision|audio)?[=<>!~]",
        "torch was replaced after the engine was installed, which needs exactly another one",
        "Install the engine and its torch together.",
        _CHECK,
        source=REPORTS,
    ),
    Signature(
        "TRANSFORMERS_TOO_OLD_FOR_MODEL",
        r"does not recognize this architecture|Unrecognized processing class|Unrecognized configuration class"
        rf"|cannot import name '{_MODEL_CLASSES}|has no attribute '?{_MODEL_CLASSES}"
        rf"|Could not import module '{_MODEL_CLASSES}"
        r"|KeyError: '(glm|qwen|llama|gemma|phi|deepseek|intern|mistral|kimi|minicpm)\w*'"
        r"|(Tokenizer|Processor|Image processor) class \w+ does not exist|Unrecognized model type for subconfig",
        "the installed transformers does not know this kind of model",
        "Install a transformers that knows it and that the engine allows.",
        _UPGRADE,
        source=MEASURED,
        engine_may_cope=True,
        ends_start=True,
    ),
    # Of what transformers removed only the code of models and of training programs still asks.
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_MODEL",
        r"_pad\(\) got an unexpected keyword argument 'padding_side'"
        r"|got an unexpected keyword argument 'standardize_cache_format'"
        r"|'\w+' object has no attribute '(all_tied_weights_keys|_supports_sdpa)'",
        _OWN_CODE,
        _OLDER,
        ("python3 -m pip list | grep -i transformers", "{download}"),
        source=REPORTS,
    ),
    # A model that reads numbers out of tensors while it is made; bitsandbytes says so as well, of what does not fit.
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_MODEL",
        r"Tensor\.item\(\) cannot be called on meta tensors",
        "transformers 5 makes a model without memory first, and the model's own code reads numbers meanwhile",
        "Install a transformers from before 5, or take the copy of the model for transformers' own classes (-hf).",
        ("python3 -m pip list | grep -i transformers", "python3 -m pip install 'transformers<5'"),
        source="lmms-eval 1051",
        sure="hint",
    ),
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_MODEL",
        r"cannot import name '(LlamaFlashAttention2|is_torch_fx_available|is_torch_greater_or_equal_than_\w+)'"
        r"|'\w+(ForCausalLM|LMHeadModel|ChatModel|ForConditionalGeneration)' object has no attribute 'generate'"
        r"|has no attribute '_extract_past_from_model_output'",
        _OWN_CODE,
        _OLDER,
        ("python3 -m pip list | grep -i transformers", "{download}"),
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_MODEL",
        r"cannot import name '\w+' from 'transformers\.(models\.|(cache|modeling_attn_mask|pytorch|modeling)_utils"
        r"|utils\.import_utils)",
        _OWN_CODE,
        _OLDER,
        ("python3 -m pip list | grep -i transformers", "{download}"),
        source=REPORTS,
        sure="likely",
        engines=("transformers",),
        engine_known=True,
    ),
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_ENGINE",
        r"(vllm|sglang)\S* \S+ requires transformers[=<>!~]|all_special_tokens_extended"
        r"|is already used by a Transformers"
        r"|register\(\) got multiple values for argument 'exist_ok'|__init__\(\) got multiple values for argument"
        r"|cannot import name '\w+' from 'transformers|module 'transformers\S*' has no attribute"
        r"|(vllm|sglang) \S+ (with|and) transformers 5\S* (fails|does not|cannot)"
        r"|has no attribute '?(rope_scaling|rope_theta|image_token_index|use_return_dict)'?",
        "the installed transformers is newer than this engine's code was written for",
        "Install the transformers that the engine asks for, or a newer engine.",
        _PIN,
        source=REPORTS,
        sure="likely",
        ends_start=True,
    ),
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_MODEL",
        r"size`? (dict )?must contain 'shortest_edge'|Size must contain 'height' and 'width'"
        r"|transformers_modules\S*.{0,200}(has no attribute|unexpected keyword|missing \d+ required)"
        r"|_extract_past_from_model_output|got an unexpected keyword argument 'padding_side'"
        r"|(has no attribute|missing) 'get_max_length'|'DynamicCache' object has no attribute",
        _OWN_CODE,
        _OLDER,
        ("python3 -m pip list | grep -i transformers", "{download}"),
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "ENGINE_TOO_OLD_FOR_MODEL",
        r"Model architectures? .{0,200}not supported|has no vLLM implementation and"
        r"|Cannot find model module|Unsupported architectures?|has no SGLang implementation and"
        r"|no SGlang implementation"
        r"|is not supported by SGLang",
        "the installed engine does not know this kind of model",
        "Install a newer engine.",
        ("python3 -m pip install --upgrade {engine}",),
        source=f"{VLLM}; {SGLANG}",
        ends_start=True,
    ),
    # vLLM has code for the model, and importing it failed; most often transformers is what that code does not fit.
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_ENGINE",
        r"Model architectures? .{0,200}failed to be inspected|Error in inspecting model architecture",
        "vLLM knows the model and could not import its own code for it: as a rule transformers is of another age",
        "See which import failed further up in the log; then install the transformers that the engine asks for.",
        _CHECK,
        source=f"{VLLM}; {REPORTS}",
        sure="hint",
    ),
    Signature(
        "ENGINE_TOO_OLD_FOR_MODEL",
        r"unknown model architecture|unknown (vision |audio )?projector type|unknown pre-tokenizer type"
        r"|error loading model hyperparameters|error loading model vocabulary|wrong number of tensors; expected",
        "the installed llama.cpp does not know this kind of model",
        "Install a newer llama.cpp.",
        ("llama-server --version",),
        source=LLAMACPP,
        engines=("llamacpp",),
        ends_start=True,
    ),
    Signature(
        "KNOWN_BAD_RELEASE",
        r"'list' object has no attribute 'prod'",
        "this release of transformers has a known fault with this model (GLM-4.1V: 4.53.0 and 4.53.1)",
        "Install the next release.",
        _UPGRADE,
        source=REPORTS,
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
    Signature(
        "DEPENDENCY_CONFLICT",
        r"VersionConflict|ContextualVersionConflict|DistributionNotFound"
        r"|ModuleNotFoundError: No module named|PackageNotFoundError",
        _EXCLUDED,
        _SEE,
        _PIP_CHECK,
        source=REPORTS,
        sure="likely",
    ),
)
