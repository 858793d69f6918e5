"""Releases of Python packages that exclude each other or do not know the model."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.names import was_added, was_removed
from autoglm_doctor.domain.signatures.row import LLAMACPP, MEASURED, REPORTS, SGLANG, VLLM, Signature

#: The first transformers that knows the architecture glm4v and holds the fixes that the matrix asks for.
GLM4V_TRANSFORMERS = "4.53.2"

_UPGRADE = (f"python3 -m pip install --upgrade 'transformers>={GLM4V_TRANSFORMERS}'",)
_CHECK = ("python3 -m pip check", "python3 -m pip list | grep -i -E 'vllm|sglang|transformers|torch'")
_PIN = (*_CHECK, "python3 -m pip install 'transformers<5'")
_OWN_CODE = "the model's own code or its preprocessor_config.json was written for an older transformers"
_OLDER = "Install the older transformers that the model's page names, or a newer copy of the model's small files."
_MODEL_CLASSES = r"(Glm4v|Glm46V|AutoModelForImageTextToText|AutoVideoProcessor|BaseVideoProcessor|Qwen\d)"
_MODEL_TYPES = (
    r"glm|qwen|llama|gemma|phi|deepseek|intern(?=lm|vl|s1|video)|mistral|ministral|mixtral|pixtral|kimi|minicpm|minimax"
    r"|ernie|smol(?=lm|vlm)|hunyuan|falcon|step(?=[3-9])|bailing|exaone|granite|olmoe?|jamba|nemotron|paddleocr|seed_oss|gpt_oss|lfm\d|mimo|apertus|molmo|ovis"
    r"|keye|cohere|mllama|voxtral|longcat|idefics|paligemma|command_r|dots[\d_]"
)
#: What follows in names of models; parameters and variables begin like them ('philox_seed', 'gemma_scale').
_OF_A_KIND = (
    r"(\d\w*|(lm|vl|moe|ocr|asr|mm|omni|vision|video|audio|ga)\w*|(s1|v|o|x|r)(\d\w*|_\w+)?"
    r"|_(?!(scale|seed|size|dir|path|config|id|dim|name|type|model|weights?|args|kwargs|params?|version)s?\b)\w+)"
)
#: A whole class of a model, which transformers seldom takes away again.
_WHOLE_CLASS = r"[A-Z]\w*(?-i:ForConditionalGeneration|ForCausalLM|(?<!Cache)(?<!Trained)Config|Processor)"

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
        "VLLM_TORCH_MISMATCH",
        r"(vllm|sglang)\S* \S+ requires torch(vision|audio)?[=<>!~]",
        "torch was replaced after the engine was installed, which needs exactly another one",
        "Install the engine and its torch together.",
        _CHECK,
        source=REPORTS,
    ),
    # The table of an engine or of TGI, which names classes, and not kinds as transformers does.
    Signature(
        "ENGINE_TOO_OLD_FOR_MODEL",
        r"KeyError: '\w+For(ConditionalGeneration|CausalLM)'|Error: Unsupported model type:? \S+"
        r"|Unknown RoPE scaling type|Model type \w+ not supported\.|sharded is not supported for AutoModel",
        "the installed engine does not know this kind of model",
        "Install a newer engine.",
        ("python3 -m pip install --upgrade {engine}",),
        source=f"{VLLM}; the source of text-generation-inference",
        sure="likely",
        ends_start=True,
    ),
    # vLLM's loaders look each tensor up by its name.
    Signature(
        "ENGINE_TOO_OLD_FOR_MODEL",
        r"KeyError: '[\w.]+\.(weight|bias|qweight|qzeros|scales|weight_scale(_inv)?|weight_packed)'",
        "the engine knows no tensor of this name: the weights are of another form than its code for the model",
        "Install a newer engine; or take the model in the form that its page names for the engine.",
        ("python3 -m pip install --upgrade {engine}", "ls -l {folder}"),
        source="GLM-4 issue 139",
        sure="hint",
    ),
    Signature(
        "ENGINE_TOO_OLD_FOR_MODEL",
        r"requires a newer version of Ollama",
        "the installed ollama is older than this model",
        "Install a newer ollama.",
        ("ollama --version",),
        source="ollama's registry",
    ),
    # llama.cpp's own words, also from below ollama and LM Studio.
    Signature(
        "ENGINE_TOO_OLD_FOR_MODEL",
        r"unknown model architecture: '|unknown pre-tokenizer type: '|unknown (vision |audio )?projector type: ",
        "the installed llama.cpp does not know this kind of model",
        "Install a newer llama.cpp (or ollama).",
        ("llama-server --version; ollama --version",),
        source=LLAMACPP,
        ends_start=True,
    ),
    Signature(
        "TRANSFORMERS_TOO_OLD_FOR_MODEL",
        r"does not recognize this architecture|Unrecognized processing class|Unrecognized configuration class"
        rf"|cannot import name '{_MODEL_CLASSES}|has no attribute '?{_MODEL_CLASSES}"
        rf"|Could not import module '{_MODEL_CLASSES}"
        r"|(Tokenizer|Processor|Image processor) class \w+ does not exist|Unrecognized model type for subconfig",
        "the installed transformers does not know this kind of model",
        "Install a transformers that knows it and that the engine allows.",
        _UPGRADE,
        source=MEASURED,
        engine_may_cope=True,
        ends_start=True,
    ),
    Signature(
        "TRANSFORMERS_TOO_OLD_FOR_MODEL",
        rf"cannot import name '{_WHOLE_CLASS}' from 'transformers'"
        r"|`rope_scaling` must be a dictionary with (with )?two fields"
        r"|No module named 'transformers\.(models\.\w+'|masking_utils|modeling_layers|video_utils|modeling_rope_utils"
        r"|modeling_attn_mask_utils|cache_utils|processing_utils|image_processing_backends)"
        r"|(model|checkpoint|Qwen|GLM|InternVL|MiniCPM)\S*\b.{0,60}\brequires? (a )?transformers ?(version )?>=? ?\d"
        r"|Processor was not found, please check|upgrade (your )?transformers( version)? to (at least )?\d"
        rf"|update Transformers with the command|KeyError: '({_MODEL_TYPES}){_OF_A_KIND}?'",
        "the installed transformers is older than this kind of model",
        "Install a transformers that knows it and that the engine allows.",
        _UPGRADE,
        source="MiniCPM-V issue 987, Qwen3-VL 1042, EAGLE 282",
        sure="likely",
        engine_may_cope=True,
    ),
    # tokenizers reads tokenizer.json by kinds; a newer file has one that it does not know.
    Signature(
        "TRANSFORMERS_TOO_OLD_FOR_MODEL",
        r"did not match any variant of untagged enum (Py)?"
        r"(Model|PreTokenizer|Normalizer|Decoder|PostProcessor|Tokenizer)\w*",
        "the installed tokenizers is older than the model's tokenizer.json",
        "Install a newer transformers with its tokenizers.",
        ("python3 -m pip install --upgrade transformers tokenizers",),
        source="the source of tokenizers",
        sure="likely",
        ends_start=True,
    ),
    # Of what transformers removed only the code of models and of training programs still asks.
    Signature(
        "TRANSFORMERS_TOO_NEW_FOR_MODEL",
        r"_pad\(\) got an unexpected keyword argument 'padding_side'"
        r"|got an unexpected keyword argument 'standardize_cache_format'"
        r"|'\w+' object has no attribute '(all_tied_weights_keys|_supports_sdpa|_supports_cache_class"
        r"|_supports_flash_attn_2)'|type object 'DynamicCache' has no attribute"
        r"|'\w*Tokenizer\w*' object has no attribute '(sp_tokenizer|sp_model|IMAGE_ST)'"
        r"|property '(eos|pad|unk|bos)_token' of '\w+' object has no setter|can't set attribute '(eos|pad|unk)_token'"
        r"|'ChatGLMConfig' object has no attribute 'max_length'",
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
        r"|'\w+(ForCausalLM|LMHeadModel|ChatModel|ForConditionalGeneration)' object has no attribute '(generate"
        r"|prepare_inputs_for_generation|visual)'|'tuple' object has no attribute 'get_seq_length'"
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
        r"|has no attribute '?(rope_scaling|rope_theta|image_token_index|use_return_dict)'?"
        r"|'PreTrainedConfig' object has no attribute|'\w+Config' object has no attribute 'tie_word_embeddings'"
        r"|'\w*(VL|Gemma3)\w*Config' object has no attribute '(vocab_size|hidden_size|num_attention_heads"
        r"|num_hidden_layers)'"
        r"|No module named 'transformers\.(tokenization_utils_fast"
        r"|models\.\w+\.(tokenization|image_processing)_\w+_fast|models\.\w+\.feature_extraction_\w+|deepspeed|generation_utils|onnx)",
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
        r"|transformers_modules.{0,400}(has no attribute|unexpected keyword|missing \d+ required)"
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
    # Of names that only transformers has; where the message names its module, a row above has told.
    *(
        Signature(
            cause,
            r"cannot import name \W?\w+",
            meaning,
            way_out,
            _PIN if cause == "TRANSFORMERS_TOO_NEW_FOR_ENGINE" else _UPGRADE,
            source="the wheels of transformers 4.26 to 5.23",
            sure="likely",
            when=when,
        )
        for cause, meaning, way_out, when in (
            (
                "TRANSFORMERS_TOO_NEW_FOR_ENGINE",
                "transformers no longer has a name that this code imports from it",
                "Install the transformers that the engine asks for, or a newer engine.",
                was_removed,
            ),
            (
                "TRANSFORMERS_TOO_OLD_FOR_MODEL",
                "the installed transformers does not have a name yet that this code imports from it",
                "Install a transformers that knows it and that the engine allows.",
                was_added,
            ),
        )
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
        "KNOWN_BAD_RELEASE",
        r"'dict' object has no attribute 'model_type'",
        "transformers 4.57.2 has a known fault: it reads no tokenizer from a local folder",
        "Install the next release.",
        ("python3 -m pip install --upgrade 'transformers>=4.57.3,<5'",),
        source="transformers issue 42374",
        sure="likely",
        ends_start=True,
    ),
)
