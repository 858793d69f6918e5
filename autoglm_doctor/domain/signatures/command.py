"""The command line: flags that the engine does not know, or whose values it refuses."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import LLAMACPP, REPORTS, SGLANG, TORCH, VLLM, Signature

ROWS: tuple[Signature, ...] = (
    Signature(
        "UNKNOWN_FLAG",
        r"error: unrecognized arguments|error: invalid argument:|No such option|unrecognized option|unknown argument:"
        r"|error: argument \S+: (invalid|expected)|error: the following arguments are required"
        r"|Got unexpected extra argument"
        r"|error while handling argument|Extra inputs are not permitted",
        "the engine does not know a flag of this command, or not its value",
        "Leave it out, or look up how this version spells it.",
        ("{known_flags}", "{help}"),
        "flag",
        f"{VLLM}; {LLAMACPP}",
        ends_start=True,
    ),
    Signature(
        "CONTEXT_TOO_LONG_FOR_MODEL",
        r"is greater than the derived \w+|exceeds .{0,40}max_position_embeddings"
        r"|context length .{0,60}(is greater than|exceeds|larger than) .{0,40}(model|derived|original)",
        "the command asks for a longer context than the model was made for",
        "Ask for the model's own length at most.",
        ("{model_length}",),
        "flag",
        f"{VLLM}; {SGLANG}",
        ends_start=True,
    ),
    Signature(
        "TENSOR_PARALLEL_DOES_NOT_DIVIDE",
        r"must be divisible by (the )?(tensor|tp)|not divisible by (the )?(tensor|tp|world)|is not divisible by \d+"
        r"|attention heads .{0,60}divisible|AssertionError: \d+ is not divisible by",
        "the model cannot be split over this many GPUs: its heads are no multiple of it",
        "Split it over a number that divides its heads.",
        ("{divisor}",),
        "flag",
        VLLM,
        ends_start=True,
    ),
    Signature(
        "QUANTIZATION_CONFLICT",
        r"Quantization method specified in the model config .* does not match|Cannot find the config file for"
        r"|Cannot use both quantization|is not supported for quantization method",
        "the command asks for another quantisation than the checkpoint holds",
        "Leave the flag out: the engine reads it from the checkpoint.",
        ("{no_quantization}",),
        "flag",
        VLLM,
        ends_start=True,
    ),
    Signature(
        "BATCH_SMALLER_THAN_CONTEXT",
        r"max_num_batched_tokens \(\d+\) (is smaller than|must be greater)"
        r"|must be greater than or equal to max_(num_seqs|model)",
        "max_num_batched_tokens is smaller than the engine needs here",
        "Leave the flag out.",
        ("{default_batch}",),
        "flag",
        VLLM,
        ends_start=True,
    ),
    Signature(
        "EXECUTION_NOT_PERMITTED",
        r"PermissionError: \[Errno 13\]|Permission denied: '|\[Errno 30\] Read-only file system",
        "the engine may not read or write a file that it needs",
        "Look at who owns the folders of the model and of the caches.",
        ('ls -ld {folder} "${HF_HOME:-$HOME/.cache}" "${TMPDIR:-/tmp}"',),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "COMPILATION_FAILED",
        r"torch\._inductor\.exc\.\w+|torch\._dynamo\.exc\.\w+|BackendCompilerFailed|triton\.compiler\.errors\.\w+",
        "torch.compile failed at a kernel of this model",
        "Start without compilation; it costs speed.",
        ("{eager}",),
        "flag",
        TORCH,
        sure="likely",
    ),
)
