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
    r"|onnxruntime|openvino|ctranslate|ctransformers|\w\.cpp\b|llamafile|kobold|mistral\.?rs\b|lightllm|rtp-llm|fastllm"
    r"|\bmindie\b|fastdeploy|gpt4all",
    re.IGNORECASE,
)
#: Packages of servers that read models by code of their own.
_SERVERS = frozenset(
    (
        *("lmdeploy", "exllamav2", "exllamav3", "ktransformers", "onnxruntime-genai", "onnxruntime-genai-cuda"),
        *("tensorrt-llm", "mlc-llm", "mlc-ai-nightly", "tgi", "lightllm", "text-generation-server", "rtp-llm"),
    )
)
#: The same, or a client, or a tool beside: ctranslate2 is mostly there for whisper. They say nothing where torch is
#: stated, with which transformers itself can run the model.
_BESIDE = frozenset(
    (
        *("llama-cpp-python", "ctransformers", "chatglm-cpp", "openvino-genai", "ctranslate2", "ollama"),
        *("mlx-lm", "mlx-vlm"),
    )
)
_PROGRAM = re.compile(
    r"\s*(?:\S*/)?(?:ollama|mlx_lm|mlx_vlm|lmdeploy|koboldcpp|llamafile|tabbyapi|trtllm-serve|text-generation-launcher)\b"
    r"|.{0,40}\s-m\s+(?:mlx_lm|mlx_vlm|lmdeploy|tensorrt_llm|lightllm)\b"
)


def other_engine(facts: Mapping[str, Any]) -> str:
    """Its name: "ollama 0.12.7"; "" where none is stated, or a name that may be a program around transformers."""
    said = text(facts.get("engine"))
    if said:
        return said[:60] if _OTHERS.search(said) else ""
    command = _PROGRAM.match(text(facts.get("command"))[:200])
    if command:
        return command[0].split()[-1]
    listed = facts.get("packages")
    names = list(table(listed)) or [one.partition("==")[0].strip() for one in _lines(listed)]
    folded = {canonicalize_name(str(name)): str(name) for name in names}
    has_torch = "torch" in folded or facts.get("torch") is not None
    others = _SERVERS if has_torch else _SERVERS | _BESIDE
    return next((name for one, name in folded.items() if one in others), "")


def _lines(listed: Any) -> list[str]:
    return text(listed).splitlines() if isinstance(listed, str) else list(words(as_list(listed)))
