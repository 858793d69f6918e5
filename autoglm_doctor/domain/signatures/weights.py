"""The weight files and config.json."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import LLAMACPP, MEASURED, TRANSFORMERS, VLLM, Signature

_DOWNLOAD = ("{download}",)

ROWS: tuple[Signature, ...] = (
    Signature(
        "MODEL_FILES_LFS_POINTER",
        r"header too large|HeaderTooLarge|invalid load key, '[v<]'|sentencepiece_processor\.cc.{0,40}ParseFromArray"
        r"|git-lfs\.github\.com/spec|could not parse ModelProto from|repository without having git-lfs installed"
        r"|over its data quota|Smudge error: Error downloading|'lfs' is not a git command"
        r"|invalid magic characters: '(vers|<!DO|<htm)",
        "a weight file is no safetensors file (a git-lfs pointer or a saved web page)",
        "Download the weights again.",
        _DOWNLOAD,
        ends_start=True,
    ),
    Signature(
        "MODEL_FILE_TRUNCATED",
        r"file not fully covered|MetadataIncompleteBuffer|header too small|HeaderTooSmall|invalid JSON in header"
        r"|InvalidHeader|while deserializing header|PytorchStreamReader failed|unexpected EOF, expected \d+ more bytes"
        r"|safetensors file is (corrupt/)?incomplete|Consistency check failed: file should be of size"
        r"|storage has wrong byte size|digest mismatch, file must be downloaded again"
        r"|is not within the file bounds, model is corrupted|gguf_init_from_file\w*: failed to read",
        "a weight file is cut short or damaged",
        "Download the weights again.",
        _DOWNLOAD,
        ends_start=True,
    ),
    Signature(
        "MODEL_FILE_TRUNCATED",
        r"invalid magic characters|failed to read (magic|tensor info|tensor data|header|key-value)"
        r"|corrupted or incomplete"
        r"|not within the file bounds|gguf_init_from_file\w*: failed to read|exceeds (maximum|remaining file size)"
        r"|bad GGUF version",
        "the GGUF file is cut short, damaged, or no GGUF file",
        "Download the file again.",
        _DOWNLOAD,
        source=LLAMACPP,
        engines=("llamacpp",),
        ends_start=True,
    ),
    # A pickle that torch cannot make sense of.
    Signature(
        "MODEL_FILE_TRUNCATED",
        r"Unable to load weights from pytorch checkpoint file",
        "a weight file is cut short or damaged",
        "Download the weights again.",
        _DOWNLOAD,
        source=TRANSFORMERS,
        sure="hint",
    ),
    Signature(
        "SAFETENSORS_HEADER_LIMIT",
        r"header .{0,40}(larger than|exceeds) .{0,20}(100 ?MB|limit)",
        "the header of a weight file is larger than the library reads",
        "Install a newer safetensors.",
        ("python3 -m pip install --upgrade safetensors",),
    ),
    Signature(
        "MODEL_SHARD_MISSING",
        r"No such file or directory.*\.safetensors|no file named \S*(model\.safetensors|pytorch_model)"
        r"|referenced in index but missing|Cannot find any model weights|\d{5}-of-\d{5}\.safetensors"
        r"(?!: *\d+%).{0,60}(not found|missing|does not|cannot)|(for|missing|find|open) \S*\d{5}-of-\d{5}\.safetensors"
        r"|does not appear to have (a file|files) named \S*(\.safetensors|pytorch_model|\.bin|-of-\d{5})"
        r"|is not a folder containing a `\.index\.json`|No local weights found (in|for|with)\b"
        r"|Could not locate pytorch_model\S* inside|illegal split file\b|failed to load GGUF split",
        "a weight file is missing",
        "Download the weights again.",
        _DOWNLOAD,
        ends_start=True,
    ),
    Signature(
        "MODEL_TENSORS_MISSING",
        r"Cannot copy out of meta tensor|not initialized from checkpoint|There is no module or parameter named"
        r"|missing tensor '|tensor '\S+' not found|unable to find tensor"
        r"|Missing key\(s\) in state_dict",
        "the weight files lack tensors that the model needs",
        "Download the weights again.",
        _DOWNLOAD,
        source=f"{MEASURED}; {VLLM}",
        ends_start=True,
    ),
    Signature(
        "MODEL_TENSORS_MISSING",
        r"\| MISSING +\||newly initialized because missing|were not initialized from the model checkpoint",
        "the weight files lack tensors that the model needs, and transformers filled them with random numbers",
        "Download the weights again.",
        _DOWNLOAD,
        source=f"{MEASURED}; {TRANSFORMERS}",
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "MODEL_CONFIG_WRONG",
        r"\| MISMATCH +\||did not match the original empty weight shapes",
        "config.json tells other sizes than the weights have",
        "Download the model again, config.json and weights from the same place.",
        _DOWNLOAD,
        source=f"{MEASURED}; {TRANSFORMERS}",
        in_warnings=True,
    ),
    Signature(
        "MODEL_NEEDS_REMOTE_CODE",
        r"trust_remote_code=True(?!,)|--trust-remote-code.{0,40}(required|needed|to allow|set)"
        r"|wish to run the custom code"
        r"|contains custom code which must be executed|requires? you to execute the (configuration|model|\w+) file",
        "the model wants to run code from its own repository, which the doctor does not do unasked",
        "Read that code; if you trust it, let the doctor run it.",
        ("ls -l {folder}/*.py",),
        "flag",
        engine_may_cope=True,
    ),
    Signature(
        "MODEL_CONFIG_WRONG",
        r"ignore_mismatched_sizes|size mismatch for|Unrecognized model in|config\.json.* is not a valid JSON"
        r"|module 'torch' has no attribute '(b?float|int|half)|not a valid JSON file|Unknown dtype|Unknown quantization"
        r"|Attempted to load weight .* into parameter|Tried to load weights of size|Should have a `model_type` key"
        r"|shape '\[.*\]' is invalid for input|weight.{0,40}shape mismatch|assert (param|loaded)\w*\.(size|shape)\S* =="
        r"|check_tensor_dims: tensor .* has wrong shape|key not found in model",
        "config.json is damaged or does not belong to these weights",
        "Download the model again, config.json and weights from the same place.",
        _DOWNLOAD,
        source=f"{MEASURED}; {VLLM}",
        ends_start=True,
    ),
    Signature(
        "MODEL_OUTPUT_WRONG",
        r"probability tensor contains either|contains? (NaN|nan)\b|(logits|output|tensor)s?\b.{0,40}\b(are|is) (nan"
        r"|inf)\b"
        r"|Detected errors during sampling! NaN|NaN (detected|found|in the logits)",
        "the model computes numbers that are not finite (NaN)",
        "Compare the weight files with their published checksums; with float16, let the engine compute in bfloat16.",
        ("{download}", "{bfloat}"),
        source=MEASURED,
    ),
    Signature(
        "MODEL_PATH_WRONG",
        r"is not a local folder (and is not|or) a valid|Repo id must|Can't load the (model|configuration) (for|of)"
        r"|Repository Not Found|RepositoryNotFoundError|Failed to open GGUF|failed to open (GGUF file )?'?\S+\.gguf"
        r"|Does this file exist|Invalid repository ID or local directory|Path .{1,200} does not exist"
        r"|Could not detect config format for no config file|No valid config format found"
        r"|does not appear to have a file named config\.json|No such file or directory: '[^']*config\.json'",
        "there is no model under this name or in this folder",
        "Look at the spelling; a folder must hold config.json and the weights.",
        ("ls -l {folder}", "{download}"),
        "flag",
        TRANSFORMERS,
        ends_start=True,
    ),
)
