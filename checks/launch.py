"""The launch flags against the model and the GPUs: values that the engine refuses after minutes of starting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packaging.version import Version

from autoglm_doctor.api import (
    SMOKE,
    Cuda,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.builds import is_before, release_of
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import engine_version, order_is_open, taken_gpus, variables_of
from autoglm_doctor.domain.launch_line import changed, line, stated_flag
from autoglm_doctor.domain.model import model_config, quantization_of
from autoglm_doctor.domain.published_dtype import overflows_in_half, published_dtype
from autoglm_doctor.domain.wheels import number

#: Keys that name a model's longest context; the smallest one counts (vllm/config/model.py, _get_and_verify_max_len).
_LENGTH_KEYS = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length"),
    *("max_target_positions", "max_sequence_length", "max_seq_length", "seq_len"),
)
#: Kinds of rope scaling whose factor is part of the length already, and those whose factor multiplies it.
_SCALED_ALREADY = ("default", "mrope", "llama3", "longrope", "su")
_SCALED_BY_FACTOR = ("linear", "dynamic")
#: Flags that replace values of config.json.
OVERRIDES = ("hf-overrides", "rope-scaling", "rope-theta", "json-model-override-args", "hf-config-path")

#: Compute capability from which on GPUs multiply bfloat16 (CUDA C programming guide, table of features).
BF16_CAPABILITY = 8.0
#: From here on `--dtype auto` falls back by itself (vLLM pull request 17265, spring of 2025).
FALLS_BACK = Version("0.9")
#: The first torch that such a release was built with (Requires-Dist of vLLM 0.8.5 and 0.9.0).
_TORCH_OF_THOSE = Version("2.7")
#: Models that vLLM refuses in float16: their activations overflow (vllm/config/model.py).
_NEVER_HALF = ("gemma2", "gemma3", "gemma3_text", "plamo2", "glm4")
_BF16_SOURCE = "vllm/platforms/cuda.py, check_if_supports_dtype"


@check("CFG001", "context-within-model", cause="CONTEXT_TOO_LONG_FOR_MODEL", explained_by=("MDL001",))
def context_within_model(model_files: ModelFiles | None, environment: Environment | None, intent: Intent) -> Findings:
    """The context length that is asked for is one that the model was made for.

    vLLM refuses `--max-model-len` above the length in config.json: "User-specified max_model_len (N) is greater than
    the derived max_model_len". Beyond it a model has no positions: answers turn into noise, or CUDA reads past a table.

    Read from config.json of the model's folder (of its text_config where there is one), or from the known profile:
    max_position_embeddings and its relatives, times the factor of rope scaling where that is not counted in already.
    A kind of rope scaling that is not understood, and flags that replace values of config.json, leave it open.

    Red for vLLM; yellow for SGLang, whose releases differ, for llama.cpp, which starts and serves no more than the
    model's own, and with VLLM_ALLOW_LONG_MAX_MODEL_LEN=1. Slots of llama.cpp share the context: one's part counts.

    ## Fix

    Ask for no more than the model's own length. A longer one needs a checkpoint with rope scaling for it.
    """
    asked = _asked(intent)
    if intent.model == SMOKE or intent.engine == "transformers":
        yield not_applicable(Text("this run has no context length of its own"))
        return
    if asked is None:
        yield not_applicable(Text("no context length is asked for, so the engine takes the model's own"))
        return
    config = model_config(intent, model_files)
    longest = None if config is None or stated_flag(intent.command, *OVERRIDES) is not None else longest_context(config)
    if longest is None:
        yield unknown(Text("the model's own context length is not known"))
        return
    said = {"asked": asked, "longest": longest}
    limit = Threshold(value=longest, unit="tokens", source="config.json; vllm/config/model.py, _get_and_verify_max_len")
    if asked <= longest:
        text = Text("{asked:count} of the model's {longest:count} tokens", said)
        yield ok(text, observed=asked, expected=longest, threshold=limit)
        return
    allowed = variables_of(environment, intent).get("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "").strip().lower()
    judge = warn if intent.engine in ("sglang", "llamacpp") or allowed in ("1", "true") else fail
    together = longest * ((intent.launch.max_model_len or asked) // asked)
    shorter = line(changed(intent, {"max_model_len": together}))
    yield judge(
        Text("a context of {asked:count} tokens is asked for, the model has positions for {longest:count}", said),
        fix=Fix(text=Text("take the model's own length", said), commands=(shorter,), effort="flag"),
        observed=asked,
        expected=longest,
        threshold=limit,
    )


def _asked(intent: Intent) -> int | None:
    """Tokens that one request may have."""
    asked = intent.launch.max_model_len
    if intent.engine != "llamacpp" or not asked or not intent.launch.max_num_seqs:
        return asked
    return max(1, asked // intent.launch.max_num_seqs)


def longest_context(config: Mapping[str, Any]) -> int | None:
    """The longest context of a model in tokens, as vLLM derives it from config.json; None when that is not clear."""
    text = config.get("text_config")
    text = text if isinstance(text, Mapping) else config
    lengths = [text[key] for key in _LENGTH_KEYS if isinstance(text.get(key), int) and text[key] > 0]
    if not lengths:
        return None
    length = text["model_max_length"] if text.get("model_max_length") in lengths else min(lengths)
    scaling = text.get("rope_parameters") or text.get("rope_scaling")
    if not scaling or "gemma3" in str(text.get("model_type", "")):  # Gemma 3 states the scaled length
        return int(length)
    return _scaled(length, scaling) if isinstance(scaling, Mapping) else None


def _scaled(length: int, scaling: Mapping[str, Any]) -> int | None:
    """One set of parameters, or one for each kind of layer."""
    if scaling and all(isinstance(part, Mapping) for part in scaling.values()):
        found = [_scaled(length, part) for part in scaling.values()]
        return max(f for f in found if f is not None) if None not in found else None
    kind = scaling.get("rope_type", scaling.get("type"))
    factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings")
    if kind in _SCALED_ALREADY or (kind is None and factor is None):
        return int(length)
    if not isinstance(factor, (int, float)) or isinstance(factor, bool):
        return None
    if kind == "yarn":
        return int(original * factor) if isinstance(original, int) else None
    return int(length * factor) if kind in _SCALED_BY_FACTOR else None


@check("CFG002", "dtype-supported", cause="BF16_UNSUPPORTED_GPU", explained_by=("DRV001", "CUD001", "ENG004"))
def dtype_supported(
    gpus: tuple[Gpu, ...],
    intent: Intent,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    host: Host | None,
) -> Findings:
    """The GPUs can multiply the number format that the server will use.

    Most models are published in bfloat16, which NVIDIA GPUs multiply from compute capability 8.0 on. On older ones
    (T4, V100, RTX 20) vLLM refuses `--dtype bfloat16`: "Bfloat16 is only supported on GPUs with compute capability of
    at least 8.0". Without that flag, releases before 0.9 refuse a bfloat16 model as well; later ones and SGLang fall
    back to float16 by themselves.

    Judged are the GPUs that the deployment takes, the flag, and the dtype in config.json; where there is no file yet,
    the dtype that the model is published in, by its name. Red where the engine refuses; yellow where it depends on a
    version that is not known, and open where that is most likely a newer one: in an image, beside torch 2.7 or newer,
    of a build whose number does not tell its age.

    ## Fix

    `--dtype half`. float16 has a smaller range than bfloat16: a model can overflow in it and answer nonsense. For the
    few models that vLLM refuses in float16, `--dtype float32`, with twice the memory.
    """
    if intent.model == SMOKE or intent.device == "cpu" or intent.engine == "transformers":
        yield not_applicable(Text("no engine is run that insists on what the GPU multiplies itself"))
        return
    taken = [one.gpu for one in taken_gpus(gpus, cuda, environment, intent)]
    numbers = {gpu.index: _number(gpu.compute_capability) for gpu in taken}
    if not taken or None in numbers.values():
        yield unknown(Text("the compute capability of the GPUs that the deployment takes is not known"))
        return
    oldest = min(taken, key=lambda gpu: numbers[gpu.index] or 0.0)
    if (numbers[oldest.index] or 0.0) >= BF16_CAPABILITY:
        text = Text("capability {capability} multiplies bfloat16", {"capability": oldest.compute_capability})
        yield ok(text, observed=oldest.compute_capability, expected="8.0")
        return
    likely_new = bool(host and host.container) or _is_newer_torch(packages)
    judged = _old_gpu(oldest, intent, model_files, engine_version(packages, intent), likely_new=likely_new)
    newest = max(_number(gpu.compute_capability) or 0.0 for gpu in gpus)
    is_open = newest >= BF16_CAPABILITY and order_is_open(gpus, cuda, environment, intent)
    words = "which of these GPUs the engine takes is not known, and {gpu} has no bfloat16"
    yield unknown(Text(words, _said(oldest))) if is_open and judged.fixes else judged


def _is_newer_torch(packages: Packages | None) -> bool:
    found = number(installed_version(packages, "torch")) if packages else None
    return found is not None and found >= _TORCH_OF_THOSE


def _said(gpu: Gpu) -> dict[str, Any]:
    return {"gpu": gpu.name, "capability": gpu.compute_capability}


def _old_gpu(gpu: Gpu, intent: Intent, files: ModelFiles | None, version: str | None, *, likely_new: bool) -> Judgement:
    """What becomes of the dtype on a GPU without bfloat16."""
    explicit = intent.launch.dtype not in (None, "auto")
    wanted = intent.launch.dtype if explicit else _own_dtype(intent, files)
    said = _said(gpu) | {"version": version or "?"}
    subject = f"gpu:{gpu.index}"
    if wanted is None:
        return unknown(Text("the model's own dtype is not known, and {gpu} has no bfloat16", said), subject=subject)
    if wanted != "bfloat16":
        return not_applicable(Text("{dtype} is used, not bfloat16", {"dtype": wanted}), subject=subject)
    if intent.engine == "sglang":
        return ok(Text("{gpu} has no bfloat16 ({capability}): SGLang uses float16 instead", said), subject=subject)
    known = release_of(version)
    if not explicit and (is_before(version, FALLS_BACK) or (known is None and (version is not None or likely_new))):
        text = "{gpu} has no bfloat16 ({capability}), and whether this vLLM falls back to float16 is not known"
        return unknown(Text(text, said), subject=subject)
    if not explicit and known is not None and known >= FALLS_BACK:
        text = "{gpu} has no bfloat16 ({capability}): vLLM {version} uses another dtype by itself"
        return ok(Text(text, said), observed=gpu.compute_capability, expected="8.0", subject=subject)
    judge, words = fail, "vLLM refuses bfloat16 on {gpu}: it has capability {capability}, 8.0 is needed"
    if not explicit and known is None:
        judge, words = warn, "{gpu} has no bfloat16 ({capability}): vLLM before 0.9 refuses, later ones use float16"
    return judge(
        Text(words, said),
        fix=_other_dtype(intent, files),
        observed=gpu.compute_capability,
        expected="8.0",
        threshold=Threshold(value=BF16_CAPABILITY, unit="compute capability", source=_BF16_SOURCE),
        subject=subject,
    )


def _own_dtype(intent: Intent, files: ModelFiles | None) -> str | None:
    """The dtype of the checkpoint: by its config, its tensors, or its name; None when none of them tells."""
    config = model_config(intent, files) or {}
    for name in ("", "text_config", "vision_config"):
        part = config.get(name) if name else config
        for key in ("dtype", "torch_dtype"):
            if isinstance(part, Mapping) and isinstance(part.get(key), str):
                return str(part[key]).removeprefix("torch.")
    stored = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
    names = {stored[name] for name in (files.dtype_bytes if files else ()) if name in stored}
    if names:
        return names.pop() if len(names) == 1 else None
    # A quantized copy is often published in another dtype (AWQ and GPTQ in float16), and GGUF has none.
    is_other = quantization_of(intent, files) or intent.launch.quantization or intent.launch.load_format == "gguf"
    return None if is_other else published_dtype(intent.model)


def _other_dtype(intent: Intent, files: ModelFiles | None) -> Fix:
    kind = str((model_config(intent, files) or {}).get("model_type", ""))
    dtype, risk = "half", "float16 has a smaller range than bfloat16: try the answers before you rely on them"
    if kind in _NEVER_HALF or overflows_in_half(intent.model):
        dtype, risk = "float32", "vLLM refuses this model in float16; this takes twice the memory and is slow"
    commands = (line(changed(intent, {"dtype": dtype})),)
    return Fix(text=Text("use {dtype} ({risk})", {"dtype": dtype, "risk": risk}), commands=commands, effort="flag")


def _number(capability: str) -> float | None:
    try:
        return float(capability)
    except ValueError:
        return None
