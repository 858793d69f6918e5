"""`model`, `model_type`, `model_dtype`, `config` -> the model's name, and its config as far as it is known."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.intent import UNNAMED
from autoglm_doctor.loose.values import table, text
from autoglm_doctor.profiles import PROFILES, find_profile

#: Families whose names tell the `model_type` of their config.json, narrow patterns first.
#: None here for models that come with code of their own or that the engines read by a config of their own: for those a
#: transformers that does not know the type is no fault.
_TYPES = (
    (r"qwen-?3[-_.]?vl.*\da\d+b", "qwen3_vl_moe"),
    (r"qwen-?3[-_.]?vl", "qwen3_vl"),
    (r"qwen-?2\.?5[-_.]?vl", "qwen2_5_vl"),
    (r"qwen-?2[-_.]?vl", "qwen2_vl"),
    (r"autoglm-phone|glm-?4\.1v|glm-?4\.6v-flash", "glm4v"),
    (r"glm-?4\.[56]v", "glm4v_moe"),
    (r"glm-?5\.3.*flash", "glm5_next"),
    (r"glm-?5(?:\.[12])?(?![\d.]|.*(?:flash|v\b))", "glm_moe_dsa"),
    (r"glm-?4\.7-?flash", "glm4_moe_lite"),
    (r"glm-?4\.[567](?!v|.*flash)", "glm4_moe"),
    (r"glm-?(?:4-(?:9|32)b|z1-(?:9|32)b).*0414", "glm4"),
    (r"glm-?ocr", "glm_ocr"),
    (r"glm-?image", "glm_image"),
    (r"glm-?4v-9b|glm-?4-9b(?!.*(?:0414|hf))", "chatglm"),
    (r"qwen-?3-?omni", "qwen3_omni_moe"),
    (r"qwen-?3(?:-coder)?-\d+b-a\d+b", "qwen3_moe"),
    (r"qwen-?3-\d+(?:\.\d+)?b", "qwen3"),
    (r"gpt-?oss-\d+b", "gpt_oss"),
    (r"llama-?4-(?:scout|maverick)", "llama4"),
    (r"gemma-?3n", "gemma3n"),
    (r"gemma-?3", "gemma3"),
    (r"internvl-?[23]", "internvl_chat"),
)

#: Quantised checkpoints say so in their names by a custom that all who publish them keep; groups are of 128 then.
_QUANTISED = (
    ("awq", r"[-_.]awq\b"),
    ("gptq", r"[-_.]gptq\b"),
    ("fp8", r"[-_. ]fp8\b"),
    # Whole numbers, as vLLM's documents on INT4 W4A16 and INT8 W8A8 name them; FP8-W8A8 is the row above.
    ("compressed-tensors", r"[-_.]w[48]a16(?![0-9a-z])|[-_.]w8a8(?![0-9a-z])"),
)
_BITS = re.compile(r"[-_.]?(?:int|w|-)?([2348])(?:bit)?$", re.IGNORECASE)


#: A remark behind a name that says how it is loaded, which is no part of the name.
_REMARK = re.compile(
    r"\s*[(\[,]\s*(?:with\s+)?(?:its\s+)?(?:remote|custom|own)[ _-]code\b[^)\]]*[)\]]?\s*$", re.IGNORECASE
)


def model_name(facts: Mapping[str, Any]) -> str:
    """The hub name where the model is a known one, else as stated; UNNAMED without a model."""
    said = _REMARK.sub("", text(facts.get("model")))
    known = find_profile(said) or _by_tail(said)
    if known is None or "/" in said:
        return said or UNNAMED
    return known.hub_names[0]


def _by_tail(said: str) -> Any:
    return _tails().get(said.lower()) if said and "/" not in said else None


@functools.cache
def _tails() -> dict[str, Any]:
    """Known models by their hub name without its owner, and without -Instruct."""
    found: dict[str, Any] = {}
    for profile in PROFILES.values():
        for name in profile.hub_names:
            tail = name.rpartition("/")[2].lower()
            found.setdefault(tail, profile)
            found.setdefault(tail.removesuffix("-instruct"), profile)
    return found


def config_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of config.json that are stated or that the model's name tells; {} when none is."""
    said = text(facts.get("model"))
    known = find_profile(model_name(facts)) or _before_quantisation(said)
    config: dict[str, Any] = dict(known.config) if known else {}
    kind = text(facts.get("model_type")) or ("" if known else _first(_types(), said))
    config |= {"model_type": kind} if kind else {}
    dtype = text(facts.get("model_dtype"))
    config |= {"dtype": dtype, "torch_dtype": dtype} if dtype else {}
    return config | _quantisation(said) | dict(table(facts.get("config")))


def _quantisation(said: str) -> dict[str, Any]:
    """What a name such as Qwen2.5-7B-Instruct-GPTQ-Int4 tells of the numbers' format; {} for one that tells nothing."""
    found = _method(said)
    if found is None:
        return {}
    method, after = found
    scheme = re.search(r"w([48])a(16|8)", said, re.IGNORECASE)
    if method == "compressed-tensors" and scheme:
        return {"quantization_config": {"quant_method": method, "config_groups": {"name": _group(*scheme.groups())}}}
    bits = _BITS.search(after)
    return {"quantization_config": {"quant_method": method} | ({"bits": int(bits[1])} if bits else {})}


def _group(weights: str, activations: str) -> dict[str, Any]:
    """Weights and, below 16 bits, activations as whole numbers."""
    group: dict[str, Any] = {"weights": {"num_bits": int(weights), "type": "int"}}
    return group | ({"input_activations": {"num_bits": 8, "type": "int"}} if activations == "8" else {})


def _method(said: str) -> tuple[str, str] | None:
    """The format, and what stands behind it in the name."""
    for name, pattern in _QUANTISED:
        match = re.search(pattern, said, re.IGNORECASE)
        if match:
            return name, said[match.end() :]
    return None


def _before_quantisation(said: str) -> Any:
    """The known model whose numbers were quantised, by what stands before the format in the name."""
    for _, pattern in _QUANTISED:
        match = re.search(pattern, said, re.IGNORECASE)
        if match and said[: match.start()]:
            name = said[: match.start()]
            return find_profile(name) or _by_tail(name)
    return None


def _types() -> tuple[tuple[str, str], ...]:
    return tuple((kind, pattern) for pattern, kind in _TYPES)


def _first(rows: tuple[tuple[str, str], ...], said: str) -> str:
    return next((name for name, pattern in rows if re.search(pattern, said, re.IGNORECASE)), "")
