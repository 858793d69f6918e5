"""A server that is none of ours: what transformers can do says nothing of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from packaging.utils import canonicalize_name

from autoglm_doctor.loose.values import as_list, table, text, words

_OTHERS = re.compile(
    r"k-?transformers|transformers\.js|llama[-_]cpp[-_]python|text-(?:generation|embeddings)-inference|\btgi\b|\btei\b"
    r"|tensorrt|trt[-_]?llm|triton inference|\bnim\b|ollama|lmdeploy|turbomind|\bmlx|exllama|tabby ?api|mlc|lm ?studio"
    r"|onnxruntime|openvino|ctranslate|ctransformers",
    re.IGNORECASE,
)
#: Programs that run a model through transformers themselves, and words for no server at all.
_THROUGH_TRANSFORMERS = re.compile(
    r"transformers|\bvllm\b|\bsglang\b|hugging ?face|\bhf\b|pytorch|\btorch\b|python"
    r"|llama[-_ ]?factory|\bswift\b|unsloth|\btrl\b|\bpeft\b|axolotl|accelerate|deepspeed|fastchat|fschat|xinference"
    r"|text-generation-webui|oobabooga|auto-?(?:awq|gptq|round)|gptqmodel|llm-?compressor|lm[-_]eval|torchserve|gradio"
    r"|streamlit|comfyui|langchain|jupyter|colab|kaggle|verl|openrlhf|diffusers|\bnone\b|unknown",
    re.IGNORECASE,
)
#: Packages of servers that read models by code of their own.
_PACKAGES = frozenset(
    (
        *(
            "lmdeploy",
            "mlx-lm",
            "mlx-vlm",
            "llama-cpp-python",
            "exllamav2",
            "exllamav3",
            "ktransformers",
            "ctransformers",
        ),
        *("onnxruntime-genai", "onnxruntime-genai-cuda", "tensorrt-llm", "mlc-llm", "mlc-ai-nightly", "ollama", "tgi"),
        *("chatglm-cpp", "openvino-genai", "lightllm", "text-generation-server", "ctranslate2", "rtp-llm"),
    )
)
_PROGRAM = re.compile(
    r"\s*(?:\S*/)?(?:ollama|mlx_lm|mlx_vlm|lmdeploy|koboldcpp|llamafile|tabbyapi|trtllm-serve|text-generation-launcher)\b"
    r"|.{0,40}\s-m\s+(?:mlx_lm|mlx_vlm|lmdeploy|tensorrt_llm|lightllm)\b"
)


def other_engine(facts: Mapping[str, Any]) -> str:
    """Its name: "ollama 0.12.7"; "" where none is stated, or one that runs models through transformers."""
    said = text(facts.get("engine"))
    if said:
        is_other = _OTHERS.search(said) or not _THROUGH_TRANSFORMERS.search(said)
        return said[:60] if is_other else ""
    command = _PROGRAM.match(text(facts.get("command"))[:200])
    if command:
        return command[0].split()[-1]
    listed = facts.get("packages")
    names = list(table(listed)) or [one.partition("==")[0].strip() for one in _lines(listed)]
    return next((str(name) for name in names if canonicalize_name(str(name)) in _PACKAGES), "")


def _lines(listed: Any) -> list[str]:
    return text(listed).splitlines() if isinstance(listed, str) else list(words(as_list(listed)))
