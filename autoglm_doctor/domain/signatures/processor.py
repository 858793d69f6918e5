"""Tokenizer, processor and chat template; and the pictures that a server may refuse."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import LLAMACPP, MEASURED, REPORTS, TRANSFORMERS, VLLM, Signature

_DOWNLOAD = ("{download}",)
_SMALL_FILE = (
    r"((tokenizer\w*|preprocessor_config|processor_config|video_preprocessor_config|special_tokens_map|vocab)\.json"
    r"|tokenizer\.model|merges\.txt)"
)

_NO_TEMPLATE = (
    r"chat_template is not set|have a chat template|default chat template is no longer allowed"
    r"|must provide a chat template|no chat template (is|was) (set|found|defined)"
    r"|is not a built-in template name or a valid|\btemplate[ _]error: template not found"
)

ROWS: tuple[Signature, ...] = (
    Signature(
        "CHAT_TEMPLATE_MISSING",
        rf"\b400\b.{{0,200}}({_NO_TEMPLATE})|BadRequest.{{0,200}}({_NO_TEMPLATE})",
        "the model's folder has no chat template, and the engine refuses every chat",
        "Download the model's chat_template.jinja, or give one to the engine with --chat-template; a base model has "
        "none: take the one that was made for chats.",
        ("{download}", "{template}"),
        "flag",
        f"{MEASURED}; {VLLM}",
        refuses=True,
    ),
    Signature(
        "CHAT_TEMPLATE_MISSING",
        rf"{_NO_TEMPLATE}|chat template .{{0,60}}(looks like a file path, but|does not exist|is not found)",
        "the model's folder has no chat template",
        "Download the model's chat_template.jinja, or give one to the engine with --chat-template.",
        ("{download}", "{template}"),
        "flag",
    ),
    Signature(
        "CHAT_TEMPLATE_MISSING",
        r"Chat API will not work",
        "the model's folder has no chat template, and the server says that chats will not work",
        "Download the model's chat_template.jinja, or give one to the engine with --chat-template.",
        ("{download}", "{template}"),
        "flag",
        VLLM,
        sure="likely",
        warns=True,
        in_warnings=True,
    ),
    # The template is whole; what the client sends does not fit it.
    Signature(
        "CHAT_TEMPLATE_WRONG",
        r"roles must alternate|System role not supported|Error in applying chat template|Jinja Exception:",
        "the chat template refuses the order of these messages",
        "Give the engine a template that takes them, or send user and assistant in turn, without a system message.",
        ("{template}", "{download}"),
        "flag",
        "unsloth issue 334, graphrag 564",
        sure="likely",
    ),
    Signature(
        "CHAT_TEMPLATE_WRONG",
        r"TemplateSyntaxError|jinja2\.exceptions\.\w+|chat template parsing error"
        r"|Unable to generate parser for this template"
        r"|total number of \S+ tokens in the prompts? should be the same as the number of images"
        r"|Image features and image tokens do not match|Failed to apply prompt replacement"
        r"|Failed to find .*placeholder|prompt (replacements|updates|placeholders) corresponding to \d+ (image|video)"
        r"|multimodal tokens to \d+ placeholders|Mismatch in `(image|video)` token count"
        r"|contained \d+ image tokens but received",
        "the chat template is damaged, or leaves no place for the picture",
        "Download the model's chat template again.",
        _DOWNLOAD,
        source=f"{TRANSFORMERS}; {VLLM}",
    ),
    Signature(
        "MODEL_REFUSES_PICTURES",
        r"At most 0 image|is not a multimodal model|does not support (multi-?modal|image|vision|picture)"
        r"|image input is not supported|Multimodal data provided, but model|images? .{0,30}(is"
        r"|are) not supported by this"
        r"|Unknown part type: image|content type image_url is not supported|Only text (prompt|content|input)s? (is"
        r"|are) support",
        "the server takes no pictures",
        "Serve a model that sees, let it take pictures, and in llama.cpp give it its mmproj file.",
        ("{pictures}", "{launch}"),
        "flag",
        f"{VLLM}; {LLAMACPP}",
    ),
    Signature(
        "IMAGE_LIMIT_TOO_LOW",
        r"At most \d+ \w+\(s\) may be provided|You set (image|video)=\d+ .{0,60}but found"
        r"|exceeds the limit.{0,40}images",
        "the server takes fewer pictures in one request than the client sends",
        "Let it take more.",
        ("{pictures}",),
        "flag",
        VLLM,
    ),
    Signature(
        "IMAGE_EXCEEDS_ENCODER_BUDGET",
        r"exceeds the (pre-allocated )?encoder cache size|larger than the encoder budget"
        r"|image.{0,60}exceeds the maximum"
        r"|(multi-?modal|image) (item|input).{0,60}(exceeds|longer than|larger than)",
        "one picture makes more tokens than the engine has set aside for pictures",
        "Send smaller pictures, or let the engine make smaller ones of them.",
        ("{smaller_pictures}", "{launch}"),
        "flag",
        VLLM,
    ),
    Signature(
        "CONTEXT_TOO_SHORT_FOR_IMAGE",
        r"maximum context length is \d+ tokens|longer than the (maximum )?model('s)? (context )?length"
        r"|exceeds the available"
        r" context size|is longer than the model's context length|prompt is too long|exceed_context_size",
        "the prompt and its picture are longer than the context of this server",
        "Serve a longer context, or send smaller pictures.",
        ("{launch}",),
        "flag",
        REPORTS,
    ),
    Signature(
        "MODEL_FILES_INCOMPLETE",
        r"instantiate the backend tokenizer|requires the (protobuf|sentencepiece) library"
        r"|Can't load (tokenizer|image processor|feature extractor|processor|video)"
        r"|Unrecognized (image processor|feature extractor) in|Can't instantiate a (processor"
        r"|tokenizer)"
        r"|Could not load (the )?(tokenizer|processor)|Unrecognized video processor in"
        r"|Cannot instantiate this tokenizer from a slow version|Unable to load vocabulary from file"
        r"|No module named 'transformers_modules\."
        r"|does not appear to have a file named (modeling|configuration|tokenization|(image_)?processing)_\w+\.py"
        rf"|(No such file|not found|missing|does not appear to have a file named|Exception: ).{{0,160}}{_SMALL_FILE}"
        rf"|{_SMALL_FILE}\S*.{{0,30}}( is missing|not found|No such file|does not exist|damaged|expected )"
        r"|Failed to load (CLIP|mmproj|multimodal) model|failed to load multimodal model"
        r"|mismatch between text model .* and mmproj",
        "a file beside the weights (tokenizer, preprocessor, chat template) is missing or damaged",
        "Download the model's small files again.",
        _DOWNLOAD,
        source=f"{MEASURED}; {LLAMACPP}",
    ),
    # A slow tokenizer whose file is not there: its name is None.
    *(
        Signature(
            "MODEL_FILES_INCOMPLETE",
            pattern,
            "the tokenizer's own file (tokenizer.model, vocab.json) is missing",
            "Download the model's small files again.",
            _DOWNLOAD,
            source=TRANSFORMERS,
            sure="hint",
            after=after,
        )
        for pattern, after in (
            (r"^TypeError: not a string$", ""),
            (r"expected str, bytes or os\.PathLike object, not NoneType", r"\bvocab_file\b|/tokenization_\w+\.py"),
        )
    ),
    Signature(
        "MODEL_FILES_INCOMPLETE",
        r"JSONDecodeError|expected value at line 1 column 1|Expecting value: line 1 column 1",
        "one of the model's JSON files (tokenizer, preprocessor) is damaged",
        "Download the model's small files again.",
        _DOWNLOAD,
        sure="likely",
    ),
)
