"""Configurations that the engines bring themselves: a type that transformers need not know."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import Version

from autoglm_doctor.domain.builds import as_new_as
from autoglm_doctor.domain.wheels import number

#: Engine -> model type -> the last release that was looked at and has none; "" where the first one had it.
#: From the wheels of 25 releases of vLLM from 0.8.0 on (_CONFIG_REGISTRY) and 19 of SGLang from 0.4.3 on (srt/configs),
#: November 2026; types that no transformers knows are left out. A release in between is taken to have it. SGLang's own
#: for glm5_next is left out: with a transformers that does not know the type it answers without looking at the picture
#: (sgl-project/sglang issue 39831).
_LAST_WITHOUT: Mapping[str, Mapping[str, str]] = {
    "vllm": {
        "afmoe": "0.11.0",
        "axk1": "0.23.0",
        "beam": "0.31.0",
        "cohere2": "",
        "colmodernvbert": "0.16.0",
        "colpali": "0.17.0",
        "cosmos3_edge": "0.23.0",
        "cosmos3_omni": "0.20.0",
        "dbrx": "",
        "deepseek_v3": "0.10.2",
        "deepseek_v32": "0.10.2",
        "deepseek_v4": "0.19.0",
        "diffusion_gemma": "0.23.0",
        "dots3_note": "0.26.0",
        "exaone4": "0.9.2",
        "flex_olmo": "0.11.0",
        "flint": "0.31.0",
        "glm5_next": "0.29.0",
        "hunyuan_vl": "0.11.1",
        "hy_v3": "0.19.0",
        "hy_v4": "0.26.0",
        "hyperclovax": "0.20.0",
        "inkling_mm_model": "0.23.0",
        "kimi_k25": "0.14.0",
        "kimi_linear": "0.11.0",
        "laguna": "0.20.0",
        "lfm2_moe": "0.11.0",
        "mellum": "0.20.0",
        "minimax_m3_vl": "0.23.0",
        "mllama": "",
        "modernvbert": "0.19.0",
        "moss_transcribe_diarize": "0.23.0",
        "mpt": "",
        "muse_glimmer": "0.26.0",
        "muse_spark": "0.31.0",
        "nemotron": "",
        "olmo2": "",
        "olmo3": "0.10.2",
        "olmo_hybrid": "0.17.0",
        "qianfan_ocr": "0.20.0",
        "qwen3_5": "0.16.0",
        "qwen3_5_moe": "0.16.0",
        "qwen3_asr": "0.15.0",
        "qwen3_next": "0.10.1",
        "qwen4_exp": "0.26.0",
        "step3p5": "0.15.0",
        "ultravbert": "0.31.0",
        "unlimited_ocr": "0.31.0",
    },
    "sglang": {
        "afmoe": "0.5.7",
        "bailing_hybrid": "0.5.8",
        "beam": "0.5.20",
        "cohere2_moe": "0.5.12",
        "cosmos3_edge": "0.5.18",
        "cosmos3_omni": "0.5.18",
        "dbrx": "",
        "deepseek_v2": "0.4.3",
        "deepseek_v4": "0.5.10",
        "dots3_note": "0.5.18",
        "falcon_h1": "0.5.2",
        "falcon_mamba": "0.5.18",
        "granitemoehybrid": "0.5.8",
        "hy_v4": "0.5.18",
        "inkling_mm_model": "0.5.14",
        "kimi_k25": "0.5.8",
        "kimi_linear": "0.5.4",
        "laguna": "0.5.10",
        "lfm2_moe": "0.5.8",
        "longcat_flash": "0.5.1",
        "mamba": "0.5.18",
        "mamba2": "0.5.18",
        "minicpmv4_6": "0.5.10",
        "minicpmv4_7": "0.5.20",
        "minimax_m3_vl": "0.5.14",
        "muse_glimmer": "0.5.16",
        "muse_spark": "0.5.20",
        "nemotron_h": "0.5.3",
        "nemotron_h_omni": "0.5.18",
        "olmo3": "0.5.3",
        "qwen2_vl": "",
        "qwen3_5": "0.5.8",
        "qwen3_5_moe": "0.5.8",
        "qwen3_asr": "0.5.10",
        "qwen3_next": "0.5.1",
        "qwen3_omni_moe": "0.5.3",
        "qwen3_vl": "0.5.2",
        "qwen3_vl_moe": "0.5.2",
        "qwen4_exp": "0.5.18",
        "radio": "0.5.5",
        "step3p5": "0.5.8",
        "step3p7": "0.5.12",
        "zaya": "0.5.12",
    },
}

#: What they had for a while: engine -> model type -> the last release before and the first after that have none. From
#: the wheels of 33 releases of vLLM from 0.2.0 to 0.7.3, and of SGLang 0.4.3, 0.4.3.post2 to 0.4.4.post1 and 0.4.5.
_FOR_A_WHILE: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "vllm": {
        "aria": ("0.6.4", "0.7.0"),
        "chameleon": ("0.5.2", "0.5.4"),
        "granite": ("0.5.5", "0.6.3"),
        "mistral": ("0.1.7", "0.2.1.post1"),
        "olmo": ("0.3.1", "0.3.3"),
        "qwen2_vl": ("0.6.2", "0.6.4"),
        "starcoder2": ("0.3.2", "0.4.0.post1"),
    },
    "sglang": {"qwen2_5_vl": ("0.4.3", "0.4.5")},
}


def has_own_config(engine: str, version: str | None, model_type: str) -> bool:
    """A release of an engine reads this type by a configuration of its own, as far as is known."""
    last, found = _LAST_WITHOUT.get(engine, {}).get(model_type), number(version)
    for_a_while = _FOR_A_WHILE.get(engine, {}).get(model_type)
    if found is not None and for_a_while and Version(for_a_while[0]) < found < Version(for_a_while[1]):
        return True
    if last is None or found is None:
        return False
    return not last or max(found, as_new_as(version) or found) > Version(last)
