"""Which releases of transformers hold a name that others import from it: too old for who asks, or too new.

Read out of the wheels of 49 releases from 4.26 to 5.23, the last patch of each minor and 4.48.0: the names that each
module binds, and of the package itself those in its lists of names to import (`_import_structure`, `__all__`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

#: Module of transformers ("": the package itself) -> the releases that hold them -> names. "4.42-5.0": added in 4.42,
#: gone in 5.0; "-4.39": there from before 4.26 on; "4.43-": there still in 5.23. Between two spans it was missing.
_HELD: dict[str, dict[str, str]] = {
    "": {
        "-4.39": "top_k_top_p_filtering",
        "-4.49": "LogitsWarper",
        "-4.50": "AdamW",
        "-4.51": "is_torch_tpu_available",
        "-4.57": "BeamSearchScorer",
        "-5.0": (
            "AutoModelForVision2Seq AutoModelWithLMHead ConstrainedBeamSearchScorer DisjunctiveConstraint "
            "PhrasalConstraint TFAutoModel FlaxAutoModel SpecialTokensMixin CLIPFeatureExtractor "
            "is_tf_available is_flax_available TRANSFORMERS_CACHE"
        ),
        "4.28-": "BitsAndBytesConfig",
        "4.32-": "GPTQConfig is_torch_npu_available",
        "4.35-": "AwqConfig",
        "4.36-": "Cache DynamicCache",
        "4.36-5.0": "SinkCache",
        "4.37-": "SiglipVisionModel Qwen2ForCausalLM",
        "4.38-": "StaticCache",
        "4.39-": "is_torch_xla_available",
        "4.40-": "Idefics2ForConditionalGeneration",
        "4.41-": "Phi3ForCausalLM PaliGemmaForConditionalGeneration",
        "4.42-": "Gemma2ForCausalLM",
        "4.42-4.56": "QuantizedCacheConfig",
        "4.42-5.0": "HQQQuantizedCache",
        "4.43-": "EncoderDecoderCache",
        "4.44-5.0": "HybridCache SlidingWindowCache OffloadedCache",
        "4.44-5.5": "MambaCache",
        "4.45-": (
            "TorchAoConfig MllamaForConditionalGeneration LlavaOnevisionForConditionalGeneration "
            "Qwen2VLForConditionalGeneration"
        ),
        "4.46-": "AutoModelForImageTextToText",
        "4.48-": "ModernBertModel",
        "4.49-": "Qwen2_5_VLForConditionalGeneration",
        "4.50-": (
            "Siglip2VisionModel Gemma3ForConditionalGeneration Gemma3ForCausalLM Mistral3ForConditionalGeneration"
        ),
        "4.51-": "Llama4ForConditionalGeneration Qwen3ForCausalLM",
        "4.52-": "AutoVideoProcessor InternVLForConditionalGeneration",
        "4.53-": "Gemma3nForConditionalGeneration Glm4vForConditionalGeneration",
        "4.55-": "GptOssForCausalLM",
        "4.57-": "Qwen3VLForConditionalGeneration",
        "5.0-": "AutoModelForMultimodalLM PreTrainedConfig TokenizersBackend",
    },
    "cache_utils": {
        "4.36-": "Cache DynamicCache",
        "4.36-5.0": "SinkCache",
        "4.38-": "StaticCache",
        "4.42-4.56": "CacheConfig QuantizedCacheConfig",
        "4.42-5.0": "HybridCache",
        "4.43-": "EncoderDecoderCache",
        "4.43-4.54": "MambaCache",
        "4.44-5.0": "OffloadedCache",
        "4.51-5.0": "HybridChunkedCache",
        "4.54-": "DynamicLayer CacheLayerMixin",
    },
    "pytorch_utils": {
        "-4.37": "is_torch_less_than_1_11",
        "-5.0": "find_pruneable_heads_and_indices",
        "4.31-4.48 4.48.2-": "is_torch_greater_or_equal_than_2_0",
        "4.35-": "is_torch_greater_or_equal_than_2_1",
        "4.36-4.48 4.48.2-": "is_torch_greater_or_equal_than_1_13",
        "4.38-": "is_torch_greater_or_equal_than_2_2",
    },
    "utils.import_utils": {
        "-5.0": "is_torch_fx_available",
        "4.34-4.39": "is_flash_attn_available",
        "4.35-": "is_flash_attn_2_available",
        "4.36-5.0": "is_torch_sdpa_available",
    },
    "utils": {
        "-4.57": "cached_property",
        "-5.0": (
            "is_torch_fx_available is_tf_available is_offline_mode is_remote_url download_url "
            "TRANSFORMERS_CACHE FLAX_WEIGHTS_NAME TF2_WEIGHTS_NAME"
        ),
        "4.34-4.39": "is_flash_attn_available",
        "4.35-": "is_flash_attn_2_available",
        "4.39-": "is_torchdynamo_compiling",
        "4.39-4.47": "is_quanto_available",
        "4.47-4.54": "LossKwargs",
        "4.51-": "can_return_tuple",
        "4.52-": "auto_docstring",
        "4.54-": "TransformersKwargs",
    },
    "modeling_utils": {
        "-4.47": "shard_checkpoint",
        "-4.50": "_load_state_dict_into_model",
        "-4.51": "dtype_byte_size",
        "-4.53": "SequenceSummary",
        "-4.56": "apply_chunking_to_forward find_pruneable_heads_and_indices prune_linear_layer Conv1D",
        "-5.0": "no_init_weights get_parameter_dtype load_sharded_checkpoint _load_state_dict_into_meta_model",
        "4.48-": "ALL_ATTENTION_FUNCTIONS",
    },
    "modeling_attn_mask_utils": {
        "4.35-": "_prepare_4d_causal_attention_mask AttentionMaskConverter",
        "4.36-": "_prepare_4d_causal_attention_mask_for_sdpa",
    },
    "generation": {
        "-4.49": "LogitsWarper",
        "-4.57": "BeamSearchScorer",
        "-5.0": "SampleDecoderOnlyOutput GreedySearchDecoderOnlyOutput DisjunctiveConstraint",
    },
    "generation.utils": {
        "-5.0": "SampleOutput GreedySearchOutput SampleDecoderOnlyOutput GreedySearchDecoderOnlyOutput",
        "4.38-4.56": "NEED_SETUP_CACHE_CLASSES_MAPPING",
    },
    "models.llama.modeling_llama": {
        "4.28-": "LlamaRMSNorm",
        "4.28-4.38": "_expand_mask _make_causal_mask",
        "4.28-4.52": "LLAMA_INPUTS_DOCSTRING",
        "4.31-": "repeat_kv",
        "4.31-4.48": "LlamaLinearScalingRotaryEmbedding LlamaDynamicNTKScalingRotaryEmbedding",
        "4.34-4.35": "is_flash_attn_available",
        "4.34-4.48": "LlamaFlashAttention2",
        "4.35-4.38": "_prepare_4d_causal_attention_mask",
        "4.36-4.48": "LlamaSdpaAttention LLAMA_ATTENTION_CLASSES",
    },
    "models.qwen2.modeling_qwen2": {
        "4.37-4.48": "Qwen2FlashAttention2 Qwen2SdpaAttention",
        "4.37-4.52": "QWEN2_INPUTS_DOCSTRING",
    },
    "models.qwen2_vl.modeling_qwen2_vl": {
        "4.45-4.53": "VisionSdpaAttention QWEN2_VL_ATTENTION_CLASSES VisionFlashAttention2",
    },
    "models.qwen2_5_vl.modeling_qwen2_5_vl": {
        "4.49-4.53": "apply_rotary_pos_emb_flashatt Qwen2_5_VLVisionFlashAttention2",
    },
    "models.mistral.modeling_mistral": {
        "4.34-4.48": "MistralFlashAttention2",
    },
    "models.clip.modeling_clip": {
        "-4.35": "_expand_mask",
        "4.43-4.52": "CLIPFlashAttention2",
    },
    "models.bert.modeling_bert": {
        "4.41-5.0": "BertSdpaSelfAttention",
    },
    "models.pixtral.modeling_pixtral": {
        "4.45-5.17": "PixtralRotaryEmbedding",
    },
    "models.mllama.image_processing_mllama": {
        "4.45-4.49": "is_valid_list_of_images make_list_of_images",
    },
    "image_utils": {
        "4.41-4.52": "VideoInput",
        "4.49-": "make_flat_list_of_images",
        "4.49-4.52": "make_batched_videos load_video",
    },
    "video_utils": {
        "4.52-": "VideoInput make_batched_videos load_video",
    },
    "processing_utils": {
        "4.42-": "VideosKwargs ProcessingKwargs ImagesKwargs",
        "4.42-5.0": "CommonKwargs",
        "4.45-": "Unpack",
        "4.45-4.54": "_validate_images_text_input_order",
        "4.53-": "MultiModalData",
    },
    "image_processing_utils_fast": {
        "4.50-5.0": "DefaultFastImageProcessorKwargs",
    },
    "modeling_flash_attention_utils": {
        "4.43-": "_flash_attention_forward",
        "4.43-4.54": "_flash_supports_window_size",
        "4.47-": "FlashAttentionKwargs",
        "4.51-": "flash_attn_supports_top_left_mask",
        "4.51-5.4": "is_flash_attn_greater_or_equal_2_10",
    },
    "modeling_rope_utils": {
        "4.43-": "ROPE_INIT_FUNCTIONS rope_config_validation",
        "4.51-": "dynamic_rope_update",
    },
    "masking_utils": {
        "4.53-": "create_causal_mask",
    },
    "modeling_layers": {
        "4.52-": "GradientCheckpointingLayer",
    },
    "utils.generic": {
        "4.54-5.2": "OutputRecorder",
    },
    "configuration_utils": {
        "4.53-": "layer_type_validation",
        "5.0-": "PreTrainedConfig",
    },
    "optimization": {
        "-4.50": "AdamW",
    },
    "integrations.deepspeed": {
        "4.33-": "HfDeepSpeedConfig",
    },
    "models.auto.modeling_auto": {
        "-5.0": "MODEL_FOR_VISION_2_SEQ_MAPPING_NAMES MODEL_FOR_VISION_2_SEQ_MAPPING",
        "4.46-": "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
    },
}

_SAID = re.compile(r"cannot import name '(?P<name>\w+)' from '(?:\w+\.)?transformers(?:\.(?P<module>[\w.]+))?'")
_SAID_ALONE = re.compile(r"cannot import name ['\"`]?(?P<name>\w+)\b(?!['\"`]? from\b)", re.IGNORECASE)
#: Other libraries have such names as well.
_OF_OTHERS = frozenset({"AdamW", "Cache", "Conv1D", "Unpack", "cached_property", "download_url", "is_remote_url"})

Direction = Literal["too old", "too new", "in a gap"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a transformers that lacks a name is, for who asks for it."""

    name: str
    direction: Direction
    added: str = ""  # the first release that has it, or has it again
    removed: str = ""  # the first that no longer has it


def why_missing(line: str, version: str) -> Verdict | None:
    """What the stated transformers is for "cannot import name"; None: the name is not known, or this release has it."""
    said = _SAID.search(line) or _alone(line)
    spans = _spans_of(said) if said else ()
    try:
        release = Version(version).release
    except InvalidVersion:
        return None
    if said is None or not spans or any(_holds(span, release) for span in spans):
        return None
    later = next((added for added, _ in spans if added and release < _release(added)), "")
    if not later:
        return Verdict(said["name"], "too new", removed=spans[-1][1])
    return Verdict(said["name"], "in a gap" if later != spans[0][0] else "too old", added=later)


def was_removed(line: str) -> bool:
    """A name is missed, without its module, that transformers had and no longer has."""
    said = _alone(line)
    return said is not None and all(removed for _, removed in _spans_of(said))


def was_added(line: str) -> bool:
    """A name is missed, without its module, that transformers has had since some release."""
    said = _alone(line)
    return said is not None and not _spans_of(said)[-1][1]


def _alone(line: str) -> re.Match[str] | None:
    said = _SAID_ALONE.search(line)
    return said if said and said["name"] not in _OF_OTHERS and _spans_of(said) else None


def _spans_of(said: re.Match[str]) -> tuple[tuple[str, str], ...]:
    if "module" in said.re.groupindex:
        return _spans(said["module"] or "", said["name"])
    return next((found for module in _HELD if (found := _spans(module, said["name"]))), ())


def _spans(module: str, name: str) -> tuple[tuple[str, str], ...]:
    """The releases that hold the name, as (added, removed); "" for what lies outside of those that were read."""
    for spans, names in _HELD.get(module, {}).items():
        if name in names.split():
            return tuple((added, removed) for added, _, removed in (span.partition("-") for span in spans.split()))
    return ()


def _holds(span: tuple[str, str], release: tuple[int, ...]) -> bool:
    added, removed = span
    return (not added or release >= _release(added)) and (not removed or release < _release(removed))


def _release(said: str) -> tuple[int, ...]:
    return tuple(int(part) for part in said.split("."))
