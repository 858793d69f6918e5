"""How many bytes a quantized parameter takes, from the `quantization_config` of a config.json or a launch flag.

Embedding, output layer, norms, routers and the vision tower keep the dtype of the model; so do layers that a
checkpoint's own list leaves out (`ignore`, `modules_to_not_convert`): with the files at hand their headers are summed
instead, which knows all of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """Bytes per parameter; None: this part keeps the dtype of the model."""

    linear: float | None
    experts: float | None
    head: float | None = None


#: Bytes per parameter by name, where no config says more. 4-bit formats keep a 16-bit scale and a 4-bit zero point per
#: group of 128; bitsandbytes a 32-bit scale per 64; nvfp4 an 8-bit scale per 16; mxfp4 an 8-bit scale per 32.
QUANTIZED_BYTES: Mapping[str, float] = {
    "fp8": 1.0,
    "fbgemm_fp8": 1.0,
    "ptpc_fp8": 1.0,
    "int8": 1.0,
    "modelopt": 1.0,
    "experts_int8": 1.0,
    "awq": 0.5 + 2.5 / 128,
    "awq_marlin": 0.5 + 2.5 / 128,
    "gptq": 0.5 + 2.5 / 128,
    "gptq_marlin": 0.5 + 2.5 / 128,
    "bitsandbytes": 0.5 + 4 / 64,
    "modelopt_fp4": 0.5 + 1 / 16,
    "nvfp4": 0.5 + 1 / 16,
    "mxfp4": 0.5 + 1 / 32,
}

#: bitsandbytes with double quantization: an 8-bit scale per 64, and a 32-bit one per 256 of those.
DOUBLE_QUANT = 0.5 + 1 / 64 + 4 / (64 * 256)

#: Only the routed experts of these are quantized (gpt-oss keeps attention and router in 16 bits).
EXPERTS_ONLY = ("mxfp4", "experts_int8")


def read_quantization(said: Mapping[str, Any] | None, asked: str = "") -> Quantized | None:
    """What a checkpoint's own config says, else the name of a launch flag; None for a form that we do not know.

    Raises nothing: numbers that are missing or no numbers fall back to the usual ones of the form.
    """
    if said is None:
        return by_name(asked)
    method = str(said.get("quant_method", asked or "unknown")).lower().replace("_", "-")
    if method in ("gptq", "awq", "auto-round", "intel/auto-round", "auto-awq"):
        return _grouped(said)
    if method == "bitsandbytes":
        return _bitsandbytes(said)
    if method == "compressed-tensors":
        return _compressed(said)
    if method in ("modelopt", "nvfp4"):
        algorithm = str(said.get("quant_algo") or _inner(said).get("quant_algo") or method).upper()
        return by_name("nvfp4" if "FP4" in algorithm else "modelopt")
    return by_name(method.replace("-", "_"))


def by_name(name: str) -> Quantized | None:
    """The usual form of that name."""
    size = QUANTIZED_BYTES.get(name)
    if size is None:
        return None
    return Quantized(linear=None if name in EXPERTS_ONLY else size, experts=size)


def _grouped(said: Mapping[str, Any]) -> Quantized | None:
    """GPTQ and AWQ: packed numbers, and per group a 16-bit scale and a zero point as wide as a number."""
    bits = _number(said.get("bits", said.get("w_bit")), 4)
    group = _number(said.get("group_size", said.get("q_group_size")), 128)
    if bits not in (2, 3, 4, 8):
        return None
    size = bits / 8 + ((2 + bits / 8) / group if group > 0 else 0)
    return Quantized(linear=size, experts=size, head=size if said.get("lm_head") is True else None)


def _bitsandbytes(said: Mapping[str, Any]) -> Quantized:
    if said.get("load_in_8bit"):
        return Quantized(linear=1.0, experts=1.0)
    size = DOUBLE_QUANT if said.get("bnb_4bit_use_double_quant") else QUANTIZED_BYTES["bitsandbytes"]
    return Quantized(linear=size, experts=size)


def _compressed(said: Mapping[str, Any]) -> Quantized | None:
    """The first group's weights: all groups of the usual checkpoints are alike."""
    groups = said.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        return None
    bits, group = _number(weights.get("num_bits"), 8), _number(weights.get("group_size"), 0)
    if bits not in (2, 3, 4, 8):
        return None
    floating = str(weights.get("type", "int")) == "float"
    scale = 1 if floating and bits == 4 else 2
    zero = bits / 8 if weights.get("symmetric") is False else 0
    size = bits / 8 + ((scale + zero) / group if group > 0 else 0)
    return Quantized(linear=size, experts=size)


def _inner(said: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = said.get("quantization")
    return inner if isinstance(inner, Mapping) else {}


def _number(said: object, default: int) -> int:
    return int(said) if isinstance(said, (int, float)) and not isinstance(said, bool) and abs(said) < 1e6 else default
