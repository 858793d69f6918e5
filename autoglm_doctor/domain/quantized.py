"""Which quantized checkpoints run on which GPUs, by engine and release.

Read from get_min_capability() and the kernels' own conditions in the wheels of vLLM 0.4.0.post1, 0.5.2 to 0.33.0 (32
releases) and SGLang 0.4.6.post5 to 0.5.15; between two releases that were read the change counts for the later one.
Of transformers, 18 releases from 4.38.2 to 5.9.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from packaging.version import Version

from autoglm_doctor.domain.builds import is_before, release_of
from autoglm_doctor.domain.model import quantization_config
from autoglm_doctor.domain.wheels import capability

Answer = Literal["runs", "slower", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """One form in the releases from `since` until the next row of the same engine and form."""

    engine: str
    form: str
    since: str
    least: str  # the engine refuses GPUs below this capability
    native: str = ""  # below this it unpacks the weights first (Marlin); "": it always does, or never needs to


def _rows(engine: str, form: str, *rows: tuple[str, ...]) -> tuple[Support, ...]:
    return tuple(
        Support(engine=engine, form=form, since=since, least=least, native=native[0] if native else "")
        for since, least, *native in rows
    )


SUPPORT: tuple[Support, ...] = (
    *_rows("vllm", "awq", ("0", "7.5")),
    *_rows("vllm", "awq_marlin", ("0.5.3", "8.0"), ("0.14.0", "7.5")),
    *_rows("vllm", "gptq", ("0", "6.0")),
    *_rows("vllm", "gptq_marlin", ("0.5.0", "8.0"), ("0.14.0", "7.5")),
    *_rows("vllm", "marlin", ("0", "8.0")),
    # Marlin for FP8 came with vllm pull request 5975; before it vllm issue 4327 names the refusal.
    *_rows("vllm", "fp8", ("0", "8.9"), ("0.5.1", "8.0", "8.9"), ("0.14.0", "7.5", "8.9")),
    # use_marlin was turned off for weight_block_size up to 0.8.5.post1: then vllm issue 15336.
    *_rows("vllm", "fp8_block", ("0", "8.9"), ("0.9.0", "8.0", "8.9"), ("0.14.0", "7.5", "8.9")),
    *_rows("vllm", "fbgemm_fp8", ("0.5.3", "8.0", "8.9")),
    *_rows("vllm", "modelopt", ("0", "8.9"), ("0.27.0", "8.0", "8.9")),
    *_rows("vllm", "nvfp4", ("0", "10.0"), ("0.9.0", "8.0", "10.0"), ("0.14.0", "7.5", "10.0")),
    *_rows("vllm", "mxfp4", ("0", "8.0")),
    *_rows("vllm", "bitsandbytes", ("0", "7.0")),
    *_rows("vllm", "int_weights", ("0", "8.0"), ("0.12.0", "7.5")),
    *_rows("vllm", "int8", ("0", "7.5")),
    *_rows("vllm", "float_w8a8", ("0", "8.9"), ("0.5.4", "8.0", "8.9"), ("0.16.0", "7.5", "8.9")),
    *_rows("vllm", "float_w4a4", ("0", "10.0"), ("0.9.0", "8.0", "10.0"), ("0.16.0", "7.5", "10.0")),
    *_rows("sglang", "awq", ("0", "7.5")),
    *_rows("sglang", "gptq", ("0", "6.0")),
    *_rows("sglang", "awq_marlin", ("0", "8.0")),
    *_rows("sglang", "gptq_marlin", ("0", "8.0")),
    # Without SGLANG_FORCE_FP8_MARLIN up to 0.4.10, by itself in 0.5.3: sglang issues 7715 and 12887.
    *_rows("sglang", "fp8", ("0", "8.9"), ("0.5.0", "8.0", "8.9")),
    *_rows("sglang", "fp8_block", ("0", "8.9"), ("0.5.0", "8.0", "8.9")),
    *_rows("sglang", "modelopt", ("0", "8.9")),
    *_rows("sglang", "nvfp4", ("0", "10.0"), ("0.5.12", "8.0", "10.0")),
    *_rows("sglang", "mxfp4", ("0", "8.0")),
    *_rows("sglang", "int8", ("0", "7.5")),
    # validate_environment() of the quantizers in the wheels of transformers: below 9.0 FbgemmFp8 raises in all of 4.43
    # to 5.9, FineGrainedFP8 in 4.49 and 4.50; then below 8.9; from 5.0 on it warns and unpacks to bfloat16 (4.57.6 does
    # not yet). Those of AWQ, GPTQ, bitsandbytes, compressed-tensors and torchao ask for no capability.
    *_rows("transformers", "fbgemm_fp8", ("4.43.0", "9.0")),
    *_rows("transformers", "fp8_block", ("4.49.0", "9.0"), ("4.51.0", "8.9"), ("5.0.0", "5.0", "8.9")),
)

#: Other spellings of a method, in config.json or behind `--quantization`.
_SPELLED = {
    "auto_awq": "awq",
    "auto_gptq": "gptq",
    "modelopt_fp8": "modelopt",
    "modelopt_fp4": "nvfp4",
    "gpt_oss_mxfp4": "mxfp4",
    "fp8_per_tensor": "fp8",
    "w8a8_int8": "int8",
}

#: Methods that `--quantization` may name beside that of the checkpoint, to choose the kernel.
_KERNELS = frozenset({"awq", "awq_marlin", "gptq", "gptq_marlin", "marlin"})


def form_of(config: Mapping[str, Any] | None, asked: str | None) -> str:
    """The form that the engine will run; "" where it is none, or one that no row is about.

    `config`: config.json. `asked`: the launch flag, which decides where the checkpoint is not quantized, and between
    two kernels for the same form.
    """
    flag, said = _plain(asked or ""), quantization_config(config or {})
    if said is None:
        return flag
    own = _own(said)
    return flag if flag in _KERNELS and own in _KERNELS else own


def answers(engine: str, version: str | None, form: str, gpu: str) -> frozenset[Answer]:
    """What a release does with a form on a capability; of one that is not known, all that some release does.

    A build on the way to a release (0.14.0rc1.dev500) counts as that release, and one without a tag (0.1.dev9752) as
    not known. Empty where no row is about it, or the capability is none.
    """
    rows, has = rows_of(engine, form), capability(gpu)
    return frozenset(_answer(row, has) for row in _covering(rows, version)) if has is not None else frozenset()


def _covering(rows: tuple[Support, ...], version: str | None) -> tuple[Support, ...]:
    """The rows that a build may be of: on the way to a release that begins one, also the one before it."""
    found = release_of(version)
    if found is None:
        return rows
    covering = tuple(row for row in rows if Version(row.since) <= found)
    return covering[-2:] if covering and is_before(version, Version(covering[-1].since)) else covering[-1:]


def rows_of(engine: str, form: str) -> tuple[Support, ...]:
    """The rows of a form, the oldest release first."""
    return tuple(row for row in SUPPORT if (row.engine, row.form) == (engine, form))


def _answer(row: Support, has: tuple[int, int]) -> Answer:
    if has < (capability(row.least) or (0, 0)):
        return "refused"
    return "slower" if row.native and has < (capability(row.native) or (0, 0)) else "runs"


def _plain(name: str) -> str:
    name = name.lower().replace("-", "_")
    return _SPELLED.get(name, name)


def _own(said: Mapping[str, Any]) -> str:
    method = _plain(str(said.get("quant_method", "")))
    if method == "fp8" and said.get("weight_block_size"):
        return "fp8_block"
    if method == "modelopt":
        inner = said.get("quantization")
        algorithm = str(said.get("quant_algo") or (inner.get("quant_algo") if isinstance(inner, Mapping) else ""))
        return "nvfp4" if "FP4" in algorithm.upper() else "modelopt"
    return _compressed(said) if method == "compressed_tensors" else method


def _compressed(said: Mapping[str, Any]) -> str:
    """The scheme of compressed-tensors; "" where its groups differ or say nothing."""
    groups = said.get("config_groups")
    schemes = {_scheme(one) for one in groups.values()} if isinstance(groups, Mapping) else set()
    return schemes.pop() if len(schemes) == 1 else ""


def _scheme(group: Any) -> str:
    weights = group.get("weights") if isinstance(group, Mapping) else None
    if not isinstance(weights, Mapping):
        return ""
    bits, kind, activations = weights.get("num_bits"), weights.get("type"), group.get("input_activations")
    if kind == "int":
        return "int_weights" if not activations and bits in (4, 8) else "int8" if bits == 8 else ""
    if kind == "float" and bits == 8:
        return "float_w8a8" if activations else ""
    # MXFP4 has groups of 32 as well, NVFP4 groups of 16.
    return "float_w4a4" if kind == "float" and bits == 4 and weights.get("group_size") == 16 else ""
