"""`model`, `model_type`, `model_dtype`, `config` -> the model's name, and its config as far as it is known."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.model_names import type_of_name
from autoglm_doctor.intent import UNNAMED
from autoglm_doctor.loose.values import table, text
from autoglm_doctor.profiles import PROFILES, find_profile

#: Quantised checkpoints say so in their names by a custom that all who publish them keep; groups are of 128 then.
_QUANTISED = (
    ("awq", r"[-_.]awq\b"),
    ("gptq", r"[-_.]gptq\b"),
    ("fp8", r"[-_. ]fp8\b"),
    # Whole numbers, as vLLM's documents on INT4 W4A16 and INT8 W8A8 name them; FP8-W8A8 is the row above.
    ("compressed-tensors", r"[-_.]w[48]a16(?![0-9a-z])|[-_.]w8a8(?![0-9a-z])"),
)
_OURS = re.compile(r"\b(?:vllm|sglang|transformers)\b", re.IGNORECASE)
_STATED = frozenset({"awq", "gptq", "awq_marlin", "gptq_marlin", "fp8", "bitsandbytes", "mxfp4", "nvfp4"})
#: Whose FP8 has another form than its name tells, by their model cards: Meta's of 405B is FBGEMM's; Qwen3's, and the
#: whole of DeepSeek-V3, R1 and Kimi-K2, has a scale per block of 128 x 128.
_FBGEMM = re.compile(r"meta-llama/(?:meta-)?llama-3\.1-405b(?:-instruct)?-fp8", re.IGNORECASE)
_BLOCKS = re.compile(
    r"qwen/qwen3[^/]*-fp8|deepseek-ai/deepseek-(?:v3|r1)(?:-base|-zero|-0324|-0528)?|deepseek-ai/deepseek-v3\.1(?:-base)?"
    r"|moonshotai/kimi-k2-(?:instruct|base)(?:-0905)?",
    re.IGNORECASE,
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
    kind = text(facts.get("model_type")) or ("" if known else type_of_name(said))
    config |= {"model_type": kind} if kind else {}
    dtype = text(facts.get("model_dtype"))
    stored = _quantisation(said, facts)
    own = dict(table(facts.get("model_config"))) | dict(table(facts.get("config")))
    stored |= {"quantization_config": own["quantization_config"]} if table(own.get("quantization_config")) else {}
    is_other = stored or text(table(facts.get("engine_args")).get("quantization"))
    if known and ((is_other and not _is_fp8(stored)) or not {"dtype", "torch_dtype"}.isdisjoint(own)):
        config = _without_dtype(config)  # that of the plain model: AWQ and GPTQ are often published in float16
    config |= {"dtype": dtype, "torch_dtype": dtype} if dtype else {}
    return config | stored | own


def _without_dtype(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config, and its parts, without the format of the numbers."""
    kept = {name: value for name, value in config.items() if name not in ("dtype", "torch_dtype")}
    return {name: _without_dtype(value) if isinstance(value, Mapping) else value for name, value in kept.items()}


def _is_fp8(stored: Mapping[str, Any]) -> bool:
    return "fp8" in str(stored.get("quantization_config", {}).get("quant_method", ""))


def _quantisation(said: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a name such as Qwen2.5-7B-Instruct-GPTQ-Int4 tells of the numbers' format, else `quantization`; {}: none."""
    stated = text(facts.get("quantization")).lower().replace("-", "_")
    # Other servers have kernels of their own for these forms, and who names no engine may use one.
    ours = bool(_OURS.search(text(facts.get("engine")) or text(facts.get("command"))))
    if ours and (_FBGEMM.fullmatch(said) or stated == "fbgemm_fp8"):
        return {"quantization_config": {"quant_method": "fbgemm_fp8"}}
    if ours and _BLOCKS.fullmatch(said):
        return {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    found = _method(said)
    if found is None:
        return _stated_form(stated)
    method, after = found
    scheme = re.search(r"w([48])a(16|8)", said, re.IGNORECASE)
    if method == "compressed-tensors" and scheme:
        return {"quantization_config": {"quant_method": method, "config_groups": {"name": _group(*scheme.groups())}}}
    bits = _BITS.search(after)
    return {"quantization_config": {"quant_method": method} | ({"bits": int(bits[1])} if bits else {})}


def _stated_form(stated: str) -> dict[str, Any]:
    """What `quantization` says of the weights: a method, perhaps with more words; not what the KV cache is kept in."""
    first = re.match(r"[a-z]\w*?(?=_?(?:int)?[48]_?bits?\b|_int[48]\b|\W|$)", stated)
    if first is None or "kv" in stated:
        return {}
    if first[0] in _STATED:
        return {"quantization_config": {"quant_method": first[0]}}
    scheme = re.search(r"w([48])a(16|8)", stated)
    if first[0] == "compressed_tensors" and scheme and "fp4" not in stated:
        return {
            "quantization_config": {
                "quant_method": "compressed-tensors",
                "config_groups": {"name": _group(*scheme.groups())},
            }
        }
    if first[0] == "compressed_tensors" and "fp4" in stated:
        weights = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
        group: dict[str, Any] = {"weights": weights}
        group |= {} if "a16" in stated else {"input_activations": weights}
        return {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"name": group}}}
    return {}


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
