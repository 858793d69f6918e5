"""The kind of a model by its name: family -> `model_type` and architecture of its config.json.

Sources: the checkpoints that the configurations in the wheels of transformers name, the test registry of vLLM
(tests/models/registry.py) and ms-swift's list of models (docs, Supported-models-and-datasets). None here for models
whose repository brings code of its own that loads it (DeepSeek-V2 and later, Kimi, MiniMax, MiniCPM, Ernie-VL): for
those a transformers that does not know the type is no fault.
"""

from __future__ import annotations

import re

#: Pattern of the name's beginning, without owner -> type; narrow ones first, without regard to case.
FAMILIES: tuple[tuple[str, str], ...] = (
    # Qwen
    (r"qwen-?3[-_.]?vl(?![-_.]?(?:embed|rerank)).*\db-?a\d+b", "qwen3_vl_moe"),
    (r"qwen-?3[-_.]?vl(?![-_.]?(?:embed|rerank))", "qwen3_vl"),
    (r"qwen-?3[-_.]?omni", "qwen3_omni_moe"),
    (r"qwen-?3[-_.]?(?:next|coder[-_.]next)", "qwen3_next"),
    (r"qwen-?3\.5-\d+b-a\d+b", "qwen3_5_moe"),
    (r"qwen-?3\.5-\d+(?:\.\d+)?b(?!-a\d)", "qwen3_5"),
    (r"qwen-?3(?:-coder)?-\d+b-a\d+b", "qwen3_moe"),
    (r"qwen-?3-(?:embedding-|reranker-)?\d+(?:\.\d+)?b", "qwen3"),
    (r"qwen-?2\.?5[-_.]?omni", "qwen2_5_omni"),
    (r"qwen-?2\.?5[-_.]?vl", "qwen2_5_vl"),
    (r"qwen-?2[-_.]?vl|qvq-72b", "qwen2_vl"),
    (r"qwen-?2[-_.]?audio", "qwen2_audio"),
    (r"qwen-?1\.5-moe-a|qwen-?2-57b-a14b", "qwen2_moe"),
    (r"qwen-?(?:1\.5|2|2\.5)(?:-coder|-math)?-\d+(?:\.\d+)?b(?!-a\d|.*(?:-rm|-prm))|codeqwen1\.5-7b", "qwen2"),
    (r"qwq-32b", "qwen2"),
    (r"deepseek-r1-distill-qwen", "qwen2"),
    (r"deepseek-r1-0528-qwen3", "qwen3"),
    (r"deepseek-r1-distill-llama", "llama"),
    # GLM
    (r"autoglm-phone|glm-?4\.1v", "glm4v"),
    (r"glm-?4\.6v-flash", "glm4v"),
    (r"glm-?4\.[56]v", "glm4v_moe"),
    (r"glm-?4\.7-?flash", "glm4_moe_lite"),
    (r"glm-?4\.[567](?!v|.*flash)", "glm4_moe"),
    (r"glm-?(?:4-(?:9|32)b|z1-(?:9|32)b).*0414|glm-z1-rumination", "glm4"),
    (r"glm-?4-9b.*-hf|glm-edge-(?:1\.5|4)b", "glm"),
    (r"glm-?ocr", "glm_ocr"),
    (r"glm-?image", "glm_image"),
    (r"glm-?asr-nano", "glmasr"),
    (r"glm-?5\.3.*flash", "glm5_next"),
    (r"glm-?5(?:\.[12])?(?![\d.]|.*(?:flash|v\b))", "glm_moe_dsa"),
    (r"glm-?4v-9b|glm-?4-9b(?!.*(?:0414|hf))", "chatglm"),
    # Meta
    (r"llama-?4-(?:scout|maverick)|llama-guard-4", "llama4"),
    (r"(?:meta-)?llama-?3\.2-(?:11|90)b-vision|llama-guard-3-11b-vision", "mllama"),
    (r"(?:meta-)?llama-?[23](?:\.[0-3])?-\d+b(?!.*(?:nemotron|vision|llava|omni|-vl))", "llama"),
    (r"code-?llama-\d+b", "llama"),
    # Google
    (r"gemma-?4-12b.*-assistant", "gemma4_unified_assistant"),
    (r"gemma-?4-(?:e[24]b|26b-a4b|31b).*-assistant", "gemma4_assistant"),
    (r"gemma-?4-12b", "gemma4_unified"),
    (r"gemma-?4-(?:e[24]b|26b-a4b|31b)", "gemma4"),
    (r"gemma-?3n-e[24]b", "gemma3n"),
    (r"gemma-?3-(?:270m|1b)", "gemma3_text"),
    (r"medgemma-27b-text", "gemma3_text"),
    (r"(?:med)?gemma-?3|medgemma-(?:4|27)b", "gemma3"),
    (r"gemma-?2-(?:2|9|27)b", "gemma2"),
    (r"gemma-2b-aps", "gemma2"),
    (r"(?:code)?gemma-(?:1\.1-)?(?:2|7)b", "gemma"),
    (r"recurrentgemma-", "recurrent_gemma"),
    (r"paligemma2?-", "paligemma"),
    (r"embeddinggemma-300m", "gemma3_text"),
    # Mistral
    (r"(?:mistral|magistral|devstral)-small-3\.[12]-|mistral-small-3\.[12]", "mistral3"),
    (r"mistral-small-24b|mistral-small-3(?![.\d])", "mistral"),
    (r"mistral-7b|mistral-nemo|mathstral-7b|zephyr-7b-(?:alpha|beta)", "mistral"),
    (r"mixtral-8x", "mixtral"),
    (r"voxtral-(?:mini-3b|small)", "voxtral"),
    (r"(?:mamba-)?codestral-(?:mamba|7b)", "mamba2"),
    # Microsoft
    (r"phi-?4(?![\w.]|.*(?:mini|multimodal|vision))", "phi3"),
    (r"bitnet-b1\.58-2b-4t", "bitnet"),
    # OpenAI
    (r"gpt-?oss-(?:safeguard-)?\d+b", "gpt_oss"),
    # IBM
    (r"granite-4\.0-(?:h-|tiny)", "granitemoehybrid"),
    (r"granite-3\.[0-3]-\d+b-a\d+m", "granitemoe"),
    (r"granite-3\.[0-3]-[28]b", "granite"),
    (r"granite-(?:3b|8b)-code", "llama"),
    (r"granite-(?:20b|34b)-code|starcoder(?:base)?(?![\w])", "gpt_bigcode"),
    # Ai2, Hugging Face, BigCode
    (r"olmo-?3(?:\.1)?-(?:\d+-)?\d+b", "olmo3"),
    (r"olmo-?2-(?:\d+-)?\d+b", "olmo2"),
    (r"olmoe-1b-7b", "olmoe"),
    (r"olmo-[17]b(?:-\d+)?(?:-instruct|-sft)?-hf", "olmo"),
    (r"smollm3", "smollm3"),
    (r"smollm2?-\d+", "llama"),
    (r"smolvlm2", "smolvlm"),
    (r"smolvlm-", "idefics3"),
    (r"idefics2-8b", "idefics2"),
    (r"idefics3-8b", "idefics3"),
    (r"starcoder2-", "starcoder2"),
    # Others
    (r"exaone-4\.5", "exaone4_5"),
    (r"exaone-4\.0(?:\.1)?-", "exaone4"),
    (r"(?:c4ai-)?command-r7b|(?:c4ai-)?command-a-03|c4ai-command-a-03", "cohere2"),
    (r"command-a-vision", "cohere2_vision"),
    (r"(?:c4ai-)?command-r(?:-plus)?(?:-|$)|aya-(?:23|expanse)-", "cohere"),
    (r"aya-vision", "aya_vision"),
    (r"(?:ai21-)?jamba-(?:1\.5|mini|large)", "jamba"),
    (r"falcon3-mamba|falcon-mamba-", "falcon_mamba"),
    (r"falcon3-\d+b", "llama"),
    (r"falcon-h1(?![\w])", "falcon_h1"),
    (r"internvl-?3(?:[._]5)?-.*-hf$", "internvl"),
    (r"internvl-?[23]", "internvl_chat"),
    (r"llava-onevision-.*-(?:hf|ov-hf)", "llava_onevision"),
    (r"llava-v?1\.6-.*-hf", "llava_next"),
    (r"llava-1\.5-.*-hf", "llava"),
    (r"seed-oss-36b", "seed_oss"),
    (r"hunyuan-(?:0\.5|1\.8|4|7)b(?!.*-0124)", "hunyuan_v1_dense"),
    (r"arcee-ai/afm|afm-4\.5b", "arcee"),
    (r"apertus-(?:8|70)b", "apertus"),
    (r"bamba-9b", "bamba"),
    (r"zamba2-", "zamba2"),
    (r"lfm2-vl-", "lfm2_vl"),
    (r"lfm2-8b-a1b", "lfm2_moe"),
    (r"lfm2-(?:350m|700m|1\.2b|2\.6b)", "lfm2"),
    (r"minitron-[48]b|nemotron-mini-4b", "nemotron"),
    (r"yi-(?:1\.5-)?\d+b|deepseek-(?:llm|coder)-\d+(?:\.\d+)?b|vicuna-|tinyllama|solar-10\.7b", "llama"),
    (r"whisper-", "whisper"),
)

#: The architecture of a type's config.json, as the engines' registries have it.
ARCHITECTURES = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeForConditionalGeneration",
    "qwen3_5": "Qwen3_5ForConditionalGeneration",
    "qwen3_5_moe": "Qwen3_5MoeForConditionalGeneration",
    "glm4": "Glm4ForCausalLM",
    "glm4_moe": "Glm4MoeForCausalLM",
    "glm4v_moe": "Glm4vMoeForConditionalGeneration",
    "glm_ocr": "GlmOcrForConditionalGeneration",
    "gemma3": "Gemma3ForConditionalGeneration",
    "gemma3n": "Gemma3nForConditionalGeneration",
    "gemma4": "Gemma4ForConditionalGeneration",
    "gemma4_unified": "Gemma4UnifiedForConditionalGeneration",
    "llama4": "Llama4ForConditionalGeneration",
    "mistral3": "Mistral3ForConditionalGeneration",
    "internvl": "InternVLForConditionalGeneration",
    "lfm2_vl": "Lfm2VlForConditionalGeneration",
    "aya_vision": "AyaVisionForConditionalGeneration",
    "cohere2_vision": "Cohere2VisionForConditionalGeneration",
    "smolvlm": "SmolVLMForConditionalGeneration",
    "voxtral": "VoxtralForConditionalGeneration",
}

#: Other file formats, of llama.cpp, MLX and ExLlama; engines that take them as well are told of the config otherwise.
_GGUF = re.compile(r"gguf|(?:^|[-_/.])(?:mlx|exl[23])(?![a-z0-9])", re.IGNORECASE)
#: Adapters and drafts bear the name of the model that they go with.
_NO_MODEL = re.compile(
    r"[-_.](?:lora|qlora|adapter|speculators?|eagle\d?|dflash|medusa|mtp|draft)\b|dspark", re.IGNORECASE
)
#: What these publish under a family's name is of another type: they wrote Phi-4 down as a Llama.
_OTHERWISE = re.compile(r"unsloth/phi-?4", re.IGNORECASE)


#: Families whose names are told from all others in the middle of a name as well: what was trained on from them.
_ANYWHERE = ("qwen3_vl_moe", "qwen3_vl", "qwen2_5_vl", "qwen2_vl", "glm4v_moe", "glm4v")


def type_of_name(name: str) -> str:
    """The `model_type` of "Qwen/Qwen3-8B-FP8", of a path's last part, of a name with words; "" where it is not sure."""
    first = (name.split() or [""])[0]
    tail = re.split(r"[/\\]", first.rstrip("/\\"))[-1]
    if _GGUF.search(name) or _NO_MODEL.search(tail) or _OTHERWISE.match(first):
        return ""
    begins = (kind for pattern, kind in FAMILIES if re.match(pattern, tail, re.IGNORECASE))
    within = (kind for pattern, kind in FAMILIES if kind in _ANYWHERE and _stands_in(tail, pattern))
    return next(begins, None) or next(within, "")


def _stands_in(name: str, pattern: str) -> bool:
    return re.search(rf"[-_.](?:{pattern})", name, re.IGNORECASE) is not None
